// Accessibility and layout: narrow screens, themes, keyboards, screen readers, cold caches.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { addressOf, counted, enter, key, keyWith, loaded, newView, open, scenario, send, sendEvents, sideways } from './dashboard.mjs';

const axe = await readFile(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const phone = { viewport: { width: 360, height: 740 } };
const full = newView();
for (const text of ['Thanks!', 'I am angry', 'Maybe?', 'A parcel']) await send(full, text, { escalation_flag: text === 'I am angry' });
await sendEvents(full, 12);
const team = { agent: randomUUID() };
for (const [user, text] of [['maria', 'I am angry'], ['tom', 'Thanks!'], ['w'.repeat(60), 'A parcel']]) await send({ ...team, user }, text, { agent_output: 'w'.repeat(200) });

/** What axe-core finds that is serious or worse. */
async function faults(page) {
  // The content security policy forbids a script tag of the test.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ''}`).join(' | ')}`);
}

for (const colorScheme of ['light', 'dark']) {
  for (const [state, show] of Object.entries({
    'signing in': (page) => page.goto(addressOf()),
    'all agents': async (page) => {
      await enter(page, {}, key);
      await loaded(page);
    },
    'an agent': async (page) => {
      await counted(team.agent, 3);
      await open(page, team);
      await page.locator('#over-time-table summary').click();
    },
    'an empty agent': async (page) => {
      await enter(page, { agent: randomUUID() }, key);
      await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
    },
    'searching': async (page) => {
      await open(page, team);
      await page.keyboard.press('Control+k');
      await page.locator('#search-results').getByRole('option').first().waitFor();
    },
    'empty': async (page) => {
      await enter(page, newView(), key);
      await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
    },
    'full, with everything open': async (page) => {
      await open(page, full);
      for (const summary of await page.getByText('Show data table').all()) await summary.click();
      await page.getByRole('button', { name: /^Details of/ }).first().click();
      await page.locator('#entry dl').waitFor();
    },
    'exporting': async (page) => {
      await open(page, full);
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('link', { name: 'Download chart' }).waitFor();
    },
    'out of reach': async (page) => {
      await page.route('**/api/**', (route) => route.fulfill({ status: 503, json: { detail: 'S3 does not answer' } }));
      await enter(page, { ...full, refresh: '0' }, key);
      await page.getByRole('alert').getByText('Retrying').waitFor();
    },
  })) {
    scenario(`axe-core finds nothing serious: ${state}, ${colorScheme}`, { refusals: true, context: { colorScheme } }, async (page) => {
      await show(page);
      assert.deepEqual(await faults(page), []);
    });
  }
}

scenario('at 360 pixels nothing scrolls sideways', { context: phone }, async (page) => {
  await page.goto(addressOf());
  await page.getByLabel('API key').waitFor();
  assert.equal(await sideways(page), 0, 'signing in');
  const wide = newView('-'.padEnd(92, 'w'));
  await enter(page, wide, key);
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor();
  assert.equal(await sideways(page), 0, 'nothing yet');
  for (const signal of ['positive', 'w'.repeat(32), 'm'.repeat(32)]) {
    await send(wide, 'w'.repeat(500), { detected_signal: signal, escalation_flag: true });
  }
  await sendEvents(wide, 12, { type: 'w'.repeat(64) });
  await page.reload();
  await loaded(page);
  for (const summary of await page.getByText('Show data table').all()) await summary.click();
  await page.getByRole('button', { name: /^Details of/ }).first().click();
  assert.equal(await sideways(page), 0, 'long names, words and signals');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Export' }).click();
  assert.equal(await sideways(page), 0, 'exporting');
});

for (const width of [360, 768, 1280, 1920]) {
  scenario(`at ${width} pixels no page scrolls sideways`, { context: { viewport: { width, height: 740 } } }, async (page) => {
    await counted(team.agent, 3);
    for (const view of [{}, team, { ...team, user: 'maria' }]) {
      await open(page, view);
      assert.equal(await sideways(page), 0, JSON.stringify(view));
    }
  });
}

scenario('on a phone, the header is one row, and a menu has the rest', { context: phone }, async (page) => {
  await open(page, team);
  const header = page.getByRole('banner');
  assert((await header.boundingBox()).height < 60);
  const docs = header.getByRole('link', { name: 'API docs' });
  assert.equal(await docs.isVisible(), false);
  await page.getByRole('button', { name: 'Menu' }).click();
  await docs.waitFor();
  await page.keyboard.press('Escape');
  await docs.waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Menu' }).click();
  await header.getByRole('link', { name: 'All agents' }).click();
  await page.getByRole('table', { name: 'Agents' }).waitFor();
  assert.equal(await docs.isVisible(), false);
});

scenario('the theme matches the system until one is chosen', { context: { colorScheme: 'light' } }, async (page) => {
  await open(page, full);
  await page.waitForFunction(() => globalThis.Chart?.getChart('over-time'));
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const bars = () => page.locator('#over-time').evaluate((canvas) => canvas.toDataURL());
  const [light, chart] = [await paper(), await bars()];
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForFunction((old) => document.querySelector('#over-time').toDataURL() !== old, chart);
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.getByRole('radio', { name: 'Light' }).check({ force: true });
  assert.equal(await paper(), light);
  await page.reload();
  await loaded(page);
  assert.equal(await paper(), light);
  await page.getByRole('radio', { name: 'Match system' }).check({ force: true });
  assert.equal(await paper(), dark);
});

scenario('the keyboard reaches everything in reading order', {}, async (page) => {
  await enter(page, { ...full, refresh: '0' }, await keyWith(['logs:read', 'events:read'], [full.agent]));
  await loaded(page);
  await page.getByRole('navigation', { name: 'Agents' }).getByRole('link', { name: full.agent }).waitFor();
  const order = [];
  for (const expected of [
    'Skip', 'Signals', 'Search', 'All agents', 'browser', 'API docs', 'theme', 'Sign out', 'Agents', 'browser', 'range', 'Auto-refresh', 'Refresh',
    'Export', 'By', 'Show data table', 'Signal', 'Search messages', 'Should be positive', 'Details of',
  ]) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => {
      const { labels, type, name, ariaLabel, textContent } = document.activeElement;
      return type === 'radio' ? name : ariaLabel ?? (labels?.[0] ?? { textContent }).textContent.trim();
    }));
    assert.match(order.at(-1), new RegExp(expected), order.join(', '));
    const outlined = await page.evaluate(() => {
      const focused = document.activeElement;
      return [focused, focused.nextElementSibling].some((element) => element && getComputedStyle(element).outlineStyle === 'solid');
    });
    assert(outlined, `${expected} shows its focus`);
  }
  await page.keyboard.press('Enter');
  await page.getByRole('complementary', { name: 'Interaction' }).locator('dl').waitFor();
});

scenario('the script is small and the first paint is early', {}, async (page) => {
  const own = [];
  page.on('response', async (response) => {
    if (/\.js$/.test(new URL(response.url()).pathname) && !response.url().endsWith('chart.umd.min.js')) {
      own.push(response.body().then(({ length }) => length));
    }
  });
  await enter(page, full, key);
  await loaded(page);
  const bytes = (await Promise.all(own)).reduce((sum, length) => sum + length, 0);
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  console.log(`# own script ${bytes} bytes, first contentful paint after ${Math.round(paint)} ms`);
  assert(own.length >= 2 && bytes < 60_000, `${bytes} bytes`);
  // The goal is one second, but a busy machine may be slower. The message above contains the figure.
  assert(paint < 3000, `${paint} ms`);
});

scenario('all files that the page requests exist', {}, async (page) => {
  const missing = [];
  page.on('response', (response) => { if (response.status() === 404) missing.push(response.url()); });
  await open(page, full);
  assert.deepEqual(missing, []);
  assert.equal(await page.evaluate(() => document.fonts.check('1rem Inter')), true);
});
