import assert from 'node:assert/strict';
import { addressOf, key, newView, open, scenario, send, sideways } from './dashboard.mjs';

const phone = { viewport: { width: 360, height: 740 } };

scenario('on 360 pixels nothing scrolls sideways: signing in', { context: phone }, async (page) => {
  await page.goto(addressOf());
  await page.getByLabel('API key').waitFor();
  assert.equal(await sideways(page), 0);
});

scenario('on 360 pixels nothing scrolls sideways: nothing yet', { context: phone }, async (page) => {
  await page.goto(addressOf(newView('-'.padEnd(92, 'w')), key));
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  assert.equal(await sideways(page), 0);
});

scenario('on 360 pixels nothing scrolls sideways: long names, words and signals', { context: phone }, async (page) => {
  const view = newView('-'.padEnd(92, 'w'));
  for (const signal of ['positive', 'w'.repeat(32), 'm'.repeat(32)]) {
    await send(view, 'w'.repeat(500), { detected_signal: signal, escalation_flag: true });
  }
  await open(page, view);
  await page.getByText('The numbers').click();
  await page.getByRole('button', { name: 'Show all' }).first().click();
  assert.equal(await sideways(page), 0);
  await page.getByRole('button', { name: 'PNG' }).click();
  assert.equal(await sideways(page), 0);
});

const light = { colorScheme: 'light' };

scenario('light or dark is as the reader’s system has it, also when it changes', { context: light }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  const canvas = page.locator('#chart');
  const look = async () => ({
    paper: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
    chart: await canvas.evaluate((element) => element.toDataURL()),
  });
  const before = await look();
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForFunction((old) => document.querySelector('#chart').toDataURL() !== old, before.chart);
  assert.notEqual((await look()).paper, before.paper);
});

scenario('all of it can be reached by keyboard, in the order it is read', {}, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  const order = [];
  for (const expected of ['Agent', 'User', 'Show', 'Sign out', 'Refresh', 'PNG', 'The numbers']) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => {
      const { labels, textContent } = document.activeElement;
      return (labels?.[0] ?? { textContent }).textContent.trim();
    }));
    assert(order.at(-1).startsWith(expected), `${order} instead of ${expected}`);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid', `${expected} shows its focus`);
  }
});
