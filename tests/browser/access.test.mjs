import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, enter, key, keyWith, linkTo, loaded, newView, open, scenario, send, sendEvents, shows } from './dashboard.mjs';

const signInForm = (page) => page.getByRole('heading', { name: 'See what your users feel' });

async function typeKey(page, text) {
  await page.getByLabel('API key').fill(text);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('the page comes with a policy that allows its own origin only', async () => {
  const response = await fetch(addressOf());
  const policy = response.headers.get('content-security-policy') ?? '';
  const own = ['script-src', 'style-src', 'connect-src'].map((directive) => `${directive} 'self'`);
  for (const rule of ["default-src 'none'", "frame-ancestors 'none'", ...own]) {
    assert(policy.includes(rule), `${rule} is missing from: ${policy}`);
  }
});

scenario('a sign-in link leaves no code in the address bar', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route('**/chart.umd.min.js', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(await linkTo(view), { waitUntil: 'commit' });
  await shows(page, 'Thanks!');
  assert.equal(page.url(), addressOf(view));
  release();
  await page.waitForFunction(() => globalThis.Chart?.getChart('over-time'));
});

scenario('a sign-in link contains no key and works once', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  const link = await linkTo(view);
  assert.equal(link.includes(key), false);
  await page.goto('about:blank');
  await page.goto(link);
  await loaded(page);
  await page.goBack();
  assert.equal(page.url(), 'about:blank');
  await page.goForward();
  assert.equal(page.url(), addressOf(view));

  const other = await page.context().newPage();
  await other.goto(link);
  await other.getByRole('alert').getByText('make link').waitFor();
  assert.equal(other.url(), addressOf(view));
  await typeKey(other, key);
  await loaded(other);
});

scenario('a sign-in link works in a tab that is already open', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.goto(addressOf());
  await signInForm(page).waitFor();
  await page.evaluate((address) => location.assign(address), await linkTo(view));
  await loaded(page);
  assert.equal(page.url(), addressOf(view));
});

scenario('a typed key opens the linked view and survives a reload', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.goto(addressOf(view));
  assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password');
  await typeKey(page, ` ${key}\n`);
  await loaded(page);
  await page.reload();
  await loaded(page);
  assert.equal(await page.getByLabel('API key').inputValue(), '');
});

scenario('signing out removes the data and the key', {}, async (page) => {
  const view = newView();
  await send(view, 'A secret of mine, thanks');
  await open(page, view);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signInForm(page).waitFor();
  const left = await page.evaluate(() =>
    document.documentElement.outerHTML + JSON.stringify({ ...sessionStorage, ...localStorage }));
  assert.equal(left.includes('A secret of mine'), false);
  assert.equal(left.includes(key), false);
  await page.reload();
  await signInForm(page).waitFor();
});

scenario('a rejected key can be replaced on the sign-in form', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await enter(page, view, 'sig_wrong');
  await page.getByRole('alert').getByText('not accepted').waitFor();
  await typeKey(page, key);
  await loaded(page);
  await shows(page, 'Thanks!');
});

scenario('text that cannot be a key is not sent', {}, async (page) => {
  await page.goto(addressOf(newView()));
  await typeKey(page, 'schlüssel – ключ');
  await page.getByRole('alert').getByText('does not look like a key').waitFor();
});

scenario('the key is in no URL and in no persistent storage', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
  assert.equal((await page.context().cookies()).length, 0);
});

scenario('a key without logs:read shows events and the missing scope', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await sendEvents(view, 3);
  await enter(page, view, await keyWith(['events:read']));
  await page.getByRole('status').getByText('Partially loaded').waitFor();
  await page.getByRole('img', { name: /^Events over time: 3 events/ }).waitFor();
  await page.getByRole('region', { name: 'Messages' }).getByText('logs:read').waitFor();
  assert.equal(await page.getByText('Thanks!').count(), 0);
});

scenario('a key without events:read shows the logs', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await enter(page, view, await keyWith(['logs:read']));
  await page.getByRole('region', { name: 'Anomalies' }).getByText('events:read').waitFor();
  await shows(page, 'Thanks!');
});

scenario('a key without read scopes is reported and can be changed', { refusals: true }, async (page) => {
  await enter(page, newView(), await keyWith(['logs:write']));
  await page.getByRole('heading', { name: 'This key has no access' }).first().waitFor();
  await page.getByRole('button', { name: 'Use another key' }).first().click();
  await page.getByLabel('API key').waitFor();
});

scenario('two tabs show two users in separate sessions', {}, async (page) => {
  const [first, second] = [newView(), newView()];
  await send(first, 'The first, thanks');
  await send(second, 'The second, thanks');
  await open(page, first);
  const other = await page.context().newPage();
  await other.goto(addressOf(second));
  await signInForm(other).waitFor();
  await open(other, second);
  await shows(other, 'The second, thanks');
  await other.getByRole('button', { name: 'Sign out' }).click();
  await signInForm(other).waitFor();
  await page.reload();
  await loaded(page);
  await shows(page, 'The first, thanks');
});
