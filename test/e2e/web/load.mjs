// SPDX-License-Identifier: Apache-2.0

// Measures how long a busy stream keeps the page from answering: the browser's
// own long tasks (over 50 ms) and gaps between frames, on each page in turn.
// Blocked is the median of three windows, so that one hiccup of the machine
// does not count and whatever the page does all the time does.
// usage: node load.mjs LINK SECONDS VIEW...
import { watch, withBrowser } from './browser.mjs';

const [link, seconds, ...views] = process.argv.slice(2);
const origin = new URL(link).origin;

async function measure(page, seconds) {
  await page.evaluate(() => (window.tasks.length = window.gaps.length = 0));
  await page.waitForTimeout(seconds * 1000);
  return page.evaluate(() => {
    const gaps = window.gaps.toSorted((a, b) => a - b);
    const blocked = window.tasks.reduce((n, t) => n + t - 50, 0);
    return {
      longTasks: window.tasks.length, longestMs: Math.round(Math.max(0, ...window.tasks)), blockedMs: Math.round(blocked),
      frames: gaps.length, gapP99Ms: Math.round(gaps[Math.floor(gaps.length * 0.99)] ?? 0), heapMiB: Math.round(performance.memory.usedJSHeapSize / 2 ** 20),
    };
  });
}

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const faults = await watch(page, origin);
  await page.addInitScript(() => {
    window.tasks = [];
    window.gaps = [];
    new PerformanceObserver((l) => l.getEntries().forEach((e) => window.tasks.push(e.duration))).observe({ type: 'longtask' });
    let last = performance.now();
    requestAnimationFrame(function tick(now) {
      window.gaps.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    });
  });
  const results = [];
  await page.goto(link);
  for (const view of views) {
    await page.goto(`${origin}/#/${view === 'overview' ? '' : view}`);
    await page.waitForTimeout(3000); // Loading the page is not the steady state.
    const windows = [];
    for (let i = 0; i < 3; i++) windows.push(await measure(page, seconds));
    windows.sort((a, b) => a.blockedMs - b.blockedMs);
    results.push({ view, ...windows[1], worstBlockedMs: windows[2].blockedMs });
  }
  await page.goto(`${origin}/#/`);
  await page.waitForTimeout(4000);
  const shown = await page.getByText(/^showing/).innerText();
  console.log(JSON.stringify({ results, shown, faults }));
});
process.exit(0);
