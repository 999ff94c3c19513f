import { button, commandLine, decoration, el, name } from './dom.js';

/** @param {import('./view.js').View} view @param {() => void} lookAgain @returns {Node[]} a notice that nothing is recorded yet */
export function nothingYet({ agent, user }, lookAgain) {
  const who = { agent: agent || 'support', user: user || 'maria' };
  return [
    ...heading('🌱', 'Nothing here yet'),
    user ? el('p', {}, 'No messages of ', name(user), ' with ', name(agent), ' yet.')
      : agent ? el('p', {}, 'No messages for ', name(agent), ' yet.') : el('p', {}, 'No messages for the agents that this key can access.'),
    el('div', { class: 'lead' },
      el('p', {}, 'Send the first message:'),
      commandLine(curlOf(who)),
      el('p', { class: 'small' }, el('code', {}, 'SIGNALS_KEY'), ' is a key with the scope ', el('code', {}, 'logs:write'),
        ...(isLocal() ? ['. This stack has one in ', el('code', {}, '.local/api-key'), ', and ', el('code', {}, 'make demo'), ' sends sample data.'] : ['.']))),
    actions(button('Check again', lookAgain, 'primary')),
  ];
}

const isLocal = () => ['127.0.0.1', 'localhost', '[::1]'].includes(location.hostname);

/** @param {string} range in words @param {() => void} [widen] @param {string} [label] @returns {Node[]} a notice that the range is empty */
export const nothingInRange = (range, widen, label) => [
  ...heading('🌙', `No messages in ${range}`), ...(widen ? [actions(button(label, widen, 'primary'))] : []),
];

/** @returns {Node[]} a notice that nothing matches the filters */
export const nothingMatches = (title, text) => heading('🔍', title, text);

/** @param {string} title @returns {Node[]} a notice that nothing is to be seen, which is good */
export const allCalm = (title) => heading('🌤️', title);

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
        actions(button('Use another key', () => useAnotherKey())),
      ];
    case 'invalid':
      return heading('✏️', error.problems.some(({ field }) => /_id$/.test(field)) ? 'That is not a valid name' : 'That is not valid', error.message);
    default:
      return [
        ...heading('🔌', navigator.onLine ? 'Unavailable right now' : 'You’re offline', error.message),
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
