// The dashboard: signing in, the page that the URL names, and the controls that change the view.
import { agentPage } from './js/agent-page.js';
import { clearCharts } from './js/charts.js';
import { fetchEntries, fetchPicture } from './js/data.js';
import { byId } from './js/dom.js';
import * as entryPanel from './js/entry-panel.js';
import * as exportDialog from './js/export.js';
import * as loader from './js/loader.js';
import * as navigation from './js/navigation.js';
import * as refresh from './js/refresh.js';
import * as search from './js/search.js';
import { couldBeKey, currentKey, exchange, hintOf, signIn, signOut } from './js/session.js';
import { startPage } from './js/start-page.js';
import { currentTheme } from './js/theme.js';
import * as threads from './js/threads.js';
import { offerSignals, userPage } from './js/user-page.js';
import { pageOf, readView, takeCode, writeView } from './js/view.js';

const REFUSED = 'This key was not accepted. It may be mistyped, expired or revoked.';
const NO_KEY = 'That does not look like a key.';
const DEAD_LINK = 'This link has expired or was already used. Run make link for a new one, or enter the key from .local/api-key.';
const PAGES = { start: startPage, agent: agentPage, user: userPage };
const SEARCH_PAUSE_MS = 300;
/** Elements whose content is data. */
const DATA = ['who', 'chips', 'message-chips', 'agent-rows', 'user-rows', 'stressed-rows', 'user-signals', 'episodes', 'mix-bar', 'mix-rows',
  'over-time-rows', 'strip-rows', 'strip', 'search-results'];

let view = readView();
/** @type {import('./js/loader.js').Page | null} null while no page is shown */
let page = null;

const ways = { retry: () => loader.load(), useAnotherKey: (isRefused) => askForKey(isRefused ? REFUSED : '') };
const context = { view: () => view, go, ways, retry: ways.retry };

async function start() {
  const code = takeCode();
  const key = code && await exchange(code);
  if (key) signIn(key);
  else if (code && !currentKey()) return askForKey(DEAD_LINK);
  if (!couldBeKey(currentKey())) return askForKey(currentKey() && NO_KEY);
  document.documentElement.dataset.session = 'in';
  byId('key-hint').textContent = hintOf(currentKey());
  byId('key').value = '';
  show(readView(), Boolean(key));
}

function askForKey(problem = '') {
  forget();
  navigation.forgetAgents();
  signOut();
  document.documentElement.dataset.session = 'out';
  byId('key-problem').textContent = problem;
  byId('key').setAttribute('aria-invalid', String(Boolean(problem)));
  byId('key').focus();
}

/** Changes the view and the URL. */
function go(change) {
  const next = { ...view, ...change };
  writeView(next, ['from', 'to', 'entry', 'session'].some((field) => next[field] !== view[field]));
  show(next);
}

/** Shows a view, and loads the parts that it changes. */
function show(next, anew = false) {
  const changed = Object.keys(next).filter((field) => next[field] !== view[field]);
  const isOther = anew || !page || ['agent', 'user'].some((field) => changed.includes(field));
  if (isOther) forget();
  view = next;
  showControls();
  if (isOther) {
    page = PAGES[pageOf(view)](context);
    loader.show(page);
    navigation.loadAgentLinks(() => view);
    scrollTo(0, 0);
  } else {
    const fields = changed.filter((field) => !['entry', 'refresh'].includes(field));
    const isRange = fields.some((field) => ['range', 'from', 'to'].includes(field));
    const parts = isRange ? Object.keys(page.parts) : [...new Set(fields.flatMap((field) => page.affected?.[field] ?? []))];
    if (isRange) loader.load(parts);
    else if (parts.length > 0) loader.reload(parts);
  }
  if (isOther || changed.includes('entry')) page.showEntry?.();
}

function showControls() {
  const name = pageOf(view);
  navigation.showPlace(view);
  navigation.showChips(view, go);
  for (const field of ['bucket', 'refresh']) byId(field).value = view[field];
  // Not while the user types.
  if (document.activeElement !== byId('text')) byId('text').value = view.text;
  for (const choice of document.querySelectorAll('[name=range]')) choice.checked = choice.value === view.range && !view.from;
  byId('ranges').hidden = name === 'start';
  byId('range-all').hidden = name === 'agent';
  byId('export-open').hidden = name !== 'user';
  if (name === 'user') offerSignals(view, {});
  refresh.setPace(view.refresh);
}

/** Cancels requests and removes all data from the page. */
function forget() {
  page = null;
  loader.stop();
  clearCharts();
  threads.clearEntries();
  entryPanel.closePanel();
  byId('export').close();
  byId('search').close();
  byId('panels').classList.remove('only-events');
  for (const id of ['notice', 'covers', 'chips']) byId(id).hidden = true;
  for (const id of DATA) byId(id).replaceChildren();
  byId('now').querySelector('.content').replaceChildren();
  document.title = 'Signals';
}

byId('ranges').addEventListener('change', ({ target }) => go({ range: target.value, from: '', to: '' }));
for (const field of ['bucket', 'signal', 'refresh']) byId(field).addEventListener('change', ({ target }) => go({ [field]: target.value }));
let typing;
byId('text').addEventListener('input', ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ text: target.value.trim() }), SEARCH_PAUSE_MS);
});
byId('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = byId('key').value.trim();
  if (!couldBeKey(key)) return askForKey(NO_KEY);
  signIn(key);
  start();
});
byId('sign-out').addEventListener('click', () => askForKey());
byId('retry').addEventListener('click', () => loader.update());
// Keeps the fragment, which contains the view.
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('content').focus();
});
// Back, forward, a link on the page, or a link pasted into this tab.
addEventListener('hashchange', start);

loader.start(ways);
navigation.start();
search.start(() => view);
const showSession = (session) => go({ session, entry: '', text: '', signal: '' });
threads.start({ open: ({ log_id: id }) => go({ entry: id }), showSession });
entryPanel.start({ close: () => go({ entry: '' }), showSession });
exportDialog.start(() => ({
  view,
  theme: currentTheme(),
  page: (next, signal) => fetchEntries(view, signal, { next, full: true }),
  picture: (look, signal) => fetchPicture(view, look, signal),
}));
refresh.start(() => loader.update());
start();
