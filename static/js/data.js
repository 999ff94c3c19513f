// Fetches the page's data. All requests use the API key, and the abort signal cancels them.
import { get, list, pathOf, picture, post } from './api.js';
import { bucketOf, spanOf } from './view.js';

const PAGE = 25;
const MOST_USERS = 25;
const MOST_WORDS = 50;
/** Days for which the board has counts. */
export const COUNTED_DAYS = 34;
const FULL_PAGE = 100;
const EVENT_PAGES = 3;
// A page of counts has about 20,000 interactions.
const COUNT_PAGES = 5;
// Margin on both sides of an episode, in milliseconds.
const MARGIN = 10_000;

/** Fetches the names of agents, or of an agent's users, that start with `prefix`. */
export const fetchNames = (key, agent, prefix, signal, limit = 100) =>
  list(key, agent ? pathOf('agents', { agent }, '/users') : '/agents', { prefix, limit: String(limit) }, signal);

/**
 * Fetches the users of the agent with their counts: those stressed in the view's range, the latest first, and then others, the
 * latest first. `more` is true if there are others.
 */
export async function fetchBoard(key, view, signal) {
  const since = sinceOnBoard(view);
  const ask = (what, query) => list(key, pathOf('agents', { agent: view.agent }, what), { since, ...query }, signal);
  const [stressed, recent, words] = await Promise.all([
    ask('/activity', { sort: 'stressed', limit: String(MOST_USERS) }),
    ask('/activity', { sort: 'recent', limit: String(MOST_USERS) }),
    ask('/logs', { signal: 'stressed', limit: String(MOST_WORDS) }),
  ]);
  const isStressed = ({ last_stressed: time }) => time && Date.parse(time) >= Date.parse(since);
  const rows = new Map([...stressed.body.filter(isStressed), ...recent.body].map((row) => [row.user_id, row]));
  const said = new Map(words.body.toReversed().map((entry) => [entry.user_id, entry.user_input]));
  const moods = [...rows.values()].slice(0, MOST_USERS).map((row) => ({
    user: row.user_id, counts: row.counts, last: isStressed(row) ? { timestamp: row.last_stressed, words: said.get(row.user_id) } : null,
  }));
  return { moods, more: rows.size > MOST_USERS || Boolean(stressed.next || recent.next) };
}

// The API counts the interactions of users for 35 days, by hour.
const sinceOnBoard = (view) => {
  const earliest = new Date(Date.now() - COUNTED_DAYS * 86_400_000).toISOString();
  const { since } = spanOf(view);
  return since > earliest ? since : earliest;
};

/** Fetches the counts of the view's range and of the preceding period, which is null for all time. */
export async function fetchCounts(key, view, signal) {
  const where = pathOf('summary', { agent: view.agent, user: view.user });
  const [now, before] = await Promise.all([
    sumCounts(key, where, { ...spanOf(view), bucket: bucketOf(view) }, signal),
    view.range === 'all' ? null : fetchCountsBefore(key, where, view, signal),
  ]);
  return { now, before };
}

let lastBefore = {};

// The preceding period changes slowly, so its counts are fetched again only after a hundredth of the range.
async function fetchCountsBefore(key, where, view, signal) {
  const span = spanOf(view, 2);
  const [since, until] = [span.since, span.until].map(Date.parse);
  const { of, end, counts } = lastBefore;
  const asked = [key, where, view.range].join(' ');
  if (of === asked && until - end < (until - since) / 100) return counts;
  const fresh = await sumCounts(key, where, span, signal);
  lastBefore = { of: asked, end: until, counts: fresh };
  return fresh;
}

/** Adds up the pages of a summary. `complete` is false if there are too many pages. */
async function sumCounts(key, where, query, signal) {
  let { body: sum, next } = await get(key, where, query, signal);
  for (let page = 1; next && page < COUNT_PAGES; page += 1) {
    const older = await get(key, where, next, signal);
    const buckets = sum.buckets && joinBuckets(older.body.buckets, sum.buckets);
    sum = { ...older.body, counts: addCounts(older.body.counts, sum.counts), buckets };
    next = older.next;
  }
  return sum;
}

function addCounts(some, more) {
  const sum = { ...some };
  for (const [signal, count] of Object.entries(more)) sum[signal] = (sum[signal] ?? 0) + count;
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
export async function fetchNewest(key, { agent, user }, signal) {
  return (await list(key, pathOf('logs', { agent, user }), { limit: '10' }, signal)).body.toReversed();
}

/** Fetches the view's interactions, newest first. The page itself filters them by text, while the user types. */
export async function fetchEntries(key, view, signal, { next, full } = {}) {
  const { agent, user } = view;
  const query = next || { ...spanOf(view), signal: view.signal, limit: String(full ? FULL_PAGE : PAGE) };
  const page = await list(key, pathOf('logs', { agent, user }), query, signal);
  return { entries: page.body.toReversed(), next: page.next };
}

/** Fetches the episodes in the view's range, newest first, and the number of anomalies in the preceding period. */
export async function fetchEpisodes(key, view, signal) {
  const ask = (periods) => list(key, pathOf('anomalies', { user: view.user }),
    { ...spanOf(view, periods), group: 'episode', limit: '100' }, signal);
  const [now, before] = await Promise.all([ask(1), view.range === 'all' ? null : ask(2)]);
  const anomalies = (episodes) => episodes.reduce((sum, episode) => sum + episode.anomalies, 0);
  return { episodes: now.body, more: Boolean(now.next), anomalies: anomalies(now.body), before: before && anomalies(before.body) };
}

/** Fetches the newest events in the view's range or around an episode. `more` is true if there are others. */
export async function fetchEvents(key, view, episode, signal) {
  const near = (time, by) => new Date(Date.parse(time) + by).toISOString();
  const span = episode ? { since: near(episode.start, -MARGIN), until: near(episode.end, MARGIN) } : spanOf(view);
  const events = [];
  let next = { ...span, limit: '100' };
  for (let page = 0; next && page < EVENT_PAGES; page += 1) {
    const answer = await list(key, pathOf('events', { user: view.user }), next, signal);
    events.push(...answer.body);
    next = answer.next;
  }
  return { events, span, more: Boolean(next) };
}

/** Sends the signal that an interaction should have, or null to withdraw earlier feedback. */
export const sendFeedback = (key, { agent_id: agent, user_id: user, log_id: id }, given, signal) =>
  post(key, pathOf('logs', { agent, user }, `/${id}/feedback`), { signal: given }, signal);

/** Fetches the API's chart. */
export const fetchPicture = (key, { agent, user, ...view }, { type, ...look }, signal) =>
  picture(key, pathOf('visualize', { agent, user }), { ...spanOf(view), ...look }, signal, type);
