// Dense tables with a link in each row.
import { byId, el } from './dom.js';

/**
 * Shows the headings. Those with a `sort` are buttons.
 * @param {string} id @param {{text: string, sort?: string, ascending?: boolean, look?: string}[]} columns
 * @param {string} current @param {(sort: string) => void} choose
 */
export function showHead(id, columns, current, choose) {
  const focused = document.activeElement?.closest(`#${id} button`)?.textContent;
  byId(id).replaceChildren(...columns.map(({ text, sort, ascending, look = '' }) => {
    const isCurrent = sort === current;
    const heading = el('th', { scope: 'col', class: look, 'aria-sort': sort !== undefined && isCurrent && (ascending ? 'ascending' : 'descending') });
    if (sort === undefined) heading.append(text);
    else {
      const press = el('button', { type: 'button' }, text);
      press.addEventListener('click', () => choose(sort));
      heading.append(press);
    }
    return heading;
  }));
  if (focused) [...byId(id).querySelectorAll('button')].find(({ textContent }) => textContent === focused)?.focus();
}

/** Replaces the rows, and keeps the focus on the same link. @param {string} id @param {HTMLElement[]} rows */
export function showRows(id, rows) {
  const focused = document.activeElement?.closest(`#${id} a`)?.href;
  byId(id).replaceChildren(...rows);
  if (focused) [...byId(id).querySelectorAll('a')].find(({ href }) => href === focused)?.focus({ preventScroll: true });
}

/** A row whose first cell is its link. @param {Node} first @param {...[string, ...(Node | string)]} cells class and content */
export const gridRow = (first, ...cells) =>
  el('tr', {}, el('th', { scope: 'row' }, first), ...cells.map(([look, ...content]) => el('td', { class: look }, ...content)));
