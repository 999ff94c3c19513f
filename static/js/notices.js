import { button, commandLine, decoration, el, name } from './dom.js';

/** @param {import('./view.js').View} view @param {() => void} lookAgain @returns {Node[]} where nothing is recorded */
export function nothingYet({ agent, user }, lookAgain) {
  const who = { agent: agent || 'support', user: user || 'maria' };
  return [
    ...heading('🌱', 'Nothing here yet'),
    user ? el('p', {}, 'No interaction of ', name(user), ' with ', name(agent), ' has been recorded.')
      : el('p', {}, 'No interaction has been recorded that this key may see.'),
    el('div', { class: 'lead' },
      el('p', {}, 'This records the first:'),
      commandLine(curlOf(who)),
      el('p', { class: 'small' }, el('code', {}, 'SIGNALS_KEY'), ' is a key with the scope ', el('code', {}, 'logs:write'), '.')),
    actions(button('Look again', lookAgain, 'primary')),
  ];
}

/** @param {string} range in words @param {() => void} [widen] @returns {Node[]} where it is only too long ago */
export const nothingInRange = (range, widen) => [
  ...heading('🌙', `Nothing in ${range}`), ...(widen ? [actions(button('Show all time', widen, 'primary'))] : []),
];

/** @returns {Node[]} where no interaction passes the filter */
export const nothingMatches = () => [...heading('🔍', 'No interaction has this signal in this time')];

/**
 * For a request that brought nothing but an error.
 * @param {import('./api.js').ApiError} error
 * @param {string} scope what a key needs for it
 * @param {{retry: () => void, useAnotherKey: () => void}} ways out of it
 * @returns {Node[]}
 */
export function failure(error, scope, { retry, useAnotherKey }) {
  switch (error.kind) {
    case 'forbidden':
      return [
        ...heading('🔒', 'This key may not see this'),
        el('p', {}, 'A key needs the scope ', el('code', {}, scope), ' and this agent.'),
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
