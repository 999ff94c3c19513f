// The API page shows every operation and can send requests with the dashboard's key.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import axe from 'axe-core';
import { addressOf, key, newView, scenario, send } from './dashboard.mjs';

const document = await readFile(new URL('../../static/openapi.yaml', import.meta.url), 'utf8');
const documented = [...document.matchAll(/^ {6}operationId: (\w+)$/gm)].map(([, id]) => id);
const docs = new URL('docs.html', addressOf());

/** Opens the page, by default signed in. */
async function openDocs(page, { signedIn = true } = {}) {
  if (signedIn) await page.addInitScript((value) => sessionStorage.setItem('signals-key', value), key);
  await page.goto(docs.href);
  await page.locator('.opblock').nth(documented.length - 1).waitFor();
}

const operation = (page, id) => page.locator(`.opblock[id$="-${id}"]`);

/** Opens an operation, fills in its fields and sends it. Returns the status and body of the response. */
async function tryOut(page, id, { parameters = {}, body } = {}) {
  const one = operation(page, id);
  await one.locator('.opblock-summary-control').click();
  for (const [name, value] of Object.entries(parameters)) {
    await one.locator(`tr[data-param-name="${name}"] input`).fill(value);
  }
  if (body) await one.getByRole('textbox', { name: 'Request body' }).fill(JSON.stringify(body));
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().includes('/api/')),
    one.getByRole('button', { name: 'Execute' }).click(),
  ]);
  const shown = one.locator('.live-responses-table');
  await shown.locator('.highlight-code').first().waitFor();
  const status = Number(await shown.locator('tbody .response-col_status').first().innerText());
  assert.equal(status, answer.status());
  return { status, body: JSON.parse(await shown.locator('.highlight-code .microlight').first().innerText()) };
}

scenario('all operations of the document are shown', {}, async (page) => {
  await openDocs(page);
  const shown = await page.locator('.opblock').evaluateAll((all) => all.map(({ id }) => id.split('-').at(-1)));
  assert.deepEqual(shown.toSorted(), documented.toSorted());
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await page.waitForURL((url) => url.pathname === '/');
});

scenario('GET /health can be tried without a key', {}, async (page) => {
  await openDocs(page, { signedIn: false });
  assert.deepEqual(await tryOut(page, 'getHealth'), { status: 200, body: { status: 'ok' } });
});

scenario('requests use the key of the dashboard', {}, async (page) => {
  const view = newView();
  await openDocs(page);
  const body = { agent_id: view.agent, user_id: view.user, user_input: 'Thanks, that was great' };
  const recorded = await tryOut(page, 'postLog', { body });
  assert.equal(recorded.status, 200);
  assert.equal(recorded.body.logged.detected_signal, 'positive');
  await send(view, 'I am so frustrated');
  const parameters = { agent_id: view.agent, user_id: view.user };
  const counted = await tryOut(page, 'getSummary', { parameters });
  assert.deepEqual(counted, { status: 200, body: { positive: 1, stressed: 1 } });
});

scenario('the response of the chart is shown as an image', {}, async (page) => {
  const view = newView();
  await send(view, 'good');
  await openDocs(page);
  const one = operation(page, 'getVisualize');
  await one.locator('.opblock-summary-control').click();
  await one.locator('tr[data-param-name="agent_id"] input').fill(view.agent);
  await one.locator('tr[data-param-name="user_id"] input').fill(view.user);
  await one.getByRole('button', { name: 'Execute' }).click();
  const image = one.getByRole('img', { name: 'Response image' });
  await image.waitFor();
  await image.evaluate((element) => element.decode());
  assert.equal(await image.evaluate((element) => element.naturalWidth), 800);
});

scenario('without a key, the page says so and requests get 401', { refusals: true }, async (page) => {
  await openDocs(page, { signedIn: false });
  await page.getByRole('status').getByText('sign in on the dashboard').waitFor();
  const answer = await tryOut(page, 'getAgents');
  assert.deepEqual(answer, { status: 401, body: { detail: 'Unauthorized' } });
});

for (const colorScheme of ['light', 'dark']) {
  scenario(`the API page is accessible in ${colorScheme} mode`, { context: { colorScheme } }, async (page) => {
    await openDocs(page);
    await tryOut(page, 'postEvent', { body: { user_id: newView().user, agent_id: 'browser', signal_type: 'tick', timestamp: 0 } });
    await page.locator('.models-control').first().click();
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const severe = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    assert.deepEqual(severe.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 120))]), []);
  });
}

scenario('the API page does not scroll sideways on a phone', { context: { viewport: { width: 360, height: 740 } } }, async (page) => {
  await openDocs(page);
  await operation(page, 'postEvent').locator('.opblock-summary-control').click();
  await page.waitForFunction(() => document.querySelectorAll('.response-col_status').length > 5);
  assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});
