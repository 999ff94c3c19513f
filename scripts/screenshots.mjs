// Takes pictures of the dashboard in all its states, against a fresh stack: make screenshots, or
// cargo run --bin local -- exec -- node scripts/screenshots.mjs [FOLDER]
// The pictures of the tour go to docs/images, the others to FOLDER (default .local/screenshots).
import { mkdir } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { sendSample } from './sample.mjs';

const { CHROMIUM = '/usr/bin/chromium', SIGNALS_DASHBOARD, SIGNALS_URL, SIGNALS_KEY } = process.env;
if (!SIGNALS_DASHBOARD || !SIGNALS_URL || !SIGNALS_KEY) {
  console.error('usage: cargo run --bin local -- exec -- node scripts/screenshots.mjs [FOLDER]');
  process.exit(2);
}
const [folder = '.local/screenshots'] = process.argv.slice(2);
const TOUR = 'docs/images';
const WIDTHS = [360, 768, 1280, 1920];
const COUNTED_MS = 600_000;
const PATIENCE_MS = 120_000;

await mkdir(folder, { recursive: true });
await counted(await sendSample(SIGNALS_URL, SIGNALS_KEY));

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const agent = { agent: 'support' };
const user = { agent: 'support', user: 'maria' };
/** Waits until all is there. A busy machine may need a second attempt. */
async function ready(page) {
  const outcome = page.getByRole('status').getByText(/^(Loaded|Partially loaded|Could not load|Nothing recorded yet)/).first();
  for (;;) {
    if (/^(Loaded|Nothing)/.test(await outcome.innerText())) return;
    await page.reload();
  }
}
const openEntry = (page) => page.getByRole('button', { name: /^Details of “I am angry now/ }).click();
const search = async (page) => {
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Name of an agent or user' }).fill('ma');
  await page.getByRole('option', { name: 'maya' }).waitFor();
};

// The tour in docs/dashboard.md, and the README's picture.
const tour = { theme: 'light', width: 1280, height: 800 };
await picture('dashboard', agent, { ...tour, folder: TOUR, height: 1000 });
await picture('dashboard-start', {}, { ...tour, folder: TOUR, height: 460 });
await picture('dashboard-user', user, { ...tour, folder: TOUR, height: 1060, before: (page) => page.emulateMedia({ colorScheme: 'dark' }) });
await picture('dashboard-entry', user, { ...tour, folder: TOUR, after: openEntry });

const unavailable = { status: 503, contentType: 'application/json', body: '{"detail":"S3 does not answer"}' };
for (const theme of ['light', 'dark']) {
  for (const width of WIDTHS) {
    const shoot = (name, view, options) => picture(`${name}-${theme}-${width}`, view, { theme, width, height: 900, ...options });
    await shoot('start', {}, { whole: true });
    await shoot('agent', agent, { whole: true });
    await shoot('user', user, { whole: true });
    await shoot('entry', user, { after: openEntry });
    if (width !== 360 && width !== 1280) continue;
    await shoot('sign-in', {}, { key: false, until: (page) => page.getByLabel('API key').waitFor() });
    await shoot('search', agent, { after: search });
    await shoot('empty-agent', { agent: 'nobody' });
    await shoot('empty-user', { agent: 'support', user: 'nobody' });
    await shoot('hour', { ...agent, range: '1h' }, { whole: true });
    await shoot('loading', user, { before: (page) => page.route('**/api/**', () => {}), until: (page) => page.locator('#now .skeleton').waitFor() });
    await shoot('offline', user, { before: (page) => page.route('**/api/**', (route) => route.abort()), until: (page) => page.getByRole('alert').getByText('Retrying').waitFor() });
    await shoot('half', user, { before: (page) => page.route('**/api/{summary,anomalies}/**', (route) => route.fulfill(unavailable)), until: (page) => page.getByRole('button', { name: 'Try again' }).first().waitFor(), whole: true });
    await shoot('export', user, { after: async (page) => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('link', { name: 'Download' }).waitFor();
    } });
    if (width === 360) await shoot('menu', agent, { after: (page) => page.getByRole('button', { name: 'Menu' }).click() });
  }
}
await browser.close();

async function picture(name, view, { theme, width, height, folder: into = folder, key = true, before, until = ready, after, whole = false }) {
  const page = await browser.newPage({ colorScheme: theme, viewport: { width, height }, reducedMotion: 'reduce' });
  page.setDefaultTimeout(PATIENCE_MS);
  await before?.(page);
  const fragment = new URLSearchParams({ ...view, ...(key && { refresh: '0' }) });
  if (key) {
    await page.goto(new URL('/tokens.css', SIGNALS_DASHBOARD).href);
    await page.evaluate((value) => sessionStorage.setItem('signals-key', value), SIGNALS_KEY);
  }
  await page.goto(new URL(`/#${fragment}`, SIGNALS_DASHBOARD).href);
  await until(page);
  await after?.(page);
  await page.evaluate(() => document.fonts.ready.then(() => true));
  await page.mouse.move(0, 0);
  const path = `${into}/${name}.png`;
  await page.screenshot({ path, fullPage: whole });
  await page.close();
  console.log(path);
}

/** Waits until so many interactions are counted over all users. */
async function counted(interactions) {
  const deadline = Date.now() + COUNTED_MS;
  for (;;) {
    const since = encodeURIComponent(new Date(Date.now() - 20 * 86_400_000).toISOString());
    const sums = await Promise.all(['support', 'concierge', 'billing'].map(async (name) => {
      const response = await fetch(`${SIGNALS_URL}/agents/${name}/summary?since=${since}`, { headers: { 'X-API-Key': SIGNALS_KEY } });
      const { counts = {} } = await response.json();
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    }));
    const sum = sums.reduce((total, count) => total + count, 0);
    if (sum >= interactions) return;
    if (Date.now() > deadline) throw new Error(`${sum} of ${interactions} interactions are counted`);
    await setTimeout(500);
  }
}
