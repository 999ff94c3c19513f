import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, key, loaded, newView, open, scenario, send, shows } from './dashboard.mjs';

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

scenario('the key is gone from the address bar before the chart library has come', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route('**/vendor/**', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(addressOf(view, key), { waitUntil: 'commit' });
  await shows(page, 'Thanks!');
  assert.equal(page.url(), addressOf(view));
  release();
  await page.getByRole('img', { name: /^Bar chart/ }).waitFor();
});

scenario('no entry of the history holds the key', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.goto('about:blank');
  await open(page, view);
  await page.goBack();
  assert.equal(page.url(), 'about:blank');
  await page.goForward();
  assert.equal(page.url(), addressOf(view));
});

scenario('a link with a key works in a tab that is already open', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.goto(addressOf());
  await signInForm(page).waitFor();
  await page.evaluate((address) => location.assign(address), addressOf(view, key));
  await loaded(page);
  assert.equal(page.url(), addressOf(view));
});

scenario('a typed key opens the view of the link and lasts over a reload', {}, async (page) => {
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

scenario('without a view, a signed-in reader is told how to begin', {}, async (page) => {
  await page.goto(addressOf({}, key));
  await page.getByRole('heading', { name: 'Choose an agent and a user' }).waitFor();
  await shows(page, /curl .*\/api\/log/);
  assert.equal(page.url().includes(key), false);
});

scenario('signing out takes the data and the key away', {}, async (page) => {
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

scenario('a wrong key is refused in words, and the right one goes on from there', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.goto(addressOf(view, 'sig_wrong'));
  await page.getByRole('alert').getByText('not accepted').waitFor();
  await typeKey(page, key);
  await loaded(page);
  await shows(page, 'Thanks!');
});

scenario('what cannot be a key is not sent', {}, async (page) => {
  await page.goto(addressOf(newView()));
  await typeKey(page, 'schlüssel – ключ');
  await page.getByRole('alert').getByText('does not look like a key').waitFor();
});
