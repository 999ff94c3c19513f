import { byId, decoration, el } from './dom.js';
import { emojiOf, toneOf } from './signals.js';

const LONG_TEXT = 280;
const LONG_LINES = 4;
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit', second: '2-digit' });

/** The reader's time zone, such as "Europe/Berlin". */
export const zone = clock.resolvedOptions().timeZone;

/**
 * Shows interactions, newest first.
 * @param {object[]} entries as the API lists them, oldest first
 */
export function showLogs(entries) {
  byId('log-rows').replaceChildren(...entries.toReversed().map(row));
}

function row(entry) {
  return el('tr', { role: 'row', 'data-tone': toneOf(entry.detected_signal) },
    el('td', { role: 'cell', class: 'when' }, time(entry.timestamp)),
    el('td', { role: 'cell' }, signal(entry.detected_signal)),
    el('td', { role: 'cell', class: 'said' }, ...said(entry)));
}

function signal(name) {
  return el('span', { class: 'signal', 'data-tone': toneOf(name) }, decoration(emojiOf(name)), name);
}

function time(timestamp) {
  const at = new Date(timestamp);
  if (Number.isNaN(at.getTime())) return el('span', {}, String(timestamp));
  const utc = at.toISOString().replace('T', ' ').replace('Z', ' UTC');
  const day = el('span', { class: 'day' }, dayOf(at));
  return el('time', { datetime: timestamp, title: utc }, clock.format(at), ' ', day);
}

function dayOf(at) {
  return at.toDateString() === new Date().toDateString() ? 'Today' : date.format(at);
}

function said({ user_input: text, escalation_flag: escalated }) {
  const words = el('p', { class: 'words', dir: 'auto' }, text);
  const parts = [words];
  if (text.length > LONG_TEXT || text.split('\n').length > LONG_LINES) parts.push(unfolding(words));
  if (escalated) parts.push(el('span', { class: 'escalated' }, decoration('🚩'), 'Escalated'));
  return parts;
}

function unfolding(words) {
  words.classList.add('folded');
  const toggle = el('button', { class: 'link', 'aria-expanded': 'false' }, 'Show all');
  toggle.addEventListener('click', () => {
    const folded = words.classList.toggle('folded');
    toggle.textContent = folded ? 'Show all' : 'Show less';
    toggle.setAttribute('aria-expanded', String(!folded));
  });
  return toggle;
}
