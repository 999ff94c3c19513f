import { byId, el } from './dom.js';
import { ago, count, momentOrClock, number, percent, timeTag } from './format.js';
import { classifiedIn, countOf, signalOf, toneOf, totalOf } from './signals.js';

const HOUR = 3_600_000;
const PERIODS = { '1h': 'hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days' };

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
  // What someone felt is not what they feel after a day of silence.
  byId('now-title').textContent = Date.now() - Date.parse(newest.timestamp) < 24 * HOUR ? 'Now' : 'Last known mood';
  card.querySelector('.content').replaceChildren(
    el('p', { class: 'mood' }, el('strong', {}, el('span', { class: 'name' }, signal)),
      el('span', { class: 'since' }, ' since ', timeTag(since, momentOrClock(since)), turn < 0 && entries.length > 1 && ' or earlier')),
    el('blockquote', { dir: 'auto' }, newest.user_input),
    el('p', { class: 'small' }, 'Last message ', timeTag(newest.timestamp, ago(newest.timestamp)),
      run.length > 1 && `, ${run.length}${turn < 0 ? ' or more' : ''} in a row`));
}

/**
 * Shows the figures of a range, compared with the preceding period.
 * @param {{now: object, before: object | null}} counts @param {import('./view.js').View} view
 */
export function showFigures({ now, before }, view) {
  const total = totalOf(now.counts);
  const was = before && totalOf(before.counts);
  const isComparable = now.complete && before?.complete !== false;
  byId('label-interactions').textContent = 'Messages';
  figure('interactions', number(total) + (now.complete ? '' : '+'),
    isComparable ? change(total, was || null, growth, view) : 'Too many to compare');
  const [classified, classifiedBefore] = [classifiedIn(now.counts), before && classifiedIn(before.counts)];
  for (const signal of ['stressed', 'positive']) {
    const share = classified && countOf(now.counts, signal) / classified;
    const earlier = classifiedBefore ? countOf(before.counts, signal) / classifiedBefore : null;
    const many = `${number(countOf(now.counts, signal))} · `;
    figure(signal, classified ? percent(share) : '–', classified ? many + change(share, earlier, points, view) : change(0, null, points, view));
  }
}

/** Shows how many users are stressed in the current hour, from counts by hour. @param {object[]} buckets */
export function showStressedUsers(buckets) {
  const start = Math.floor(Date.now() / HOUR) * HOUR;
  const inHour = (time) => buckets.find((bucket) => Date.parse(bucket.start) === time && 'users' in bucket);
  const hour = inHour(start) ?? { users: 0, stressed_users: 0 };
  const earlier = inHour(start - HOUR)?.stressed_users ?? 0;
  const by = hour.stressed_users - earlier;
  figure('users', number(hour.stressed_users),
    `Of ${count(hour.users, 'active user')} · ${by === 0 ? 'no change' : signed(by, number(Math.abs(by)))} vs. previous hour`);
}

/** Shows today's figures of all agents. @param {object[]} agents */
export function showToday(agents) {
  const sum = (value) => agents.reduce((total, agent) => total + value(agent), 0);
  const [total, classified] = [sum(({ counts }) => totalOf(counts)), sum(({ counts }) => classifiedIn(counts))];
  byId('label-interactions').textContent = 'Messages today';
  figure('interactions', number(total), count(agents.length, 'agent'));
  for (const signal of ['stressed', 'positive']) {
    const many = sum(({ counts }) => countOf(counts, signal));
    figure(signal, classified ? percent(many / classified) : '–', `${count(many, 'message')} today`);
  }
  figure('users', number(sum(({ stressed_users: users }) => users)), `Of ${count(sum(({ users }) => users), 'active user')}`);
}

/** @param {{anomalies: number, more: boolean}} now @param {{anomalies: number} | null} before */
export const showAnomalies = (now, before, view) => figure('anomalies', number(now.anomalies) + (now.more ? '+' : ''),
  `${change(now.anomalies, before && before.anomalies, difference, view)}, all agents`);

/** Shows a figure as unknown. */
export const hideFigure = (id) => figure(id, '–', 'Unknown');

function figure(id, value, note) {
  byId(`figure-${id}`).textContent = value;
  byId(`change-${id}`).textContent = note;
}

function change(now, before, words, { range, from }) {
  if (!from && range === 'all') return 'All time';
  const period = from ? 'period' : PERIODS[range];
  if (before === null) return `No data for the previous ${period}`;
  const [by, text] = words(now, before);
  return by === 0 ? `No change vs. previous ${period}` : `${signed(by, text)} vs. previous ${period}`;
}

const signed = (by, text) => `${by > 0 ? '+' : '−'}${text}`;
const growth = (now, before) => (before ? by(Math.round((now / before - 1) * 100), (much) => `${number(much)}%`) : difference(now, 0));
const points = (now, before) => by(Math.round((now - before) * 100), (many) => count(many, 'pt'));
const difference = (now, before) => by(now - before, number);
const by = (value, text) => [value, text(Math.abs(value))];
