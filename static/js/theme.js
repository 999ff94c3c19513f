const NAME = 'signals-theme';
const root = document.documentElement;
const switches = document.querySelectorAll('[name=theme]');
const listeners = new Set();
const dark = matchMedia('(prefers-color-scheme: dark)');

/** @returns {'light' | 'dark'} the visible theme */
export const currentTheme = () => (root.dataset.theme === 'system' ? (dark.matches ? 'dark' : 'light') : root.dataset.theme);

/** Calls `listener` whenever the theme changes. */
export const onTheme = (listener) => listeners.add(listener);

const notify = () => listeners.forEach((listener) => listener());

for (const choice of switches) {
  choice.checked = choice.value === root.dataset.theme;
  choice.addEventListener('change', () => {
    root.dataset.theme = choice.value;
    // If storage is disabled, the choice lasts as long as the page.
    try { localStorage.setItem(NAME, choice.value); } catch { /* see above */ }
    notify();
  });
}
dark.addEventListener('change', notify);
