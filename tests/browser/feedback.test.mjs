// Feedback on an interaction: one click says which signal it should have.
import assert from 'node:assert/strict';
import { enter, keyWith, loaded, newView, open, recent, scenario, send } from './dashboard.mjs';

const row = (page, index = 0) => page.locator('#rows .row').nth(index);
const choice = (page, signal, index = 0) => row(page, index).getByRole('button', { name: `Should be ${signal}`, exact: true });
const saved = (page, words) => page.getByRole('status').getByText(words, { exact: true }).waitFor();
const pressed = (page, index = 0) => row(page, index).locator('.feedback [aria-pressed="true"]').evaluateAll((all) => all.map((one) => one.dataset.signal));

/** Opens the view again until it shows what is expected: lists may follow feedback with a short delay. */
async function reloadedUntil(page, expected) {
  for (;;) {
    await page.reload();
    await loaded(page);
    if (JSON.stringify(await pressed(page)) === JSON.stringify(expected)) return;
  }
}

scenario('one click gives feedback, another replaces it, a third withdraws it', {}, async (page) => {
  const view = newView(' +日');
  await send(view, 'I am angry');
  await open(page, { ...view, refresh: '0' });
  assert.deepEqual(await pressed(page), []);
  await choice(page, 'neutral').click();
  await saved(page, 'Feedback saved: neutral');
  assert.deepEqual(await pressed(page), ['neutral']);
  assert.equal(await row(page).locator('.given').innerText(), 'Should be 😐neutral');
  // The entry keeps its signal.
  assert.deepEqual(await recent(page), [['stressed', 'I am angry']]);
  await reloadedUntil(page, ['neutral']);

  await row(page).getByRole('button', { name: /^Details of/ }).click();
  const panel = page.getByRole('complementary', { name: 'Interaction' });
  assert.deepEqual(await panel.locator('.feedback [aria-pressed="true"]').allInnerTexts(), ['😐\nneutral']);
  // The side panel and the list show the same.
  await panel.getByRole('button', { name: 'Should be uncertain' }).click();
  await saved(page, 'Feedback saved: uncertain');
  assert.deepEqual(await pressed(page), ['uncertain']);
  await panel.getByRole('button', { name: 'Close' }).click();
  await reloadedUntil(page, ['uncertain']);

  await choice(page, 'uncertain').click();
  await saved(page, 'Feedback withdrawn');
  assert.deepEqual(await pressed(page), []);
  assert.equal(await row(page).locator('.given').innerText(), '');
  await reloadedUntil(page, []);
});

scenario('feedback is given with the keyboard, in one tab stop', {}, async (page) => {
  const view = newView();
  await send(view, 'I am angry');
  await open(page, { ...view, refresh: '0' });
  await page.getByLabel('Search messages').focus();
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement.ariaLabel);
  assert.equal(await focused(), 'Should be positive');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await focused(), 'Should be uncertain');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'Should be neutral');
  await page.keyboard.press('Enter');
  await saved(page, 'Feedback saved: neutral');
  assert.equal(await focused(), 'Should be neutral');
  await page.keyboard.press('Tab');
  assert.match(await focused(), /^Details of/);
  await page.keyboard.press('Shift+Tab');
  assert.equal(await focused(), 'Should be neutral');
});

scenario('signals of callers can be confirmed, and are text', {}, async (page) => {
  const view = newView();
  const signal = '<b>billing & co';
  await send(view, 'Where is my invoice', { detected_signal: signal });
  await open(page, { ...view, refresh: '0' });
  await choice(page, signal).click();
  await saved(page, `Feedback saved: ${signal}`);
  assert.equal(await row(page).locator('.given bdi').innerText(), signal);
  assert.equal(await row(page).locator('b').count(), 0);
});

scenario('a key that may not write says so at the entry', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'I am angry');
  await enter(page, { ...view, refresh: '0' }, await keyWith(['logs:read', 'events:read']));
  await loaded(page);
  await choice(page, 'neutral').click();
  await row(page).getByRole('alert').getByText('this key needs the scope logs:write').waitFor();
  assert.deepEqual(await pressed(page), []);
});

scenario('feedback that cannot be saved can be given again', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'I am angry');
  await open(page, { ...view, refresh: '0' });
  await page.route('**/feedback', (route) => route.fulfill({ status: 503, json: { detail: 'DynamoDB does not answer' } }));
  await choice(page, 'neutral').click();
  await row(page).getByRole('alert').getByText('Feedback was not saved. DynamoDB does not answer (503)').waitFor();
  await page.unrouteAll();
  await choice(page, 'neutral').click();
  await saved(page, 'Feedback saved: neutral');
  assert.equal(await row(page).getByRole('alert').count(), 0);
});
