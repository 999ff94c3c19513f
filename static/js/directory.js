import { byId, decoration, el, name } from './dom.js';
import { ago, count, number, percent, timeTag } from './format.js';
import { classifiedIn, countOf, slicesOf, totalOf } from './signals.js';

const PAUSE_MS = 150;

/**
 * Suggests names for a field: the first names on focus, and matching names while the user types.
 * @param {string} id the field's
 * @param {(prefix: string) => Promise<{body: string[], next: string}>} find
 */
export function offer(id, find) {
  const options = byId(`${id}-options`);
  let timer;
  let complete = false;
  async function look(prefix) {
    const found = await find(prefix).catch(() => null);
    if (!found) return;
    complete = !prefix && !found.next;
    options.replaceChildren(...found.body.map((value) => el('option', { value })));
  }
  byId(id).addEventListener('focus', () => look(''));
  byId(id).addEventListener('input', () => {
    clearTimeout(timer);
    // If the list is complete, the browser filters it.
    if (!complete) timer = setTimeout(() => look(byId(id).value), PAUSE_MS);
  });
}

/**
 * @typedef {object} Mood
 * @property {string} user
 * @property {Record<string, number>} counts
 * @property {{timestamp: string, words: string | undefined} | null} last the newest stressed interaction in the range
 */

/** Shows the users of an agent. @param {Mood[]} moods @param {(user: string) => string} address */
export const showBoard = (moods, address) =>
  byId('users').replaceChildren(...moods.map((mood) => el('li', {}, card(mood, address))));

function card({ user, counts, last }, address) {
  const total = totalOf(counts);
  const classified = classifiedIn(counts);
  const calm = classified > 0 ? 'not stressed' : 'unclassified';
  return el('a', { class: 'glass card', href: address(user) },
    el('strong', {}, name(user)),
    last ? el('span', { class: 'share' }, decoration('😣'), ` ${percent(countOf(counts, 'stressed') / classified)} stressed`)
      : el('span', { class: 'share small' }, total > 0 ? calm : 'inactive'),
    mix(slicesOf(counts)),
    el('span', { class: 'facts' }, total > 0 ? count(total, 'interaction') : 'no interactions in this range',
      last && ', last stressed ', last && timeTag(last.timestamp, ago(last.timestamp))),
    last?.words && el('blockquote', { dir: 'auto' }, last.words));
}

function mix(slices) {
  const words = slices.filter(({ count: many }) => many > 0);
  const bar = el('span', { class: 'mix', role: 'img', 'aria-label': words.map(({ signal, count: many }) => `${signal} ${number(many)}`).join(', ') || 'no interactions' });
  for (const { tone, share } of words) {
    const part = el('i', { 'data-tone': tone });
    part.style.flexGrow = share;
    bar.append(part);
  }
  return bar;
}
