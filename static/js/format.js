import { el } from './dom.js';

const counting = new Intl.NumberFormat();
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const dateInUtc = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const dateOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit', second: '2-digit' });
const minutes = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const relativeShort = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'narrow' });
const UNITS = [['day', 86_400], ['hour', 3_600], ['minute', 60]];

/** The user's time zone, for example "Europe/Berlin". */
export const zone = clock.resolvedOptions().timeZone;

/** @param {number} count */
export const number = (count) => counting.format(count);
export const count = (many, one, several = `${one}s`) => `${number(many)} ${many === 1 ? one : several}`;

const isToday = (time) => new Date(time).toDateString() === new Date().toDateString();

/** For example "3 Nov, 14:00". */
export const moment = (time) => short.format(new Date(time));

/** Like `moment`, without the day if it is today. */
export const momentOrClock = (time) => (isToday(time) ? minutes : short).format(new Date(time));
export const clockOf = (time) => clock.format(new Date(time));
export const minuteOf = (time) => minutes.format(new Date(time));

/** For example "3 Nov". @param {number} time @param {boolean} [inUtc] */
export const dateOf = (time, inUtc) => (inUtc ? dateInUtc : date).format(time);

/** For example "Today" or "3 Nov"; with the year if it is not the current one. */
export function dayOf(time) {
  const at = new Date(time);
  if (isToday(at)) return 'Today';
  return (at.getFullYear() === new Date().getFullYear() ? date : dateOfYear).format(at);
}

/** For example "2026-01-01 12:00:00.000 UTC". */
export const utc = (time) => new Date(time).toISOString().replace('T', ' ').replace('Z', ' UTC');

/** For example "3 minutes ago". With `short`, "3 min. ago". */
export function ago(time, short = false) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1000);
  const unit = UNITS.find(([, length]) => seconds >= length);
  return unit ? (short ? relativeShort : relative).format(-Math.floor(seconds / unit[1]), unit[0]) : 'just now';
}

/** A time in the user's time zone, with UTC on hover. */
export const timeTag = (time, text, ...more) => el('time', { datetime: time, title: utc(time) }, text, ...more);

/**
 * For example "62%". Only zero is shown as 0%, and only the whole as 100%.
 * @param {number} share from 0 to 1
 */
export function percent(share) {
  if (share > 0 && share < 0.005) return '<1%';
  if (share < 1 && share >= 0.995) return '>99%';
  return `${Math.round(share * 100)}%`;
}

/** For example "1.5 s" or "2 min". @param {number} ms */
export const duration = (ms) => (ms < 60_000 ? `${Math.round(ms / 100) / 10} s` : `${Math.round(ms / 60_000)} min`);
