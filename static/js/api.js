const BASE = '/api';
// A little more than the slowest function may take.
const PATIENCE_MS = 20_000;

/**
 * What went wrong, by what the reader can do about it.
 * @typedef {'unauthorized' | 'forbidden' | 'invalid' | 'missing' | 'unavailable'} FailureKind
 */
const KINDS = { 401: 'unauthorized', 403: 'forbidden', 404: 'missing', 422: 'invalid' };

/** A request that did not bring what was asked for. */
export class ApiError extends Error {
  /**
   * @param {FailureKind} kind
   * @param {string} message the API's own words, or ours when it had none
   * @param {{field: string, message: string}[]} [problems] the fields that a 422 names
   */
  constructor(kind, message, problems = []) {
    super(message);
    this.kind = kind;
    this.problems = problems;
  }
}

/**
 * A path of the API. Names are encoded so that they reach it whole.
 * @param {string} endpoint @param {{agent?: string, user?: string}} names @param {string} [tail]
 */
export const pathOf = (endpoint, { agent, user } = {}, tail = '') =>
  `/${endpoint}${encodeName('agent_id', agent)}${encodeName('user_id', user)}${tail}`;

/**
 * @typedef {object} Page
 * @property {any} body
 * @property {string} next the query of the next page, '' on the last one
 */

/**
 * @param {string} key @param {string} where a path @param {Record<string, string>} query without what is ''
 * @param {AbortSignal} signal
 * @returns {Promise<Page>}
 */
export async function get(key, where, query, signal) {
  const response = await request(key, where, query, signal);
  const body = await response.json().catch(() => null);
  if (body === null || typeof body !== 'object') throw strangeAnswer();
  const [, next = ''] = /^<\?([^>]*)>; *rel="next"/.exec(response.headers.get('Link') ?? '') ?? [];
  return { body, next };
}

/** The same, for a list. */
export async function list(...asked) {
  const page = await get(...asked);
  if (!Array.isArray(page.body)) throw strangeAnswer();
  return page;
}

/**
 * A picture that the API draws.
 * @param {string} type its media type
 * @returns {Promise<Blob>}
 */
export async function picture(key, where, query, signal, type) {
  return (await request(key, where, query, signal, type)).blob();
}

async function request(key, where, query, signal, type = 'application/json') {
  const response = await send(key, where + queryOf(query), signal, type);
  if (!response.ok) throw await failureOf(response);
  return response;
}

function queryOf(query) {
  if (typeof query === 'string') return `?${query}`;
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return given.size > 0 ? `?${given}` : '';
}

function encodeName(field, id) {
  if (id === undefined) return '';
  // The API decodes a path until no % is left, so a name with one would be read as another.
  if (id.includes('%')) {
    const message = 'A name cannot contain %';
    throw new ApiError('invalid', message, [{ field, message }]);
  }
  // A browser resolves "." and ".." in a path, encoded once or not at all, before it sends them.
  if (id === '.' || id === '..') return `/${id.replaceAll('.', '%252e')}`;
  return `/${encodeURIComponent(id.toWellFormed?.() ?? id)}`;
}

async function send(key, target, signal, type) {
  try {
    return await fetch(BASE + target, {
      headers: { 'X-API-Key': key, Accept: type },
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
  } catch (error) {
    signal.throwIfAborted();
    const late = error.name === 'TimeoutError';
    throw new ApiError('unavailable', late ? 'It did not answer in time.' : 'It could not be reached.');
  }
}

const strangeAnswer = () => new ApiError('unavailable', 'It did not answer as the Signals API does.');

async function failureOf(response) {
  const body = await response.json().catch(() => ({}));
  const kind = KINDS[response.status] ?? 'unavailable';
  const details = Array.isArray(body?.detail) ? body.detail : [];
  const problems = details.map(({ loc, msg }) => ({ field: String(loc?.at(-1)), message: String(msg) }));
  const words = problems.map(({ message }) => message).join('; ') || body?.detail || body?.error || body?.message;
  return new ApiError(kind, `${words || response.statusText || 'No reason given'} (${response.status})`, problems);
}
