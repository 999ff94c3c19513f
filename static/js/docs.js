import { repairLabels } from './docs-labels.js';
import { currentKey, hintOf } from './session.js';
import { currentTheme, onTheme } from './theme.js';

/** Swagger UI uses a class for its dark theme. */
const paint = () => document.documentElement.classList.toggle('dark-mode', currentTheme() === 'dark');

paint();
onTheme(paint);

const key = currentKey();
document.getElementById('key-state').textContent = key
  ? `“Try it out” uses your key ${hintOf(key)}`
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
