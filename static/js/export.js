import { ApiError } from './api.js';
import { announce, byId, save } from './dom.js';
import { count } from './format.js';

/** Maximum number of rows in a file. */
const MOST_ROWS = 5000;
const LEAD = ['timestamp', 'agent_id', 'user_id', 'detected_signal', 'user_input', 'agent_output'];

/**
 * Positions at which a spreadsheet may start a formula: at the start of a text, and after characters that some spreadsheets
 * treat as the end of a cell even inside quotes. https://owasp.org/www-community/attacks/CSV_Injection
 */
const FORMULA = /^(?=[=+\-@\t\r\n＝＋－＠])|(?<=[,;|\t\r\n]"?)(?=[=+\-@＝＋－＠])/g;

/** Returns a quoted cell that no spreadsheet interprets as a formula. */
function cell(value) {
  if (typeof value === 'number') return `"${value}"`;
  const text = value !== null && typeof value === 'object' ? JSON.stringify(value) : String(value ?? '');
  return `"${text.replaceAll(FORMULA, "'").replaceAll('"', '""')}"`;
}

/** @param {object[]} entries */
function csv(entries) {
  const fields = [...new Set([...LEAD, ...entries.flatMap(Object.keys)])];
  // Spreadsheets recognize UTF-8 by the byte order mark.
  return `\uFEFF${[fields, ...entries.map((entry) => fields.map((field) => entry[field]))].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

const FORMS = {
  csv: [csv, 'text/csv'],
  jsonl: [(entries) => entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''), 'application/x-ndjson'],
};

let work = new AbortController();
let address = '';

/**
 * @typedef {object} Source
 * @property {import('./view.js').View} view
 * @property {'light' | 'dark'} theme
 * @property {(next: string, signal: AbortSignal) => Promise<{entries: object[], next: string}>} page of its interactions
 * @property {(look: object, signal: AbortSignal) => Promise<Blob>} picture
 */

/** @param {() => Source} source returns the current view */
export function start(source) {
  byId('export-open').addEventListener('click', () => {
    byId('picture-form').elements.theme.value = source().theme;
    byId('export').showModal();
    showPicture(source());
  });
  byId('picture-form').addEventListener('change', () => showPicture(source()));
  for (const form of Object.keys(FORMS)) byId(`save-${form}`).addEventListener('click', () => saveRows(source(), form));
  byId('export-close').addEventListener('click', () => byId('export').close());
  byId('export').addEventListener('close', () => {
    work.abort();
    showNote('');
    byId('picture').removeAttribute('src');
    byId('picture-save').hidden = true;
    URL.revokeObjectURL(address);
  });
}

function showNote(words) {
  byId('export-note').textContent = words;
}

const fileName = ({ agent, user }, ending) => `signals-${agent}-${user}.${ending}`;

async function tried(task) {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  try {
    await task(signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) throw error;
    showNote(`Export failed. ${error.message}`);
  }
}

const showPicture = ({ view, picture }) => tried(async (signal) => {
  const { type, theme, size } = Object.fromEntries(new FormData(byId('picture-form')));
  const [width, height] = size.split('x');
  byId('picture-save').hidden = true;
  showNote('Drawing…');
  const drawn = await picture({ type, theme, width, height }, signal);
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(drawn);
  byId('picture').src = address;
  const link = byId('picture-save');
  link.href = address;
  link.download = fileName(view, type === 'image/png' ? 'png' : 'svg');
  link.hidden = false;
  showNote('');
});

const saveRows = ({ view, page }, form) => tried(async (signal) => {
  const rows = [];
  let next = '';
  do {
    const found = await page(next, signal);
    rows.push(...found.entries);
    next = found.next;
    showNote(`${count(rows.length, 'row')} so far…`);
  } while (next && rows.length < MOST_ROWS);
  const [write, type] = FORMS[form];
  save(new Blob([write(rows.slice(0, MOST_ROWS))], { type }), fileName(view, form));
  const words = next || rows.length > MOST_ROWS ? `Saved the newest ${count(Math.min(rows.length, MOST_ROWS), 'row')}; there may be more.` : `Saved ${count(rows.length, 'row')}.`;
  showNote(words);
  announce(words);
});
