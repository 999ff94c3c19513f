import { ApiError } from './api.js';
import { byId } from './dom.js';
import { failure } from './notices.js';

/** @param {string} id @param {'loading' | 'ready' | 'message'} state */
export const setPanel = (id, state) => {
  byId(id).dataset.state = state;
  delete byId(id).dataset.empty;
};

export const isReady = (id) => byId(id).dataset.state === 'ready';

/** Replaces a panel's content by a message. */
export function say(id, content) {
  byId(id).querySelector('.message').replaceChildren(...content);
  setPanel(id, 'message');
}

/** Replaces a panel's content by a message that there is no data. A refresh can change this. */
export function sayEmpty(id, content) {
  say(id, content);
  byId(id).dataset.empty = 'true';
}

/**
 * Shows the result of a request in `panels`.
 * @returns {Promise<{error?: ApiError, panels: string[]}>}
 */
export async function fill(panels, answer, show, signal) {
  try {
    const data = await answer();
    if (!signal.aborted) {
      panels.forEach((panel) => setPanel(panel, 'ready'));
      show(data);
    }
    return { panels };
  } catch (error) {
    if (!(error instanceof ApiError) && !signal.aborted) throw error;
    return { panels, error };
  }
}

/** Shows the reason of a failure in each panel. */
export const sayFailure = ({ panels, error }, ways) =>
  panels.forEach((panel) => say(panel, failure(error, panel === 'watch' ? 'events:read' : 'logs:read', ways)));
