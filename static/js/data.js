// Fetches the page's data. All requests use the API key, and the abort signal cancels them.
import { get, list, pathOf, picture, post } from './api.js';
import { addCounts, kindOf } from './bins.js';
import { currentKey } from './session.js';
import { signalOf } from './signals.js';
import { limitsOf, spanOf } from './view.js';

const PAGE = 25;
const NEWEST = 10;
const FULL_PAGE = 100;
const EVENT_PAGES = 3;
// A page of counts has about 20,000 interactions.
const COUNT_PAGES = 5;
// Pages of a search or of a filter can be empty without being the last.
const EMPTY_PAGES = 4;
const MINUTE_PAGES = 3;
const FIVE_MINUTES = 300_000;
const HOUR = 12 * FIVE_MINUTES;
const COUNTED = 34 * 24 * HOUR;
// Interactions are counted over all users a few seconds after they are stored.
const LATE = 2 * FIVE_MINUTES;
// Margin on both sides of an episode, in milliseconds.
const MARGIN = 10_000;

const at = (time) => new Date(time).toISOString();
const agentPath = (agent, tail) => pathOf('agents', { agent }, tail);

/** Fetches the names of agents, or of an agent's users, that start with `prefix`. */
export const fetchNames = (agent, prefix, signal, limit = 100) =>
  list(currentKey(), agent ? agentPath(agent, '/users') : '/agents', { prefix, limit: String(limit) }, signal);

/** Fetches a page of agents with their counts of today. */
export const fetchAgents = (signal, next) => list(currentKey(), '/agents/activity', next || { limit: '100' }, signal);

/** Fetches the counts of all users in the view's range and in the preceding period. */
export async function fetchAgentCounts(view, signal) {
  const where = agentPath(view.agent, '/summary');
  const [now, before] = await Promise.all([
    get(currentKey(), where, { ...spanOf(view), interval: kindOf(view).ask }, signal),
    get(currentKey(), where, spanOf(view, 2), signal),
  ]);
  return { now: { ...now.body, complete: true }, before: { ...before.body, complete: true } };
}

/** Fetches what has been counted over all users since the last time, and joins it with the earlier counts. */
export async function fetchNewAgentCounts(view, { now, before }, signal) {
  const interval = kindOf(view).ask;
  const step = { '5m': FIVE_MINUTES, hour: HOUR }[interval];
  const { since } = limitsOf(view);
  const from = Math.max(Math.floor((Date.now() - LATE) / step) * step, since);
  const { body } = await get(currentKey(), agentPath(view.agent, '/summary'), { since: at(from), interval }, signal);
  const isOld = ({ start }) => Date.parse(start) < from && Date.parse(start) + step > since;
  return { now: sumOf([...now.buckets.filter(isOld), ...body.buckets]), before };
}

const sumOf = (buckets) => ({ buckets, counts: buckets.reduce((sum, { counts }) => addCounts(sum, counts), {}), complete: true });

// The API counts the interactions of users for 35 days, by hour.
const countedSince = (view) => at(Math.max(limitsOf(view).since, Date.now() - COUNTED));

/** Fetches a page of the agent's users, in the view's order. */
export async function fetchUsers(view, signal, { next, once } = {}) {
  const { agent, sort, signal: only } = view;
  let page = { body: [], next: next || { sort, signal: only, since: countedSince(view), limit: String(PAGE) } };
  for (let pages = 0; pages < (once ? 1 : EMPTY_PAGES) && page.next && page.body.length === 0; pages += 1) {
    page = await list(currentKey(), agentPath(agent, '/activity'), page.next, signal);
  }
  return page;
}

/** Fetches the newest stressed interactions of all users in the view's range, or those since `since`. */
export async function fetchStressed(view, signal, { since, next } = {}) {
  const query = next || { ...spanOf(view), ...(since && { since }), signal: 'stressed', limit: String(NEWEST) };
  return list(currentKey(), agentPath(view.agent, '/logs'), query, signal);
}

const ofUser = (endpoint, { agent, user }, tail) => pathOf(endpoint, { agent, user }, tail);

/** Fetches the counts of a user in the view's range and in the preceding period, which is null for all time. */
export async function fetchCounts(view, signal) {
  const where = ofUser('summary', view);
  const count = (query) => sumPages(where, query, signal);
  const byHour = () => count({ ...spanOf(view), bucket: kindOf(view).ask === 'day' ? 'day' : 'hour' });
  const [now, before] = await Promise.all([
    kindOf(view).ask === '5m' ? countMinutes(view, signal).then((counts) => counts ?? byHour()) : byHour(),
    view.range === 'all' && !view.from ? null : count(spanOf(view, 2)),
  ]);
  return { now, before };
}

/** Counts a short range by five minutes, for which the API counts hours only. Returns null if there are too many interactions. */
async function countMinutes(view, signal) {
  let counts = { now: sumOf([]) };
  let next = { ...spanOf(view), limit: String(FULL_PAGE) };
  for (let page = 0; next && page < MINUTE_PAGES; page += 1) {
    const found = await list(currentKey(), ofUser('logs', view), next, signal);
    counts = countIn(view, counts, found.body);
    next = found.next;
  }
  return next ? null : counts.now;
}

/** Adds interactions to counts, and leaves out intervals that are no longer in the range. */
export function countIn(view, { now, before }, entries) {
  const step = { '5m': FIVE_MINUTES, hour: HOUR, day: 24 * HOUR }[kindOf(view).ask];
  const buckets = new Map(now.buckets.map(({ start, counts }) => [start, counts]));
  for (const entry of entries) {
    const start = at(Math.floor(Date.parse(entry.timestamp) / step) * step);
    buckets.set(start, addCounts(buckets.get(start) ?? {}, { [signalOf(entry)]: 1 }));
  }
  const { since } = limitsOf(view);
  const isOver = ([start]) => Date.parse(start) + step <= since;
  const added = entries.reduce((sum, entry) => addCounts(sum, { [signalOf(entry)]: 1 }), now.counts);
  const counts = [...buckets].filter(isOver).reduce((sum, [, past]) => addCounts(sum, past, -1), added);
  const kept = [...buckets].filter((bucket) => !isOver(bucket)).map(([start, some]) => ({ start, counts: some }));
  return { now: { ...now, counts, buckets: kept }, before };
}

/** Adds up the pages of a summary. `complete` is false if there are too many pages. */
async function sumPages(where, query, signal) {
  let { body: sum, next } = await get(currentKey(), where, query, signal);
  for (let page = 1; next && page < COUNT_PAGES; page += 1) {
    const older = await get(currentKey(), where, next, signal);
    const buckets = sum.buckets && joinBuckets(older.body.buckets, sum.buckets);
    sum = { ...older.body, counts: addCounts(older.body.counts, sum.counts), buckets };
    next = older.next;
  }
  return sum;
}

// A page can end within a bucket.
function joinBuckets(older, newer) {
  const [first, ...rest] = newer;
  const last = older.at(-1);
  if (!first || last?.start !== first.start) return [...older, ...newer];
  return [...older.slice(0, -1), { start: first.start, counts: addCounts(last.counts, first.counts) }, ...rest];
}

/** Fetches the newest interactions regardless of the view's range, newest first. */
export async function fetchNewest(view, signal) {
  return (await list(currentKey(), ofUser('logs', view), { limit: String(NEWEST) }, signal)).body.toReversed();
}

/** Fetches the interactions since a time, newest first. `next` is not empty if there are too many of them. */
export async function fetchSince(view, since, signal) {
  const { body, next } = await list(currentKey(), ofUser('logs', view), { since, limit: String(FULL_PAGE) }, signal);
  return { entries: body.toReversed(), next };
}

/** Fetches the view's interactions, newest first. */
export async function fetchEntries(view, signal, { next, full } = {}) {
  let query = next || {
    ...spanOf(view), signal: view.signal, session_id: view.session, q: view.text, limit: String(full ? FULL_PAGE : PAGE),
  };
  for (let pages = 1; ; pages += 1) {
    const page = await list(currentKey(), ofUser('logs', view), query, signal);
    if (page.body.length > 0 || !page.next || pages === EMPTY_PAGES) return { entries: page.body.toReversed(), next: page.next };
    query = page.next;
  }
}

/** Fetches one interaction. */
export const fetchEntry = async (view, signal) =>
  (await get(currentKey(), ofUser('logs', view, `/${encodeURIComponent(view.entry)}`), {}, signal)).body;

/** Fetches the episodes in the view's range, newest first. */
export async function fetchEpisodes(view, signal, periods = 1) {
  const { body, next } = await list(currentKey(), pathOf('anomalies', { user: view.user }),
    { ...spanOf(view, periods), group: 'episode', limit: '100' }, signal);
  return { episodes: body, more: Boolean(next), anomalies: body.reduce((sum, { anomalies }) => sum + anomalies, 0) };
}

/** Fetches the newest events in the view's range or around an episode. `more` is true if there are others. */
export async function fetchEvents(view, episode, signal) {
  const near = (time, by) => at(Date.parse(time) + by);
  const span = episode ? { since: near(episode.start, -MARGIN), until: near(episode.end, MARGIN) } : spanOf(view);
  const events = [];
  let next = { ...span, limit: '100' };
  for (let page = 0; next && page < EVENT_PAGES; page += 1) {
    const answer = await list(currentKey(), pathOf('events', { user: view.user }), next, signal);
    events.push(...answer.body);
    next = answer.next;
  }
  return { events, span, more: Boolean(next) };
}

/** Fetches events newer than those found, and returns all of them. */
export async function fetchNewEvents(view, found, signal) {
  const since = found.events[0]?.event_time ?? found.span.since;
  const { body, next } = await list(currentKey(), pathOf('events', { user: view.user }), { since, limit: '100' }, signal);
  const known = new Set(found.events.map(({ event_id: id, event_time: time }) => `${time} ${id}`));
  const fresh = body.filter(({ event_id: id, event_time: time }) => !known.has(`${time} ${id}`));
  return { events: [...fresh, ...found.events], span: spanOf(view), more: found.more || Boolean(next) };
}

/** Sends the signal that an interaction should have, or null to withdraw earlier feedback. */
export const sendFeedback = ({ agent_id: agent, user_id: user, log_id: id }, given, signal) =>
  post(currentKey(), ofUser('logs', { agent, user }, `/${id}/feedback`), { signal: given }, signal);

/** Fetches the API's chart. */
export const fetchPicture = (view, { type, ...look }, signal) =>
  picture(currentKey(), ofUser('visualize', view), { ...spanOf(view), ...look }, signal, type);
