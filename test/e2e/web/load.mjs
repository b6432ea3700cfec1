// SPDX-License-Identifier: Apache-2.0

// Measures how long a busy stream keeps the page from answering, on each view
// in turn. Tasks of the page's main thread are taken from the browser's own
// trace, with the CPU time that they used: what else runs on the machine makes
// a task longer by the clock, but not in CPU time.
// usage: node load.mjs LINK SECONDS VIEW...
import { watch, withBrowser } from './browser.mjs';

const [link, seconds, ...views] = process.argv.slice(2);
const origin = new URL(link).origin;

async function trace(page, ms) {
  const cdp = await page.context().newCDPSession(page);
  const events = [];
  cdp.on('Tracing.dataCollected', (e) => events.push(...e.value));
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents', categories: '-*,disabled-by-default-devtools.timeline,__metadata' });
  await page.waitForTimeout(ms);
  const complete = new Promise((done) => cdp.once('Tracing.tracingComplete', done));
  await cdp.send('Tracing.end');
  await complete;
  await cdp.detach();
  return events;
}

function mainThreadTasks(events) {
  const thread = (e) => `${e.pid}.${e.tid}`;
  const main = new Set(events.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map(thread));
  return events.filter((e) => e.name.endsWith('RunTask') && e.tdur !== undefined && main.has(thread(e)));
}

async function measure(page, view) {
  const events = await trace(page, seconds * 1000);
  const tasks = mainThreadTasks(events);
  const cpu = tasks.map((t) => t.tdur / 1000);
  const round = (n) => Math.round(n * 10) / 10;
  return {
    view, tasks: tasks.length, longTasks: cpu.filter((ms) => ms > 50).length, longestMs: round(Math.max(0, ...cpu)),
    cpuPercent: round(cpu.reduce((n, ms) => n + ms, 0) / seconds / 10), longestByClockMs: round(Math.max(0, ...tasks.map((t) => t.dur / 1000))),
    heapMiB: await page.evaluate(() => Math.round(performance.memory.usedJSHeapSize / 2 ** 20)),
  };
}

// yardstick is how long a fixed piece of work takes in this browser, at its best of five, in
// milliseconds of the clock: how fast this machine is.
function yardstick(page) {
  return page.evaluate(() => {
    const once = () => {
      const start = performance.now();
      const rows = Array.from({ length: 20000 }, (_, i) => ({ key: `row ${(i * 7919) % 20000}`, value: i }));
      rows.sort((a, b) => (a.key < b.key ? -1 : 1));
      JSON.parse(JSON.stringify(rows));
      return performance.now() - start;
    };
    return Math.min(...Array.from({ length: 5 }, once));
  });
}

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  const results = [];
  await page.goto('about:blank');
  const yardstickMs = await yardstick(page);
  await page.goto(link);
  for (const view of views) {
    await page.goto(`${origin}/#/${view === 'overview' ? '' : view}`);
    await page.waitForTimeout(2000); // Loading the page is not the steady state.
    results.push(await measure(page, view));
  }
  await page.goto(`${origin}/#/`);
  await page.waitForTimeout(4000);
  const shown = await page.getByText(/^showing/).innerText();
  console.log(JSON.stringify({ results, yardstickMs, shown, faults }));
});
process.exit(0);
