// Shared by the browser tests: a browser, helpers to send data, and a page that is monitored for errors.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { idOf } from '../../scripts/sample.mjs';
import { signedRequest } from './aws.mjs';

const { CHROMIUM = '/usr/bin/chromium', SIGNALS_DASHBOARD, SIGNALS_URL, SIGNALS_KEY } = process.env;
const named = SIGNALS_DASHBOARD && SIGNALS_URL && SIGNALS_KEY;
assert(named, 'SIGNALS_DASHBOARD, SIGNALS_URL and SIGNALS_KEY name the running stack');

export const key = SIGNALS_KEY;
export const home = new URL('/', SIGNALS_DASHBOARD).href;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
after(() => browser.close());

/**
 * Returns a view that no other test uses.
 * @param {string} [user] a suffix, for names that need encoding
 */
export const newView = (user = '', agent = 'browser') => ({ agent, user: `${randomUUID()}${user}` });

/** Returns the address of a view. */
export const addressOf = (view = {}, base = home) => new URL(`/#${new URLSearchParams(view)}`, base).href;

/** Returns a sign-in link to a view, printed by the command line. */
export async function linkTo(view = {}) {
  const { stdout } = await promisify(execFile)(process.env.SIGNALS_PROGRAM, ['link', '--data', process.env.SIGNALS_DATA]);
  return `${stdout.trim()}&${new URLSearchParams(view)}`;
}

/** Signs a tab in with a key and opens a view. */
export async function enter(page, view, withKey = key, base = home) {
  // Navigation to another fragment would not load the page again.
  if (page.url().startsWith(base)) await page.goto('about:blank');
  await page.addInitScript(([mark, value]) => {
    // about:blank has no storage.
    if (location.origin === 'null' || sessionStorage.getItem(mark)) return;
    sessionStorage.setItem(mark, 'entered');
    sessionStorage.setItem('signals-key', value);
  }, [randomUUID(), withKey]);
  await page.goto(addressOf(view, base));
}

/** The longest wait for a condition: enough for a machine that is busy with other work. */
const PATIENCE_MS = 120_000;
const BATCH = 500;

/** Records one interaction, and waits until it is stored: on a busy machine it may be queued first. */
export async function send({ agent, user }, text, more = {}) {
  const response = await fetch(`${SIGNALS_URL}/log`, {
    method: 'POST',
    headers: { 'X-API-Key': SIGNALS_KEY, 'Content-Type': 'application/json' },
    body: JSON.stringify({ agent_id: agent, user_id: user, user_input: text, ...more }),
  });
  assert([200, 202].includes(response.status), await response.clone().text());
  const { logged } = await response.json();
  const deadline = Date.now() + PATIENCE_MS;
  for (let isStored = response.status === 200; !isStored;) {
    const path = [agent, user, logged.log_id].map(encodeURIComponent).join('/');
    isStored = (await fetch(`${SIGNALS_URL}/logs/${path}`, { headers: { 'X-API-Key': SIGNALS_KEY } })).ok;
    assert(isStored || Date.now() < deadline, 'a queued interaction is not stored');
  }
  return logged;
}

/** Records many interactions with the current time, in batches that are repeated until all are stored. */
export async function sendMany({ agent, user }, interactions) {
  const entries = interactions.map((more, index) => (
    { agent_id: agent, user_id: user, log_id: idOf(Date.now() - interactions.length + index, Math.random), ...more }));
  for (let first = 0; first < entries.length; first += BATCH) {
    const body = JSON.stringify(entries.slice(first, first + BATCH));
    const deadline = Date.now() + PATIENCE_MS;
    for (let isStored = false; !isStored;) {
      const response = await fetch(`${SIGNALS_URL}/logs`, { method: 'POST', headers: { 'X-API-Key': SIGNALS_KEY, 'Content-Type': 'application/json' }, body });
      const { results = [] } = await response.json();
      isStored = results.length > 0 && results.every(({ status }) => ['ok', 'duplicate'].includes(status));
      assert(isStored || Date.now() < deadline, 'a batch is not stored');
    }
  }
}

/**
 * Defines a test with its own page. The test also fails if the page logs an error or a warning, violates its policy, or sends
 * requests to another origin.
 * @param {string} name
 * @param {{refusals?: boolean, origin?: string, context?: object}} options `refusals`: requests fail on purpose, which
 *   Chromium logs; `origin`: an additional allowed origin
 * @param {(page: import('playwright-core').Page) => Promise<void>} body
 */
export function scenario(name, { refusals = false, origin, context: settings = {} }, body) {
  test(name, async () => {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...settings });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const trouble = await watch(page, origin);
    try {
      await body(page);
      // On a busy machine, a store may not respond in time.
      const isExpected = (line) => line.includes('Failed to load resource') && (refusals || line.includes('status of 503'));
      assert.deepEqual(trouble.filter((line) => !isExpected(line)), []);
    } finally {
      await context.close();
    }
  });
}

async function watch(page, origin) {
  const trouble = [];
  page.on('pageerror', (error) => trouble.push(`uncaught: ${error}`));
  page.on('dialog', (dialog) => trouble.push(`dialog: ${dialog.message()}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) trouble.push(`${message.type()}: ${message.text()}`);
  });
  const own = [home, ...(origin ? [origin] : [])].map((url) => new URL(url).origin);
  page.on('request', (request) => {
    const url = new URL(request.url());
    const foreign = url.protocol.startsWith('http') && !own.includes(url.origin);
    if (foreign) trouble.push(`asked another origin: ${url}`);
    if (url.href.includes(key)) trouble.push(`the key is in an address: ${url}`);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      console.error(`policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  return trouble;
}

/** Opens a view, signed in, and waits until all of it is there. */
export async function open(page, view) {
  await enter(page, view);
  await loaded(page);
}

/** Waits until a view is loaded. If a store did not respond in time, because the machine is busy, refreshes. */
export async function loaded(page) {
  const status = page.getByRole('status').getByText(/^(Loaded|Partially loaded|Could not load)$/);
  while (await status.innerText() !== 'Loaded') {
    // A click would need the button to be in front of the side panel.
    await page.locator('#refresh-now').dispatchEvent('click');
    await page.locator('#refresh-now:not(.busy)').waitFor();
  }
}

/** Waits for a text on the page. */
export const shows = (page, text) => page.getByText(text).first().waitFor();

/** Creates a key with these scopes, for `agents` or all, directly in the stack's table. */
export async function keyWith(scopes, agents) {
  const made = `sig_${randomBytes(22).toString('hex').slice(1)}`;
  const item = {
    key_hash: { S: createHash('sha256').update(made).digest('hex') },
    name: { S: 'browser' },
    scopes: { SS: scopes },
    agents: { SS: agents?.map((agent) => `=${agent}`) ?? ['*'] },
  };
  const body = JSON.stringify({ TableName: process.env.SIGNALS_API_KEYS_TABLE, Item: item });
  await signedRequest('dynamodb', 'POST', new URL('/', process.env.AWS_ENDPOINT_URL_DYNAMODB), body, {
    'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'DynamoDB_20120810.PutItem',
  });
  return made;
}

/** Sends events, `count` of them, `apart` milliseconds from each other, the last one `before` milliseconds ago. */
export async function sendEvents({ agent, user }, count, { apart = 100, before = 1000, type = 'tick' } = {}) {
  const last = Date.now() - before;
  const events = Array.from({ length: count }, (_, index) => ({
    agent_id: agent, user_id: user, signal_type: type, timestamp: new Date(last - index * apart).toISOString(),
  }));
  const response = await fetch(`${SIGNALS_URL}/events`, {
    method: 'POST',
    headers: { 'X-API-Key': SIGNALS_KEY, 'Content-Type': 'application/json' },
    body: JSON.stringify(events),
  });
  assert.equal(response.status, 207, await response.text());
}

/** Waits until so many interactions of the agent's users are counted. S3 notifies of an interaction after it is stored. */
export async function counted(agent, interactions) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const url = `${SIGNALS_URL}/agents/${encodeURIComponent(agent)}/activity?sort=name&limit=100`;
    const response = await fetch(url, { headers: { 'X-API-Key': SIGNALS_KEY } });
    const rows = response.ok ? await response.json() : [];
    const sum = rows.flatMap(({ counts }) => Object.values(counts)).reduce((total, count) => total + count, 0);
    if (sum === interactions) return;
    assert(Date.now() < deadline, `${sum} of ${interactions} interactions are counted`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

/** Returns signal and text of the messages on the page, newest first. On the page, a thread shows them from old to new. */
export const recent = (page) => page.locator('#rows').evaluate((list) => [...list.querySelectorAll('.row')].toReversed()
  .sort((a, b) => Date.parse(b.querySelector('time').dateTime) - Date.parse(a.querySelector('time').dateTime))
  .map((row) => [row.querySelector('.signal').textContent, row.querySelector('.words').innerText]));

/** Returns the rows of a chart's data table. */
export async function table(page, name) {
  const rows = await page.getByRole('table', { name, includeHidden: true }).locator('tbody tr').all();
  return Promise.all(rows.map((row) => row.locator('th, td').evaluateAll((cells) =>
    cells.map((cell) => cell.textContent))));
}

/** Returns the table of signals: signal, count and share. */
export const numbers = (page) => table(page, 'Interactions by signal');

/** Returns a headline figure and its comparison. */
export const figure = async (page, name) => [
  await page.locator(`#figure-${name}`).innerText(), await page.locator(`#change-${name}`).innerText(),
];

/** Replaces the response of an API endpoint. */
export const answer = (page, endpoint, response) => page.route(`**/api/${endpoint}/**`, (route) =>
  (response === 'abort' ? route.abort() : route.fulfill({ contentType: 'application/json', ...response })));

/** Returns how far the page can be scrolled sideways, in pixels. */
export const sideways = (page) => page.evaluate(() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth - clientWidth;
});
