// Everything is in the fragment, which a browser sends to no server: neither the key nor the ids end up in access logs.

const parameters = () => new URLSearchParams(location.hash.slice(1));

/**
 * Takes the key out of the address bar and out of this entry of the history.
 * @returns {string} the key that was there, or ''
 */
export function takeKey() {
  const given = parameters();
  if (!given.has('key')) return '';
  const key = given.get('key').trim();
  given.delete('key');
  history.replaceState(null, '', addressOf(given));
  return key;
}

/** @returns {import('./api.js').View} with '' for what the address does not name */
export function readView() {
  const given = parameters();
  return { agent: given.get('agent') ?? '', user: given.get('user') ?? '' };
}

/**
 * Puts the view into the address, as a new entry of the history if it is another one.
 * @param {import('./api.js').View} view
 */
export function writeView(view) {
  const address = addressOf(new URLSearchParams(view));
  if (address !== location.pathname + location.search + location.hash) history.pushState(null, '', address);
}

function addressOf(given) {
  const fragment = given.size > 0 ? `#${given}` : '';
  return location.pathname + location.search + fragment;
}
