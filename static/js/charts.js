// Draws charts. signals.js chooses the colour of a signal; style.css defines the colours.
import { byId } from './dom.js';
import { onTheme } from './theme.js';

// Starts loading at once. Only drawing waits for the library.
const library = import(new URL('vendor/chart.umd.min.js', document.baseURI)).then(() => globalThis.Chart, () => null);
// A canvas does not redraw its text when the typeface has loaded.
const typeface = document.fonts.load('1rem Inter').catch(() => []);
const stillness = matchMedia('(prefers-reduced-motion: reduce)');
const drawn = new Map();

/**
 * Draws a bar chart and describes it to screen readers. Without the library, opens the data table instead.
 * @param {string} id the canvas's
 * @param {string} words
 * @param {(look: {color: (name: string) => string, font: object}) => {data: object, options: object, plugins?: object[]}} configure
 */
export async function drawChart(id, words, configure) {
  byId(id).setAttribute('aria-label', words);
  const entry = drawn.get(id) ?? {};
  drawn.set(id, Object.assign(entry, { configure }));
  const [Chart] = await Promise.all([library, typeface]);
  if (!Chart) byId(`${id}-table`).open = true;
  else if (drawn.get(id) === entry) draw(Chart, id, entry);
}

function draw(Chart, id, entry) {
  const canvas = byId(id);
  const { data, options, plugins } = entry.configure({ color: colorIn(canvas), font: { family: getComputedStyle(canvas).fontFamily, size: 12 } });
  options.animation = stillness.matches ? false : { duration: 400, easing: 'easeOutCubic' };
  options.maintainAspectRatio = false;
  options.onHover = ({ native }, bars) => { native.target.style.cursor = bars.length > 0 && options.onClick ? 'pointer' : ''; };
  if (!entry.chart) entry.chart = new Chart(canvas, { type: 'bar', data, options, plugins });
  else {
    Object.assign(entry.chart, { data, options });
    entry.chart.update();
  }
}

/** Returns a function that resolves the style sheet's colours in the current theme. */
function colorIn(canvas) {
  const probe = canvas.parentElement;
  return (name) => {
    probe.style.color = `var(--${name})`;
    const { color } = getComputedStyle(probe);
    probe.style.color = '';
    return color;
  };
}

/** Removes all charts. */
export function clearCharts() {
  for (const { chart } of drawn.values()) chart?.destroy();
  drawn.clear();
}

onTheme(async () => {
  const Chart = await library;
  if (Chart) drawn.forEach((entry, id) => draw(Chart, id, entry));
});

/** Returns axes in the page's style. */
export const axes = ({ color, font }, x = {}, y = {}) => ({
  x: { border: { color: color('line') }, grid: { display: false }, ticks: { color: color('muted'), font, maxRotation: 0 }, ...x },
  y: {
    beginAtZero: true, border: { display: false }, grid: { color: color('line') },
    ticks: { color: color('muted'), font, precision: 0, maxTicksLimit: 6 }, ...y,
  },
});

/** Returns a tooltip in the page's style. */
export const tooltip = ({ color, font }, callbacks) => ({
  padding: 10, cornerRadius: 10, boxPadding: 5, usePointStyle: true,
  backgroundColor: color('ink'), titleColor: color('paper'), bodyColor: color('paper'), titleFont: font, bodyFont: font, callbacks,
});
