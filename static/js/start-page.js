// The start page: all agents that the key can access, with their counts of today.
import { fetchAgents } from './data.js';
import { button, byId, el, link, name } from './dom.js';
import { minuteOf, number, timeTag } from './format.js';
import { gridRow, showHead, showRows } from './grid.js';
import { showToday } from './headline.js';
import * as loader from './loader.js';
import { shareCell } from './mix.js';
import { showAgentLinks } from './navigation.js';
import { nothingYet } from './notices.js';
import { classifiedIn, countOf, totalOf } from './signals.js';
import { linkFrom } from './view.js';

const stress = ({ counts }) => (classifiedIn(counts) > 0 ? countOf(counts, 'stressed') / classifiedIn(counts) : -1);
const COLUMNS = [
  { text: 'Agent', sort: 'name', ascending: true },
  { text: 'Messages', sort: 'messages', look: 'count' },
  { text: 'Signals · stressed', sort: 'stress', look: 'bar' },
  { text: 'Stressed users this hour', sort: 'users', look: 'count phone-off' },
  { text: 'Last message', sort: 'last', look: 'optional' },
];
const ORDERS = {
  name: (a, b) => (a.agent_id < b.agent_id ? -1 : 1),
  messages: (a, b) => totalOf(b.counts) - totalOf(a.counts),
  stress: (a, b) => stress(b) - stress(a),
  users: (a, b) => b.stressed_users - a.stressed_users,
  last: (a, b) => (b.newest_hour ?? '').localeCompare(a.newest_hour ?? ''),
};

/** @param {{view: () => import('./view.js').View, retry: () => void}} context @returns {import('./loader.js').Page} */
export function startPage({ view, retry }) {
  let agents = [];
  let next = '';
  let order = 'stress';

  function show() {
    showToday(agents);
    showAgentLinks(agents.map(({ agent_id: id }) => id), view());
    showHead('agent-head', COLUMNS, order, (chosen) => {
      order = chosen;
      show();
    });
    showRows('agent-rows', agents.toSorted((a, b) => ORDERS[order](a, b) || ORDERS.name(a, b)).map((agent) => row(agent, view())));
    byId('more-agents').replaceChildren(...(next ? [`The first ${number(agents.length)} agents by name`, button('Load more', more)] : []));
  }

  function showFirst(page) {
    const first = new Set(page.body.map(({ agent_id: id }) => id));
    const others = next !== page.next ? agents.slice(100).filter(({ agent_id: id }) => !first.has(id)) : [];
    agents = [...page.body, ...others];
    if (others.length === 0) next = page.next;
    show();
  }

  async function more() {
    byId('more-agents').replaceChildren('Loading…');
    const signal = loader.jobFor('more');
    const page = await fetchAgents(signal, next).catch(() => null);
    if (signal.aborted) return;
    if (page) {
      agents.push(...page.body);
      next = page.next;
    }
    show();
  }

  return {
    parts: { agents: { panels: ['figures', 'agents'], fetch: fetchAgents, show: showFirst } },
    refresh: async (signal) => showFirst(await fetchAgents(signal)),
    showEmpty() {
      byId('panels').hidden = agents.length === 0;
      if (agents.length === 0) loader.showNotice(nothingYet(view(), retry), 'Nothing recorded yet');
      else byId('notice').hidden = true;
      return agents.length === 0;
    },
  };
}

function row({ agent_id: id, counts, users, stressed_users: stressed, newest_hour: hour }, view) {
  const total = totalOf(counts);
  return gridRow(link(linkFrom(view, { agent: id }), name(id)),
    ['count', number(total)],
    ['bar', total > 0 ? shareCell(counts) : el('span', { class: 'small' }, 'No messages today')],
    ['count phone-off', users > 0 ? `${number(stressed)} of ${number(users)}` : '–'],
    ['optional', hour ? timeTag(hour, `${minuteOf(hour)} – ${minuteOf(Date.parse(hour) + 3_600_000)}`) : '–']);
}
