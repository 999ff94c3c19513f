// Accessibility repairs: elements that Swagger UI leaves without a label, or unreachable by keyboard.
const REPAIRS = {
  'select:not([aria-label])': (select) => select.setAttribute('aria-label', nameOfSelect(select)),
  'textarea:not([aria-label])': (text) => text.setAttribute('aria-label', 'Request body'),
  'input:not([aria-label], [id])': (input) => input.setAttribute('aria-label', input.placeholder || 'Value'),
  'img:not([alt])': (image) => image.setAttribute('alt', 'Response image'),
  // These elements scroll horizontally.
  'pre:not([tabindex]), .microlight:not([tabindex])': (text) => text.setAttribute('tabindex', '0'),
};

function nameOfSelect(select) {
  if (select.matches('.examples-select-element')) return 'Example';
  if (select.matches('.content-type')) return 'Content type';
  return select.closest('tr')?.dataset.paramName ?? 'Choice';
}

/**
 * Repairs all present and future elements in `root`.
 * @param {HTMLElement} root
 */
export function repairLabels(root) {
  const repair = () => {
    for (const [selector, change] of Object.entries(REPAIRS)) root.querySelectorAll(selector).forEach(change);
  };
  new MutationObserver(repair).observe(root, { childList: true, subtree: true });
  repair();
}
