import { repairLabels } from './docs-labels.js';
import { currentKey, hintOf } from './session.js';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** Applies the dashboard's theme, or the system's. Swagger UI uses a class for its dark theme. */
function paint() {
  let choice = null;
  try { choice = localStorage.getItem('signals-theme'); } catch { /* no storage, no choice */ }
  document.documentElement.classList.toggle('dark-mode', choice === 'dark' || (choice !== 'light' && dark.matches));
}

paint();
dark.addEventListener('change', paint);

const key = currentKey();
document.getElementById('key-state').textContent = key
  ? `Requests use the key you are signed in with: ${hintOf(key)}`
  : 'To try requests, sign in on the dashboard, or enter a key under Authorize.';

const ui = SwaggerUIBundle({
  dom_id: '#docs',
  url: 'openapi.yaml',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // The highlighter uses style attributes, and its contrast is too low.
  syntaxHighlight: { activated: false },
  // The badge of the validator is on another origin.
  validatorUrl: null,
  onComplete: () => key && ui.preauthorizeApiKey('apiKey', key),
});
repairLabels(document.getElementById('docs'));
