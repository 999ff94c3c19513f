// The page's state: agent, user, range and filters. It is stored in the URL fragment, which browsers do not send to servers. So
// names do not appear in access logs, and a link shows a colleague the same view.

const HOUR = 3_600_000;

/** Length of each range in milliseconds. */
export const RANGES = { '1h': HOUR, '24h': 24 * HOUR, '7d': 168 * HOUR, '30d': 720 * HOUR, all: Infinity };

/** The ranges in words. */
export const IN_WORDS = {
  '1h': 'the last hour', '24h': 'the last 24 hours', '7d': 'the last 7 days', '30d': 'the last 30 days', all: 'all time',
};

const CHOICES = { range: Object.keys(RANGES), bucket: ['', 'hour', 'day'], refresh: ['0', '5', '10', '30'] };

/**
 * @typedef {object} View
 * @property {string} agent
 * @property {string} user '' for all users of the agent
 * @property {string} range one of RANGES
 * @property {'' | 'hour' | 'day'} bucket '' to choose by the range
 * @property {string} signal only interactions with it, '' for any
 * @property {string} text only interactions whose text or reply contains it
 * @property {string} refresh seconds between refreshes, '0' for none
 */

/** @type {View} */
const DEFAULTS = { agent: '', user: '', range: '7d', bucket: '', signal: '', text: '', refresh: '10' };

const parameters = () => new URLSearchParams(location.hash.slice(1));

/**
 * Removes the code of a sign-in link from the address bar. The code may stay in the browser's history: it works only once.
 * @returns {string} the code, or ''
 */
export function takeCode() {
  const given = parameters();
  if (!given.has('code')) return '';
  const code = given.get('code').trim();
  given.delete('code');
  history.replaceState(null, '', fragment(given));
  return code;
}

/** @returns {View} */
export function readView() {
  const given = parameters();
  const view = { ...DEFAULTS };
  for (const name of Object.keys(view)) {
    const value = given.get(name);
    if (value !== null && (CHOICES[name]?.includes(value) ?? true)) view[name] = value;
  }
  return view;
}

/**
 * Writes the view to the URL.
 * @param {View} view
 * @param {boolean} [asNewEntry] adds a history entry, for another agent or user
 */
export function writeView(view, asNewEntry = false) {
  const changed = Object.entries(view).filter(([name, value]) => value !== DEFAULTS[name]);
  history[asNewEntry ? 'pushState' : 'replaceState'](null, '', fragment(new URLSearchParams(changed)));
}

/** @param {View} view @returns {'hour' | 'day'} */
export const bucketOf = ({ bucket, range }) => bucket || (RANGES[range] <= RANGES['24h'] ? 'hour' : 'day');

/**
 * Returns the time range of a view as the API's parameters.
 * @param {View} view
 * @param {number} [periods] 1 for the range itself, 2 for the preceding period
 * @returns {{since?: string, until?: string}}
 */
export function spanOf({ range }, periods = 1) {
  if (range === 'all') return {};
  const ago = (times) => new Date(Date.now() - times * RANGES[range]).toISOString();
  return periods === 1 ? { since: ago(1) } : { since: ago(2), until: ago(1) };
}

const fragment = (given) => location.pathname + location.search + (given.size > 0 ? `#${given}` : '');
