import assert from 'node:assert/strict';
import { addressOf, answer, key, loaded, newView, numbers, open, recent, scenario, send, shows } from './dashboard.mjs';

const refusals = true;
const unavailable = { status: 503, headers: { 'Retry-After': '5' }, body: '{"detail":"S3 does not answer"}' };
const heading = (page, name) => page.getByRole('heading', { name }).waitFor();

for (const [what, response] of Object.entries({ 'answers 503': unavailable, 'cannot be reached': 'abort' })) {
  scenario(`when the API ${what}, the page says so and recovers by a retry`, { refusals }, async (page) => {
    const view = newView();
    await send(view, 'Thanks!');
    await answer(page, '{logs,summary}', response);
    await page.goto(addressOf(view, key));
    await heading(page, 'Signals is unavailable right now');
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await loaded(page);
    assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  });
}

scenario('when the logs fail, the chart still shows', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await answer(page, 'logs', unavailable);
  await page.goto(addressOf(view, key));
  await shows(page, 'S3 does not answer (503)');
  assert.deepEqual((await numbers(page))[0], ['positive', '1', '100%']);
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
});

scenario('when the summary fails, the logs still show', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await answer(page, 'summary', unavailable);
  await page.goto(addressOf(view, key));
  await shows(page, 'S3 does not answer (503)');
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  assert.equal(await page.locator('.figure').count(), 0);
});

scenario('a failed refresh does not leave old data that looks new', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await answer(page, '{logs,summary}', unavailable);
  await page.getByRole('button', { name: 'Refresh' }).click();
  await heading(page, 'Signals is unavailable right now');
  assert.equal(await page.getByText('Thanks!').isVisible(), false);
});

scenario('an answer that is not the API’s is not taken for data', {}, async (page) => {
  const portal = { status: 200, contentType: 'text/html', body: '<!doctype html><p>A captive portal' };
  await answer(page, '{logs,summary}', portal);
  await page.goto(addressOf(newView(), key));
  await heading(page, 'Signals is unavailable right now');
  await shows(page, 'did not answer as the Signals API does');
});

scenario('a key without permission is told so and can be changed', { refusals }, async (page) => {
  await answer(page, '{logs,summary}', { status: 403, body: '{"detail":"Forbidden"}' });
  await page.goto(addressOf(newView(), key));
  await heading(page, 'This key may not see this');
  await page.getByRole('button', { name: 'Use another key' }).click();
  await page.getByLabel('API key').waitFor();
});

for (const user of ['a/b', '..', '.', 'what?', 'w'.repeat(129)]) {
  scenario(`the API’s word on the invalid id ${user.slice(0, 8)} is beside the field`, { refusals }, async (page) => {
    const verdict = page.waitForResponse(/\/api\/summary\//);
    await page.goto(addressOf({ agent: 'browser', user }, key));
    const { detail } = await (await verdict).json();
    assert.equal((await verdict).status(), 422);
    await heading(page, 'That is not a valid id');
    assert.equal(await page.getByLabel('User', { exact: true }).getAttribute('aria-invalid'), 'true');
    assert.equal(await page.getByLabel('Agent', { exact: true }).getAttribute('aria-invalid'), 'false');
    assert.equal(await page.locator('#user-problem').innerText(), detail[0].msg);
  });
}

scenario('an id with % is refused before it can be read as another', {}, async (page) => {
  await page.goto(addressOf({ agent: 'browser', user: 'a%41' }, key));
  await heading(page, 'That is not a valid id');
  assert.equal(await page.locator('#user-problem').innerText(), 'An id cannot contain %');
});

scenario('without the chart library the numbers are open', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.route('**/vendor/**', (route) => route.abort());
  await open(page, view);
  await page.getByRole('table', { name: 'Interactions by signal' }).waitFor();
});

scenario('a PNG that cannot be fetched is said in its dialog', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await answer(page, 'visualize', unavailable);
  await page.getByRole('button', { name: 'PNG' }).click();
  await page.getByRole('dialog').getByText('S3 does not answer').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Download' }).isVisible(), false);
});
