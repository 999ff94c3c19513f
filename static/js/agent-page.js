// The page of an agent: counts over all its users, their newest stressed messages, and the users.
import { fetchAgentCounts, fetchNewAgentCounts, fetchStressed, fetchUsers } from './data.js';
import { button, byId, chip, el, link, name } from './dom.js';
import { ago, dayOf, minuteOf, number, timeTag } from './format.js';
import { gridRow, showHead, showRows } from './grid.js';
import { hideFigure, showFigures, showStressedUsers } from './headline.js';
import * as loader from './loader.js';
import { shareCell, sparkline } from './mix.js';
import { allCalm, nothingInRange, nothingMatches, nothingYet } from './notices.js';
import { showOverTime } from './over-time.js';
import { sayEmpty, setPanel } from './panels.js';
import { FIXED_ORDER, countOf, toneOf, totalOf } from './signals.js';
import { isCurrent, limitsOf, linkFrom, rangeInWords } from './view.js';

const HOUR = 3_600_000;
const MOST_STRESSED = 50;
const COLUMNS = [
  { text: 'User', sort: 'name', ascending: true },
  { text: 'Last message', sort: 'recent', look: 'last' },
  { text: 'Last stressed', sort: 'stressed', look: 'optional' },
  { text: 'Signals · stressed', look: 'bar' },
  { text: 'Stressed', look: 'count phone-off' },
  { text: 'Messages', look: 'count phone-off' },
  { text: 'By day', look: 'optional' },
];

/** @param {{view: () => import('./view.js').View, go: (change: object) => void, retry: () => void}} context @returns {import('./loader.js').Page} */
export function agentPage({ view, go, retry }) {
  let counts = null;
  let stressed = [];
  let olderStressed = '';
  /** Null until they are loaded. */
  let users = null;
  let nextUsers = '';

  function showCounts(found) {
    counts = found;
    setPanel('figures', 'ready');
    showFigures(counts, view());
    byId('figure-users').closest('dl').hidden = !counts.now.buckets.some((bucket) => 'users' in bucket) || Boolean(view().from);
    showStressedUsers(counts.now.buckets);
    setPanel('trend', 'ready');
    if (totalOf(counts.now.counts) > 0) return showOverTime(counts.now, view(), go);
    const widen = view().range !== '30d' || view().from;
    sayEmpty('trend', nothingInRange(rangeInWords(view()), widen && (() => go({ range: '30d', from: '', to: '' })), 'Show 30 days'));
  }

  function showStressed() {
    setPanel('stressed', 'ready');
    showRows('stressed-rows', stressed.map((entry) => quote(entry, view())));
    byId('more-stressed').replaceChildren(...(olderStressed ? [button('Load more', moreStressed)] : []));
    if (stressed.length === 0 && !olderStressed) sayEmpty('stressed', allCalm(`No stressed messages in ${rangeInWords(view())}`));
  }

  async function moreStressed() {
    const signal = loader.jobFor('more');
    const page = await fetchStressed(view(), signal, { next: olderStressed }).catch(() => null);
    if (signal.aborted || !page) return;
    stressed.push(...page.body);
    olderStressed = page.next;
    showStressed();
  }

  function showUsers() {
    setPanel('users', 'ready');
    const { sort, signal } = view();
    showHead('user-head', COLUMNS, sort, (chosen) => go({ sort: chosen }));
    showToggles();
    const { since } = limitsOf(view());
    byId('users-scope').textContent = `Counts since ${dayOf(since)}, ${minuteOf(Math.floor(since / HOUR) * HOUR)}`;
    showRows('user-rows', users.map((user) => userRow(user, view(), since)));
    byId('more-users').replaceChildren(...(nextUsers ? [button('Load more', moreUsers)] : []));
    if (users.length > 0) return;
    const title = signal ? `No user’s last message is ${signal}` : sort === 'stressed' ? 'No user has been stressed' : 'No users yet';
    if (!nextUsers) sayEmpty('users', nothingMatches(title));
  }

  function showToggles() {
    const { signal } = view();
    const signals = [...new Set(['', ...FIXED_ORDER, signal])];
    // Existing buttons stay, so that they keep the focus.
    if ([...byId('user-signals').children].map(({ textContent }) => textContent).join('\n') !== signals.map((one) => one || 'All').join('\n')) {
      byId('user-signals').replaceChildren(...signals.map((one) => {
        const toggle = el('button', { type: 'button', 'data-tone': one !== '' && toneOf(one) }, one || 'All');
        toggle.addEventListener('click', () => go({ signal: one }));
        return toggle;
      }));
    }
    [...byId('user-signals').children].forEach((toggle, index) => toggle.setAttribute('aria-pressed', String(signals[index] === signal)));
  }

  async function moreUsers() {
    byId('more-users').replaceChildren('Loading…');
    const signal = loader.jobFor('more');
    const page = await fetchUsers(view(), signal, { next: nextUsers }).catch(() => null);
    if (signal.aborted) return;
    if (page) {
      const shown = new Set(users.map(({ user_id: id }) => id));
      users.push(...page.body.filter(({ user_id: id }) => !shown.has(id)));
      nextUsers = page.next;
    }
    showUsers();
  }

  /** Requests the counts, then the users if the counts have changed, then messages if some are stressed. */
  async function refresh(signal, isShown) {
    if (!isCurrent(view()) || !isShown('counts')) return;
    const before = counts;
    const found = await fetchNewAgentCounts(view(), counts, signal);
    showCounts(found);
    const of = (summary) => JSON.stringify(Object.entries(summary.now.counts).sort());
    if (of(found) === of(before)) return;
    const isStressed = countOf(found.now.counts, 'stressed') !== countOf(before.now.counts, 'stressed');
    const [page, fresh] = await Promise.all([
      isShown('users') && fetchUsers(view(), signal, { once: true }),
      isStressed && isShown('stressed') && fetchStressed(view(), signal, { since: stressed[0]?.timestamp }),
    ]);
    if (page?.body.length > 0) {
      const first = new Set(page.body.map(({ user_id: id }) => id));
      const others = users.filter(({ user_id: id }) => !first.has(id));
      const isOnePage = users.length <= page.body.length;
      users = isOnePage ? page.body : [...page.body, ...others];
      if (isOnePage) nextUsers = page.next;
      showUsers();
    }
    if (fresh) {
      const known = new Set(stressed.map(({ log_id: id }) => id));
      stressed = [...fresh.body.filter(({ log_id: id }) => !known.has(id)), ...stressed].slice(0, MOST_STRESSED);
      showStressed();
    }
  }

  return {
    parts: {
      counts: { panels: ['figures', 'trend'], fetch: (signal) => fetchAgentCounts(view(), signal), show: showCounts },
      stressed: {
        panels: ['stressed'], fetch: (signal) => fetchStressed(view(), signal), show: (page) => {
          stressed = page.body;
          olderStressed = page.next;
          showStressed();
        },
      },
      users: {
        panels: ['users'], fetch: (signal) => fetchUsers(view(), signal), show: (page) => {
          users = page.body;
          nextUsers = page.next;
          showUsers();
        },
      },
    },
    refresh,
    showEmpty() {
      const { signal, sort } = view();
      const isEmpty = counts && totalOf(counts.now.counts) === 0 && users?.length === 0 && !nextUsers && !signal && sort !== 'stressed';
      byId('panels').hidden = isEmpty;
      if (!isEmpty) byId('notice').hidden = true;
      else if (byId('notice').hidden) loader.showNotice(nothingYet(view(), retry), 'Nothing recorded yet');
      return isEmpty;
    },
    fail: (panels) => panels.includes('figures') && ['interactions', 'stressed', 'positive', 'users'].forEach(hideFigure),
    affected: { bucket: ['counts'], signal: ['users'], sort: ['users'] },
  };
}

function quote({ user_id: user, log_id: id, user_input: said, timestamp }, view) {
  const time = timeTag(timestamp, ago(timestamp, true));
  return el('li', {}, link(linkFrom(view, { agent: view.agent, user, entry: id }),
    el('span', { class: 'facts' }, name(user), time), el('span', { class: 'quote', dir: 'auto' }, said)));
}

function userRow({ user_id: user, last_seen: seen, last_signal: signal, last_stressed: stressed, counts, days }, view, since) {
  const total = totalOf(counts);
  return gridRow(link(linkFrom(view, { agent: view.agent, user }), name(user)),
    ['last', timeTag(seen, ago(seen, true)), chip(signal)],
    ['optional', stressed ? timeTag(stressed, ago(stressed, true)) : '–'],
    ['bar', total > 0 ? shareCell(counts) : el('span', { class: 'small' }, 'No messages in this period')],
    ['count phone-off', number(countOf(counts, 'stressed'))],
    ['count phone-off', number(total)],
    ['optional', sparkline(days, since)]);
}
