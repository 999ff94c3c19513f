// The dashboard when the API fails.
import assert from 'node:assert/strict';
import { addressOf, answer, enter, figure, home, key, loaded, newView, numbers, open, recent, scenario, send, shows } from './dashboard.mjs';
import { startGateway } from './gateway.mjs';

const refusals = true;
const unavailable = { status: 503, headers: { 'Retry-After': '5' }, body: '{"detail":"S3 does not answer"}' };
const EVERYTHING = '{logs,summary,anomalies,events}';
const banner = (page) => page.getByRole('alert').filter({ hasText: 'unavailable right now' });

const gateway = await startGateway(home);

scenario('an outage keeps the data on the page, which then recovers', { refusals, origin: gateway.url }, async (page) => {
  const view = newView();
  await send(view, 'Before, thanks');
  await enter(page, { ...view, refresh: '5' }, key, gateway.url);
  await loaded(page);
  await gateway.stop();
  await page.getByRole('button', { name: 'Refresh' }).click();
  await banner(page).getByText(/Signals could not be reached\. Showing data from .* Retrying in \d s/).waitFor();
  assert.deepEqual(await recent(page), [['positive', 'Before, thanks']]);
  await send(view, 'Meanwhile, I am angry');
  await gateway.start();
  await banner(page).waitFor({ state: 'hidden' });
  await page.getByRole('region', { name: 'Now' }).getByText('Meanwhile, I am angry').waitFor();
});

for (const [what, response] of Object.entries({ 'answers 503': unavailable, 'cannot be reached': 'abort' })) {
  scenario(`when the API ${what}, the page says so and can retry`, { refusals }, async (page) => {
    const view = newView();
    await send(view, 'Thanks!');
    await answer(page, EVERYTHING, response);
    await enter(page, { ...view, refresh: '0' }, key);
    await banner(page).waitFor();
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).first().click();
    await banner(page).waitFor({ state: 'hidden' });
    await shows(page, 'Latest 1');
    assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  });
}

scenario('going offline is reported and recovers', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, { ...view, refresh: '0' });
  await page.context().setOffline(true);
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByRole('alert').getByText('You’re offline.').waitFor();
  await page.context().setOffline(false);
  await page.getByRole('alert').getByText('You’re offline.').waitFor({ state: 'hidden' });
});

scenario('when the logs fail, charts and figures are shown', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await answer(page, 'logs', unavailable);
  await enter(page, view, key);
  await page.getByRole('region', { name: 'Messages' }).getByText('S3 does not answer (503)').waitFor();
  assert.deepEqual((await numbers(page))[0], ['positive', '1', '100%']);
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).first().click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
});

scenario('when the summary fails, logs show and figures are unknown', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await answer(page, 'summary', unavailable);
  await enter(page, { ...view, refresh: '0' }, key);
  await page.getByRole('region', { name: 'Over time' }).getByText('S3 does not answer (503)').waitFor();
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  assert.deepEqual(await figure(page, 'interactions'), ['–', 'Unknown']);
  assert.equal((await figure(page, 'anomalies'))[0], '0');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByRole('img', { name: /^Stacked bar chart .* 1 interaction / }).waitFor();
  assert.equal((await figure(page, 'interactions'))[0], '1');
});

scenario('a response from another server is not shown as data', {}, async (page) => {
  const portal = { status: 200, contentType: 'text/html', body: '<!doctype html><p>A captive portal' };
  await answer(page, EVERYTHING, portal);
  await enter(page, newView(), key);
  await banner(page).getByText('not from the Signals API').waitFor();
});

for (const user of ['a/b', '..', '.', 'what?', 'w'.repeat(129)]) {
  scenario(`an error about the name ${user.slice(0, 8)} is shown`, { refusals }, async (page) => {
    const verdict = page.waitForResponse(/\/api\/summary\//);
    await enter(page, { agent: 'browser', user }, key);
    const { detail } = await (await verdict).json();
    assert.equal((await verdict).status(), 422);
    await page.getByRole('heading', { name: 'That is not a valid name' }).waitFor();
    await shows(page, detail[0].msg);
  });
}

scenario('a name with % is rejected before it is sent', {}, async (page) => {
  await enter(page, { agent: 'browser', user: 'a%41' }, key);
  await page.getByRole('heading', { name: 'That is not a valid name' }).waitFor();
  await shows(page, 'A name cannot contain %');
});

scenario('without the chart library, the data tables are open', { refusals }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.route('**/chart.umd.min.js', (route) => route.abort());
  await open(page, view);
  await page.getByRole('table', { name: 'Interactions by signal' }).waitFor();
  await page.getByRole('table', { name: 'Signals over time' }).waitFor();
});
