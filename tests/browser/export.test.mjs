// Export: rows as CSV and JSONL, the chart as PNG and SVG.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { answer, newView, open, scenario, send } from './dashboard.mjs';

async function take(page, label) {
  const download = page.waitForEvent('download');
  await page.getByRole('dialog').getByRole(label.startsWith('Download') ? 'link' : 'button', { name: label }).click();
  const file = await download;
  return { name: file.suggestedFilename(), content: await readFile(await file.path()) };
}

scenario('filtered rows are exported as safe CSV and as JSONL', {}, async (page) => {
  const view = newView();
  const texts = [
    '=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1', '＋1', '－1', '＠SUM(A1)', 'x;=1+1', 'x,+1', 'x;"=1', 'x\n-1',
    'He said "a, b"\nand left', '=HYPERLINK("http://x","y")', 'a - b, c=d',
  ];
  for (const text of texts) await send(view, text, { detected_signal: 'stressed', coherence_score_impact: -0.5 });
  await send(view, 'Thanks!');
  await open(page, { ...view, signal: 'stressed' });
  await page.getByRole('button', { name: 'Export' }).click();

  const csv = await take(page, 'CSV');
  assert.equal(csv.name, `signals-${view.agent}-${view.user}.csv`);
  const [mark, text] = [csv.content.subarray(0, 3).toString('hex'), csv.content.subarray(3).toString()];
  assert.equal(mark, 'efbbbf');
  assert(text.startsWith('"timestamp","agent_id","user_id","detected_signal","user_input",'));
  for (const cell of [
    "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t'=1", "'\r'=1", "'\n'=1", "'＝1", "'＋1", "'－1", "'＠SUM(A1)", "x;'=1+1", "x,'+1",
    `x;""'=1`, "x\n'-1", 'He said ""a, b""\nand left', `'=HYPERLINK(""http://x"",""y"")`, 'a - b, c=d',
  ]) assert(text.includes(`,"stressed","${cell}",`), `${cell} is missing from ${text}`);
  // Numbers stay numbers.
  assert(text.includes(',"-0.5",'));
  assert.equal(text.includes('Thanks!'), false);

  const jsonl = await take(page, 'JSONL');
  assert.equal(jsonl.name, `signals-${view.agent}-${view.user}.jsonl`);
  const entries = jsonl.content.toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(entries.map(({ user_input: said }) => said), texts.toReversed());
});

scenario('replies and metadata are exported', {}, async (page) => {
  const view = newView();
  const reply = '=SUM(A1) <b>"Sorry"</b>';
  await send(view, 'No!', { agent_output: reply, metadata: { model: 'm-1', tokens: 2 } });
  await send(view, 'Nothing else');
  await open(page, view);
  await page.getByRole('button', { name: 'Export' }).click();
  const csv = (await take(page, 'CSV')).content.toString();
  assert(csv.includes('"user_input","agent_output",'), csv);
  assert(csv.includes(`,"No!","'=SUM(A1) <b>""Sorry""</b>",`), csv);
  assert(csv.includes('"{""model"":""m-1"",""tokens"":2}"'), csv);
  const [newest, oldest] = (await take(page, 'JSONL')).content.toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([newest.agent_output, oldest.agent_output, oldest.metadata], [null, reply, { model: 'm-1', tokens: 2 }]);
});

scenario('the text filter applies to exported rows', {}, async (page) => {
  const view = newView();
  for (const text of ['A parcel', 'A letter', 'The PARCEL again']) await send(view, text);
  await open(page, { ...view, text: 'parcel' });
  await page.getByRole('button', { name: 'Export' }).click();
  const { content } = await take(page, 'JSONL');
  assert.equal(content.toString().trim().split('\n').length, 2);
  await page.getByRole('status').getByText('Saved 2 rows.').first().waitFor();
});

scenario('the chart is exported as PNG or SVG, in a theme and size', { context: { colorScheme: 'dark' } }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, view);
  await page.getByRole('button', { name: 'Export' }).click();
  const dialog = page.getByRole('dialog', { name: 'Export' });
  assert.equal(await dialog.getByLabel('Theme').inputValue(), 'dark');
  await page.waitForFunction(() => document.querySelector('#picture').naturalWidth === 800);
  const png = await take(page, 'Download chart');
  assert.equal(png.name, `signals-${view.agent}-${view.user}.png`);
  assert.equal(png.content.subarray(1, 4).toString(), 'PNG');
  await dialog.getByLabel('Size').selectOption('1200x720');
  await page.waitForFunction(() => document.querySelector('#picture').naturalWidth === 1200);
  await dialog.getByLabel('Format').selectOption('image/svg+xml');
  await dialog.getByRole('link', { name: 'Download chart' }).and(page.locator('[download$=svg]')).waitFor();
  const svg = await take(page, 'Download chart');
  assert.match(svg.content.toString(), /^<svg[^>]* width="1200"|^<\?xml/);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
});

scenario('a failed export is reported in the dialog', { refusals: true }, async (page) => {
  const view = newView();
  await send(view, 'Thanks!');
  await open(page, { ...view, refresh: '0' });
  await answer(page, '{visualize,logs}', { status: 503, body: '{"detail":"S3 does not answer"}' });
  await page.getByRole('button', { name: 'Export' }).click();
  await page.getByRole('dialog').getByText('S3 does not answer').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Download chart' }).isVisible(), false);
  await page.getByRole('button', { name: 'CSV' }).click();
  await page.getByRole('dialog').getByText('Export failed. S3 does not answer').waitFor();
});
