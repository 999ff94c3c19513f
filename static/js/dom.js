/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. Text goes in as text, so nothing a user wrote can become markup.
 * @param {string} tag
 * @param {Record<string, string | number | boolean>} [attributes] `true` sets an empty attribute, `false` sets none
 * @param {...(Node | string)} children `false` and `undefined` are left out
 * @returns {HTMLElement}
 */
export const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

/** The same for a part of an SVG picture. */
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

/** Keeps a name apart from the direction of the text around it. */
export const name = (text) => el('bdi', { class: 'id' }, text);

/** An emoji that decorates the words beside it. */
export const decoration = (emoji) => el('span', { class: 'emoji', 'aria-hidden': 'true' }, emoji);

/** A signal as a chip: emoji, colour and word. */
export const chip = ({ signal, tone, emoji }) => el('span', { class: 'signal', 'data-tone': tone }, decoration(emoji), signal);

/** A row of a table: the first cell is its heading. */
export const tableRow = (first, ...cells) =>
  el('tr', {}, el('th', { scope: 'row' }, first), ...cells.map((cell) => el('td', {}, cell)));

/** Tells a screen reader. */
export const announce = (text) => { byId('announcement').textContent = text; };

/** Saves `content` as a file of the reader's. */
export function save(content, fileName) {
  const address = URL.createObjectURL(content);
  el('a', { href: address, download: fileName }).click();
  URL.revokeObjectURL(address);
}

/** A shell command with a button that copies it. */
export function commandLine(command) {
  const copy = button('Copy', async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = 'Copied';
  }, 'quiet copy');
  // Scrolls sideways, so the keyboard must be able to reach it. Only a secure context has a clipboard.
  const text = el('pre', { tabindex: '0' }, el('code', {}, command));
  return el('div', { class: 'command' }, text, navigator.clipboard && copy);
}
