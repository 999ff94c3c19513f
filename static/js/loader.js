// Loads the parts of a page, shows each when it arrives, and reports what could not be loaded.
import { announce, byId } from './dom.js';
import { clockOf } from './format.js';
import { failure } from './notices.js';
import { fill, isReady, say, sayFailure, setPanel } from './panels.js';
import * as refresh from './refresh.js';

const LONGEST_WAIT = 30;

/**
 * A page. Parts that cannot be shown do not affect the others.
 * @typedef {object} Page
 * @property {Record<string, {panels: string[], fetch: (signal: AbortSignal) => Promise, show: (data) => void}>} parts
 * @property {(signal: AbortSignal, isShown: (part: string) => boolean) => Promise<void>} refresh requests and shows what is new
 * @property {() => boolean} [showEmpty] shows that there is no data at all
 */

/** @type {Page} */
let page = { parts: {}, refresh: async () => {} };
let ways = {};
/** Running requests by part. A new request cancels the previous one. */
const jobs = {};
/** Parts that a retry may be able to load. */
let missing = [];
/** Number of consecutive failures. */
let failures = 0;
let landed = null;

/** @param {{retry: () => void, useAnotherKey: (problem?: string) => void}} actions */
export const start = (actions) => { ways = actions; };

/** Loads a page. @param {Page} next */
export function show(next) {
  page = next;
  return load();
}

/** Loads parts of the page, by default all. */
export async function load(names = Object.keys(page.parts)) {
  announce('Loading');
  byId('notice').hidden = true;
  byId('panels').hidden = false;
  panelsOf(names).forEach((panel) => {
    setPanel(panel, 'loading');
    byId(panel).removeAttribute('aria-busy');
  });
  await run(names);
}

/** Loads parts again, and shows their content until the new one arrives. @param {string[]} names */
export async function reload(names) {
  announce('Loading');
  panelsOf(names).forEach((panel) => byId(panel).setAttribute('aria-busy', 'true'));
  await run(names);
}

async function run(names) {
  // Its responses may be for other filters.
  jobs.refresh?.abort();
  begin();
  const outcomes = await Promise.all(names.map(request));
  if (outcomes.some(({ stopped }) => stopped)) return;
  byId('refresh-now').classList.remove('busy');
  panelsOf(names).forEach((panel) => byId(panel).removeAttribute('aria-busy'));
  const failed = outcomes.filter(({ error }) => error);
  const kinds = new Set(failed.map(({ error }) => error.kind));
  if (kinds.has('unauthorized')) return ways.useAnotherKey(true);
  missing = [...missing.filter((part) => !names.includes(part)),
    ...failed.filter(({ error }) => error.kind === 'unavailable').map(({ part }) => part)];
  const all = failed.length === outcomes.length && kinds.size === 1 && outcomes.length === Object.keys(page.parts).length;
  if (all && kinds.has('unavailable')) return unreachable(failed[0].error);
  showBanner(null);
  if (all) {
    byId('panels').hidden = true;
    return showNotice(failure(failed[0].error, 'logs:read', ways), 'Could not load');
  }
  const isEmpty = page.showEmpty?.();
  failed.forEach((outcome) => sayFailure(outcome, ways));
  page.fail?.(failed.flatMap(({ panels }) => panels));
  succeed();
  if (!isEmpty) announce(failed.length > 0 ? 'Partially loaded' : 'Loaded');
}

async function request(part) {
  const signal = jobFor(part);
  const { panels, fetch, show: showPart } = page.parts[part];
  return { part, ...await fill(panels, () => fetch(signal), showPart, signal), stopped: signal.aborted };
}

/** Requests what is new, and parts that failed before. */
export async function update() {
  if (missing.length > 0) return run(missing);
  begin();
  const signal = jobFor('refresh');
  const isShown = (part) => page.parts[part].panels.some((panel) => isReady(panel) || byId(panel).dataset.empty);
  const { error } = await fill([], () => page.refresh(signal, isShown), () => {}, signal);
  if (signal.aborted) return;
  byId('refresh-now').classList.remove('busy');
  if (error?.kind === 'unauthorized') return ways.useAnotherKey(true);
  if (error) return unreachable(error);
  showBanner(null);
  page.showEmpty?.();
  succeed();
}

/** Returns a signal for new requests, and cancels earlier ones of the same name. */
export function jobFor(name) {
  jobs[name]?.abort();
  jobs[name] = new AbortController();
  return jobs[name].signal;
}

/** Cancels all requests. */
export function stop() {
  Object.values(jobs).forEach((job) => job.abort());
  missing = [];
  landed = null;
  refresh.stop();
  showBanner(null);
}

function begin() {
  byId('refresh-now').classList.add('busy');
  refresh.hold();
}

function succeed() {
  refresh.landed();
  landed = Date.now();
}

const panelsOf = (names) => names.flatMap((part) => page.parts[part].panels);

function unreachable(error) {
  if (!landed) {
    missing = Object.keys(page.parts);
    panelsOf(missing).forEach((panel) => say(panel, []));
  }
  showBanner(error);
}

/** Reports that Signals is unreachable, marks the content as outdated, and retries. */
function showBanner(error) {
  byId('banner').hidden = !error;
  byId('dashboard').classList.toggle('stale', Boolean(error));
  failures = error ? failures + 1 : 0;
  if (!error) return;
  announce('Could not load');
  byId('banner-title').textContent = navigator.onLine ? 'Signals is unavailable right now.' : 'You’re offline.';
  byId('banner-text').textContent = [navigator.onLine && error.message, landed && `Showing data from ${clockOf(landed)}.`].filter(Boolean).join(' ');
  refresh.failed(Math.min(LONGEST_WAIT, 5 * failures));
}

/** Shows a message above the panels. */
export function showNotice(content, announcement = '') {
  byId('notice').replaceChildren(...content);
  byId('notice').hidden = false;
  announce(announcement);
}
