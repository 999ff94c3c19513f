// The view of a user: figures, charts, interactions, events.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { addressOf, enter, figure, key, loaded, newView, numbers, open, recent, scenario, send, sendEvents, shows, table } from './dashboard.mjs';
import { recordAt } from './history.mjs';

const HOUR = 3_600_000;

scenario('sent interactions appear in every panel', {}, async (page) => {
  const view = newView();
  for (const [text, more] of [
    ['Thank you, this is great'], ['Awesome'], ['I am so frustrated', { escalation_flag: true }], ['Move it to Thursday.'],
  ]) await send(view, text, more);
  await open(page, view);

  await page.getByRole('heading', { name: `Agents / ${view.agent} / ${view.user}` }).waitFor();
  await page.getByRole('region', { name: 'Signals' }).getByRole('img', { name: 'positive 2, neutral 1, stressed 1' }).waitFor();
  assert.deepEqual(await numbers(page), [
    ['positive', '2', '50%'], ['neutral', '1', '25%'], ['stressed', '1', '25%'], ['uncertain', '0', '0%'],
  ]);
  assert.deepEqual(await figure(page, 'interactions'), ['4', 'No data for the previous 7 days']);
  assert.equal((await figure(page, 'stressed'))[0], '25%');
  assert.equal((await figure(page, 'positive'))[0], '50%');
  assert.deepEqual(await recent(page), [
    ['neutral', 'Move it to Thursday.'], ['stressed', 'I am so frustrated'],
    ['positive', 'Awesome'], ['positive', 'Thank you, this is great'],
  ]);
  const escalated = page.getByRole('listitem').filter({ hasText: 'Escalated' });
  assert.deepEqual(await escalated.locator('.words').allInnerTexts(), ['I am so frustrated']);
});

scenario('the first panel shows the newest signal and its start', {}, async (page) => {
  const view = newView();
  const now = Date.now();
  await recordAt(view, now - 3 * HOUR, 'All good', 'positive');
  await recordAt(view, now - 2 * HOUR, 'It is down again', 'stressed');
  await recordAt(view, now - HOUR, 'Still down!', 'stressed');
  await open(page, view);
  const card = page.getByRole('region', { name: 'Now' });
  await card.getByText('Still down!').waitFor();
  await card.getByText('1 hour ago, 2 in a row').waitFor();
  assert.equal(await card.locator('.since time').getAttribute('datetime'), new Date(now - 2 * HOUR).toISOString());
});

scenario('a range is compared with the preceding period', {}, async (page) => {
  const view = newView();
  const now = Date.now();
  for (const hours of [2, 3, 30, 31, 32]) await recordAt(view, now - hours * HOUR, 'Thanks', 'positive');
  await recordAt(view, now - 33 * HOUR, 'No!', 'stressed');
  await open(page, { ...view, range: '24h' });
  assert.deepEqual(await figure(page, 'interactions'), ['2', '−50% vs. previous 24 hours']);
  assert.deepEqual(await figure(page, 'stressed'), ['0%', '0 · −25 pts vs. previous 24 hours']);
  assert.deepEqual(await figure(page, 'positive'), ['100%', '2 · +25 pts vs. previous 24 hours']);
  assert.equal((await table(page, 'Signals over time')).length, 2);
  await page.getByRole('radio', { name: 'All' }).check({ force: true });
  await loaded(page);
  assert.deepEqual(await figure(page, 'interactions'), ['6', 'All time']);
  assert.match(page.url(), /range=all/);
  await page.getByLabel('By', { exact: true }).selectOption('hour');
  await loaded(page);
  assert.equal((await table(page, 'Signals over time')).length, 6);
  await page.getByRole('img', { name: 'Stacked bar chart of signals by hour: 6 interactions in 6 hours' }).waitFor();
});

scenario('an empty range offers all time', {}, async (page) => {
  const view = newView();
  await recordAt(view, Date.now() - 50 * HOUR, 'Long ago, thanks', 'positive');
  await open(page, { ...view, range: '24h' });
  await page.getByRole('heading', { name: 'No messages in the last 24 hours' }).first().waitFor();
  await page.getByRole('button', { name: 'Show all time' }).click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Long ago, thanks']]);
});

scenario('an incomplete count shows what it covers', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.route('**/api/summary/**', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ json: { ...await response.json(), complete: false, covers_since: '2026-01-02T03:04:05.000Z' } });
  });
  await open(page, view);
  await shows(page, /Covers only the newest interactions, since .*100,000 at most/);
  assert.equal((await figure(page, 'interactions'))[0], '1+');
});

scenario('a data table opens by keyboard', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await page.locator('#over-time-table summary').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('table', { name: 'Signals over time' }).getByRole('columnheader', { name: 'positive' }).waitFor();
});

scenario('markup in a message is shown as text', {}, async (page) => {
  const view = newView('<img src=x onerror=alert(2)>', randomUUID());
  const text = '<img src=x onerror=alert(1)>';
  await send(view, text, { detected_signal: '<b>bold', session_id: '<script>alert(3)</script>' });
  await open(page, view);
  assert.deepEqual(await recent(page), [['<b>bold', text]]);
  await page.getByRole('button', { name: /^Details of/ }).click();
  await page.locator('#entry dd').getByText('<script>alert(3)</script>').waitFor();
  await page.goto(addressOf({ agent: view.agent }));
  await page.getByRole('link', { name: view.user.slice(0, 36) }).waitFor();
  assert.equal(await page.locator('main :is(img, b, script)').count(), 0);
});

for (const ending of [' 日本 语', ' a b+c&d=e;f', ` o'neil "x" <b> 👩‍🚀`, '-'.padEnd(92, 'w')]) {
  scenario(`a user whose name ends in "${ending}" is found`, {}, async (page) => {
    const view = newView(ending);
    await send(view, 'Thanks!');
    await open(page, view);
    assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
    assert.deepEqual(await page.locator('#who bdi').allTextContents(), [view.agent, view.user]);
    await page.reload();
    await loaded(page);
    assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
  });
}

scenario('custom signals come after the standard ones', {}, async (page) => {
  const view = newView();
  await send(view, 'Hooray', { detected_signal: 'delighted' });
  await open(page, view);
  await page.getByRole('region', { name: 'Signals' }).getByRole('img', { name: 'delighted 1' }).waitFor();
  assert.deepEqual((await numbers(page)).at(-1), ['delighted', '1', '100%']);
  assert.deepEqual(await recent(page), [['delighted', 'Hooray']]);
});

scenario('times are in the user’s zone, with UTC on hover', { context: { timezoneId: 'Asia/Tokyo', locale: 'de-DE' } }, async (page) => {
  const view = newView();
  const { timestamp } = await send(view, 'Thanks!');
  await open(page, view);
  const time = page.locator('#rows time');
  assert.equal(await time.getAttribute('title'), timestamp.replace('T', ' ').replace('Z', ' UTC'));
  const clock = { hour: 'numeric', minute: '2-digit', second: '2-digit', timeZone: 'Asia/Tokyo' };
  assert((await time.innerText()).startsWith(new Date(timestamp).toLocaleTimeString('de-DE', clock)));
  await shows(page, 'Latest 1 · Asia/Tokyo');
});

scenario('a message opens in the side panel, also by keyboard', {}, async (page) => {
  const view = newView();
  const { log_id: id } = await send(view, 'word '.repeat(400), { session_id: 'trip-7', response_type: 'answer' });
  await open(page, view);
  const details = page.getByRole('button', { name: /^Details of/ });
  await details.focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('complementary', { name: 'Interaction' });
  for (const part of [id, 'trip-7', 'answer']) await panel.locator('dd').getByText(part, { exact: true }).waitFor();
  assert.equal((await panel.locator('.full').innerText()).trim(), 'word '.repeat(400).trim());
  assert.match(page.url(), new RegExp(`entry=${id}`));
  await page.keyboard.press('Escape');
  await panel.waitFor({ state: 'hidden' });
  assert.equal(await details.evaluate((element) => element === document.activeElement), true);
});

scenario('deciding keywords are shown if the entry has them', {}, async (page) => {
  const view = newView();
  const { classification } = await send(view, 'I am so frustrated');
  assert.equal((await send(view, 'As the caller says', { detected_signal: 'stressed' })).classification, null);
  await open(page, view);
  const decided = classification.matched.filter(({ signal }) => signal === 'stressed').map(({ term }) => term);
  assert.deepEqual(decided, ['frustrat*']);
  assert.deepEqual(await page.locator('#rows mark').allInnerTexts(), ['frustrated']);
});

scenario('interactions are filtered, and older ones are loaded', {}, async (page) => {
  const view = newView();
  for (let n = 0; n < 30; n += 1) await send(view, n % 3 ? `Note ${n}` : `Thanks ${n}`);
  await open(page, view);
  assert.equal((await recent(page)).length, 25);
  await page.getByRole('button', { name: 'Load more' }).click();
  await shows(page, 'Latest 30');
  assert.equal((await recent(page)).at(-1)[1], 'Thanks 0');
  await page.getByLabel('Search messages').fill('note 2');
  await shows(page, '8 found');
  assert.deepEqual((await recent(page)).map(([, text]) => text), ['Note 29', 'Note 28', 'Note 26', 'Note 25', 'Note 23', 'Note 22', 'Note 20', 'Note 2']);
  await page.getByLabel('Search messages').fill('nowhere');
  await page.getByRole('heading', { name: 'No message contains “nowhere” in the last 7 days' }).waitFor();
  await page.getByRole('button', { name: 'Remove filter Contains: nowhere' }).click();
  await shows(page, 'Latest 25');
  await page.getByLabel('Signal', { exact: true }).selectOption('positive');
  await shows(page, '10 found');
  assert.deepEqual((await recent(page)).map(([signal]) => signal), Array(10).fill('positive'));
  await page.reload();
  await loaded(page);
  assert.equal((await recent(page)).length, 10);
  await page.getByLabel('Signal', { exact: true }).selectOption('stressed');
  await page.getByRole('heading', { name: 'No stressed messages in the last 7 days' }).waitFor();
});

scenario('an episode shows its events', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await sendEvents(view, 17, { before: 120_000 });
  await sendEvents(view, 12, { before: 10 * HOUR, type: 'reload' });
  await open(page, view);
  const episodes = page.getByRole('list', { name: 'Episodes' }).getByRole('button');
  assert.deepEqual((await episodes.allInnerTexts()).map((text) => /(critical|warning)[^]*Peak (\d+) events · (\d+) anomal[^]*(tick|reload) \(limit 10\)/i.exec(text).slice(1)),
    [['Critical', '17', '7', 'tick'], ['Warning', '12', '2', 'reload']]);
  assert.deepEqual((await figure(page, 'anomalies'))[0], '9');
  await page.getByRole('img', { name: /^Events over time: 29 events .* 2 anomalous windows$/ }).waitFor();
  assert.deepEqual((await table(page, 'Events over time')).map(([, ...cells]) => cells), [['17', 'critical'], ['12', 'warning']]);
  await episodes.last().click();
  await page.getByRole('img', { name: /^Events over time: 12 events .* 1 anomalous window$/ }).waitFor();
  assert.equal(await episodes.last().getAttribute('aria-pressed'), 'true');
  await episodes.last().click();
  await page.getByRole('img', { name: /^Events over time: 29 events/ }).waitFor();
});

scenario('a user with only events is shown', {}, async (page) => {
  const view = newView();
  await sendEvents(view, 3);
  await enter(page, view, key);
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  await page.getByRole('img', { name: /^Events over time: 3 events/ }).waitFor();
});

const clipboard = { permissions: ['clipboard-read', 'clipboard-write'] };

scenario('an empty view shows how to record, and can check again', { context: clipboard }, async (page) => {
  const view = newView(" o'neil");
  await enter(page, view, key);
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  await page.getByRole('button', { name: 'Copy' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(command, /^curl .*\/api\/log .*o'\\''neil/s);
  assert.equal(command.includes(key), false);
  await send(view, 'Thanks!');
  await page.getByRole('button', { name: 'Check again' }).click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
});
