import assert from 'node:assert/strict';
import { addressOf, key, loaded, newView, numbers, open, recent, scenario, send, shows } from './dashboard.mjs';

async function choose(page, { agent, user }) {
  await page.getByLabel('Agent', { exact: true }).fill(agent);
  await page.getByLabel('User', { exact: true }).fill(user);
  await page.getByLabel('User', { exact: true }).press('Enter');
}

scenario('what was sent is in the figures, the chart, its table and the list', {}, async (page) => {
  const view = newView();
  await send(view, 'Thank you, this is great');
  await send(view, 'Awesome');
  await send(view, 'I am so frustrated', { escalation_flag: true });
  await send(view, 'Move it to Thursday.');
  await open(page, view);

  await page.getByRole('heading', { name: `Signals of ${view.user} with ${view.agent}` }).waitFor();
  const inWords = 'Bar chart of interactions by signal: positive 2, neutral 1, stressed 1, uncertain 0';
  await page.getByRole('img', { name: inWords }).waitFor();
  assert.deepEqual(await numbers(page), [
    ['positive', '2', '50%'],
    ['neutral', '1', '25%'],
    ['stressed', '1', '25%'],
    ['uncertain', '0', '0%'],
  ]);
  assert.deepEqual(await page.locator('.figure').allInnerTexts(), ['4', '50%', '25%', '25%', '0%']);
  assert.deepEqual(await recent(page), [
    ['neutral', 'Move it to Thursday.'],
    ['stressed', 'I am so frustrated'],
    ['positive', 'Awesome'],
    ['positive', 'Thank you, this is great'],
  ]);
  const escalated = page.getByRole('row').filter({ hasText: 'Escalated' });
  assert.deepEqual(await escalated.locator('.words').allInnerTexts(), ['I am so frustrated']);
});

scenario('a table with the numbers opens by keyboard', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await page.getByText('The numbers').focus();
  await page.keyboard.press('Enter');
  const table = page.getByRole('table', { name: 'Interactions by signal' });
  await table.getByRole('rowheader', { name: 'positive' }).waitFor();
});

scenario('markup in what a user wrote is shown as characters', {}, async (page) => {
  const view = newView('<img src=x onerror=alert(2)>');
  const text = '<img src=x onerror=alert(1)>';
  await send(view, text, { detected_signal: '<b>bold' });
  await open(page, view);
  assert.deepEqual(await recent(page), [['<b>bold', text]]);
  assert.equal(await page.locator('main img, main b').count(), 0);
});

for (const ending of [' 日本 语', ' a b+c&d=e;f', ` o'neil "x" <b> 👩‍🚀`, '-'.padEnd(92, 'w')]) {
  scenario(`a user whose name ends in "${ending}" is found`, {}, async (page) => {
    const view = newView(ending);
    await send(view, 'Thanks!');
    await open(page, view);
    assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
    assert.deepEqual(await page.locator('#who bdi').allTextContents(), [view.user, view.agent]);
    await page.reload();
    await loaded(page);
    assert.equal(await page.getByLabel('User', { exact: true }).inputValue(), view.user);
  });
}

scenario('a signal of the caller’s own comes after the fixed ones', {}, async (page) => {
  const view = newView();
  await send(view, 'Hooray', { detected_signal: 'delighted' });
  await open(page, view);
  await page.getByRole('img', { name: /uncertain 0, delighted 1$/ }).waitFor();
  assert.deepEqual((await numbers(page)).at(-1), ['delighted', '1', '100%']);
  assert.deepEqual(await recent(page), [['delighted', 'Hooray']]);
});

const tokyo = { timezoneId: 'Asia/Tokyo', locale: 'de-DE' };

scenario('a time is in the reader’s zone and tells UTC', { context: tokyo }, async (page) => {
  const view = newView();
  const { timestamp } = await send(view, 'Thanks!');
  await open(page, view);
  const time = page.locator('#log-rows time');
  assert.equal(await time.getAttribute('title'), timestamp.replace('T', ' ').replace('Z', ' UTC'));
  const clock = { hour: 'numeric', minute: '2-digit', second: '2-digit', timeZone: 'Asia/Tokyo' };
  const inTokyo = new Date(timestamp).toLocaleTimeString('de-DE', clock);
  assert((await time.innerText()).startsWith(inTokyo));
  await shows(page, 'times in Asia/Tokyo');
});

scenario('the address is a link to the view, and back leads to the one before', {}, async (page) => {
  const [first, second] = [newView(), newView()];
  await send(first, 'The first, thanks');
  await send(second, 'The second, thanks');
  await open(page, first);
  await choose(page, second);
  await shows(page, 'The second, thanks');
  assert.equal(page.url(), addressOf(second));
  await page.goBack();
  await shows(page, 'The first, thanks');
  assert.equal(await page.getByLabel('User', { exact: true }).inputValue(), first.user);
});

scenario('refresh brings what has come since', {}, async (page) => {
  const view = newView();
  await send(view, 'Before');
  await open(page, view);
  await send(view, 'After, thanks');
  await page.getByRole('button', { name: 'Refresh' }).click();
  await loaded(page);
  assert.deepEqual((await recent(page)).map(([, words]) => words), ['After, thanks', 'Before']);
  await page.getByRole('img', { name: /positive 1, neutral 1/ }).waitFor();
});

scenario('a long text is folded and opens', {}, async (page) => {
  const view = newView();
  await send(view, 'word '.repeat(400));
  await open(page, view);
  const words = page.locator('.words');
  const height = async () => (await words.boundingBox()).height;
  const folded = await height();
  await page.getByRole('button', { name: 'Show all' }).click();
  assert(await height() > folded);
  await page.getByRole('button', { name: 'Show less' }).click();
  assert.equal(await height(), folded);
});

scenario('the chart can be seen and saved as PNG', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await page.getByRole('button', { name: 'PNG' }).click();
  const dialog = page.getByRole('dialog', { name: 'Chart as PNG' });
  await page.waitForFunction(() => document.querySelector('#picture img')?.naturalWidth === 800);
  const download = page.waitForEvent('download');
  await dialog.getByRole('link', { name: 'Download' }).click();
  assert.equal((await download).suggestedFilename(), `signals-${view.agent}-${view.user}.png`);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
});

const clipboard = { permissions: ['clipboard-read', 'clipboard-write'] };

scenario('nothing yet: the page says how to record something, and looks again', { context: clipboard }, async (page) => {
  const view = newView(" o'neil");
  await page.goto(addressOf(view, key));
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  await page.getByRole('button', { name: 'Copy' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(command, /^curl .*\/api\/log .*o'\\''neil/s);
  assert.equal(command.includes(key), false);
  await send(view, 'Thanks!');
  await page.getByRole('button', { name: 'Look again' }).click();
  await loaded(page);
  assert.deepEqual(await recent(page), [['positive', 'Thanks!']]);
});

scenario('an older, slower answer does not replace a newer one', {}, async (page) => {
  const [slow, quick] = [newView(), newView()];
  await send(slow, 'The slow one, thanks');
  await send(quick, 'The quick one, thanks');
  const abandoned = [];
  page.on('requestfailed', (request) => abandoned.push(new URL(request.url()).pathname.split('/')[2]));
  // Never answered: what the page does not abandon keeps it waiting.
  await page.route(`**/api/*/*/${slow.user}**`, () => {});
  await page.goto(addressOf(slow, key));
  await page.locator('#summary[data-state=loading]').waitFor();
  await choose(page, quick);
  await loaded(page);
  assert.deepEqual(abandoned.sort(), ['logs', 'summary']);
  assert.deepEqual(await recent(page), [['positive', 'The quick one, thanks']]);
});
