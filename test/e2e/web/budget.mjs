// SPDX-License-Identifier: Apache-2.0

// What the page says of sensors that are shed, and of those that came back.
// usage: node budget.mjs LINK SENSOR...
import assert from 'node:assert/strict';
import { ask } from './ask.mjs';
import { watch, withBrowser } from './browser.mjs';

const [link, ...sensors] = process.argv.slice(2);
const origin = new URL(link).origin;
const limit = { timeout: 150_000 }; // each is shed after some seconds, and comes back so
const shed = (page) => page.getByRole('alert', { name: /^Shed to keep the budget/ });

async function sensorsShed(page) {
  for (const s of sensors) await shed(page).getByRole('listitem').filter({ hasText: s }).waitFor(limit);
  const items = await shed(page).getByRole('listitem').allInnerTexts();
  assert.equal(items.length, sensors.length, items.join('\n'));
  for (const i of items) assert.match(i, /since \d+:\d+.*MiB of memory over \d+ s, the limit is 16 MiB/s);
  assert.match(await shed(page).innerText(), /memory [\d.]+ MiB of 16(\.0)? MiB/);
  await page.getByRole('row').filter({ hasText: /^\s*tcp\b/ }).filter({ hasText: 'shed' }).first().waitFor(limit);
}

await withBrowser({ colorScheme: 'light' }, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await page.goto(link);
  await sensorsShed(page);
  await page.goto(`${origin}/#/files`);
  await page.getByText('The sensor of files is shed').waitFor(limit);
  await ask('make room');
  await page.getByText('Nothing was done to a watched file in this time.').waitFor(limit);
  await page.goto(`${origin}/#/`);
  await page.getByRole('heading', { name: 'Events a second' }).waitFor(limit);
  await shed(page).waitFor({ state: 'detached', ...limit });
  await ask('touch a file');
  await page.goto(`${origin}/#/files`);
  await page.getByRole('treegrid', { name: 'Operations' }).getByRole('row').filter({ hasText: 'after-all' }).waitFor(limit);
  assert.deepEqual(faults, []);
});
process.exit(0);
