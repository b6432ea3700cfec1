// SPDX-License-Identifier: Apache-2.0

// The views of the past: Events and DNS. The test has run a program with the
// argument, and makes a question for the name when it is asked to.
import assert from 'node:assert/strict';

const limit = { timeout: 60_000 }; // a slow machine
const records = (page) => page.getByRole('complementary', { name: 'Record' });
const plot = (page) => page.getByRole('application');
const hashQuery = (page) => new URLSearchParams(new URL(page.url()).hash.split('?')[1]);

// The timeline says in words what it draws: "Events: 12 from 28 Nov 12:00:00 to ...".
export async function counted(page) {
  await page.waitForFunction(() => /: [\d,]+ from/.test(document.querySelector('[role=application]')?.getAttribute('aria-label') ?? ''));
  const label = await plot(page).getAttribute('aria-label');
  return { label, n: Number(/: ([\d,]+) from/.exec(label)[1].replaceAll(',', '')) };
}

async function brush(page, from, to) {
  const box = await plot(page).boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * ((from + to) / 2), y, { steps: 3 });
  await page.mouse.move(box.x + box.width * to, y, { steps: 3 });
  const before = page.url();
  await page.mouse.up();
  await page.waitForFunction((was) => location.href !== was, before);
}

// An event appears as it happens; standing still, the bars and the rows agree.
async function eventAppears(page, origin, ask, argument) {
  await page.mouse.move(0, 0); // Rows stand still under the pointer.
  await page.goto(`${origin}/#/events?kinds=exec&comm=echo`);
  await counted(page);
  const rows = page.getByRole('row').filter({ hasText: `-- ${argument}` });
  await rows.first().waitFor(limit); // The program has run before.
  const before = await rows.count();
  await ask('exec');
  await rows.nth(before).waitFor(limit);
  await page.getByRole('button', { name: 'Stop here' }).click();
  await page.getByText('all of them in the rows').waitFor();
  let { n } = await counted(page);
  for (let i = 0; i < 50 && n < 2; i++) { // The count is asked for anew when it stands still.
    await page.waitForTimeout(200);
    ({ n } = await counted(page));
  }
  const grid = page.getByRole('treegrid', { name: 'Events' });
  const losses = await grid.getByRole('row').filter({ hasText: 'records lost' }).count();
  assert.ok(n >= 2, `${n} events: the program ran twice`);
  assert.equal(Number(await grid.getAttribute('aria-rowcount')) - losses, n);
}

// The brush looks into a range, Back leads out of it.
async function brushing(page, argument) {
  const mine = () => page.getByRole('row').filter({ hasText: `-- ${argument}` });
  const whole = page.url();
  await brush(page, 0.02, 0.4); // The first minutes; the program ran in the last one.
  await page.getByText('Nothing of this happened in this time.').waitFor(limit);
  assert.equal((await counted(page)).n, 0);
  await page.goBack();
  await mine().first().waitFor(limit);
  assert.equal(page.url(), whole);
  await brush(page, 0.5, 0.999);
  await mine().first().waitFor(limit);
  const [from, until] = ['from', 'until'].map((name) => Date.parse(hashQuery(page).get(name)));
  assert.ok(until - from < 160_000 && until - from > 100_000, `half of five minutes is ${until - from} ms`);
}

// Who opens the link sees the same: time, filters, counts, and the open record, whole.
async function linkHoldsView(context, page, origin, watch, argument) {
  await page.getByRole('row').filter({ hasText: `-- ${argument}` }).first().getByRole('link').click();
  await records(page).getByText(argument, { exact: true }).first().waitFor();
  const other = await context.newPage();
  const faults = await watch(other, origin);
  await other.goto(page.url());
  await records(other).getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await records(other).locator('pre').innerText());
  assert.deepEqual(json.exec.args.slice(-2), ['--', argument]);
  for (const field of ['node_id', 'boot_id', 'time', 'process']) assert.ok(json[field], `the full record has ${field}`);
  assert.equal((await counted(other)).label, (await counted(page)).label);
  assert.equal(await other.getByRole('searchbox', { name: 'comm' }).inputValue(), 'echo');
  assert.equal(await other.getByRole('button', { name: /^exec/ }).getAttribute('aria-pressed'), 'true');
  await other.close();
  return faults;
}

// A record that no view holds is searched for once, whatever else happens meanwhile.
export async function oldRecord(page, origin) {
  const until = Date.now() - 30 * 60_000;
  const iso = (ms) => new Date(ms).toISOString();
  await page.goto(`${origin}/#/events?kinds=exec&from=${iso(until - 600_000)}&until=${iso(until)}`);
  const link = await page.getByRole('treegrid', { name: 'Events' }).getByRole('row').nth(1).getByRole('link').getAttribute('href');
  await page.goto('about:blank');
  let searches = 0;
  const count = (r) => (searches += /Observe$/.test(r.url()) ? 1 : 0);
  page.on('request', count);
  await page.goto(`${origin}/#/?record=${new URLSearchParams(link.split('?')[1]).get('record')}`);
  await records(page).getByRole('link', { name: /^Process/ }).waitFor();
  await page.waitForTimeout(1000); // It is not searched for again.
  page.off('request', count);
  assert.ok(searches <= 3, `${searches} searches and streams for a record`);
}

async function timelineByKeyboard(page) {
  await page.keyboard.press('Escape'); // closes the record
  await counted(page);
  await plot(page).focus();
  const before = page.url();
  await page.keyboard.press('End');
  for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowLeft');
  await page.keyboard.press('Enter');
  await page.waitForFunction((was) => location.href !== was, before);
  await counted(page);
}

// Records of files have a path, and those of unix sockets; others have none to filter by.
async function pathField(page, origin) {
  const box = page.getByRole('searchbox', { name: 'path' });
  for (const [kind, state] of [['exec', 'detached'], ['file', 'visible'], ['unix', 'visible']]) {
    await page.goto(`${origin}/#/events?kinds=${kind}`);
    await page.getByRole('button', { name: new RegExp(`^${kind}`), pressed: true }).waitFor();
    await box.waitFor({ state });
  }
}

// What the agent refuses, and what is no filter at all, is said.
async function mistakes(page, origin) {
  await page.goto(`${origin}/#/events?pid=one`);
  await page.getByRole('alert').filter({ hasText: '“one” is no number' }).waitFor();
  await page.goto(`${origin}/#/events?kinds=exec&where=${encodeURIComponent('exec.args[70] == "x"')}`);
  await page.getByRole('alert').filter({ hasText: /could not be decided: [\d,]+ records .*index out of bounds/ }).waitFor();
  const other = await page.context().newPage(); // not watched: the browser notes what the agent refuses
  await other.goto(`${origin}/#/events?where=${encodeURIComponent('no_such_field == 1')}`);
  await other.getByRole('alert').filter({ hasText: "undeclared reference to 'no_such_field'" }).waitFor();
  await other.getByText('not counted', { exact: true }).waitFor();
  await other.waitForTimeout(500); // Neither the records nor the stream say it again.
  assert.equal(await other.getByText('undeclared reference').count(), 1, 'one fault, told once');
  await other.goto(`${origin}/#/no-such-page`);
  await other.getByRole('navigation', { name: 'Pages' }).locator('a[aria-current=page]', { hasText: 'Overview' }).waitFor();
  await other.close();
}

export async function eventsView(context, page, origin, { ask, watch, argument }) {
  await eventAppears(page, origin, ask, argument);
  await brushing(page, argument);
  const faults = await linkHoldsView(context, page, origin, watch, argument);
  await timelineByKeyboard(page);
  await pathField(page, origin);
  await mistakes(page, origin);
  return faults;
}

// A name that does not exist is among the failures, with who asked for it.
export async function dnsView(page, origin, { ask, argument }) {
  const name = `${argument}.skep.test`;
  await page.mouse.move(0, 0); // Rows stand still under the pointer.
  await page.goto(`${origin}/#/dns?q=${argument}`);
  await ask('resolve');
  const grid = page.getByRole('treegrid', { name: 'Questions' });
  const group = grid.getByRole('row', { level: 1 }).filter({ hasText: name });
  await group.waitFor(limit);
  assert.match(await group.innerText(), /NXDOMAIN/);
  await group.getByRole('button', { name: 'Open' }).click();
  await grid.getByRole('row', { level: 2 }).filter({ hasText: name }).first().getByRole('link').first().click();
  await records(page).getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await records(page).locator('pre').innerText());
  for (const by of ['server', 'process']) {
    await page.getByRole('button', { name: `By ${by}` }).click();
    await grid.getByRole('row').filter({ hasText: by === 'server' ? json.dns.server.address : json.process.comm }).first().waitFor();
  }
  await page.goto(`${origin}/#/process/${encodeURIComponent(json.process.exec_id)}`);
  await page.getByRole('region', { name: 'Names it asked for' }).getByText(name, { exact: true }).waitFor(limit);
  return { name: json.dns.name, rcode: json.dns.rcode, server: json.dns.server.address, pid: json.process.pid };
}
