// Feedback on an interaction, with one click: the signal that it should have.
import { ApiError } from './api.js';
import { sendFeedback } from './data.js';
import { announce, decoration, el, name } from './dom.js';
import { clockOf } from './format.js';
import { FIXED_ORDER, UNCLASSIFIED, emojiOf, signalOf, toneOf } from './signals.js';

const REASONS = {
  unauthorized: 'Feedback was not saved: this key is no longer accepted.',
  forbidden: 'Feedback was not saved: this key needs the scope logs:write.',
  missing: 'Feedback was not saved: this interaction no longer exists.',
};
/** Functions that show the feedback of an entry, in the list and in the side panel. */
const views = new WeakMap();
const viewsOf = (entry) => {
  if (!views.has(entry)) views.set(entry, []);
  return views.get(entry);
};
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/**
 * Returns the buttons for an entry's signal, and the element that shows the given signal. Choosing the given signal again
 * withdraws it.
 * @param {object} entry its field `feedback` follows what is given
 * @param {{words?: boolean}} [look] whether the buttons have words
 */
export function feedbackOn(entry, { words = false } = {}) {
  const own = [signalOf(entry), entry.feedback].filter((signal) => signal && signal !== UNCLASSIFIED);
  const choices = [...new Set([...FIXED_ORDER, ...own])].map((signal) => el('button', {
    type: 'button', 'data-tone': toneOf(signal), 'data-signal': signal, title: `Should be ${signal}`, 'aria-label': `Should be ${signal}`,
  }, decoration(emojiOf(signal)), words && signal));
  const bar = el('div', { class: 'feedback', role: 'toolbar', 'aria-label': `Feedback on the entry at ${clockOf(entry.timestamp)}` }, ...choices);
  const status = el('div', { class: 'given' });
  let sending = null;

  function show(problem) {
    for (const choice of choices) choice.setAttribute('aria-pressed', String(choice.dataset.signal === entry.feedback));
    status.replaceChildren(
      ...(entry.feedback ? [el('p', {}, 'Should be ', decoration(emojiOf(entry.feedback)), name(entry.feedback))] : []),
      ...(problem ? [el('p', { class: 'problem', role: 'alert' }, problem)] : []));
  }

  async function give(signal) {
    if (sending) return;
    sending = new AbortController();
    try {
      const { feedback } = await sendFeedback(entry, signal, sending.signal);
      if (feedback) entry.feedback = feedback.signal;
      else delete entry.feedback;
      viewsOf(entry).forEach((update) => update());
      announce(feedback ? `Feedback saved: ${feedback.signal}` : 'Feedback withdrawn');
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      show(REASONS[error.kind] ?? `Feedback was not saved. ${error.message}`);
    } finally {
      sending = null;
    }
  }

  // One stop of the tab key for all buttons. Arrow keys move between them.
  const reach = (choice) => choices.forEach((one) => { one.tabIndex = one === choice ? 0 : -1; });
  bar.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const next = choices.at((choices.indexOf(event.target) + step) % choices.length);
    reach(next);
    next.focus();
  });
  bar.addEventListener('click', ({ target }) => {
    const choice = target.closest('button');
    if (!choice) return;
    reach(choice);
    give(choice.dataset.signal === entry.feedback ? null : choice.dataset.signal);
  });
  reach(choices[0]);
  show();
  viewsOf(entry).push(show);
  return { bar, status };
}
