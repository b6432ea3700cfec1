// SPDX-License-Identifier: Apache-2.0

// Measures how long a busy stream keeps the page from answering: the browser's
// own long tasks (over 50 ms) and gaps between frames, on each page in turn.
// usage: node load.mjs LINK SECONDS
import { watch, withBrowser } from './browser.mjs';

const [link, seconds] = process.argv.slice(2);
const origin = new URL(link).origin;

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
  for (const view of ['', 'processes', 'processes?group=container', 'connections', 'connections?view=graph']) {
    await page.goto(`${origin}/#/${view}`);
    await page.waitForTimeout(3000); // Loading the page is not the steady state.
    await page.evaluate(() => (window.tasks.length = window.gaps.length = 0));
    await page.waitForTimeout(seconds * 1000);
    results.push(
      await page.evaluate((view) => {
        const gaps = window.gaps.toSorted((a, b) => a - b);
        const blocked = window.tasks.reduce((n, t) => n + t - 50, 0);
        return {
          view: view || 'overview', longTasks: window.tasks.length, longestMs: Math.round(Math.max(0, ...window.tasks)), blockedMs: Math.round(blocked),
          frames: gaps.length, gapP99Ms: Math.round(gaps[Math.floor(gaps.length * 0.99)] ?? 0), heapMiB: Math.round(performance.memory.usedJSHeapSize / 2 ** 20),
        };
      }, view),
    );
  }
  await page.goto(`${origin}/#/`);
  await page.waitForTimeout(4000);
  const shown = await page.getByText(/^showing/).innerText();
  console.log(JSON.stringify({ results, shown, faults }));
});
process.exit(0);
