import { button, commandLine, decoration, el, name } from './dom.js';

/** @param {import('./view.js').View} view @param {() => void} lookAgain @returns {Node[]} a notice that nothing is recorded yet */
export function nothingYet({ agent, user }, lookAgain) {
  const who = { agent: agent || 'support', user: user || 'maria' };
  return [
    ...heading('🌱', 'Nothing here yet'),
    user ? el('p', {}, 'No interactions of ', name(user), ' with ', name(agent), ' have been recorded.')
      : el('p', {}, 'There are no interactions that this key can access.'),
    el('div', { class: 'lead' },
      el('p', {}, 'Record the first interaction:'),
      commandLine(curlOf(who)),
      el('p', { class: 'small' }, el('code', {}, 'SIGNALS_KEY'), ' is a key with the scope ', el('code', {}, 'logs:write'), '.')),
    actions(button('Check again', lookAgain, 'primary')),
  ];
}

/** @param {string} range in words @param {() => void} [widen] @returns {Node[]} a notice that the range is empty */
export const nothingInRange = (range, widen) => [
  ...heading('🌙', `Nothing in ${range}`), ...(widen ? [actions(button('Show all time', widen, 'primary'))] : []),
];

/** @returns {Node[]} a notice that no interaction matches the filter */
export const nothingMatches = () => [...heading('🔍', 'No interactions with this signal in this range')];

/**
 * Explains a failed request.
 * @param {import('./api.js').ApiError} error
 * @param {string} scope the required scope
 * @param {{retry: () => void, useAnotherKey: () => void}} actions
 * @returns {Node[]}
 */
export function failure(error, scope, { retry, useAnotherKey }) {
  switch (error.kind) {
    case 'forbidden':
      return [
        ...heading('🔒', 'This key has no access'),
        el('p', {}, 'Use a key with the scope ', el('code', {}, scope), ' and access to this agent.'),
        actions(button('Use another key', useAnotherKey)),
      ];
    case 'invalid':
      return heading('✏️', 'That is not a valid name', error.message);
    default:
      return [
        ...heading('🔌', navigator.onLine ? 'Unavailable right now' : 'You are offline', error.message),
        actions(button('Try again', retry)),
      ];
  }
}

function heading(emoji, title, text) {
  return [el('div', { class: 'sign' }, decoration(emoji)), el('h3', {}, title), ...(text ? [el('p', {}, text)] : [])];
}

function curlOf({ agent, user }) {
  const body = JSON.stringify({ agent_id: agent, user_id: user, user_input: 'Thank you, that was great!' });
  return [
    `curl ${location.origin}/api/log \\`,
    '  -H "X-API-Key: $SIGNALS_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d '${body.replaceAll("'", String.raw`'\''`)}'`,
  ].join('\n');
}

const actions = (...buttons) => el('div', { class: 'actions' }, ...buttons);
