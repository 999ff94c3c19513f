// The page's state: agent, user, range and filters. It is stored in the URL fragment, which browsers do not send to servers. So
// names do not appear in access logs, and a link shows a colleague the same view.

const HOUR = 3_600_000;

/** Length of each range in milliseconds. */
export const RANGES = { '1h': HOUR, '24h': 24 * HOUR, '7d': 168 * HOUR, '30d': 720 * HOUR, all: Infinity };

/** The ranges in words. */
const IN_WORDS = {
  '1h': 'the last hour', '24h': 'the last 24 hours', '7d': 'the last 7 days', '30d': 'the last 30 days', all: 'all time',
};

const CHOICES = {
  range: Object.keys(RANGES), bucket: ['', 'hour', 'day'], sort: ['recent', 'stressed', 'name'], refresh: ['0', '5', '10', '30'],
};

/**
 * @typedef {object} View
 * @property {string} agent '' for all agents
 * @property {string} user '' for all users of the agent
 * @property {string} range one of RANGES
 * @property {string} from start of a chosen period, which replaces the range; '' for none
 * @property {string} to end of the chosen period
 * @property {'' | 'hour' | 'day'} bucket '' to choose by the range
 * @property {string} signal only interactions with it, or only users whose newest interaction has it; '' for any
 * @property {string} text only interactions whose text or reply contains it
 * @property {string} session only interactions of this session
 * @property {'recent' | 'stressed' | 'name'} sort order of users
 * @property {string} entry id of the interaction that is shown in full
 * @property {string} refresh seconds between refreshes, '0' for none
 */

/** @type {View} */
const DEFAULTS = {
  agent: '', user: '', range: '7d', from: '', to: '', bucket: '', signal: '', text: '', session: '', sort: 'recent', entry: '', refresh: '10',
};

/** What stays the same from page to page. */
const KEPT = ['range', 'refresh'];

const parameters = () => new URLSearchParams(location.hash.slice(1) || location.search);

/**
 * Removes the code of a sign-in link from the address bar. The code may stay in the browser's history: it works only once.
 * @returns {string} the code, or ''
 */
export function takeCode() {
  const given = parameters();
  if (!given.has('code')) return '';
  const code = given.get('code').trim();
  given.delete('code');
  history.replaceState(null, '', location.pathname + fragment(given));
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
  if (!view.agent) view.user = '';
  if (!(Date.parse(view.from) < Date.parse(view.to))) view.from = view.to = '';
  // Counts over all users have a limit of 35 days.
  if (!view.user && view.range === 'all') view.range = '30d';
  return view;
}

/** Returns the address of a view. @param {Partial<View>} view */
export function addressOf(view) {
  const changed = Object.entries(view).filter(([name, value]) => value !== DEFAULTS[name]);
  return fragment(new URLSearchParams(changed)) || '#';
}

/** Returns the address of another page, with the same range. @param {View} view @param {Partial<View>} more */
export const linkFrom = (view, more) => addressOf({ ...Object.fromEntries(KEPT.map((name) => [name, view[name]])), ...more });

/**
 * Writes the view to the URL.
 * @param {View} view
 * @param {boolean} [asNewEntry] adds a history entry
 */
export const writeView = (view, asNewEntry = false) =>
  history[asNewEntry ? 'pushState' : 'replaceState'](null, '', location.pathname + addressOf(view).replace(/^#$/, ''));

/** @param {View} view @returns {'start' | 'agent' | 'user'} */
export const pageOf = ({ agent, user }) => (user ? 'user' : agent ? 'agent' : 'start');

/**
 * Returns the time range of a view in Unix milliseconds. `since` is -Infinity for all time.
 * @param {View} view
 */
export function limitsOf({ range, from, to }) {
  if (from) return { since: Date.parse(from), until: Date.parse(to) };
  const now = Date.now();
  return { since: now - RANGES[range], until: now };
}

/** @param {View} view @returns {boolean} whether new interactions belong to the view */
export const isCurrent = ({ to }) => !to || Date.parse(to) > Date.now();

/**
 * Returns the time range of a view as the API's parameters.
 * @param {View} view
 * @param {number} [periods] 1 for the range itself, 2 for the preceding period
 * @returns {{since?: string, until?: string}}
 */
export function spanOf(view, periods = 1) {
  const { since, until } = limitsOf(view);
  if (since === -Infinity) return {};
  const at = (time) => new Date(time).toISOString();
  if (periods === 2) return { since: at(2 * since - until), until: at(since) };
  // An interaction can be newer than the clock of this machine.
  return view.to ? { since: at(since), until: at(until) } : { since: at(since) };
}

/** The view's range in words. @param {View} view */
export const rangeInWords = ({ range, from }) => (from ? 'this period' : IN_WORDS[range]);

const fragment = (given) => (given.size > 0 ? `#${given}` : '');
