import { commandLine, decoration, el } from './dom.js';

/** What the page suggests looking at before anything was chosen. */
export const EXAMPLE = { agent: 'agent1', user: 'user1' };

/**
 * Before an agent and a user are chosen.
 * @param {() => void} openExample
 * @returns {Node[]}
 */
export function welcome(openExample) {
  return [
    ...heading('👋', 'Choose an agent and a user', 'Type their ids above, as your agent sends them.'),
    actions(button(`Show ${EXAMPLE.user} with ${EXAMPLE.agent}`, openExample)),
    firstInteraction('New here? This sends a first interaction:', EXAMPLE),
  ];
}

/**
 * For a user of whom nothing is recorded.
 * @param {import('./api.js').View} view
 * @param {() => void} lookAgain
 * @returns {Node[]}
 */
export function nothingYet(view, lookAgain) {
  return [
    ...heading('🌱', 'Nothing here yet', ''),
    el('p', {}, 'No interaction of ', id(view.user), ' with ', id(view.agent), ' has been recorded.'),
    firstInteraction('This records the first:', view),
    actions(button('Look again', lookAgain)),
  ];
}

/**
 * For a request, or both, that brought nothing but an error.
 * @param {import('./api.js').ApiError} error
 * @param {import('./api.js').View} view
 * @param {{retry: () => void, useAnotherKey: () => void}} ways out of it
 * @returns {Node[]}
 */
export function failure(error, view, { retry, useAnotherKey }) {
  switch (error.kind) {
    case 'forbidden':
      return [
        ...heading('🔒', 'This key may not see this', ''),
        el('p', {}, 'It has no permission to read the logs of ', id(view.agent), '.'),
        el('p', {}, 'A key needs the scope ', el('code', {}, 'logs:read'), ' and this agent.'),
        actions(button('Use another key', useAnotherKey)),
      ];
    case 'invalid': {
      const marked = error.problems.length > 0;
      return heading('✏️', 'That is not a valid id', marked ? 'Correct it above, then show again.' : error.message);
    }
    case 'missing':
      return [
        ...heading('🧭', 'The API is not where it should be', error.message),
        actions(button('Try again', retry)),
      ];
    default:
      return [
        ...heading('🔌', navigator.onLine ? 'Signals is unavailable right now' : 'You are offline', error.message),
        actions(button('Try again', retry)),
      ];
  }
}

/** Says that there is nothing, in the half that has nothing while the other one is not known. */
export const nothingInThisHalf = () => heading('🌱', 'Nothing here yet', '');

function heading(emoji, title, text) {
  return [
    el('div', { class: 'sign' }, decoration(emoji)),
    el('h2', {}, title),
    ...(text ? [el('p', {}, text)] : []),
  ];
}

function firstInteraction(lead, view) {
  const [variable, scope] = [el('code', {}, 'SIGNALS_KEY'), el('code', {}, 'logs:write')];
  return el('div', { class: 'lead' },
    el('p', {}, lead),
    commandLine(curlOf(view)),
    el('p', { class: 'small' }, variable, ' is a key with the scope ', scope, '.'));
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

function button(label, onClick) {
  const element = el('button', { type: 'button', class: 'primary' }, label);
  element.addEventListener('click', onClick);
  return element;
}

const actions = (...buttons) => el('div', { class: 'actions' }, ...buttons);
const id = (text) => el('bdi', { class: 'id' }, text);
