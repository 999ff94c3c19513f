// Pictures the dashboard of a running stack, for the README: node scripts/screenshot.mjs AGENT USER [FILE] [light|dark]
// SIGNALS_DASHBOARD and SIGNALS_KEY name the stack.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { chromium } from 'playwright-core';

const { CHROMIUM = '/usr/bin/chromium', SIGNALS_DASHBOARD, SIGNALS_KEY } = process.env;
const [agent, user, file = 'docs/images/dashboard.png', colorScheme = 'light'] = process.argv.slice(2);
if (!SIGNALS_DASHBOARD || !SIGNALS_KEY || !agent || !user) {
  console.error('usage: SIGNALS_DASHBOARD=… SIGNALS_KEY=… node scripts/screenshot.mjs AGENT USER [FILE] [light|dark]');
  process.exit(2);
}

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({
  colorScheme,
  viewport: { width: 1280, height: 800 },
  deviceScaleFactor: 1.5,
  // The chart is then drawn whole at once.
  reducedMotion: 'reduce',
});
await page.goto(new URL(`/#${new URLSearchParams({ key: SIGNALS_KEY, agent, user })}`, SIGNALS_DASHBOARD).href);
await page.getByRole('status').getByText('Loaded', { exact: true }).waitFor();
await page.getByRole('img', { name: /^Bar chart/ }).waitFor();
await mkdir(dirname(file), { recursive: true });
await page.screenshot({ path: file });
await browser.close();
console.log(file);
