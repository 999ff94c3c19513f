// Navigation: agents, users, the URL.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { addressOf, counted, enter, key, keyWith, loaded, newView, open, recent, scenario, send, shows } from './dashboard.mjs';

const field = (page, name) => page.getByLabel(name, { exact: true });
const offered = (page, id) => page.locator(`#${id}-options option`).evaluateAll((options) => options.map(({ value }) => value));

async function choose(page, { agent, user }) {
  await field(page, 'Agent').fill(agent);
  await field(page, 'User').fill(user);
  await field(page, 'User').press('Enter');
}

scenario('without an agent, the first agent is selected', {}, async (page) => {
  const view = newView('', `!${randomUUID()}`);
  await send(view, 'Thanks!');
  await counted(view.agent, 1);
  await enter(page, {}, await keyWith(['logs:read', 'events:read'], [view.agent]));
  await page.getByRole('heading', { name: `Users of ${view.agent}` }).waitFor();
  await page.getByRole('link', { name: view.user }).click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  assert.match(page.url(), new RegExp(view.user));
});

scenario('users are listed most recently stressed first', {}, async (page) => {
  const agent = randomUUID();
  const [calm, before, now] = ['calm', 'before', 'now'].map((name) => newView(name, agent));
  await send(before, 'I was angry');
  await send(calm, 'All good');
  await send(now, 'I am angry now');
  await send(now, 'Thanks');
  await counted(agent, 4);
  const requests = [];
  page.on('request', (request) => request.url().includes('/api/') && requests.push(new URL(request.url()).pathname));
  await enter(page, { agent }, key);
  await loaded(page);
  const cards = page.getByRole('region', { name: 'Users' }).getByRole('link');
  assert.deepEqual(await cards.locator('strong').allInnerTexts(), [now.user, before.user, calm.user]);
  assert.deepEqual(await cards.locator('blockquote').allInnerTexts(), ['I am angry now', 'I was angry']);
  await cards.first().getByText('50% stressed').waitFor();
  await cards.first().getByRole('img', { name: 'positive 1, stressed 1' }).waitFor();
  assert.deepEqual(requests.map((path) => path.split('/').at(-1)).sort(), ['activity', 'activity', 'logs']);
  await page.goBack();
});

scenario('a key without any logs shows how to record one', {}, async (page) => {
  await enter(page, {}, await keyWith(['logs:read'], [randomUUID()]));
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  await shows(page, /curl .*\/api\/log/);
});

scenario('only accessible agents and users are suggested', {}, async (page) => {
  const agent = randomUUID();
  const users = Array.from({ length: 103 }, (_, index) => `user-${String(index).padStart(3, '0')}`);
  await Promise.all(users.map((user) => send({ agent, user }, 'Hi')));
  await send({ agent, user: users[102] }, 'I am so angry');
  await enter(page, { agent }, await keyWith(['logs:read'], [agent]));
  await loaded(page);
  await shows(page, 'The 25 users who were stressed or active last. Type above to find others.');
  await shows(page, 'I am so angry');
  assert.equal(await page.getByRole('region', { name: 'Users' }).getByRole('link').locator('strong').first().innerText(), users[102]);
  await field(page, 'Agent').focus();
  await page.waitForFunction((only) => [...document.querySelectorAll('#agent-options option')].map(({ value }) => value).join() === only, agent);
  await field(page, 'User').focus();
  await page.waitForFunction(() => document.querySelectorAll('#user-options option').length === 100);
  assert.deepEqual(await offered(page, 'user'), users.slice(0, 100));
  await field(page, 'User').pressSequentially('user-10');
  await page.waitForFunction(() => document.querySelectorAll('#user-options option').length === 3);
  assert.deepEqual(await offered(page, 'user'), ['user-100', 'user-101', 'user-102']);
});

scenario('the URL links to the view, and back returns to the last', {}, async (page) => {
  const [first, second] = [newView(), newView()];
  await send(first, 'The first, thanks');
  await send(second, 'The second, thanks');
  await open(page, { ...first, range: '24h', signal: 'positive', text: 'first', refresh: '30' });
  assert.equal(page.url(), addressOf({ ...first, range: '24h', signal: 'positive', text: 'first', refresh: '30' }));
  assert.equal(await field(page, 'Signal').inputValue(), 'positive');
  assert.equal(await field(page, 'Search text').inputValue(), 'first');
  assert.equal(await field(page, 'Auto-refresh').inputValue(), '30');
  await choose(page, second);
  await shows(page, 'The second, thanks');
  assert.equal(page.url(), addressOf({ ...second, range: '24h', refresh: '30' }));
  await page.goBack();
  await shows(page, 'The first, thanks');
  assert.equal(await field(page, 'User').inputValue(), first.user);
});

scenario('a late response does not replace a newer one', { refusals: true }, async (page) => {
  const [slow, quick] = [newView(), newView()];
  await send(slow, 'The slow one, thanks');
  await send(quick, 'The quick one, thanks');
  const abandoned = new Set();
  page.on('requestfailed', (request) => abandoned.add(new URL(request.url()).pathname.split('/')[2]));
  // Never answered: the test would hang if the page waited for this request.
  await page.route(`**/api/**/${slow.user}**`, () => {});
  await enter(page, slow, key);
  await page.locator('#recent[data-state=loading]').waitFor();
  await choose(page, quick);
  await loaded(page);
  assert.deepEqual([...abandoned].sort(), ['anomalies', 'events', 'logs', 'summary']);
  assert.deepEqual(await recent(page), [['positive', 'The quick one, thanks']]);
});
