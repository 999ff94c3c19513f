// The side panel with one interaction: both sides, its fields with labels, feedback and a link.
import { announce, button, byId, chip, copyButton, el, name } from './dom.js';
import { feedbackOn } from './feedback.js';
import { ago, clockOf, dayOf, timeTag, utc } from './format.js';
import { failure } from './notices.js';
import { UNCLASSIFIED, signalOf } from './signals.js';
import { why } from './threads.js';

const content = byId('entry-content');
/** Fields that are shown elsewhere, or are of no use to a reader. */
const HIDDEN = ['user_input', 'agent_output', 'detected_signal', 'classification', 'session_id', 'escalation_flag', 'response_type',
  'coherence_score_impact', 'metadata', 'log_id', 'timestamp', 'agent_id', 'user_id', 'feedback', 'v'];

let actions = {};
let current = '';

/** @param {{close: () => void, showSession: (session: string) => void}} given */
export function start(given) {
  actions = given;
  byId('entry-close').addEventListener('click', actions.close);
  byId('entry-link').addEventListener('click', async () => {
    await navigator.clipboard?.writeText(location.href);
    byId('entry-link').textContent = 'Copied';
    announce('Link copied');
  });
  byId('entry-link').hidden = !navigator.clipboard;
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && isOpen() && !document.querySelector('dialog[open]')) actions.close();
  });
}

export const isOpen = () => !byId('entry').hidden;

/** Opens the panel before its entry is there. @param {string} id */
export function openPanel(id) {
  current = id;
  byId('entry').hidden = false;
  byId('entry-link').textContent = 'Copy link';
  content.replaceChildren(el('div', { class: 'skeleton lines tall', 'aria-hidden': 'true' }, el('i'), el('i'), el('i')));
  byId('entry-title').focus({ preventScroll: true });
}

/** Shows an entry. @param {object} entry */
export function showEntry(entry) {
  if (entry.log_id !== current) return;
  const { bar, status } = feedbackOn(entry, { words: true });
  content.replaceChildren(
    text('User message', entry.user_input),
    ...(entry.agent_output ? [text('Agent reply', entry.agent_output)] : []),
    el('section', {}, el('header', {}, el('h3', {}, 'The signal should be')), bar, status),
    el('section', {}, el('header', {}, el('h3', {}, 'Details')), fields(entry)));
  content.scrollTop = 0;
}

/** Shows why the entry is not there. */
export const showProblem = (error, ways) => content.replaceChildren(el('div', { class: 'message' }, ...(error.kind === 'missing'
  ? [el('h3', {}, 'This interaction does not exist'), el('p', {}, 'It may have been erased, or the link may be incomplete.')]
  : failure(error, 'logs:read', ways))));

/** Closes the panel. */
export function closePanel() {
  byId('entry').hidden = true;
  current = '';
  content.replaceChildren();
}

function text(title, words) {
  return el('section', {}, el('header', {}, el('h3', {}, title), copyButton(words)), el('p', { class: 'full', dir: 'auto' }, words));
}

function fields(entry) {
  const { timestamp, session_id: session, response_type: type, coherence_score_impact: impact, metadata, classification, log_id: id } = entry;
  const rows = [
    ['Signal', chip(signalOf(entry))],
    ['Decided by', decidedBy(entry)],
    ['Score', typeof classification?.score === 'number' && String(Math.round(classification.score * 100) / 100)],
    ['Language', classification?.language],
    ['Time', timeTag(timestamp, `${dayOf(timestamp)}, ${clockOf(timestamp)} (${ago(timestamp)})`)],
    ['Time in UTC', utc(timestamp)],
    ['Agent', name(entry.agent_id)],
    ['User', name(entry.user_id)],
    ['Session', session && el('span', {}, name(session), ' ', button('Show session', () => actions.showSession(session), 'quiet'))],
    ['Escalated', entry.escalation_flag ? 'Yes' : 'No'],
    ['Response type', type && name(type)],
    ['Coherence', typeof impact === 'number' && String(impact)],
    ...Object.entries(metadata ?? {}).map(([key, value]) => [name(key), name(String(value))]),
    ...Object.entries(entry).filter(([key, value]) => !HIDDEN.includes(key) && value !== null && typeof value !== 'object')
      .map(([key, value]) => [name(key), name(String(value))]),
    ['ID', el('code', {}, id)],
  ];
  return el('dl', {}, ...rows.filter(([, value]) => value).flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, value)]));
}

function decidedBy(entry) {
  if (!entry.classification) return entry.classification === null && 'The caller';
  if (signalOf(entry) === UNCLASSIFIED) return 'Language not supported';
  const reasons = why(entry);
  return reasons ? el('span', {}, ...reasons.querySelectorAll('bdi')) : 'The classifier';
}
