// Quick search: a dialog that finds agents and users by the beginning of their names.
import { fetchNames } from './data.js';
import { byId, el, name } from './dom.js';
import { count } from './format.js';
import { knownAgents } from './navigation.js';
import { linkFrom } from './view.js';

const PAUSE_MS = 120;
const MOST_AGENTS = 6;
const MOST_USERS = 8;
// Without a current agent, the users of the first agents are searched.
const SEARCHED_AGENTS = 4;

const dialog = byId('search');
const field = byId('search-text');
const results = byId('search-results');
let view = () => ({});
let chosen = 0;
let timer;
let work = new AbortController();

/** @param {() => import('./view.js').View} current */
export function start(current) {
  view = current;
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  byId('search-keys').textContent = isMac ? '⌘K' : 'Ctrl K';
  byId('search-open').addEventListener('click', open);
  document.addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() !== 'k' || !(event.metaKey || event.ctrlKey) || document.documentElement.dataset.session !== 'in') return;
    event.preventDefault();
    if (dialog.open) dialog.close();
    else open();
  });
  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  field.addEventListener('keydown', move);
  results.addEventListener('click', ({ target }) => follow(target.closest('[role=option]')));
  dialog.addEventListener('click', ({ target }) => { if (target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => {
    clearTimeout(timer);
    work.abort();
  });
}

function open() {
  if (document.querySelector('dialog[open]')) return;
  field.value = '';
  results.replaceChildren();
  dialog.showModal();
  look();
}

function move(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === 'Enter') {
    event.preventDefault();
    follow(results.children[chosen]);
  }
  if (!step || results.children.length === 0) return;
  event.preventDefault();
  select((chosen + step + results.children.length) % results.children.length);
}

function select(index) {
  chosen = index;
  [...results.children].forEach((option, at) => option.setAttribute('aria-selected', String(at === index)));
  const option = results.children[index];
  option?.scrollIntoView({ block: 'nearest' });
  if (option) field.setAttribute('aria-activedescendant', option.id);
  else field.removeAttribute('aria-activedescendant');
}

function follow(option) {
  if (!option) return;
  dialog.close();
  location.hash = option.dataset.to;
}

/** Searches for what is typed. */
async function look() {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  const prefix = field.value.trim();
  const { agent } = view();
  const where = agent ? [agent] : knownAgents().slice(0, SEARCHED_AGENTS);
  const none = { body: [], next: '' };
  const find = (of, limit) => fetchNames(of, prefix, signal, limit).catch(() => null);
  const [agents, ...users] = await Promise.all([find('', MOST_AGENTS), ...(prefix || agent ? where.map((of) => find(of, MOST_USERS)) : [])]);
  if (signal.aborted) return;
  const found = [
    ...(agents ?? none).body.map((id) => ({ agent: id })),
    ...users.flatMap((page, index) => (page ?? none).body.map((id) => ({ agent: where[index], user: id }))),
  ];
  const isKnown = (user) => found.some((one) => one.user === user);
  if (prefix && agent && !isKnown(prefix)) found.push({ agent, user: prefix, isTyped: true });
  results.replaceChildren(...found.map(option));
  const failed = [agents, ...users].includes(null);
  const more = [agents, ...users].some((page) => page?.next);
  byId('search-note').textContent = failed ? 'Some names could not be searched.'
    : found.length === 0 ? 'No agent or user begins with this.' : more ? `${count(found.length, 'result')}. Type more to narrow the search.` : '';
  select(0);
}

const option = ({ agent, user, isTyped }, index) => el('li', {
  role: 'option', id: `search-${index}`, 'aria-selected': 'false', 'data-to': linkFrom(view(), { agent, ...(user && { user }) }).slice(1),
}, isTyped ? el('span', {}, 'Go to “', name(user), '”') : name(user ?? agent), el('small', {}, user ? `User of ${agent}` : 'Agent'));
