import { button, el } from './dom.js';

/** Length from which a reply is shown in part, in characters and in lines. */
const LONG_TEXT = 160;
const LONG_LINES = 2;

/** Returns whether the user's text or the agent's reply contains a text, in any case. */
export const mentions = ({ user_input: said, agent_output: replied }, text) =>
  [said, replied ?? ''].some((words) => words.toLowerCase().includes(text.toLowerCase()));

/** Returns the agent's reply, if there is one. A long reply is shown in part until the user expands it. */
export function reply({ agent_output: replied }) {
  if (!replied) return false;
  const words = el('p', { class: 'reply-words', dir: 'auto' }, replied);
  const block = el('div', { class: 'reply' }, el('span', { class: 'reply-by' }, 'Agent'), words);
  if (replied.length > LONG_TEXT || replied.trim().split('\n').length > LONG_LINES) {
    words.classList.add('clamped');
    const toggle = button('Show full reply', () => {
      const isClamped = words.classList.toggle('clamped');
      toggle.textContent = isClamped ? 'Show full reply' : 'Show less';
      toggle.setAttribute('aria-expanded', String(!isClamped));
    }, 'reply-toggle');
    toggle.setAttribute('aria-expanded', 'false');
    block.append(toggle);
  }
  return block;
}
