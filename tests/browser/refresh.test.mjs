// A refresh asks for little, and nothing on the page moves.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { addressOf, counted, figure, newView, open, recent, scenario, send, sendEvents } from './dashboard.mjs';

/** Collects the API requests of a page. */
function requestsOf(page) {
  const requests = [];
  page.on('request', (request) => { if (request.url().includes('/api/')) requests.push(new URL(request.url())); });
  return { all: requests, paths: () => requests.splice(0).map(({ pathname }) => pathname.replace('/api', '')) };
}

/** Refreshes and waits until the page has all responses. */
async function refresh(page) {
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.locator('#refresh-now:not(.busy)').waitFor();
}

/** Counts layout shifts from now on, also those after input. */
const watchShifts = (page) => page.evaluate(() => {
  globalThis.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      shifts.push([value, ...sources.map(({ node, previousRect: { y: from }, currentRect: { y: to } }) => `${from} → ${to}: ${(node?.outerHTML ?? node?.parentElement?.outerHTML)?.slice(0, 120)}`)]);
    }
  }).observe({ type: 'layout-shift' });
});
const shiftsOf = (page) => page.evaluate(async () => {
  await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
  return globalThis.shifts;
});

scenario('the start page refreshes with one request', {}, async (page) => {
  await send(newView(), 'Thanks!');
  await open(page, { refresh: '0' });
  const requests = requestsOf(page);
  await watchShifts(page);
  await refresh(page);
  assert.deepEqual(requests.paths(), ['/agents/activity']);
  assert.deepEqual(await shiftsOf(page), []);
});

scenario('an agent’s page asks for users only after new messages', {}, async (page) => {
  const agent = randomUUID();
  const [maria, tom] = ['maria', 'tom'].map((user) => ({ agent, user }));
  await send(maria, 'Thanks!');
  await send(tom, 'I am angry');
  await counted(agent, 2);
  await open(page, { agent, refresh: '0' });
  const requests = requestsOf(page);
  await watchShifts(page);
  await refresh(page);
  const [{ searchParams }] = requests.all;
  assert(Date.parse(searchParams.get('since')) > Date.now() - 2 * 3_600_000, 'only the newest hours are counted again');
  assert.deepEqual(requests.paths(), [`/agents/${agent}/summary`]);

  await send(maria, 'Great, thanks');
  await counted(agent, 3);
  await refresh(page);
  assert.deepEqual(requests.paths(), [`/agents/${agent}/summary`, `/agents/${agent}/activity`]);
  assert.equal((await figure(page, 'interactions'))[0], '3');
  assert.deepEqual(await page.locator('#user-rows th').allInnerTexts(), ['maria', 'tom']);

  await send(tom, 'I am really angry');
  await counted(agent, 4);
  await refresh(page);
  assert.deepEqual(requests.all.map((url) => url.searchParams.get('since')).length, 3);
  assert.deepEqual(requests.paths().sort(), [`/agents/${agent}/activity`, `/agents/${agent}/logs`, `/agents/${agent}/summary`]);
  assert.deepEqual(await page.locator('#stressed-rows .quote').allInnerTexts(), ['I am really angry', 'I am angry']);
  assert.deepEqual(await page.locator('#user-rows th').allInnerTexts(), ['tom', 'maria']);
  assert.deepEqual(await shiftsOf(page), []);
});

scenario('a user’s page asks only for what is new', {}, async (page) => {
  const view = newView();
  const { timestamp } = await send(view, 'Thanks!');
  await sendEvents(view, 3);
  await open(page, { ...view, refresh: '0' });
  const requests = requestsOf(page);
  await watchShifts(page);
  await send(view, 'I am angry');
  await refresh(page);
  const logs = requests.all.find(({ pathname }) => pathname.includes('/logs/'));
  assert.equal(logs.searchParams.get('since'), timestamp);
  assert.deepEqual(requests.paths().map((path) => path.split('/')[1]).sort(), ['anomalies', 'events', 'logs']);
  assert.equal((await figure(page, 'interactions'))[0], '2');
  assert.equal((await figure(page, 'stressed'))[0], '50%');
  await page.getByRole('region', { name: 'Now' }).getByText('I am angry').waitFor();
  await page.getByRole('img', { name: /2 interactions/ }).waitFor();
  assert.deepEqual(await shiftsOf(page), []);
});

scenario('a period in the past asks for nothing but the newest message', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  const [from, to] = [-2, -1].map((days) => new Date(Date.now() + days * 86_400_000).toISOString());
  await open(page, { ...view, from, to, refresh: '0' });
  const requests = requestsOf(page);
  await send(view, 'I am angry');
  await refresh(page);
  assert.deepEqual(requests.paths().map((path) => path.split('/')[1]), ['logs']);
  assert.deepEqual(await recent(page), []);
  assert.equal(page.url(), addressOf({ ...view, from, to, refresh: '0' }));
});
