const NAME = 'signals-key';
// Where storage is switched off, the key lasts as long as the page.
let remembered = '';

/** @returns {string} the key of this tab's session, or '' */
export function currentKey() {
  try {
    return sessionStorage.getItem(NAME) ?? '';
  } catch {
    return remembered;
  }
}

/**
 * Keeps the key for this tab. Others cannot read it, and closing the tab forgets it.
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
 * Whether text can be sent in a header at all; whether it is a key is for the API to say.
 * @param {string} text
 */
export const couldBeKey = (text) => /^[\x21-\x7e]+$/.test(text);

/**
 * Enough of a key to tell it from another, and no more.
 * @param {string} key
 */
export const hintOf = (key) => (key.length > 12 ? `${key.slice(0, 4)}…${key.slice(-4)}` : '…');
