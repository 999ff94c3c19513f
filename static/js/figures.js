import { byId, decoration, el } from './dom.js';
import { FIXED_ORDER, SUMMARY_REACH, percent, slicesOf, totalOf } from './signals.js';

const number = new Intl.NumberFormat();

/**
 * Shows the headline figures and the table behind the chart.
 * @param {Record<string, number>} summary
 */
export function showFigures(summary) {
  const slices = slicesOf(summary);
  const total = totalOf(summary);
  byId('headline').replaceChildren(totalTile(total), ...shareTiles(slices, total));
  byId('numbers-rows').replaceChildren(...slices.map(numbersRow));
  const scope = isCut(total) ? `The last ${number.format(total)} interactions` : 'All interactions so far';
  byId('summary-scope').textContent = scope;
}

/** Holds the place of the headline figures until they come. */
export function awaitFigures() {
  const ghost = () => el('div', { class: 'glass tile skeleton', 'aria-hidden': 'true' }, el('i'), el('i'));
  byId('headline').replaceChildren(ghost(), ...FIXED_ORDER.map(ghost));
}

function totalTile(total) {
  const note = isCut(total) ? 'the most recent' : 'all recorded';
  return tile({ name: 'Interactions', figure: number.format(total), note, tone: 'total' });
}

function shareTiles(slices, total) {
  const others = slices.slice(FIXED_ORDER.length);
  const tiles = slices.slice(0, FIXED_ORDER.length).map(({ signal, emoji, tone, count, share }) => {
    const note = `${number.format(count)} of ${number.format(total)}`;
    return tile({ name: signal, emoji, tone, figure: percent(share), note, share });
  });
  if (others.length > 0) tiles.push(othersTile(others));
  return tiles;
}

function othersTile(others) {
  const share = others.reduce((sum, slice) => sum + slice.share, 0);
  const [{ signal, emoji, tone }] = others;
  const note = others.length === 1 ? signal : `${others.length} more signals`;
  return tile({ name: 'other', emoji, tone, figure: percent(share), note, share });
}

function tile({ name, emoji, tone, figure, note, share }) {
  const element = el('div', { class: 'glass tile', 'data-tone': tone },
    el('dt', {}, ...(emoji ? [decoration(emoji)] : []), el('span', { class: 'name' }, name)),
    el('dd', { class: 'figure' }, figure),
    el('dd', { class: 'note' }, note));
  if (share !== undefined) {
    const meter = el('dd', { class: 'meter', 'aria-hidden': 'true' });
    meter.style.setProperty('--share', share);
    element.append(meter);
  }
  return element;
}

const isCut = (total) => total >= SUMMARY_REACH;

function numbersRow({ signal, emoji, tone, count, share }) {
  return el('tr', {},
    el('th', { scope: 'row' }, el('span', { class: 'signal', 'data-tone': tone }, decoration(emoji), signal)),
    el('td', {}, number.format(count)),
    el('td', {}, percent(share)));
}
