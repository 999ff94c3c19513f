/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. Text goes in as text, so nothing a user wrote can become markup.
 * @param {string} tag
 * @param {Record<string, string | boolean>} [attributes] `true` sets an empty attribute, `false` sets none
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/**
 * An emoji that decorates the words beside it.
 * @param {string} emoji
 */
export const decoration = (emoji) => el('span', { class: 'emoji', 'aria-hidden': 'true' }, emoji);

/**
 * A shell command with a button that copies it.
 * @param {string} command
 */
export function commandLine(command) {
  const copy = el('button', { type: 'button', class: 'quiet copy' }, 'Copy');
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = 'Copied';
  });
  // Scrolls sideways, so the keyboard must be able to reach it.
  const text = el('pre', { tabindex: '0' }, el('code', {}, command));
  // Only a secure context has a clipboard.
  return el('div', { class: 'command' }, text, ...(navigator.clipboard ? [copy] : []));
}
