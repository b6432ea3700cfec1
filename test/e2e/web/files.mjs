// SPDX-License-Identifier: Apache-2.0

// The view Files, and the files of a process. The test makes the changes of
// changes_test.go when it is asked to; a real agent watches nothing until it
// is asked for that.
import assert from 'node:assert/strict';

const limit = { timeout: 60_000 }; // a slow machine
const operations = (page) => page.getByRole('treegrid', { name: 'Operations' });
const groups = (page) => operations(page).getByRole('row', { level: 1 });
const ones = (page) => operations(page).getByRole('row', { level: 2 });
const record = (page) => page.getByRole('complementary', { name: 'Record' });
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

async function texts(rows) {
  return (await rows.allInnerTexts()).map((t) => t.replace(/\s+/g, ' '));
}

// Where nothing is watched, the page says how to watch something.
async function switchedOn(page, ask) {
  await page.getByText('No path is watched.').waitFor(limit);
  assert.match(await page.locator('.note pre').innerText(), /sensors:\n {2}files:\n {4}paths: /);
  await ask('watch');
  await page.getByText('Nothing was done to a watched file in this time.').waitFor(limit);
}

// What failed is on top; what is done later is there without a reload.
async function failuresFirst(page, argument) {
  await groups(page).filter({ hasText: `/x${argument}` }).waitFor(limit);
  await groups(page).filter({ hasText: '<img' }).waitFor(limit);
  const rows = await texts(groups(page));
  assert.equal(rows.length, 6, rows.join('\n'));
  assert.match(rows[0], new RegExp(`/${argument} 3 1 EEXIST 1, done 2 mkdir 1, (rename 1, chmod 1|chmod 1, rename 1) `));
  assert.match(rows[1], new RegExp(`/${argument}-none 1 1 ENOENT unlink `));
  for (const row of rows.slice(2)) assert.doesNotMatch(row, /E[A-Z]{4}/);
}

// A group opens into its operations, one of them into its record.
async function opened(page, argument) {
  await groups(page).first().getByRole('button', { name: 'Open' }).click();
  await ones(page).nth(2).waitFor(limit);
  assert.deepEqual((await texts(ones(page))).map((t) => t.split(' ')[0]), ['chmod', 'mkdir', 'rename']);
  await ones(page).filter({ hasText: '→' }).getByRole('link').first().click();
  await record(page).getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await record(page).locator('pre').innerText());
  assert.equal(json.kind, 'file');
  assert.equal(json.file.operation, 'rename');
  assert.ok(json.file.new_path.endsWith(`/${argument}`), json.file.new_path);
  return json;
}

// Who opens the link sees the same, with the same record open.
async function linkHoldsView(context, page, origin, watch, faults) {
  const other = await context.newPage();
  const others = await watch(other, origin);
  await other.goto(page.url());
  await record(other).getByText('new_path', { exact: true }).waitFor(limit);
  await groups(other).nth(5).waitFor(limit);
  const told = (rows) => rows.map((t) => t.replace(/^[▸▾] /, '').replace(/ [\dhms ]+$/, '')); // neither folds nor ages
  assert.deepEqual(told(await texts(groups(other))), told(await texts(groups(page))));
  await other.close();
  faults.push(...others);
}

async function grouped(page, argument, json) {
  const dir = json.file.new_path.slice(0, json.file.new_path.lastIndexOf('/'));
  const who = json.process.comm;
  for (const [by, title, count] of [['directory', `${dir}/in`, 2], ['operation', 'create', 4], ['process', who, 8]]) {
    await page.getByRole('button', { name: `By ${by}` }).click();
    const row = groups(page).filter({ has: page.getByTitle(title, { exact: true }) }).first();
    await row.waitFor(limit);
    const got = Number((await row.getByRole('gridcell').nth(1).innerText()).replaceAll(',', ''));
    // Whoever did them has done other things too.
    assert.ok(by === 'directory' ? got === count : got >= count, `${by} ${title}: ${got}, not ${count}`);
  }
  return dir;
}

// The path filter is the agent's: below the directory, and nothing else.
async function pathFilter(page, argument, dir) {
  const box = page.getByRole('searchbox', { name: 'path' });
  await box.fill(`${dir}/in`);
  await box.press('Enter');
  await page.getByText(/^2\s+file records/).waitFor(limit);
  assert.equal(new URLSearchParams(page.url().split('?')[1]).get('path'), `${dir}/in`);
  await groups(page).nth(1).waitFor(limit);
  assert.equal(await groups(page).count(), 2);
  for (const name of [argument, `${argument}-none`]) assert.equal(await groups(page).getByTitle(`${dir}/in/${name}`, { exact: true }).count(), 1);
}

// Names are text, whatever is in them, in rows and in the record.
async function hostileNames(page, origin, argument) {
  await page.goto(`${origin}/#/files?q=${argument}`);
  const evil = groups(page).filter({ hasText: '<img' });
  await evil.waitFor(limit);
  assert.ok((await evil.innerText()).includes(`\\n<img src=x onerror=alert(1)>\\e[2J`), await evil.innerText());
  const long = groups(page).filter({ hasText: 'nnnnn' });
  for (const row of [evil, long]) {
    await row.getByRole('button', { name: 'Open' }).click();
    assert.doesNotMatch(await row.innerText(), controls);
  }
  assert.ok((await groups(page).first().boundingBox()).height < 40, 'a newline in a name makes no line');
  const deep = ones(page).filter({ hasText: 'nnnnn' }).last();
  await deep.getByRole('link').first().click();
  await record(page).getByRole('button', { name: 'JSON', exact: true }).click();
  const json = JSON.parse(await record(page).locator('pre').innerText());
  assert.ok(json.file.path.length > 2000 && json.file.path.endsWith(`/x${argument}`), `a path of ${json.file.path.length} bytes`);
  assert.equal(await page.locator('main img, aside img').count(), 0);
}

async function processPanel(page, origin, argument, json, scenario) {
  await page.goto(`${origin}/#/process/${encodeURIComponent(json.process.exec_id)}`);
  const panel = page.getByRole('region', { name: 'Files it changed' });
  const row = panel.getByRole('row').filter({ has: page.getByText(json.file.new_path, { exact: true }) });
  await row.waitFor(limit);
  assert.match((await texts(row))[0], /mkdir 1, .*EEXIST 1, done 2/);
  // Newest first: what was done last is above what was done before.
  const rows = await texts(panel.getByRole('row'));
  const at = (text) => rows.findIndex((r) => r.includes(text));
  assert.ok(at('<img') > 0 && at('<img') < at(`/in/${argument}-none`) && at(`/in/${argument}-none`) < at(`/${argument} `), rows.join('\n').slice(0, 2000));
  assert.equal(await page.locator('main img').count(), 0);
  if (scenario === 'fake') await page.getByRole('region', { name: 'What it did to the host' }).getByRole('link', { name: /^host of / }).first().waitFor(limit);
  await panel.getByRole('link', { name: 'All of the last 24 hours' }).click();
  await groups(page).filter({ hasText: `/in/${argument}-none` }).waitFor(limit);
}

export async function filesView(context, page, origin, { ask, watch, argument, scenario }, faults) {
  await page.mouse.move(0, 0); // Rows stand still under the pointer.
  await page.goto(`${origin}/#/files`);
  if (scenario === 'agent') await switchedOn(page, ask);
  await page.goto(`${origin}/#/files?q=${argument}`);
  await ask('change');
  await failuresFirst(page, argument);
  const json = await opened(page, argument);
  await linkHoldsView(context, page, origin, watch, faults);
  await page.keyboard.press('Escape'); // closes the record
  const dir = await grouped(page, argument, json);
  await page.getByRole('button', { name: 'By path' }).click();
  await pathFilter(page, argument, dir);
  await hostileNames(page, origin, argument);
  await processPanel(page, origin, argument, json, scenario);
  if (scenario === 'agent') {
    await ask('unwatch');
    await page.getByText('No path is watched now').waitFor(limit);
  }
  return { path: json.file.path, new_path: json.file.new_path, pid: json.process.pid };
}
