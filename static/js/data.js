// What the page shows, fetched. Everything is asked with the key and ends with the signal.
import { get, list, pathOf, picture } from './api.js';
import { bucketOf, spanOf } from './view.js';

const PAGE = 25;
const MOST_MOODS = 24;
const FULL_PAGE = 100;
const EVENT_PAGES = 3;
// A page of counts has about 20,000 interactions.
const COUNT_PAGES = 5;
// Room on both sides of an episode, in milliseconds.
const MARGIN = 10_000;

/** Names of agents, or of an agent's users, that begin with `prefix`. */
export const fetchNames = (key, agent, prefix, signal, limit = 100) =>
  list(key, agent ? pathOf('agents', { agent }, '/users') : '/agents', { prefix, limit: String(limit) }, signal);

/** How the first users of the view's agent feel; `next` where there are more users. */
export async function fetchMoods(key, view, signal) {
  const { body: users, next } = await fetchNames(key, view.agent, '', signal, MOST_MOODS);
  const moods = users.map(async (user) => {
    const where = pathOf('summary', { agent: view.agent, user });
    const { counts } = (await get(key, where, { bucket: 'day', ...spanOf(view) }, signal)).body;
    const stressed = counts.stressed > 0 && list(key, pathOf('logs', { agent: view.agent, user }), { signal: 'stressed', limit: '1' }, signal);
    return { user, counts, last: (await stressed)?.body?.[0] };
  });
  return { moods: await Promise.all(moods), next };
}

/** Counts of the view's range, and of the period of the same length before it, null if there is none. */
export async function fetchCounts(key, view, signal) {
  const where = pathOf('summary', { agent: view.agent, user: view.user });
  const [now, before] = await Promise.all([
    sumCounts(key, where, { ...spanOf(view), bucket: bucketOf(view) }, signal),
    view.range === 'all' ? null : fetchCountsBefore(key, where, view, signal),
  ]);
  return { now, before };
}

let lastBefore = {};

// The period before a range moves slowly: its counts are fetched again after a hundredth of the range.
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

/** The pages of a summary, added up; not `complete` if there are too many. */
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

/** The newest interactions of all, newest first: how it stands now. */
export async function fetchNewest(key, { agent, user }, signal) {
  return (await list(key, pathOf('logs', { agent, user }), { limit: '10' }, signal)).body.toReversed();
}

/** Interactions that the view asks for, newest first. Text is not the API's to find. */
export async function fetchEntries(key, view, signal, { next, full } = {}) {
  const { agent, user } = view;
  const query = next || { ...spanOf(view), signal: view.signal, limit: String(full ? FULL_PAGE : PAGE) };
  const page = await list(key, pathOf('logs', { agent, user }), query, signal);
  return { entries: page.body.toReversed(), next: page.next };
}

/** Episodes of the view's part of time, newest first, and the anomalies of as much time before it. */
export async function fetchEpisodes(key, view, signal) {
  const ask = (periods) => list(key, pathOf('anomalies', { user: view.user }),
    { ...spanOf(view, periods), group: 'episode', limit: '100' }, signal);
  const [now, before] = await Promise.all([ask(1), view.range === 'all' ? null : ask(2)]);
  const anomalies = (episodes) => episodes.reduce((sum, episode) => sum + episode.anomalies, 0);
  return { episodes: now.body, more: Boolean(now.next), anomalies: anomalies(now.body), before: before && anomalies(before.body) };
}

/** The newest events of the view's part of time, or those around an episode; `more` where there are others. */
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

/** The chart as the API draws it. */
export const fetchPicture = (key, { agent, user, ...view }, { type, ...look }, signal) =>
  picture(key, pathOf('visualize', { agent, user }), { ...spanOf(view), ...look }, signal, type);
