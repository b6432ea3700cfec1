// SPDX-License-Identifier: Apache-2.0

// Screenshots of every page in both themes: node shots.mjs LINK FOLDER
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { watch, withBrowser } from './browser.mjs';

const [link, folder] = process.argv.slice(2);
const origin = new URL(link).origin;
mkdirSync(folder, { recursive: true });

for (const colorScheme of ['dark', 'light']) {
  await withBrowser({ colorScheme }, async (context) => {
    const page = await context.newPage();
    const faults = await watch(page, origin);
    const shot = (name) => page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
    await page.goto(link);
    await page.waitForTimeout(Number(process.env.WAIT || 12000));
    await shot('overview');
    await page.screenshot({ path: join(folder, `overview-full-${colorScheme}.png`) });
    await page.locator('#main').evaluate((m) => m.scrollTo(0, 1e6));
    await page.waitForTimeout(500);
    await shot('overview-end');
    await page.goto(`${origin}/#/processes`);
    await page.waitForTimeout(3500);
    await shot('processes');
    await page.goto(`${origin}/#/processes?group=container`);
    await page.waitForTimeout(1500);
    await shot('processes-grouped');
    await page.getByRole('searchbox').fill('1333');
    await page.waitForTimeout(500);
    await page.locator('a', { hasText: 'gunicorn' }).last().click();
    await page.waitForTimeout(2500);
    await shot('process');
    await page.goto(`${origin}/#/processes?q=4402`);
    await page.waitForTimeout(2500);
    await shot('hostile');
    await page.goto(`${origin}/#/connections`);
    await page.waitForTimeout(2500);
    await page.locator('.fold').nth(2).click();
    await shot('connections');
    await page.goto(`${origin}/#/connections?view=graph`);
    await page.waitForTimeout(1500);
    await shot('graph');
    await page.goto(`${origin}/#/connections?view=listeners`);
    await page.waitForTimeout(1500);
    await shot('listeners');
    await page.goto(`${origin}/#/?kinds=exec`);
    await page.waitForTimeout(2500);
    await page.locator('.feed a').first().click();
    await page.waitForTimeout(1500);
    await shot('record');
    for (const [name, hash] of [
      ['events', 'events?span=24h'], ['events-live', 'events'], ['events-filtered', 'events?span=1h&kinds=exec%2Cdns&comm=gunicorn'],
      ['dns', 'dns?span=24h'], ['dns-server', 'dns?span=24h&by=server'], ['dns-process', 'dns?span=24h&by=process'],
      ['files', 'files?span=24h'], ['files-directory', 'files?span=24h&by=directory'], ['files-operation', 'files?span=24h&by=operation'], ['files-process', 'files?span=24h&by=process'],
    ]) {
      await page.goto(`${origin}/#/${hash}`);
      await page.waitForTimeout(3000);
      if (name === 'dns' || name === 'files') await page.locator('.fold').first().click();
      if (name === 'events') {
        await page.locator('.feed a').nth(4).click();
        const plot = await page.getByRole('application').boundingBox();
        await page.mouse.move(plot.x + plot.width * 0.3, plot.y + 40);
        await page.mouse.down();
        await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 60, { steps: 4 });
      }
      await page.waitForTimeout(1000);
      await shot(name);
      await page.mouse.up();
    }
    for (const f of faults) console.log(colorScheme, f);
  });
}
