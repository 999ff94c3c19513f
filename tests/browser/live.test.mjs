// Auto-refresh, and many interactions.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { figure, newView, numbers, open, recent, scenario, send, sendMany, shows } from './dashboard.mjs';

const pill = (page) => page.getByRole('button', { name: /new message/ });
const topOf = (locator) => locator.evaluate((element) => element.getBoundingClientRect().top);

scenario('new rows do not move visible rows', { context: { viewport: { width: 1280, height: 700 } } }, async (page) => {
  const view = newView();
  for (let n = 0; n < 25; n += 1) await send(view, `Note ${n}`);
  await open(page, { ...view, refresh: '5' });
  const reading = page.getByRole('listitem').filter({ hasText: 'Note 12' });
  await reading.scrollIntoViewIfNeeded();
  await reading.getByRole('button', { name: /^Details of/ }).click();
  const before = await topOf(reading);
  await send(view, 'I am angry now');
  await send(view, 'Really angry');
  await page.getByRole('button', { name: '2 new messages' }).waitFor();
  assert(Math.abs(await topOf(reading) - before) < 1, 'what is being read has moved');
  assert.equal((await recent(page)).length, 25);
  await page.getByRole('status').getByText('2 new messages').waitFor();
  await pill(page).click();
  assert.deepEqual((await recent(page)).slice(0, 3).map(([, text]) => text), ['Really angry', 'I am angry now', 'Note 24']);
  await pill(page).waitFor({ state: 'hidden' });
  assert.equal(await reading.getAttribute('aria-current'), 'true');
  assert.deepEqual(await figure(page, 'interactions').then(([value]) => value), '27');
});

scenario('new rows are added directly while the list is below', { context: { viewport: { width: 800, height: 500 } } }, async (page) => {
  const view = newView();
  await send(view, 'Before');
  await open(page, { ...view, refresh: '5' });
  await send(view, 'After, thanks');
  await page.getByRole('region', { name: 'Now' }).getByText('After, thanks').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('#rows .row').length === 2);
  assert.deepEqual(await recent(page), [['positive', 'After, thanks'], ['neutral', 'Before']]);
  await page.getByRole('region', { name: 'Signals' }).getByRole('img', { name: 'positive 1, neutral 1' }).waitFor();
});

scenario('thirty new rows arrive with one refresh', { context: { viewport: { width: 1280, height: 1400 } } }, async (page) => {
  const view = newView();
  await send(view, 'Before');
  await open(page, { ...view, refresh: '0' });
  for (let n = 0; n < 30; n += 1) await send(view, `Note ${n}`);
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByRole('button', { name: '30 new messages' }).click();
  await shows(page, 'Latest 31');
  assert.equal((await recent(page)).at(-1)[1], 'Before');
});

scenario('auto-refresh can be turned off, and the age is shown', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.clock.install();
  await open(page, { ...view, refresh: '5' });
  await page.getByLabel('Auto-refresh').selectOption('0');
  let asked = 0;
  page.on('request', (request) => { if (request.url().includes('/api/')) asked += 1; });
  await page.clock.fastForward(60_000);
  await page.getByText('Updated 1 min ago').waitFor();
  assert.equal(asked, 0);
  await page.getByLabel('Auto-refresh').selectOption('10');
  await page.clock.runFor(11_000);
  await page.waitForFunction(() => /just now|\d s ago/.test(document.querySelector('#updated').textContent));
  assert(asked > 0);
});

scenario('a hidden tab sends no requests until it is visible', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await page.clock.install();
  await open(page, { ...view, refresh: '5' });
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  let asked = 0;
  page.on('request', (request) => { if (request.url().includes('/api/')) asked += 1; });
  await page.clock.runFor(20_000);
  await page.getByText(/Updated .* ago, paused/).waitFor();
  assert.equal(asked, 0);
  await send(view, 'While away, thanks');
  await hide(false);
  await page.getByRole('region', { name: 'Now' }).getByText('While away, thanks').waitFor();
});

scenario('five thousand interactions are counted and paged', {}, async (page) => {
  const view = newView();
  const many = 5000;
  await sendMany(view, Array.from({ length: many }, (_, index) => (
    { user_input: `Interaction ${index}`, detected_signal: index % 5 ? 'neutral' : 'stressed' })));
  const began = performance.now();
  await open(page, { ...view, refresh: '0' });
  console.log(`# ${many} interactions shown after ${Math.round(performance.now() - began)} ms`);
  assert.equal((await figure(page, 'interactions'))[0], '5,000');
  assert.deepEqual((await numbers(page)).slice(1, 3), [['neutral', '4,000', '80%'], ['stressed', '1,000', '20%']]);
  assert.equal((await recent(page)).length, 25);
  for (const newest of [50, 75, 100]) {
    await page.getByRole('button', { name: 'Load more' }).click();
    await shows(page, `Latest ${newest}`);
  }
  await page.getByRole('button', { name: 'Export' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'JSONL' }).click();
  const file = await readFile(await (await download).path(), 'utf8');
  const lines = file.trim().split('\n');
  assert.equal(new Set(lines.map((line) => JSON.parse(line).log_id)).size, many);
});
