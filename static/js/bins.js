// Intervals of charts over time, in the user's time zone.
import { dateOf, minuteOf, moment } from './format.js';
import { RANGES, limitsOf } from './view.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
// More bars would be thinner than a pixel. Above this number, empty bars are omitted.
const MOST_BINS = 1000;

const fixed = (length) => ({ floor: (time) => Math.floor(time / length) * length, next: (time) => time + length });
const local = (hours) => ({
  floor(time) {
    const at = new Date(time);
    return at.setHours(Math.floor(at.getHours() / hours) * hours, 0, 0, 0);
  },
  next(time) {
    const at = new Date(time);
    return at.setHours(at.getHours() + hours);
  },
});

/** Kinds of intervals. `ask` is the interval to request, `words` its name. */
const KINDS = {
  minutes: { ...fixed(HOUR / 12), ask: '5m', words: ['Time', '5 minutes', '5 minutes each'], label: minuteOf },
  hour: { ...fixed(HOUR), ask: 'hour', words: ['Hour', 'hour', 'Hours'], label: moment },
  part: { ...local(6), ask: 'hour', words: ['From', '6 hours', '6 hours each'], label: moment },
  day: { ...local(24), ask: 'hour', words: ['Day', 'day', 'Days'], label: dateOf },
  utcDay: { ...fixed(DAY), ask: 'day', words: ['Day', 'day', 'Days in UTC'], label: (time) => dateOf(time, true) },
};

/**
 * Returns the intervals for a view's range.
 * @param {import('./view.js').View} view
 */
export function kindOf(view) {
  const { since, until } = limitsOf(view);
  const length = until - since;
  if (view.bucket === 'hour') return KINDS.hour;
  if (length === Infinity) return KINDS.utcDay;
  if (view.bucket === 'day') return KINDS.day;
  if (length <= 2 * HOUR) return KINDS.minutes;
  if (length <= 2 * DAY) return KINDS.hour;
  return length <= RANGES['7d'] ? KINDS.part : KINDS.day;
}

/**
 * Adds up the API's buckets to the intervals of a chart, from old to new. Without empty intervals if there are too many.
 * @param {import('./view.js').View} view
 * @param {{start: string, counts: object}[]} buckets
 * @param {object} kind
 * @returns {{start: number, end: number, counts: Record<string, number>}[]}
 */
export function binsOf(view, buckets, kind) {
  const filled = new Map();
  for (const { start, counts } of buckets) {
    const at = kind.floor(Date.parse(start));
    filled.set(at, addCounts(filled.get(at) ?? {}, counts));
  }
  const { since, until } = limitsOf(view);
  const last = Math.max(kind.floor(until - 1), ...filled.keys());
  const bins = [];
  for (let start = Math.min(kind.floor(since === -Infinity ? last : since), ...filled.keys()); start <= last; start = kind.next(start)) {
    bins.push({ start, end: kind.next(start), counts: filled.get(start) ?? {} });
  }
  return bins.length > MOST_BINS ? bins.filter(({ start }) => filled.has(start)) : bins;
}

/** Returns the sums of two summaries, or with `sign` -1 the differences. */
export function addCounts(some, more, sign = 1) {
  const sum = { ...some };
  for (const [signal, count] of Object.entries(more)) sum[signal] = (sum[signal] ?? 0) + sign * count;
  return Object.fromEntries(Object.entries(sum).filter(([, count]) => count > 0));
}
