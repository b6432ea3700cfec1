// SPDX-License-Identifier: Apache-2.0

// The view Tools with a real agent: a link that may not run tools says so; one that may runs
// them, and the page shows records, a histogram and a flame graph of what the test does.
import assert from 'node:assert/strict';
import { ask } from './ask.mjs';
import { watch, withBrowser } from './browser.mjs';

const [viewer, operator, argument, pid] = process.argv.slice(2);
const origin = new URL(operator).origin;
const limit = { timeout: 60_000 }; // a slow machine

const output = (page) => page.getByRole('region', { name: 'Output' });
const button = (page, name) => page.getByRole('button', { name, exact: true });

async function pick(page, tool) {
  await page.goto(`${origin}/#/tools/${tool}`);
  await page.getByRole('heading', { name: tool, exact: true }).waitFor(limit);
}

// With a pid only what that process does is shown, and no busy host pushes it out of sight.
async function run(page, tool, pid = '') {
  await pick(page, tool);
  await page.getByLabel('pid', { exact: true }).fill(pid);
  await button(page, 'Run').click();
  await output(page).getByText(/^runs, \d+ probes?/).waitFor(limit);
}

async function stop(page) {
  await button(page, 'Stop').click();
  await output(page).getByText('ended: asked').waitFor(limit);
}

async function refused(page) {
  await page.goto(viewer);
  await pick(page, 'opensnoop');
  await page.getByText('skep token --url --role operate').waitFor(limit);
  assert.ok(await button(page, 'Run').isDisabled());
}

// Each file that the test opens is a row with the name of its error, and its path a text that
// never acts as markup.
async function records(page) {
  await run(page, 'opensnoop', pid);
  await ask('open');
  const rows = output(page).getByRole('row').filter({ hasText: argument });
  await rows.nth(6).waitFor(limit);
  const seen = await rows.allInnerTexts();
  assert.equal(seen.length, 7, seen.join('\n'));
  assert.equal(seen.filter((t) => t.includes('<img src=x>')).length, 1, seen.join('\n'));
  assert.ok(seen.every((t) => /\bENOENT\b/.test(t)), seen.join('\n'));
  await stop(page);
  assert.equal(await rows.count(), 7);
}

async function histogram(page) {
  await run(page, 'runqlat');
  await ask('spin');
  await output(page).getByRole('rowheader').filter({ hasText: /^[[(].*[)\]]$/ }).first().waitFor(limit);
  await stop(page);
}

async function flame(page) {
  await run(page, 'profile');
  await ask('spin');
  const graph = output(page).getByRole('group', { name: /^Flame graph of @/ });
  if ((await graph.count()) === 0) await stop(page);
  await graph.getByRole('button', { name: 'all', exact: true }).waitFor(limit);
  const boxes = await graph.getByRole('button').count();
  assert.ok(boxes > 2, `${boxes} boxes`);
}

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await refused(page);
  await page.goto(operator);
  await records(page);
  await histogram(page);
  await flame(page);
  assert.deepEqual(faults, []);
});
process.exit(0);
