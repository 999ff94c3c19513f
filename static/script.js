// The dashboard: which parts of the page a view has, what they request, and the controls that change the view.
import { showBars } from './js/bars.js';
import { clearCharts } from './js/charts.js';
import { COUNTED_DAYS, fetchBoard, fetchCounts, fetchEntries, fetchEpisodes, fetchEvents, fetchNames, fetchNewest, fetchPicture } from './js/data.js';
import { offer, showBoard } from './js/directory.js';
import { announce, button, byId, el, name } from './js/dom.js';
import { clockOf, moment } from './js/format.js';
import { hideFigure, showAnomalies, showFigures, showNow } from './js/headline.js';
import { failure, nothingInRange, nothingMatches, nothingYet } from './js/notices.js';
import { showOverTime } from './js/over-time.js';
import { fill, isReady, say, sayFailure, setPanel } from './js/panels.js';
import { addNewer, addOlder, clearEntries, filter, showEntries } from './js/recent.js';
import * as refresh from './js/refresh.js';
import { couldBeKey, currentKey, exchange, hintOf, signIn, signOut } from './js/session.js';
import { FIXED_ORDER, emojiOf, slicesOf, totalOf } from './js/signals.js';
import * as exportDialog from './js/export.js';
import { currentTheme } from './js/theme.js';
import { IN_WORDS, readView, takeCode, writeView } from './js/view.js';
import { showEpisodes, showStrip } from './js/watch.js';

const REFUSED = 'This key was not accepted. It may be mistyped, expired or revoked.';
const NO_KEY = 'That does not look like a key.';
const DEAD_LINK = 'This link has expired or was already used. Run make link for a new one, or enter the key from .local/api-key.';
const LONGEST_WAIT = 30;

let view = readView();
/** Running requests by part. A new request cancels the previous one. */
const jobs = {};
/** Number of consecutive failed refreshes. */
let failures = 0;
let landed = null;
let episode = null;
/** Whether the user has any logs and events. */
let known = { logs: true, events: true };

const PARTS = {
  now: { panels: ['now'], fetch: (signal) => fetchNewest(currentKey(), view, signal), show: showNewest },
  counts: { panels: ['figures', 'trend', 'mix'], fetch: (signal) => fetchCounts(currentKey(), view, signal), show: showCounts },
  recent: { panels: ['recent'], fetch: (signal) => fetchEntries(currentKey(), view, signal), show: showRecent },
  watch: { panels: ['watch'], fetch: fetchWatch, show: showWatch },
  board: { panels: ['board'], fetch: (signal) => fetchBoard(currentKey(), view, signal), show: showUsers },
  agents: { panels: ['board'], fetch: (signal) => fetchNames(currentKey(), '', '', signal), show: chooseFirst },
};
const ALL_OF_USER = ['now', 'counts', 'recent', 'watch'];

async function start() {
  const code = takeCode();
  const key = code && await exchange(code);
  if (key) signIn(key);
  else if (code && !currentKey()) return askForKey(DEAD_LINK);
  if (!couldBeKey(currentKey())) return askForKey(currentKey() && NO_KEY);
  document.documentElement.dataset.session = 'in';
  byId('key-hint').textContent = hintOf(currentKey());
  byId('key').value = '';
  open(readView());
}

function askForKey(problem = '') {
  forget();
  signOut();
  document.documentElement.dataset.session = 'out';
  byId('key-problem').textContent = problem;
  byId('key').setAttribute('aria-invalid', String(Boolean(problem)));
  byId('key').focus();
}

/** Changes the view and the URL. */
function go(change) {
  const next = { ...view, ...change };
  const another = next.agent !== view.agent || next.user !== view.user;
  writeView(next, another);
  if (another) return open(next);
  view = next;
  if ('text' in change) return filter(view.text);
  if ('refresh' in change) return refresh.setPace(view.refresh);
  load('range' in change ? parts() : [...('bucket' in change ? ['counts'] : []), ...('signal' in change ? ['recent'] : [])]);
}

/** Selects the first agent if the URL names none. */
function chooseFirst({ body: [agent] }) {
  if (!agent) return showNotice(nothingYet(view, start), 'Nothing recorded yet');
  writeView({ ...view, agent });
  queueMicrotask(() => open({ ...view, agent }));
}

/** Shows another view after clearing the page. */
function open(next) {
  forget();
  view = next;
  showControls();
  byId('export-open').hidden = !view.user;
  load();
}

const parts = () => (view.user ? ALL_OF_USER : view.agent ? ['board'] : ['agents']);

/** Fetches parts of the page and shows each when it arrives. `quiet` is for refreshes, which keep the current content. */
async function load(names = parts(), quiet = false) {
  if (!quiet) {
    announce('Loading');
    byId('notice').hidden = true;
    byId('board').hidden = Boolean(view.user);
    byId('panels').hidden = !view.user;
    names.flatMap((part) => PARTS[part].panels).forEach((panel) => setPanel(panel, 'loading'));
  }
  byId('refresh-now').classList.add('busy');
  refresh.hold();
  const outcomes = await Promise.all(names.map((part) => run(part, quiet)));
  if (outcomes.some(({ stopped }) => stopped)) return;
  byId('refresh-now').classList.remove('busy');
  conclude(outcomes, quiet);
}

async function run(part, quiet) {
  jobs[part]?.abort();
  jobs[part] = new AbortController();
  const { signal } = jobs[part];
  const { panels, fetch, show } = PARTS[part];
  const isRefresh = quiet && panels.every(isReady);
  const outcome = await fill(panels, () => fetch(signal), (data) => show(data, isRefresh), signal);
  return { ...outcome, stopped: signal.aborted };
}

/** Handles errors and empty results of all parts together. */
function conclude(outcomes, quiet) {
  const failed = outcomes.filter(({ error }) => error);
  const kinds = new Set(failed.map(({ error }) => error.kind));
  if (kinds.has('unauthorized')) return askForKey(REFUSED);
  markFields(failed.flatMap(({ error }) => error.problems));
  const all = failed.length === outcomes.length && kinds.size === 1 && outcomes.length === parts().length;
  showBanner(all && kinds.has('unavailable') ? failed[0].error : null);
  if (all && kinds.has('unavailable')) return;
  if (all) {
    for (const id of ['panels', 'board']) byId(id).hidden = true;
    return showNotice(failure(failed[0].error, 'logs:read', ways), 'Could not load');
  }
  if (view.user) showKnown(quiet);
  failed.forEach((outcome) => sayFailure(outcome, ways));
  const blank = (panel, ...figures) => failed.some(({ panels }) => panels.includes(panel)) && figures.forEach(hideFigure);
  blank('watch', 'anomalies');
  blank('figures', 'interactions', 'stressed', 'positive');
  refresh.landed();
  landed = Date.now();
  if (!quiet && byId('notice').hidden) announce(failed.length > 0 ? 'Partially loaded' : 'Loaded');
}

/** Without interactions, shows how to record one. Events are still shown. */
function showKnown(quiet) {
  byId('panels').classList.toggle('only-events', !known.logs);
  byId('panels').hidden = !known.logs && !known.events;
  if (known.logs) byId('notice').hidden = true;
  else if (!quiet || byId('notice').hidden) showNotice(nothingYet(view, ways.retry), 'Nothing recorded yet');
}

const ways = { retry: () => load(), useAnotherKey: () => askForKey() };

/** Reports that Signals is unreachable, marks the content as outdated, and retries. */
function showBanner(error) {
  byId('banner').hidden = !error;
  byId('dashboard').classList.toggle('stale', Boolean(error));
  failures = error ? failures + 1 : 0;
  if (!error) return;
  announce('Could not load');
  byId('banner-title').textContent = navigator.onLine ? 'Signals is unavailable right now.' : 'You are offline.';
  byId('banner-text').textContent = landed ? `${error.message} Showing data from ${clockOf(landed)}.` : error.message;
  for (const panel of landed ? [] : parts().flatMap((part) => PARTS[part].panels)) say(panel, []);
  refresh.failed(Math.min(LONGEST_WAIT, 5 * failures));
}

function showNotice(content, announcement = '') {
  byId('notice').replaceChildren(...content);
  byId('notice').hidden = false;
  announce(announcement);
}

function showControls() {
  for (const field of ['agent', 'user', 'bucket', 'text', 'refresh']) byId(field).value = view[field];
  for (const choice of document.querySelectorAll('[name=range]')) choice.checked = choice.value === view.range;
  refresh.setPace(view.refresh);
  offerSignals({});
  byId('who').replaceChildren(...(view.user
    ? [name(view.user), el('span', { class: 'with' }, ' with '), el('a', { href: addressOf(''), title: 'All users of this agent' }, name(view.agent))]
    : view.agent ? [el('span', { class: 'with' }, 'Users of '), name(view.agent)] : ['Signals']));
  document.title = view.user ? `${view.user} with ${view.agent} · Signals` : view.agent ? `${view.agent} · Signals` : 'Signals';
}

function offerSignals(counts) {
  const signals = new Set([...FIXED_ORDER, ...slicesOf(counts).map(({ signal }) => signal), ...(view.signal ? [view.signal] : [])]);
  byId('signal').replaceChildren(el('option', { value: '' }, 'Any signal'),
    ...[...signals].map((signal) => el('option', { value: signal, selected: signal === view.signal }, `${emojiOf(signal)} ${signal}`)));
}

function showNewest(entries) {
  known.logs = entries.length > 0;
  showNow(entries);
}

function showCounts(counts) {
  const { now } = counts;
  showFigures(counts, view.range);
  offerSignals(now.counts);
  byId('covers').hidden = now.complete;
  byId('covers').textContent = now.complete ? '' : `Covers only the newest interactions, since ${moment(now.covers_since)}. The page counts about 100,000 at most.`;
  if (totalOf(now.counts) === 0) {
    say('mix', []);
    return say('trend', nothingInRange(IN_WORDS[view.range], view.range !== 'all' && widen));
  }
  showOverTime(now, view);
  showBars(now.counts);
}

const widen = () => {
  document.querySelector('[name=range][value=all]').checked = true;
  go({ range: 'all' });
};

function showRecent(page, isRefresh) {
  if (isRefresh) return addNewer(page, loadOlder);
  showEntries(page, loadOlder);
  filter(view.text);
  if (page.entries.length > 0 || page.next) return;
  say('recent', view.signal ? nothingMatches() : nothingInRange(IN_WORDS[view.range]));
}

async function loadOlder(next) {
  byId('older').replaceChildren('Loading…');
  const { signal } = jobs.recent;
  const { error } = await fill(['recent'], () => fetchEntries(currentKey(), view, signal, { next }), (page) => addOlder(page, loadOlder), signal);
  if (error && !signal.aborted) byId('older').replaceChildren(`${error.message} `, button('Try again', () => loadOlder(next)));
}

async function fetchWatch(signal) {
  const [watch, found] = await Promise.all([
    fetchEpisodes(currentKey(), view, signal), fetchEvents(currentKey(), view, episode, signal),
  ]);
  return { watch, found };
}

function showWatch({ watch, found }) {
  known.events = watch.episodes.length > 0 || found.events.length > 0;
  showEpisodes(watch, episode, (chosen) => {
    episode = chosen;
    load(['watch'], true);
  });
  showAnomalies(watch, view.range);
  showStrip(found, watch.episodes);
}

function showUsers({ moods, more }) {
  showBoard(moods, addressOf);
  byId('more-users').replaceChildren(
    ...(more ? [`The ${moods.length} users who were stressed or active last. Type above to find others. `] : []),
    ...(view.range === 'all' ? [`Counts are of the last ${COUNTED_DAYS} days.`] : []));
  if (moods.length === 0) return showNotice(nothingYet(view, start), 'Nothing recorded yet');
  byId('notice').hidden = true;
}

const addressOf = (user) => `#${new URLSearchParams({ agent: view.agent, ...(user && { user }), range: view.range })}`;

/** Cancels requests and removes all data of a user from the page. */
function forget() {
  Object.values(jobs).forEach((job) => job.abort());
  clearCharts();
  clearEntries();
  episode = null;
  known = { logs: true, events: true };
  landed = null;
  refresh.stop();
  showBanner(null);
  markFields([]);
  byId('export').close();
  for (const id of ['notice', 'covers']) byId(id).hidden = true;
  for (const id of ['who', 'users', 'episodes', 'bars-rows', 'over-time-rows', 'strip-rows', 'strip']) byId(id).replaceChildren();
  byId('now').querySelector('.content').replaceChildren();
  document.title = 'Signals';
}

function markFields(problems) {
  for (const id of ['agent', 'user']) {
    const message = problems.find(({ field }) => field === `${id}_id`)?.message ?? '';
    byId(id).setAttribute('aria-invalid', String(Boolean(message)));
    byId(`${id}-problem`).textContent = message;
    byId(`${id}-problem`).hidden = !message;
  }
}

function chooseFromFields() {
  const [agent, user] = ['agent', 'user'].map((id) => byId(id).value.trim());
  if (agent !== view.agent) return go({ agent, user: '', signal: '', text: '' });
  if (user !== view.user) go({ user, signal: '', text: '' });
}

byId('view-form').addEventListener('change', chooseFromFields);
byId('view-form').addEventListener('submit', (event) => {
  event.preventDefault();
  chooseFromFields();
});
byId('ranges').addEventListener('change', ({ target }) => go({ range: target.value }));
for (const field of ['bucket', 'signal', 'refresh']) byId(field).addEventListener('change', ({ target }) => go({ [field]: target.value }));
byId('text').addEventListener('input', ({ target }) => go({ text: target.value }));
byId('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = byId('key').value.trim();
  if (!couldBeKey(key)) return askForKey(NO_KEY);
  signIn(key);
  start();
});
byId('sign-out').addEventListener('click', () => askForKey());
byId('retry').addEventListener('click', () => load(parts(), true));
// Keeps the fragment, which contains the view.
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('content').focus();
});
// Back, forward, a user on the board, or a link pasted into this tab.
addEventListener('hashchange', start);

for (const field of ['agent', 'user']) {
  offer(field, (prefix) => fetchNames(currentKey(), field === 'user' ? byId('agent').value.trim() || view.agent : '', prefix, new AbortController().signal));
}
exportDialog.start(() => ({
  view,
  theme: currentTheme(),
  page: (next, signal) => fetchEntries(currentKey(), view, signal, { next, full: true }),
  picture: (look, signal) => fetchPicture(currentKey(), view, look, signal),
}));
refresh.start(() => load(parts(), true));
start();
