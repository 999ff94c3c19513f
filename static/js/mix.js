// Shares of signals: bars of one line, the table of a user's signals, and bars by day.
import { byId, chip, el, svg, tableRow } from './dom.js';
import { number, percent } from './format.js';
import { classifiedIn, countOf, slicesOf, totalOf } from './signals.js';

const SPARK_WIDTH = 88;
const SPARK_HEIGHT = 22;
const DAY = 86_400_000;

/** Returns a bar with the share of each signal. @param {Record<string, number>} counts */
function mixBar(counts) {
  const slices = slicesOf(counts).filter(({ count }) => count > 0);
  const words = slices.map(({ signal, count }) => `${signal} ${number(count)}`).join(', ') || 'no messages';
  const bar = el('span', { class: 'mix', role: 'img', 'aria-label': words, title: words });
  for (const { tone, share } of slices) {
    const part = el('i', { 'data-tone': tone });
    part.style.flexGrow = share;
    bar.append(part);
  }
  return bar;
}

/** Returns the share of stressed interactions, '–' if there are none that are classified. */
const stressedShare = (counts) => (classifiedIn(counts) > 0 ? percent(countOf(counts, 'stressed') / classifiedIn(counts)) : '–');

/** Returns the bar of signals with the share of stressed ones. */
export const shareCell = (counts) => el('span', { class: 'share-cell' }, mixBar(counts), el('span', { title: 'Share of stressed messages' }, stressedShare(counts)));

/** Shows a user's signals. @param {Record<string, number>} counts */
export function showMix(counts) {
  byId('mix-bar').replaceChildren(mixBar(counts));
  byId('mix-rows').replaceChildren(...slicesOf(counts).map(({ signal, count, share }) => tableRow(chip(signal), number(count), percent(share))));
}

/**
 * Returns bars of a user's interactions by day, with the stressed ones in their colour.
 * @param {{start: string, counts: object}[]} days @param {number} since the first day
 */
export function sparkline(days, since) {
  const first = Math.floor(since / DAY);
  const many = Math.floor(Date.now() / DAY) - first + 1;
  const most = Math.max(1, ...days.map(({ counts }) => totalOf(counts)));
  const width = Math.min(SPARK_WIDTH / many, 12);
  const bars = days.flatMap(({ start, counts }) => {
    const x = SPARK_WIDTH - width * (first + many - Date.parse(start) / DAY);
    const height = (value) => (value / most) * SPARK_HEIGHT;
    const [total, stressed] = [totalOf(counts), countOf(counts, 'stressed')];
    const bar = (tone, value, from) => svg('rect', { 'data-tone': tone, x, width: Math.max(1, width - 1), y: SPARK_HEIGHT - height(from + value), height: height(value) });
    return [...(total > stressed ? [bar('neutral', total - stressed, stressed)] : []), ...(stressed > 0 ? [bar('stressed', stressed, 0)] : [])];
  });
  return svg('svg', { class: 'spark', viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, 'aria-hidden': 'true' }, ...bars);
}
