// SPDX-License-Identifier: Apache-2.0

// Walks through the page as a user would. The first line of output that does
// not ask the Go test for something is the result as JSON.
// usage: node page.mjs LINK SHOTS ARGUMENT SCENARIO
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { ask } from './ask.mjs';
import { watch, withBrowser } from './browser.mjs';
import { filesView } from './files.mjs';
import { dnsView, eventsView, oldRecord } from './past.mjs';

const [link, shots, argument, scenario] = process.argv.slice(2);
const origin = new URL(link).origin;
const limit = { timeout: 60_000 }; // a slow machine

async function live(page) {
  await page.getByRole('status').filter({ hasText: /^live$/ }).waitFor(limit);
}

// A program runs, is seen on the page, and its record tells its arguments.
async function programAppears(page) {
  await page.goto(`${origin}/#/?kinds=exec`);
  await page.waitForTimeout(1000); // The stream begins anew with the filter.
  const link = page.getByRole('row').filter({ hasText: `-- ${argument}` }).first().getByRole('link');
  // On a busy host others push it out of sight: a slow browser may need another one.
  for (let more = 5; ; more--) {
    await ask('exec');
    if (await link.click({ timeout: 10_000 }).then(() => true, () => false)) break;
    assert.ok(more, 'a program that runs appears on the page');
  }
  const record = page.getByRole('complementary', { name: 'Record' });
  await record.getByRole('listitem').filter({ hasText: new RegExp(`^${argument}$`) }).first().waitFor();
  await record.getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await record.locator('pre').innerText());
  assert.equal(json.kind, 'exec');
  assert.deepEqual(json.exec.args.slice(-2), ['--', argument]);
  return json;
}

// The record's link alone brings it back, from the agent's memory.
async function linkHoldsRecord(context, url) {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await page.goto(url);
  await page.getByRole('complementary', { name: 'Record' }).getByText(argument, { exact: true }).first().waitFor();
  await page.close();
  return faults;
}

async function processPage(page, record) {
  await page.goto(`${origin}/#/process/${encodeURIComponent(record.process.exec_id)}`);
  await page.getByRole('heading', { level: 1 }).filter({ hasText: String(record.process.pid) }).waitFor();
  await page.getByRole('listitem').filter({ hasText: new RegExp(`^${argument}$`) }).first().waitFor();
}

async function otherPages(page) {
  await page.getByRole('link', { name: 'Processes', exact: true }).first().click();
  await page.getByRole('treegrid', { name: 'Processes' }).getByRole('row').nth(3).waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(shots, 'processes.png') });
  await page.getByRole('link', { name: 'Connections', exact: true }).click();
  await page.getByRole('treegrid', { name: 'Who talks to whom' }).waitFor();
  await page.getByRole('button', { name: 'Listeners' }).click();
  await page.getByRole('columnheader', { name: 'Backlog' }).waitFor();
}

async function themes(page) {
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(shots, `${colorScheme}.png`) });
  }
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  const toggle = page.getByRole('button', { name: /^Theme/ });
  while (!(await toggle.innerText()).includes('dark')) await toggle.click();
  assert.notEqual(await background(), light);
  await page.reload();
  await live(page);
  assert.notEqual(await background(), light, 'the theme is kept');
}

// Only where the test owns the agent.
async function agentGoesAndComes(page) {
  await ask('stop');
  await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor(limit);
  await ask('start');
  await live(page);
  const show = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await page.waitForTimeout(2500);
  await ask('expect 1 follower');
  await show(true);
  await page.waitForTimeout(500);
  await ask('expect 0 followers');
  await show(false);
  await live(page);
  await page.waitForTimeout(1000);
  await ask('expect 1 follower');
}

async function hostileProcess(page) {
  await page.goto(`${origin}/#/processes?q=4402`);
  const row = page.getByRole('row').filter({ hasText: '4402' }).last();
  await row.waitFor();
  const text = await row.innerText();
  assert.ok(text.includes('\\e[2J') && text.includes('<img src=x') && text.includes('\\u{202e}'), text);
  assert.ok(!/[\u0000-\u0009\u000b-\u001f\u202a-\u202e\u2066-\u2069]/.test(text), 'raw control characters on the page');
  assert.equal(await page.locator('main img').count(), 0);
}

async function keyboard(page) {
  await page.goto(`${origin}/#/processes`);
  const grid = page.getByRole('treegrid', { name: 'Processes' });
  await grid.getByRole('row').nth(3).waitFor();
  await grid.focus();
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('[aria-expanded="false"]').count(), 0);
  await page.keyboard.press('ArrowLeft');
  await page.locator('[aria-expanded="false"]').waitFor();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Program' }).waitFor();
}

await withBrowser({ colorScheme: 'light' }, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await page.goto(link);
  assert.equal(page.url(), `${origin}/`, 'the token leaves the address');
  await live(page);
  const record = await programAppears(page);
  faults.push(...(await linkHoldsRecord(context, page.url())));
  await processPage(page, record);
  await otherPages(page);
  faults.push(...(await eventsView(context, page, origin, { ask, watch, argument })));
  const dns = await dnsView(page, origin, { ask, argument });
  const file = await filesView(context, page, origin, { ask, watch, argument, scenario }, faults);
  await themes(page);
  assert.deepEqual(faults, []);
  if (scenario === 'fake') {
    await oldRecord(page, origin);
    await hostileProcess(page);
    await keyboard(page);
    assert.deepEqual(faults, []);
    await agentGoesAndComes(page);
    // Calls to an agent that is away are errors that the browser logs by itself.
    assert.deepEqual(faults.filter((f) => !/status of 502|net::ERR/.test(f)), []);
  }
  console.log(JSON.stringify({ pid: record.process.pid, args: record.exec.args, exe: record.process.exe, dns, file }));
});
process.exit(0);
