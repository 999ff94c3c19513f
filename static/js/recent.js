import { announce, button, byId, chip, decoration, el, name } from './dom.js';
import { feedbackOn } from './feedback.js';
import { clockOf, count, dayOf, timeTag, zone } from './format.js';
import { mentions, reply } from './reply.js';
import { emojiOf, signalOf, toneOf, UNCLASSIFIED } from './signals.js';

const rows = byId('rows');
/** Newest first. */
let shown = [];
let waiting = [];
let text = '';
let startOver = null;

/** The interactions on the page that contain the text. */
export const matching = () => shown.filter((entry) => mentions(entry, text));

/** Shows a first page. */
export function showEntries({ entries, next }, more) {
  shown = entries;
  waiting = [];
  startOver = null;
  rows.replaceChildren(...entries.map((entry) => row(entry)));
  finish(next, more);
}

/** Appends older entries. */
export function addOlder({ entries, next }, more) {
  shown.push(...entries);
  rows.append(...entries.map((entry) => row(entry)));
  finish(next, more);
}

/**
 * Adds newer entries. Visible rows must not move: while the list is visible or scrolled past, new rows wait behind a
 * button.
 */
export function addNewer({ entries, next }, more) {
  const known = new Set([...waiting, ...shown].map(({ log_id: id }) => id));
  const fresh = entries.filter(({ log_id: id }) => !known.has(id));
  // No overlap with the known entries: there is a gap, so the list starts over.
  if (next && fresh.length === entries.length) startOver = () => showEntries({ entries, next }, more);
  waiting = [...fresh, ...waiting];
  if (shown.length === 0 || rows.getBoundingClientRect().top > innerHeight) insertWaiting();
  else showWaiting(fresh.length > 0);
}

function insertWaiting() {
  if (startOver) return startOver();
  rows.prepend(...waiting.map((entry) => row(entry, true)));
  shown = [...waiting, ...shown];
  waiting = [];
  showWaiting();
  filter(text);
}

function showWaiting(tell) {
  const words = `${count(waiting.length, 'new interaction')}${startOver ? ' or more' : ''}`;
  byId('newer').hidden = waiting.length === 0;
  byId('newer').textContent = `↑ ${words}`;
  if (tell) announce(words);
}

byId('newer').addEventListener('click', () => {
  insertWaiting();
  byId('recent').scrollIntoView({ block: 'start' });
  byId('recent').focus({ preventScroll: true });
});

/** Hides the rows without `wanted`. @param {string} wanted */
export function filter(wanted) {
  text = wanted;
  shown.forEach((entry, index) => { rows.children[index].hidden = !mentions(entry, text); });
  const matches = matching().length;
  byId('recent-scope').textContent = (text ? `${matches} of the newest ${shown.length} match` : `The newest ${shown.length}`)
    + `, times in ${zone}`;
}

export function clearEntries() {
  shown = [];
  waiting = [];
  startOver = null;
  rows.replaceChildren();
  showWaiting();
}

function finish(next, more) {
  filter(text);
  showWaiting();
  byId('older').replaceChildren(...(next ? [button('Load more', () => more(next))] : []));
}

function row(entry, fresh = false) {
  const { timestamp, user_input: said } = entry;
  const signal = signalOf(entry);
  const tone = toneOf(signal);
  const whole = el('div', { class: 'whole', hidden: true });
  const toggle = el('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false', 'aria-label': `Details of the entry at ${clockOf(timestamp)}` });
  toggle.addEventListener('click', () => {
    whole.hidden = !whole.hidden;
    toggle.setAttribute('aria-expanded', String(!whole.hidden));
    if (!whole.hidden && !whole.firstChild) whole.append(...details(entry));
  });
  const { bar, status } = feedbackOn(entry, () => whole.firstChild && whole.replaceChildren(...details(entry)));
  return el('li', { class: fresh ? 'row fresh' : 'row', 'data-tone': tone },
    timeTag(timestamp, clockOf(timestamp), ' ', el('span', { class: 'day' }, dayOf(timestamp))),
    el('div', { class: 'label' }, chip({ signal, tone, emoji: emojiOf(signal) }), bar),
    el('div', { class: 'said' }, el('p', { class: 'words', dir: 'auto' }, said), why(entry), reply(entry), status,
      entry.escalation_flag && el('span', { class: 'escalated' }, decoration('🚩'), 'Escalated')),
    toggle, whole);
}

/** Returns the keywords that decided, if the entry contains them, or why no signal was found. */
function why(entry) {
  const { classification, detected_signal: decided } = entry;
  if (signalOf(entry) === UNCLASSIFIED) return el('p', { class: 'why' }, 'Language not supported');
  const matched = (classification?.matched ?? []).filter(({ signal }) => signal === decided);
  return matched.length > 0 && el('p', { class: 'why' }, 'Decided by ',
    ...matched.map(({ term, signal }) => el('mark', { 'data-tone': toneOf(signal) }, name(term))));
}

function details(entry) {
  const { user_input: said, agent_output: replied, ...fields } = entry;
  const value = (it) => (it !== null && typeof it === 'object' ? JSON.stringify(it) : String(it ?? '–'));
  return [
    el('p', { class: 'full', dir: 'auto' }, said),
    ...(replied ? [el('p', { class: 'full', dir: 'auto' }, el('span', { class: 'reply-by' }, 'Agent'), replied)] : []),
    el('dl', {}, ...Object.entries(fields).flatMap(([field, it]) => [el('dt', {}, field), el('dd', {}, value(it) || '–')])),
  ];
}
