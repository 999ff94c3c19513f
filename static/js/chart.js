import { foldSlices, percent } from './signals.js';

const MOST_BARS = 12;
const LONGEST_LABEL = 14;
// With more bars the labels are turned, and an emoji beside each would only crowd them.
const ROOMY_BARS = 5;
// Asks for the coloured picture: a canvas has no say in which font an emoji comes from.
const EMOJI_STYLE = '\uFE0F';

// Begun at once, waited for when there is something to draw: the rest of the page does not need it.
const library = import('../vendor/chart.umd.min.js').then(() => globalThis.Chart, () => null);
const darkness = matchMedia('(prefers-color-scheme: dark)');
const stillness = matchMedia('(prefers-reduced-motion: reduce)');

let chart = null;
let wanted = null;

/**
 * Draws one bar per slice and says the same in words to a screen reader.
 * @param {HTMLCanvasElement} canvas
 * @param {import('./signals.js').Slice[]} slices
 * @returns {Promise<boolean>} whether it could be drawn
 */
export async function drawChart(canvas, slices) {
  wanted = { canvas, slices };
  canvas.setAttribute('aria-label', inWords(slices));
  await draw();
  return (await library) !== null;
}

/** Removes the chart and what it showed. */
export function clearChart() {
  wanted = null;
  chart?.destroy();
  chart = null;
}

darkness.addEventListener('change', draw);

async function draw() {
  const Chart = await library;
  if (!Chart || !wanted) return;
  const { canvas, slices } = wanted;
  const { data, options } = configuration(foldSlices(slices, MOST_BARS), canvas);
  if (!chart) {
    chart = new Chart(canvas, { type: 'bar', data, options, plugins: [countsOnBars] });
    return;
  }
  Object.assign(chart, { data, options });
  chart.update();
}

function inWords(slices) {
  const parts = slices.map(({ signal, count }) => `${signal} ${count}`);
  return `Bar chart of interactions by signal: ${parts.join(', ')}`;
}

function configuration(slices, canvas) {
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    data: {
      labels: slices.map(roomy(slices) ? tallLabel : flatLabel),
      datasets: [{
        data: slices.map(({ count }) => count),
        backgroundColor: ({ chart: drawn, dataIndex }) => gradient(drawn, color(slices[dataIndex]?.tone)),
        hoverBackgroundColor: ({ dataIndex }) => color(slices[dataIndex]?.tone),
        borderRadius: 10,
        borderSkipped: 'start',
        maxBarThickness: 72,
        categoryPercentage: 0.82,
      }],
    },
    options: {
      animation: stillness.matches ? false : { duration: 500, easing: 'easeOutCubic' },
      maintainAspectRatio: false,
      layout: { padding: { top: 24 } },
      scales: scales(color, style.fontFamily, roomy(slices) ? 0 : 50),
      plugins: {
        countsOnBars: { ink: color('ink'), family: style.fontFamily },
        legend: { display: false },
        tooltip: tooltip(slices, color, style.fontFamily),
      },
    },
  };
}

function scales(color, family, turn) {
  return {
    x: {
      border: { color: color('line') },
      grid: { display: false },
      ticks: { color: color('ink'), font: { family, size: 12 }, autoSkip: false, maxRotation: turn },
    },
    y: {
      beginAtZero: true,
      border: { display: false },
      grid: { color: color('line') },
      ticks: { color: color('muted'), font: { family, size: 12 }, precision: 0, maxTicksLimit: 7 },
      title: { display: true, text: 'Interactions', color: color('muted'), font: { family, size: 12 } },
    },
  };
}

function tooltip(slices, color, family) {
  return {
    displayColors: false,
    padding: 10,
    cornerRadius: 10,
    backgroundColor: color('ink'),
    titleColor: color('paper'),
    bodyColor: color('paper'),
    titleFont: { family },
    bodyFont: { family },
    callbacks: {
      title: ([{ dataIndex }]) => slices[dataIndex].signal,
      label: ({ dataIndex }) => `${slices[dataIndex].count} (${percent(slices[dataIndex].share)})`,
    },
  };
}

function gradient({ ctx, chartArea }, tone) {
  // Before the first layout there is no area yet.
  if (!chartArea) return tone;
  const fill = ctx.createLinearGradient(0, chartArea.top, 0, chartArea.bottom);
  fill.addColorStop(0, tone);
  fill.addColorStop(1, `${tone}c8`);
  return fill;
}

const countsOnBars = {
  id: 'countsOnBars',
  afterDatasetsDraw(drawn, _, { ink, family }) {
    const { ctx, data } = drawn;
    ctx.save();
    ctx.font = `600 14px ${family}`;
    ctx.fillStyle = ink;
    ctx.textAlign = 'center';
    drawn.getDatasetMeta(0).data.forEach((bar, index) => ctx.fillText(data.datasets[0].data[index], bar.x, bar.y - 8));
    ctx.restore();
  },
};

const roomy = (slices) => slices.length <= ROOMY_BARS;
const shorten = (name) => (name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name);
const flatLabel = ({ signal }) => shorten(signal);
const tallLabel = ({ signal, emoji }) => [emoji + EMOJI_STYLE, shorten(signal)];
