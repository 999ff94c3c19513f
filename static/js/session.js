const NAME = 'signals-key';
// Used if storage is disabled: the key then lasts as long as the page.
let remembered = '';

/** @returns {string} the API key of this tab's session, or '' */
export function currentKey() {
  try {
    return sessionStorage.getItem(NAME) ?? '';
  } catch {
    return remembered;
  }
}

/**
 * Stores the key for this tab only. Closing the tab deletes it.
 * @param {string} key
 */
export function signIn(key) {
  remembered = key;
  try {
    sessionStorage.setItem(NAME, key);
  } catch { /* kept in memory above */ }
}

/**
 * Exchanges the code of a sign-in link for the API key. Only the local stack has this endpoint.
 * @param {string} code
 * @returns {Promise<string>} the key, or '' if the code is unknown, used or expired
 */
export async function exchange(code) {
  try {
    const response = await fetch('/local/exchange', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }),
    });
    return response.ok ? (await response.json()).key : '';
  } catch {
    return '';
  }
}

/** Forgets the key. */
export function signOut() {
  remembered = '';
  try {
    sessionStorage.removeItem(NAME);
  } catch { /* it was never there */ }
}

/**
 * Returns whether the text can be sent in a header. The API decides whether it is a valid key.
 * @param {string} text
 */
export const couldBeKey = (text) => /^[\x21-\x7e]+$/.test(text);

/**
 * Returns just enough of a key to distinguish it from others.
 * @param {string} key
 */
export const hintOf = (key) => (key.length > 12 ? `${key.slice(0, 4)}…${key.slice(-4)}` : '…');
