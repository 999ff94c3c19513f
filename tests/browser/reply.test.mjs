// The agent's reply below the user's text.
import assert from 'node:assert/strict';
import { newView, open, recent, scenario, send, shows } from './dashboard.mjs';

scenario('a reply is shown below the text, never as markup', {}, async (page) => {
  const view = newView();
  const reply = '<img src=x onerror=alert(1)> <b>Sorry</b>';
  await send(view, 'No!', { agent_output: reply, metadata: { model: '<i>m-1</i>' } });
  await send(view, 'Without a reply');
  await send(view, 'With an empty one', { agent_output: '' });
  await open(page, view);
  assert.deepEqual(await page.locator('.reply-words').allInnerTexts(), [reply]);
  assert.equal(await page.getByRole('button', { name: 'Show full reply' }).count(), 0);
  await page.getByRole('button', { name: /^Details of “No!/ }).click();
  assert.deepEqual(await page.locator('#entry .full').allInnerTexts(), ['No!', reply]);
  await page.locator('#entry dd').getByText('<i>m-1</i>', { exact: true }).waitFor();
  assert.equal(await page.locator('.reply :is(img, b, i), #entry :is(img, b, i)').count(), 0);
});

scenario('a long reply expands and collapses, also by keyboard', {}, async (page) => {
  const view = newView();
  const reply = 'word '.repeat(400);
  await send(view, 'No!', { agent_output: reply });
  await send(view, 'Again!', { agent_output: 'one\ntwo\nthree' });
  await open(page, view);
  const row = page.locator('#rows .row').first();
  const height = async () => (await row.locator('.reply-words').boundingBox()).height;
  const collapsed = await height();
  const toggle = row.getByRole('button', { name: /reply|less/ });
  assert.equal(await toggle.getAttribute('aria-expanded'), 'false');
  await toggle.focus();
  await page.keyboard.press('Enter');
  assert.equal(await toggle.getAttribute('aria-expanded'), 'true');
  assert.equal(await toggle.innerText(), 'Show less');
  assert((await height()) > 2 * collapsed);
  await page.keyboard.press('Enter');
  assert.equal(await height(), collapsed);
  assert.equal(await page.getByRole('button', { name: 'Show full reply' }).count(), 2);
});

scenario('the text search finds replies', {}, async (page) => {
  const view = newView();
  await send(view, 'Where is it?', { agent_output: 'Your PARCEL is late.' });
  await send(view, 'The parcel?');
  await send(view, 'Something else', { agent_output: 'Sure.' });
  await open(page, view);
  await page.getByLabel('Search messages').fill('parcel');
  await shows(page, '2 found');
  assert.deepEqual((await recent(page)).map(([, text]) => text), ['The parcel?', 'Where is it?']);
});
