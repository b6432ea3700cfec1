// SPDX-License-Identifier: Apache-2.0

// The views of the past on a disk log of which a part is closed into segments,
// a part is a log, and the newest is in memory: they are one.
// usage: node disk.mjs LINK WANTED, where WANTED is the JSON of diskWanted.
import assert from 'node:assert/strict';
import { watch, withBrowser } from './browser.mjs';
import { counted } from './past.mjs';

const [link, json] = process.argv.slice(2);
const wanted = JSON.parse(json);
const origin = new URL(link).origin;
const limit = { timeout: 60_000 }; // a slow machine
const rows = (page) => page.getByRole('treegrid', { name: 'Events' });
const record = (page) => page.getByRole('complementary', { name: 'Record' });
const only = (p) => `from=${p.from}&until=${p.until}`;

// The bars are counted in the agent, the rows are records that it sends: both are as many as ran.
async function agree(page, period, n) {
  await page.goto(`${origin}/#/events?kinds=exec&comm=${wanted.comm}&${only(period)}`);
  await page.getByText('all of them in the rows').waitFor(limit);
  assert.equal((await counted(page)).n, n, `counted from ${period.from} to ${period.until}`);
  const losses = await rows(page).getByRole('row').filter({ hasText: 'records lost' }).count();
  assert.equal(Number(await rows(page).getAttribute('aria-rowcount')) - losses, n, 'rows');
}

// Each of them is found by its argument, wherever it lies.
async function found(page, all, i) {
  const where = encodeURIComponent(`exec.args.size() == 2 && exec.args[1] == "${wanted.argument}-${i}"`);
  await page.goto(`${origin}/#/events?kinds=exec&comm=${wanted.comm}&${only(all)}&where=${where}`);
  const row = rows(page).getByRole('row').filter({ hasText: `${wanted.argument}-${i}` });
  await row.first().waitFor(limit);
  assert.equal(await row.count(), 1, `program ${i}`);
  await row.getByRole('link').click();
  await record(page).getByRole('button', { name: 'JSON', exact: true }).click();
  const shown = JSON.parse(await record(page).locator('pre').innerText());
  assert.equal(shown.exec.args[1], `${wanted.argument}-${i}`);
  assert.ok(shown.process.exe.endsWith(`/${wanted.comm}`), shown.process.exe);
}

// A process that runs since before two agents: its page has what it did then, in segments now.
async function processPage(page) {
  await page.goto(`${origin}/#/processes?q=${wanted.pid}`);
  const link = page.getByRole('treegrid', { name: 'Processes' }).getByRole('row').filter({ hasText: wanted.actor })
    .filter({ has: page.getByText(String(wanted.pid), { exact: true }) }).getByRole('link');
  await link.first().waitFor(limit);
  await link.first().click();
  await page.getByRole('heading', { level: 1 }).filter({ hasText: String(wanted.pid) }).waitFor(limit);
  const panel = page.getByRole('region', { name: 'What it did to the host' });
  await panel.getByRole('link').nth(wanted.calls.length - 1).waitFor(limit);
  const shown = (await panel.getByRole('link').allInnerTexts()).toReversed(); // newest first
  assert.deepEqual(shown.filter((t) => !t.startsWith('capability ')), wanted.calls);
  await panel.getByRole('link').filter({ hasText: 'memfd_create' }).click();
  await record(page).getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await record(page).locator('pre').innerText());
  assert.equal(json.process.pid, wanted.pid);
  assert.equal(json.host.call, 'memfd_create');
  await page.getByRole('treegrid', { name: 'Records of this process' }).getByRole('row').filter({ hasText: wanted.actor }).first().waitFor(limit);
  assert.equal(await page.locator('main img').count(), 0);
}

await withBrowser({ colorScheme: 'light' }, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await page.goto(link);
  await page.getByRole('status').filter({ hasText: /^live$/ }).waitFor(limit);
  for (const p of wanted.periods) await agree(page, p, p.n);
  const all = { from: wanted.periods[0].from, until: wanted.periods.at(-1).until };
  const n = wanted.periods.reduce((sum, p) => sum + p.n, 0);
  await agree(page, all, n);
  for (const i of [0, wanted.periods[0].n, n - 1]) await found(page, all, i);
  await processPage(page);
  assert.deepEqual(faults, []);
});
process.exit(0);
