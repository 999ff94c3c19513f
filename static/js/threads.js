// A user's messages as threads: the newest thread first, and in each the messages from old to new with the agent's replies.
import { announce, button, byId, chip, decoration, el, name } from './dom.js';
import { feedbackOn } from './feedback.js';
import { clockOf, count, dayOf, minuteOf, number, timeTag, zone } from './format.js';
import { reply } from './reply.js';
import { UNCLASSIFIED, signalOf, toneOf } from './signals.js';

/** Messages without a session that are further apart belong to different threads. */
const PAUSE_MS = 30 * 60_000;
const MOST_REASONS = 2;
const TITLE_LENGTH = 60;

const list = byId('rows');
/** Newest first. */
let shown = [];
let waiting = [];
let rows = new Map();
let actions = { open: () => {}, showSession: () => {} };
let state = { next: '', more: () => {}, filters: false };

/**
 * @param {{open: (entry: object) => void, showSession: (session: string) => void}} given what a message and a thread lead to
 */
export const start = (given) => { actions = given; };

/**
 * Shows a first page.
 * @param {{entries: object[], next: string}} page @param {(next: string) => void} more @param {boolean} filters whether filters are active
 */
export function showEntries({ entries, next }, more, filters) {
  shown = entries;
  waiting = [];
  rows = new Map();
  state = { next, more, filters };
  render();
}

/** Appends older entries. */
export function addOlder({ entries, next }) {
  shown = [...shown, ...entries];
  state.next = next;
  render();
}

/**
 * Adds newer entries. Visible rows must not move: while the list is visible or scrolled past, new messages wait behind a
 * button.
 */
export function addNewer(entries) {
  const known = new Set([...waiting, ...shown].map(({ log_id: id }) => id));
  const fresh = entries.filter(({ log_id: id }) => !known.has(id));
  if (fresh.length === 0) return;
  waiting = [...fresh, ...waiting];
  if (shown.length === 0 || list.getBoundingClientRect().top > innerHeight) insertWaiting();
  else showWaiting(true);
}

/** Returns an entry of the list. @param {string} id */
export const entryOf = (id) => [...waiting, ...shown].find((entry) => entry.log_id === id);

/** Marks the entry that is shown in full. @param {string} id */
export function mark(id) {
  for (const row of rows.values()) row.removeAttribute('aria-current');
  rows.get(id)?.setAttribute('aria-current', 'true');
}

export function clearEntries() {
  shown = [];
  waiting = [];
  rows = new Map();
  list.replaceChildren();
  showWaiting();
}

function insertWaiting() {
  const fresh = new Set(waiting);
  shown = [...waiting, ...shown];
  waiting = [];
  render(fresh);
}

function showWaiting(tell) {
  const words = count(waiting.length, 'new message');
  byId('newer').hidden = waiting.length === 0;
  byId('newer').textContent = words;
  if (tell) announce(words);
}

byId('newer').addEventListener('click', () => {
  const { log_id: first } = waiting.at(-1);
  insertWaiting();
  rows.get(first).scrollIntoView({ block: 'center' });
  byId('recent').focus({ preventScroll: true });
});

/** @param {Set<object>} [fresh] entries to highlight */
function render(fresh = new Set()) {
  const focused = document.activeElement;
  list.replaceChildren(...threadsOf(shown).map((thread) => threadOf(thread, fresh)));
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
  const many = `${state.filters ? `${number(shown.length)} found` : `Latest ${number(shown.length)}`}`;
  byId('recent-scope').textContent = `${many} · ${zone}`;
  showWaiting();
  byId('older').replaceChildren(...(state.next ? [button('Load more', () => state.more(state.next))] : []));
}

/** Groups entries by session, or by time without a session. The thread with the newest entry comes first. */
function threadsOf(entries) {
  const sessions = new Map();
  const threads = [];
  let last = null;
  for (const entry of entries) {
    const { session_id: session } = entry;
    const isNear = last && !session && !last[0].session_id && Date.parse(last.at(-1).timestamp) - Date.parse(entry.timestamp) < PAUSE_MS;
    let thread = session ? sessions.get(session) : isNear && last;
    if (!thread) {
      thread = [];
      threads.push(thread);
      if (session) sessions.set(session, thread);
    }
    thread.push(entry);
    last = thread;
  }
  return threads.map((thread) => thread.toReversed());
}

function threadOf(entries, fresh) {
  const [first, last] = [entries[0], entries.at(-1)];
  const { session_id: session } = first;
  const period = periodOf(first.timestamp, last.timestamp);
  return el('section', { class: 'thread' },
    el('header', {}, el('h4', {}, ...(session ? ['Session ', name(session)] : [period])),
      el('span', {}, session ? `${period} · ${count(entries.length, 'message')}` : count(entries.length, 'message')),
      session && button('Show session', () => actions.showSession(session), '')),
    el('ul', {}, ...entries.map((entry) => rowOf(entry, fresh.has(entry)))));
}

/** For example "Today, 14:00 – 14:20", or "3 Nov, 23:50 – 4 Nov, 00:10". */
function periodOf(from, to) {
  const isSameDay = dayOf(from) === dayOf(to);
  const start = `${dayOf(from)}, ${minuteOf(from)}`;
  if (isSameDay && minuteOf(from) === minuteOf(to)) return start;
  return `${start} – ${isSameDay ? '' : `${dayOf(to)}, `}${minuteOf(to)}`;
}

function rowOf(entry, isFresh) {
  const { log_id: id } = entry;
  if (!rows.has(id)) rows.set(id, row(entry, isFresh));
  return rows.get(id);
}

function row(entry, isFresh) {
  const { timestamp, user_input: said } = entry;
  const signal = signalOf(entry);
  const details = button('', () => actions.open(entry), 'details');
  details.setAttribute('aria-label', `Details of “${said.length > TITLE_LENGTH ? `${said.slice(0, TITLE_LENGTH)}…` : said}”, ${clockOf(timestamp)}`);
  details.title = 'Details';
  details.append(el('span', { 'aria-hidden': 'true' }, '›'));
  const { bar, status } = feedbackOn(entry);
  const words = el('p', { class: 'words', dir: 'auto' }, said);
  words.addEventListener('click', () => { if (getSelection().isCollapsed) actions.open(entry); });
  return el('li', { class: isFresh ? 'row fresh' : 'row', 'data-tone': toneOf(signal) },
    timeTag(timestamp, clockOf(timestamp)),
    el('div', { class: 'said' }, words, why(entry), reply(entry), status,
      entry.escalation_flag && el('span', { class: 'escalated' }, decoration('🚩'), 'Escalated')),
    el('div', { class: 'label' }, chip(signal), el('div', { class: 'row-tools' }, bar, details)));
}

/** Returns the words that decided for a signal, or why there is none. */
export function why(entry) {
  const { classification, detected_signal: decided } = entry;
  if (signalOf(entry) === UNCLASSIFIED) return el('p', { class: 'why' }, 'Language not supported');
  // The classifier also has features that are not words, such as <few words>.
  const matched = (classification?.matched ?? []).filter(({ signal, term }) => signal === decided && /^[\p{L}\p{M}'’ -]+\*?$/u.test(term));
  return decided !== 'neutral' && matched.length > 0 && el('p', { class: 'why' }, 'Why: ',
    ...matched.slice(0, MOST_REASONS).map(({ term, signal }) => el('mark', { 'data-tone': toneOf(signal) }, name(wordOf(term, entry.user_input)))));
}

/** Returns the word of the text that a term with an asterisk at its end stands for. */
const wordOf = (term, said) => (term.endsWith('*') ? new RegExp(`${term.slice(0, -1)}[\\p{L}\\p{M}]*`, 'iu').exec(said)?.[0] ?? term.slice(0, -1) : term);
