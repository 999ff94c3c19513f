const BASE = '/api';
// Slightly longer than the slowest function may take.
const PATIENCE_MS = 20_000;

/**
 * The kind of failure, by what the user can do about it.
 * @typedef {'unauthorized' | 'forbidden' | 'invalid' | 'missing' | 'unavailable'} FailureKind
 */
const KINDS = { 401: 'unauthorized', 403: 'forbidden', 404: 'missing', 422: 'invalid' };

/** A failed request. */
export class ApiError extends Error {
  /**
   * @param {FailureKind} kind
   * @param {string} message the API's message, or ours if the API gave none
   * @param {{field: string, message: string}[]} [problems] the fields that a 422 names
   */
  constructor(kind, message, problems = []) {
    super(message);
    this.kind = kind;
    this.problems = problems;
  }
}

/**
 * Returns a path of the API with encoded names.
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
 * @param {string} key @param {string} where a path @param {Record<string, string>} query empty values are omitted
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

/** Like `get`, for a list. */
export async function list(...asked) {
  const page = await get(...asked);
  if (!Array.isArray(page.body)) throw strangeAnswer();
  return page;
}

/**
 * Sends `body` as JSON.
 * @returns {Promise<object>} the response
 */
export async function post(key, where, body, signal) {
  const answer = await (await request(key, where, {}, signal, { body })).json().catch(() => null);
  if (answer === null || typeof answer !== 'object') throw strangeAnswer();
  return answer;
}

/**
 * Fetches a chart image.
 * @param {string} type its media type
 * @returns {Promise<Blob>}
 */
export async function picture(key, where, query, signal, type) {
  return (await request(key, where, query, signal, { type })).blob();
}

async function request(key, where, query, signal, more) {
  const response = await send(key, where + queryOf(query), signal, more);
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
  // The API decodes a path until no % is left, so a name with % would become another name.
  if (id.includes('%')) {
    const message = 'A name cannot contain %';
    throw new ApiError('invalid', message, [{ field, message }]);
  }
  // Browsers resolve "." and ".." in a path before sending, also if they are encoded once.
  if (id === '.' || id === '..') return `/${id.replaceAll('.', '%252e')}`;
  return `/${encodeURIComponent(id.toWellFormed?.() ?? id)}`;
}

async function send(key, target, signal, { type = 'application/json', body } = {}) {
  const sent = body && { method: 'POST', body: JSON.stringify(body) };
  try {
    return await fetch(BASE + target, {
      ...sent,
      headers: { 'X-API-Key': key, Accept: type, ...(body && { 'Content-Type': 'application/json' }) },
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
  } catch (error) {
    signal.throwIfAborted();
    const late = error.name === 'TimeoutError';
    throw new ApiError('unavailable', late ? 'Signals did not respond in time.' : 'Signals could not be reached.');
  }
}

const strangeAnswer = () => new ApiError('unavailable', 'The response is not from the Signals API.');

async function failureOf(response) {
  const body = await response.json().catch(() => ({}));
  const kind = KINDS[response.status] ?? 'unavailable';
  const details = Array.isArray(body?.detail) ? body.detail : [];
  const problems = details.map(({ loc, msg }) => ({ field: String(loc?.at(-1)), message: String(msg) }));
  const words = problems.map(({ message }) => message).join('; ') || body?.detail || body?.error || body?.message;
  return new ApiError(kind, `${words || response.statusText || 'No reason given'} (${response.status})`, problems);
}
