// SPDX-License-Identifier: Apache-2.0

// Debian's Chromium with every background connection off, and a watch on all
// that a page must not do.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

export async function withBrowser(options, work) {
  const profile = mkdtempSync(join(tmpdir(), 'skep-page-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true, viewport: { width: 1440, height: 900 }, ...options });
  try {
    return await work(context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}

// watch notes console errors, failed scripts, requests to anything but the
// page's own server, and violations of its content security policy.
export async function watch(page, origin) {
  const faults = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && faults.push(`console ${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
  page.on('request', (r) => new URL(r.url()).origin !== origin && faults.push(`foreign request: ${r.url()}`));
  await page.exposeFunction('noteViolation', (what) => faults.push(`policy violation: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => window.noteViolation(`${e.violatedDirective} ${e.blockedURI}`));
  });
  return faults;
}
