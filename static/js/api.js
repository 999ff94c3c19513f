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
 * @typedef {object} View Whose signals to show.
 * @property {string} agent
 * @property {string} user
 */

/**
 * The counts of a user's signals; only those that occur.
 * @param {string} key @param {View} view @param {AbortSignal} signal
 * @returns {Promise<Record<string, number>>}
 */
export async function getSummary(key, view, signal) {
  const body = await json(await request(key, pathOf('summary', view), signal));
  if (body === null || typeof body !== 'object' || Array.isArray(body)) throw strangeAnswer();
  return body;
}

/**
 * A user's last interactions, oldest first.
 * @param {string} key @param {View} view @param {number} limit 1 to 100 @param {AbortSignal} signal
 * @returns {Promise<object[]>}
 */
export async function getLogs(key, view, limit, signal) {
  const body = await json(await request(key, `${pathOf('logs', view)}?limit=${limit}`, signal));
  if (!Array.isArray(body)) throw strangeAnswer();
  return body;
}

/**
 * The chart as the API draws it.
 * @param {string} key @param {View} view @param {AbortSignal} signal
 * @returns {Promise<Blob>} a PNG
 */
export async function getPicture(key, view, signal) {
  return (await request(key, pathOf('visualize', view), signal)).blob();
}

function pathOf(endpoint, { agent, user }) {
  return `/${endpoint}/${encodeId('agent_id', agent)}/${encodeId('user_id', user)}`;
}

function encodeId(field, id) {
  // The API decodes a path until no % is left, so an id with one would be read as another id.
  if (id.includes('%')) {
    const message = 'An id cannot contain %';
    throw new ApiError('invalid', message, [{ field, message }]);
  }
  // A browser resolves "." and ".." in a path, encoded once or not at all, before it sends them.
  if (id === '.' || id === '..') return id.replaceAll('.', '%252e');
  return encodeURIComponent(id.toWellFormed?.() ?? id);
}

async function request(key, path, signal) {
  const response = await send(key, path, signal);
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function send(key, path, signal) {
  try {
    return await fetch(BASE + path, {
      headers: { 'X-API-Key': key },
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
  } catch (error) {
    signal.throwIfAborted();
    const late = error.name === 'TimeoutError';
    throw new ApiError('unavailable', late ? 'It did not answer in time.' : 'It could not be reached.');
  }
}

async function json(response) {
  return response.json().catch(() => {
    throw strangeAnswer();
  });
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
