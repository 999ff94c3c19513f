// The page of a user with an agent: figures, signals over time, messages, and events.
import { fetchCounts, fetchEntries, fetchEntry, fetchEpisodes, fetchEvents, fetchNewEvents, fetchNewest, fetchSince, countIn } from './data.js';
import { ApiError } from './api.js';
import { button, byId, el } from './dom.js';
import * as panel from './entry-panel.js';
import { moment } from './format.js';
import { hideFigure, showAnomalies, showFigures, showNow } from './headline.js';
import * as loader from './loader.js';
import { showMix } from './mix.js';
import { nothingInRange, nothingMatches, nothingYet } from './notices.js';
import { showOverTime } from './over-time.js';
import { sayEmpty, setPanel } from './panels.js';
import { mentions } from './reply.js';
import { FIXED_ORDER, signalOf, slicesOf, totalOf } from './signals.js';
import * as threads from './threads.js';
import { isCurrent, rangeInWords } from './view.js';
import { showEpisodes, showStrip } from './watch.js';

const KEPT_NEWEST = 10;

/**
 * @param {{view: () => import('./view.js').View, go: (change: object) => void, ways: object}} context
 * @returns {import('./loader.js').Page}
 */
export function userPage({ view, go, ways }) {
  let newest = [];
  let counts = null;
  let watched = null;
  let episode = null;
  /** Whether the user has any logs and events. */
  const known = { logs: true, events: true };

  function showNewest(entries) {
    newest = entries;
    known.logs = entries.length > 0;
    showNow(entries);
  }

  function showCounts(found) {
    counts = found;
    const { now } = counts;
    setPanel('figures', 'ready');
    showFigures(counts, view());
    offerSignals(view(), now.counts);
    byId('covers').hidden = now.complete;
    byId('covers').textContent = now.complete ? '' : `Covers only the newest interactions, since ${moment(now.covers_since)}. The page counts about 100,000 at most.`;
    for (const id of ['trend', 'mix']) setPanel(id, 'ready');
    if (totalOf(now.counts) === 0) {
      sayEmpty('mix', []);
      return sayEmpty('trend', nothingInRange(rangeInWords(view()), widen(), 'Show all time'));
    }
    showOverTime(now, view(), go);
    showMix(now.counts);
  }

  const widen = () => (view().range !== 'all' || view().from) && (() => go({ range: 'all', from: '', to: '' }));
  const isFiltered = () => Boolean(view().signal || view().session || view().text);

  function showMessages(page) {
    setPanel('recent', 'ready');
    threads.showEntries(page, loadOlder, isFiltered());
    if (panel.isOpen()) threads.mark(view().entry);
    if (page.entries.length > 0) return;
    const { text, session, signal } = view();
    const title = text ? `No message contains “${text}”` : session ? `No messages of session ${session}` : `No ${signal} messages`;
    if (page.next) return byId('older').prepend(el('span', {}, `${title} so far.`));
    sayEmpty('recent', isFiltered() ? nothingMatches(`${title} in ${rangeInWords(view())}`) : nothingInRange(rangeInWords(view())));
  }

  async function loadOlder(next) {
    byId('older').replaceChildren('Loading…');
    const signal = loader.jobFor('more');
    try {
      const page = await fetchEntries(view(), signal, { next });
      if (!signal.aborted) threads.addOlder(page);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      byId('older').replaceChildren(`${error.message} `, button('Try again', () => loadOlder(next)));
    }
  }

  async function fetchWatch(signal) {
    const [now, before, found] = await Promise.all([
      fetchEpisodes(view(), signal), view().range === 'all' && !view().from ? null : fetchEpisodes(view(), signal, 2), fetchEvents(view(), episode, signal),
    ]);
    return { now, before, found };
  }

  function showWatch(next) {
    const isSame = watched && JSON.stringify([watched.now, watched.found.events]) === JSON.stringify([next.now, next.found.events]);
    watched = next;
    known.events = next.now.episodes.length > 0 || next.found.events.length > 0;
    if (isSame) return;
    showEpisodes(next.now, episode, (chosen) => {
      episode = chosen;
      watched = null;
      loader.reload(['watch']);
    });
    showAnomalies(next.now, next.before, view());
    showStrip(next.found, next.now.episodes);
  }

  /** Requests interactions, episodes and events that are new. */
  async function refresh(signal, isShown) {
    const current = isCurrent(view());
    const watch = current && !episode && isShown('watch') && watched;
    const [fresh, now, found] = await Promise.all([
      isShown('now') && fetchSince(view(), newest[0]?.timestamp, signal),
      watch && fetchEpisodes(view(), signal),
      watch && fetchNewEvents(view(), watch.found, signal),
    ]);
    if (now) showWatch({ ...watch, now, found });
    if (!fresh) return;
    // Too many to add them one by one.
    if (fresh.next && newest.length > 0) return void loader.load(['now', 'counts', 'messages']);
    const before = new Set(newest.map(({ log_id: id }) => id));
    const entries = fresh.entries.filter(({ log_id: id }) => !before.has(id));
    showNewest([...entries, ...newest].slice(0, KEPT_NEWEST));
    if (!current) return;
    if (isShown('counts')) showCounts(countIn(view(), counts, entries));
    const { signal: only, session, text } = view();
    const matching = entries.filter((entry) => (!only || signalOf(entry) === only) && (!session || entry.session_id === session) && mentions(entry, text));
    if (matching.length > 0 && isShown('messages')) {
      setPanel('recent', 'ready');
      threads.addNewer(matching);
    }
  }

  return {
    parts: {
      now: { panels: ['now'], fetch: (signal) => fetchNewest(view(), signal), show: showNewest },
      counts: { panels: ['figures', 'trend', 'mix'], fetch: (signal) => fetchCounts(view(), signal), show: showCounts },
      messages: { panels: ['recent'], fetch: (signal) => fetchEntries(view(), signal), show: showMessages },
      watch: { panels: ['watch'], fetch: fetchWatch, show: showWatch },
    },
    refresh,
    showEmpty() {
      byId('panels').classList.toggle('only-events', !known.logs);
      byId('panels').hidden = !known.logs && !known.events;
      if (known.logs) byId('notice').hidden = true;
      else if (byId('notice').hidden) loader.showNotice(nothingYet(view(), ways.retry), 'Nothing recorded yet');
      return !known.logs;
    },
    fail(panels) {
      if (panels.includes('watch')) hideFigure('anomalies');
      if (panels.includes('figures')) ['interactions', 'stressed', 'positive'].forEach(hideFigure);
    },
    affected: { bucket: ['counts'], signal: ['messages'], text: ['messages'], session: ['messages'], sort: [] },
    showEntry: () => showEntry(view(), ways),
  };
}

/** Shows the entry that the URL names, or closes the panel. */
async function showEntry(view, ways) {
  if (!view.entry) {
    const last = document.querySelector('.row[aria-current]');
    const hadFocus = byId('entry').contains(document.activeElement);
    panel.closePanel();
    threads.mark('');
    if (hadFocus) last?.querySelector('.details').focus({ preventScroll: true });
    return;
  }
  panel.openPanel(view.entry);
  threads.mark(view.entry);
  const there = threads.entryOf(view.entry);
  if (there) return panel.showEntry(there);
  const signal = loader.jobFor('entry');
  try {
    const entry = await fetchEntry(view, signal);
    // Feedback is part of the list only.
    panel.showEntry(threads.entryOf(view.entry) ?? entry);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) throw error;
    panel.showProblem(error, ways);
  }
}

/** Shows the signals to choose from. @param {import('./view.js').View} view @param {Record<string, number>} counts */
export function offerSignals(view, counts) {
  const signals = [...new Set([...FIXED_ORDER, ...slicesOf(counts).map(({ signal }) => signal), ...(view.signal ? [view.signal] : [])])];
  if ([...byId('signal').options].slice(1).map(({ value }) => value).join('\n') === signals.join('\n') && byId('signal').value === view.signal) return;
  byId('signal').replaceChildren(el('option', { value: '' }, 'Any signal'),
    ...signals.map((signal) => el('option', { value: signal, selected: signal === view.signal }, signal)));
}
