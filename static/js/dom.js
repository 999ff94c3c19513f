import { toneOf } from './signals.js';

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/**
 * Creates an element. Strings become text nodes, so users' text can never become markup.
 * @param {string} tag
 * @param {Record<string, string | number | boolean>} [attributes] `true` sets an empty attribute, `false` sets none
 * @param {...(Node | string)} children `false` and `undefined` are left out
 * @returns {HTMLElement}
 */
export const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

/** Like `el`, for an SVG element. */
export const svg = (tag, attributes, ...children) =>
  build(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

function build(element, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== false && child !== undefined));
  return element;
}

/** @param {string} label @param {() => void} onClick @param {string} [look] */
export function button(label, onClick, look = 'quiet') {
  const element = el('button', { type: 'button', class: look }, label);
  element.addEventListener('click', onClick);
  return element;
}

/** Isolates a name from the direction of the surrounding text. */
export const name = (text) => el('bdi', { class: 'id' }, text);

/** A decorative emoji, hidden from screen readers. */
export const decoration = (emoji) => el('span', { class: 'emoji', 'aria-hidden': 'true' }, emoji);

/** A signal with its colour and name. */
export const chip = (signal) => el('span', { class: 'signal', 'data-tone': toneOf(signal) }, signal);

/** A table row whose first cell is its heading. */
export const tableRow = (first, ...cells) =>
  el('tr', {}, el('th', { scope: 'row' }, first), ...cells.map((cell) => el('td', {}, cell)));

/** Announces a text to screen readers. */
export const announce = (text) => { byId('announcement').textContent = text; };

/** Downloads `content` as a file. */
export function save(content, fileName) {
  const address = URL.createObjectURL(content);
  el('a', { href: address, download: fileName }).click();
  URL.revokeObjectURL(address);
}

/** A button that copies a text. Only secure contexts have a clipboard. */
export function copyButton(text, label = 'Copy', look = 'quiet') {
  const copy = button(label, async () => {
    await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
    copy.textContent = 'Copied';
  }, look);
  return Boolean(navigator.clipboard) && copy;
}

/** A shell command with a button that copies it. */
export function commandLine(command) {
  // The command scrolls, so it must be focusable.
  return el('div', { class: 'command' }, el('pre', { tabindex: '0' }, el('code', {}, command)), copyButton(command, 'Copy', 'quiet copy'));
}

/** A link. @param {string} href @param {...(Node | string)} children */
export const link = (href, ...children) => el('a', { href }, ...children);
