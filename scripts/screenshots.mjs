// Takes pictures of the dashboard in all its states, against a fresh stack: make screenshots, or
// cargo run --bin local -- exec -- node scripts/screenshots.mjs [FOLDER]
// The README's picture goes to docs/images/dashboard.png, the others to FOLDER (default .local/screenshots).
import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { recordAt } from '../tests/browser/history.mjs';

const { CHROMIUM = '/usr/bin/chromium', SIGNALS_DASHBOARD, SIGNALS_URL, SIGNALS_KEY } = process.env;
if (!SIGNALS_DASHBOARD || !SIGNALS_URL || !SIGNALS_KEY) {
  console.error('usage: cargo run --bin local -- exec -- node scripts/screenshots.mjs [FOLDER]');
  process.exit(2);
}
const [folder = '.local/screenshots'] = process.argv.slice(2);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const now = Date.now();

const WORDS = {
  positive: ['Thank you, that was quick.', 'Great, the refund is there.', 'Happy with the new router.', 'Good, that works now.'],
  neutral: ['Order 4471, paid by card on the 3rd.', 'Please send it to the address on file.', 'It is the blue one, size M.', 'Tuesday after four.'],
  stressed: ['This is the third time I explain it. I am frustrated.', 'I am upset that nobody told me.', 'The call is in ten minutes and I am really stressed.'],
  uncertain: ['Maybe it is the cable?', 'Not sure which of the two I ordered.', 'What does error 691 mean?'],
};
const MIXES = { maria: 'nnpunpps', tom: 'npssnu', sam: 'pppnnp', aiko: 'npnu', jonas: 'nnnnp', lena: 'upn' };
const NAMES = { p: 'positive', n: 'neutral', s: 'stressed', u: 'uncertain' };

await mkdir(folder, { recursive: true });
await sow();

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const full = { agent: 'support', user: 'maria' };
const ready = (page) => page.getByRole('status').getByText(/^(Loaded|Nothing recorded yet)/).first().waitFor();
const unavailable = { status: 503, contentType: 'application/json', body: '{"detail":"S3 does not answer"}' };

for (const theme of ['light', 'dark']) {
  for (const [width, height] of [[1440, 900], [768, 1024], [360, 740]]) {
    const shoot = (name, view, options) => picture(`${name}-${theme}-${width}`, view, { theme, width, height, ...options });
    await shoot('full', full, { whole: true });
    await shoot('users', { agent: 'support' });
    if (width === 768) continue;
    await shoot('sign-in', {}, { key: false, until: (page) => page.getByLabel('API key').waitFor() });
    await shoot('empty', { agent: 'support', user: 'nobody' });
    await shoot('too-long-ago', { ...full, user: 'old', range: '24h' });
    await shoot('loading', full, { before: (page) => page.route('**/api/**', () => {}), until: (page) => page.locator('#now .skeleton').waitFor() });
    await shoot('offline', full, { before: (page) => page.route('**/api/**', (route) => route.abort()), until: (page) => page.getByRole('alert').getByText('Retrying').waitFor() });
    await shoot('half', full, { before: (page) => page.route('**/api/{summary,anomalies}/**', (route) => route.fulfill(unavailable)), until: (page) => page.getByRole('button', { name: 'Try again' }).first().waitFor(), whole: true });
    await shoot('export', full, { after: async (page) => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('link', { name: 'Download' }).waitFor();
    } });
    await shoot('entry', full, { after: async (page) => {
      await page.getByRole('button', { name: /^Details of the entry/ }).nth(1).click();
      await page.getByRole('button', { name: 'Critical' }).first().click();
      await page.getByText('Show data table').first().click();
    }, whole: true });
  }
}
await picture('dashboard', full, { theme: 'light', width: 1280, height: 1180, file: 'docs/images/dashboard.png' });
await browser.close();

async function picture(name, view, { theme, width, height, key = true, before, until = ready, after, whole = false, file }) {
  const page = await browser.newPage({ colorScheme: theme, viewport: { width, height }, reducedMotion: 'reduce' });
  await before?.(page);
  const fragment = new URLSearchParams({ ...view, ...(Object.keys(view).length > 0 && { refresh: '0' }) });
  if (key) {
    await page.goto(new URL('/favicon.svg', SIGNALS_DASHBOARD).href);
    await page.evaluate((value) => sessionStorage.setItem('signals-key', value), SIGNALS_KEY);
  }
  await page.goto(new URL(`/#${fragment}`, SIGNALS_DASHBOARD).href);
  await until(page);
  await after?.(page);
  await page.evaluate(() => {
    scrollTo(0, 0);
    return document.fonts.ready.then(() => true);
  });
  const path = file ?? `${folder}/${name}.png`;
  await page.screenshot({ path, fullPage: whole });
  await page.close();
  console.log(path);
}

async function sow() {
  const entries = [];
  for (const [user, mix] of Object.entries(MIXES)) {
    for (let hour = 2; hour < 13 * 24; hour += user === 'maria' ? 3 : 11) {
      // No messages at night.
      if ((hour + 3) % 24 < 8) continue;
      const signal = NAMES[mix[hour % mix.length]];
      entries.push([{ agent: 'support', user }, now - hour * HOUR - (hour * 7 % 60) * MINUTE, WORDS[signal][hour % WORDS[signal].length], signal]);
    }
  }
  const maria = { agent: 'support', user: 'maria' };
  entries.push(
    [maria, now - 52 * MINUTE, 'Hi! My parcel should have been here yesterday.', 'neutral', { session_id: 'parcel-4471' }],
    [maria, now - 47 * MINUTE, 'The page says “delivered”. It is not at my door and not with the neighbours.', 'neutral', { session_id: 'parcel-4471' }],
    [maria, now - 23 * MINUTE, 'You asked me that already. I am getting frustrated.', 'stressed', { session_id: 'parcel-4471', coherence_score_impact: -0.2 }],
    [maria, now - 14 * MINUTE, 'It is a birthday present, and the party is at four. This stresses me out.', 'stressed', { session_id: 'parcel-4471', coherence_score_impact: -0.3 }],
    [maria, now - 4 * MINUTE, 'I am angry now. Nobody calls back, and your form has eaten my message twice. Please let me talk to a person who can look at the driver’s route.', 'stressed', { session_id: 'parcel-4471', escalation_flag: true, response_type: 'handover' }],
    [{ agent: 'support', user: 'old' }, now - 9 * 24 * HOUR, 'Thanks, that was all.', 'positive'],
    [{ agent: 'concierge', user: 'maya' }, now - HOUR, 'Good, then Lisbon it is.', 'positive'],
  );
  await Promise.all(entries.map((entry) => recordAt(...entry)));
  const events = [];
  const event = (time, type) => events.push({ agent_id: 'support', user_id: 'maria', signal_type: type, timestamp: new Date(time).toISOString() });
  for (let hour = 1; hour < 7 * 24; hour += 2) for (let n = 0; n < hour % 4; n += 1) event(now - hour * HOUR + n * MINUTE, 'message');
  for (let n = 0; n < 17; n += 1) event(now - 15 * MINUTE + n * 150, 'button');
  for (let n = 0; n < 13; n += 1) event(now - 51 * HOUR + n * 300, 'button');
  for (let n = 0; n < 12; n += 1) event(now - 99 * HOUR + n * 200, 'reload');
  const response = await fetch(`${SIGNALS_URL}/events`, {
    method: 'POST', headers: { 'X-API-Key': SIGNALS_KEY, 'Content-Type': 'application/json' }, body: JSON.stringify(events),
  });
  if (response.status !== 207) throw new Error(await response.text());
}
