import { readView, takeKey, writeView } from './js/address.js';
import { ApiError, getLogs, getSummary } from './js/api.js';
import { clearChart, drawChart } from './js/chart.js';
import { byId } from './js/dom.js';
import { awaitFigures, showFigures } from './js/figures.js';
import { showLogs, zone } from './js/logs.js';
import { EXAMPLE, failure, nothingInThisHalf, nothingYet, welcome } from './js/notices.js';
import { openPicture } from './js/picture.js';
import { couldBeKey, currentKey, hintOf, signIn, signOut } from './js/session.js';
import { slicesOf } from './js/signals.js';

const LOG_LIMIT = 25;
const REFUSED = 'This key was not accepted. It may be mistyped, expired or revoked.';
const NO_KEY = 'That does not look like a key.';
const FIELD_OF_API = { agent_id: 'agent', user_id: 'user' };

/** The request under way or last made; a newer one aborts it. */
let request = new AbortController();
/** The view on the page, to tell a refresh from a change. */
let shown = null;

function start() {
  const key = takeKey();
  if (key) signIn(key);
  if (!couldBeKey(currentKey())) return askForKey(currentKey() && NO_KEY);
  openDashboard();
}

function askForKey(problem = '') {
  forgetData();
  signOut();
  toggleAccount(false);
  byId('key-problem').textContent = problem;
  byId('key').setAttribute('aria-invalid', String(Boolean(problem)));
  byId('key').focus();
}

function openDashboard() {
  byId('key-hint').textContent = hintOf(currentKey());
  byId('key').value = '';
  toggleAccount(true);
  openView(readView());
}

function toggleAccount(signedIn) {
  byId('sign-in').hidden = signedIn;
  for (const id of ['view-form', 'account', 'dashboard']) byId(id).hidden = !signedIn;
}

function openView(view) {
  byId('agent').value = view.agent;
  byId('user').value = view.user;
  if (view.agent && view.user) return load(view);
  forgetData();
  showNotice(welcome(() => goTo(EXAMPLE)));
  byId(view.agent ? 'user' : 'agent').focus();
}

function goTo(view) {
  writeView(view);
  openView(view);
}

async function load(view) {
  const key = currentKey();
  showLoading(view);
  request.abort();
  request = new AbortController();
  const { signal } = request;
  const [summary, logs] = await Promise.all([
    fetchHalf(getSummary(key, view, signal), showSummary, signal),
    fetchHalf(getLogs(key, view, LOG_LIMIT, signal), showRecent, signal),
  ]);
  if (!signal.aborted) conclude(view, summary, logs);
}

/** Shows what a request brings at once; what an error or nothing means is for both halves together to say. */
async function fetchHalf(answer, show, signal) {
  try {
    const data = await answer;
    const empty = Object.keys(data).length === 0;
    if (!signal.aborted && !empty) show(data);
    return { empty };
  } catch (error) {
    if (!(error instanceof ApiError) && !signal.aborted) throw error;
    return { error };
  }
}

function conclude(view, summary, logs) {
  const errors = [summary.error, logs.error].filter(Boolean);
  if (errors.some(({ kind }) => kind === 'unauthorized')) return askForKey(REFUSED);
  const again = () => load(view);
  const ways = { retry: again, useAnotherKey: () => askForKey() };
  setBusy(false);
  markFields(errors.flatMap(({ problems }) => problems));
  if (summary.empty && logs.empty) return showNotice(nothingYet(view, again), 'Nothing recorded yet');
  if (errors.length === 2 && summary.error.kind === logs.error.kind) {
    return showNotice(failure(summary.error, view, ways), 'Could not load');
  }
  for (const [panel, { empty, error }] of [['summary', summary], ['logs', logs]]) {
    if (error) showInPanel(panel, failure(error, view, ways));
    if (empty) showInPanel(panel, nothingInThisHalf());
  }
  byId('headline').hidden = panelState('summary') !== 'ready';
  byId('picture-open').hidden = panelState('summary') !== 'ready';
  announceLoaded(errors.length);
}

function announceLoaded(failed) {
  const time = new Date().toLocaleTimeString();
  byId('updated').textContent = `Updated ${time}`;
  byId('announcement').textContent = failed ? 'Loaded in part' : 'Loaded';
}

function showLoading(view) {
  const refresh = shown !== null && shown.agent === view.agent && shown.user === view.user && !byId('halves').hidden;
  if (!refresh) {
    forgetData();
    awaitFigures();
  }
  shown = view;
  document.title = `${view.user} with ${view.agent} · Signals`;
  for (const name of ['user', 'agent']) {
    byId(`who-${name}`).textContent = view[name];
    byId(`who-${name}`).title = view[name];
  }
  byId('announcement').textContent = 'Loading';
  byId('notice').hidden = true;
  byId('heading').hidden = false;
  byId('halves').hidden = false;
  for (const panel of ['summary', 'logs']) if (panelState(panel) !== 'ready') setPanel(panel, 'loading');
  markFields([]);
  setBusy(true);
}

function showSummary(summary) {
  showFigures(summary);
  byId('headline').hidden = false;
  setPanel('summary', 'ready');
  byId('picture-open').hidden = false;
  drawChart(byId('chart'), slicesOf(summary)).then((drawn) => {
    // Without the chart its numbers are what there is to see.
    if (!drawn) byId('numbers').open = true;
  });
}

function showRecent(entries) {
  showLogs(entries);
  byId('logs-scope').textContent = `The newest ${entries.length}, times in ${zone}`;
  setPanel('logs', 'ready');
}

function showNotice(content, announcement = '') {
  forgetHalves();
  byId('notice').replaceChildren(...content);
  byId('notice').hidden = false;
  byId('announcement').textContent = announcement;
}

function showInPanel(panel, content) {
  byId(panel).querySelector('.message').replaceChildren(...content);
  setPanel(panel, 'message');
}

const panelState = (panel) => byId(panel).dataset.state;
const setPanel = (panel, state) => { byId(panel).dataset.state = state; };

function setBusy(busy) {
  byId('halves').setAttribute('aria-busy', String(busy));
  byId('refresh').classList.toggle('busy', busy);
}

/** Ends what is under way and takes everything about a user off the page. */
function forgetData() {
  request.abort();
  shown = null;
  document.title = 'Signals';
  byId('heading').hidden = true;
  byId('notice').hidden = true;
  byId('updated').textContent = '';
  byId('picture').close();
  setBusy(false);
  markFields([]);
  forgetHalves();
}

function forgetHalves() {
  clearChart();
  byId('halves').hidden = true;
  byId('picture-open').hidden = true;
  for (const id of ['headline', 'numbers-rows', 'log-rows']) byId(id).replaceChildren();
  for (const id of ['summary-scope', 'logs-scope']) byId(id).textContent = '';
  for (const panel of ['summary', 'logs']) setPanel(panel, 'loading');
}

function markFields(problems) {
  for (const [name, id] of Object.entries(FIELD_OF_API)) {
    const message = problems.find(({ field }) => field === name)?.message ?? '';
    byId(id).setAttribute('aria-invalid', String(Boolean(message)));
    byId(`${id}-problem`).textContent = message;
    byId(`${id}-problem`).hidden = !message;
  }
}

byId('view-form').addEventListener('submit', (event) => {
  event.preventDefault();
  goTo({ agent: byId('agent').value, user: byId('user').value });
});

byId('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = byId('key').value.trim();
  if (!couldBeKey(key)) return askForKey(NO_KEY);
  signIn(key);
  openDashboard();
});

byId('sign-out').addEventListener('click', () => askForKey());
byId('refresh').addEventListener('click', () => load(shown));
byId('picture-open').addEventListener('click', () => openPicture(currentKey(), shown));
// Back, forward, and a link pasted into this tab.
addEventListener('hashchange', start);

start();
