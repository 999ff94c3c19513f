import { byId, decoration, el } from './dom.js';
import { ago, count, momentOrClock, number, percent, timeTag } from './format.js';
import { classifiedIn, countOf, emojiOf, signalOf, toneOf, totalOf } from './signals.js';

/** Shows the newest signal, since when it lasts, and the message. @param {object[]} entries newest first */
export function showNow(entries) {
  const card = byId('now');
  const [newest] = entries;
  if (!newest) return;
  const signal = signalOf(newest);
  const turn = entries.findIndex((entry) => signalOf(entry) !== signal);
  const run = turn < 0 ? entries : entries.slice(0, turn);
  const since = run.at(-1).timestamp;
  card.dataset.tone = toneOf(signal);
  card.querySelector('.content').replaceChildren(
    el('p', { class: 'mood' }, decoration(emojiOf(signal)), el('strong', {}, el('span', { class: 'name' }, signal)),
      el('span', { class: 'since' }, ' since ', timeTag(since, momentOrClock(since)), turn < 0 && entries.length > 1 && ' or earlier')),
    el('blockquote', { dir: 'auto' }, newest.user_input),
    el('p', { class: 'small' }, 'Last interaction ', timeTag(newest.timestamp, ago(newest.timestamp)),
      run.length > 1 && `, ${run.length}${turn < 0 ? ' or more' : ''} in a row`));
}

/** @param {{now: object, before: object | null}} counts */
export function showFigures({ now, before }, range) {
  const total = totalOf(now.counts);
  const was = before && totalOf(before.counts);
  const isComparable = now.complete && before?.complete !== false;
  figure('interactions', number(total) + (now.complete ? '' : '+'),
    isComparable ? change(total, was, growth, range) : 'too many to compare');
  const [classified, classifiedBefore] = [classifiedIn(now.counts), before && classifiedIn(before.counts)];
  for (const signal of ['stressed', 'positive']) {
    const share = classified && countOf(now.counts, signal) / classified;
    const earlier = classifiedBefore ? countOf(before.counts, signal) / classifiedBefore : null;
    figure(signal, classified ? percent(share) : '–', change(share, classified ? earlier : null, points, range));
  }
}

/** @param {{anomalies: number, more: boolean, before: number | null}} watch */
export const showAnomalies = ({ anomalies, more, before }, range) =>
  figure('anomalies', number(anomalies) + (more ? '+' : ''), change(anomalies, before, difference, range));

/** Shows a figure as unknown. */
export const hideFigure = (id) => figure(id, '–', 'unknown');

function figure(id, value, note) {
  byId(`figure-${id}`).textContent = value;
  byId(`change-${id}`).textContent = note;
}

function change(now, before, words, range) {
  if (range === 'all') return 'all time';
  const period = range.replace(/\D/, '\u00A0$&');
  if (before === null) return `none in the prior ${period}`;
  const [by, text] = words(now, before);
  return by === 0 ? `unchanged vs prior ${period}` : `${by > 0 ? '▲' : '▼'} ${text} vs prior ${period}`;
}

const growth = (now, before) => (before ? by(Math.round((now / before - 1) * 100), (much) => `${number(much)}%`) : difference(now, 0));
const points = (now, before) => by(Math.round((now - before) * 100), (many) => count(many, 'pt'));
const difference = (now, before) => by(now - before, number);
const by = (value, text) => [value, text(Math.abs(value))];
