import { repairLabels } from './docs-labels.js';
import { currentKey, hintOf } from './session.js';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** The dashboard's choice of colours, else the system's; Swagger UI has a class for dark ones. */
function paint() {
  let choice = null;
  try { choice = localStorage.getItem('signals-theme'); } catch { /* no storage, no choice */ }
  document.documentElement.classList.toggle('dark-mode', choice === 'dark' || (choice !== 'light' && dark.matches));
}

paint();
dark.addEventListener('change', paint);

const key = currentKey();
document.getElementById('key-state').textContent = key
  ? `Requests show the key you are signed in with, ${hintOf(key)}`
  : 'To try requests, sign in on the dashboard, or give a key under Authorize.';

const ui = SwaggerUIBundle({
  dom_id: '#docs',
  url: 'openapi.yaml',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // Colours of its own as style attributes, too faint to read.
  syntaxHighlight: { activated: false },
  // The badge of the validator is on another origin.
  validatorUrl: null,
  onComplete: () => key && ui.preauthorizeApiKey('apiKey', key),
});
repairLabels(document.getElementById('docs'));
