// The list of agents, the menu of narrow screens, the page's heading, and the active filters.
import { fetchNames } from './data.js';
import { byId, el, link, name } from './dom.js';
import { moment } from './format.js';
import { linkFrom, pageOf } from './view.js';

let agents = null;

/** Starts the menu. */
export function start() {
  byId('menu').addEventListener('click', () => toggleMenu(!isOpen()));
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || !isOpen()) return;
    toggleMenu(false);
    byId('menu').focus();
  });
  document.addEventListener('click', ({ target }) => { if (isOpen() && !target.closest('.side')) toggleMenu(false); });
}

const isOpen = () => byId('menu').getAttribute('aria-expanded') === 'true';

function toggleMenu(open) {
  byId('menu').setAttribute('aria-expanded', String(open));
  byId('menu').closest('.side').classList.toggle('open', open);
}

/** Shows where the view is. @param {import('./view.js').View} view */
export function showPlace(view) {
  toggleMenu(false);
  const { agent, user } = view;
  const home = linkFrom(view, {});
  for (const element of document.querySelectorAll('[data-go=start]')) element.href = home;
  const parts = [link(home, 'Agents'), ...(agent ? [user ? link(linkFrom(view, { agent }), name(agent)) : name(agent)] : []), ...(user ? [name(user)] : [])];
  byId('who').replaceChildren(...(agent ? parts.flatMap((part, index) => (index > 0 ? [el('span', { class: 'slash' }, ' / '), part] : [part])) : ['Agents']));
  document.title = [user, agent, 'Signals'].filter(Boolean).join(' · ');
  byId('all-agents').toggleAttribute('aria-current', !agent);
  if (!agent) byId('all-agents').setAttribute('aria-current', 'page');
  document.documentElement.dataset.page = pageOf(view);
  if (agents) showAgentLinks(agents, view);
}

/** Shows the agents that the key can access. They are requested once; the start page knows the current ones. */
export async function loadAgentLinks(view) {
  if (agents || pageOf(view()) === 'start') return;
  const found = await fetchNames('', '', new AbortController().signal).catch(() => null);
  if (found && !agents) showAgentLinks(found.body, view());
}

/** Shows links to agents. @param {string[]} names @param {import('./view.js').View} view */
export function showAgentLinks(names, view) {
  agents = names;
  const shown = view.agent && !names.includes(view.agent) ? [view.agent, ...names] : names;
  const addresses = shown.map((agent) => linkFrom(view, { agent }));
  const links = [...byId('agent-links').querySelectorAll('a')];
  const isSame = links.length === shown.length && links.every((element, index) => element.getAttribute('href') === addresses[index]);
  if (!isSame) byId('agent-links').replaceChildren(...shown.map((agent, index) => el('li', {}, link(addresses[index], name(agent)))));
  byId('agent-links').querySelectorAll('a').forEach((element, index) => {
    if (shown[index] === view.agent) element.setAttribute('aria-current', view.user ? 'true' : 'page');
    else element.removeAttribute('aria-current');
  });
}

/** The names of the agents, as far as they are known. */
export const knownAgents = () => agents ?? [];

/** Forgets the agents, because another key may access others. */
export function forgetAgents() {
  agents = null;
  byId('agent-links').replaceChildren();
}

/**
 * Shows the chosen period, and the filters of messages. Each has a button that removes it.
 * @param {import('./view.js').View} view @param {(change: object) => void} go
 */
export function showChips(view, go) {
  const time = (text) => moment(Date.parse(text));
  chipsIn('chips', view.from && view.agent ? [[`${time(view.from)} – ${time(view.to)}`, { from: '', to: '' }]] : [], go);
  chipsIn('message-chips', [
    ...(view.signal ? [[`Signal: ${view.signal}`, { signal: '' }]] : []),
    ...(view.session ? [[`Session: ${view.session}`, { session: '' }]] : []),
    ...(view.text ? [[`Contains: ${view.text}`, { text: '' }]] : []),
  ], go);
}

function chipsIn(id, chips, go) {
  byId(id).hidden = chips.length === 0;
  byId(id).replaceChildren(...chips.map(([text, change]) => {
    const remove = el('button', { type: 'button', title: 'Remove this filter', 'aria-label': `Remove filter ${text}` }, el('span', { dir: 'auto' }, text));
    remove.addEventListener('click', () => {
      go(change);
      byId(id === 'chips' ? 'content' : 'recent').focus({ preventScroll: true });
    });
    return el('li', {}, remove);
  }));
}
