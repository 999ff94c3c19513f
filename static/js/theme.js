const NAME = 'signals-theme';
const root = document.documentElement;
const switches = document.querySelectorAll('[name=theme]');
const told = new Set();
const dark = matchMedia('(prefers-color-scheme: dark)');

/** @returns {'light' | 'dark'} what the reader sees now */
export const currentTheme = () => (root.dataset.theme === 'system' ? (dark.matches ? 'dark' : 'light') : root.dataset.theme);

/** Calls `listener` whenever the colours have changed. */
export const onTheme = (listener) => told.add(listener);

const tell = () => told.forEach((listener) => listener());

for (const choice of switches) {
  choice.checked = choice.value === root.dataset.theme;
  choice.addEventListener('change', () => {
    root.dataset.theme = choice.value;
    // Where storage is switched off, the choice lasts as long as the page.
    try { localStorage.setItem(NAME, choice.value); } catch { /* see above */ }
    tell();
  });
}
dark.addEventListener('change', tell);
