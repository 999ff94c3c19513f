import { axes, drawChart, tooltip } from './charts.js';
import { byId, chip, tableRow } from './dom.js';
import { number, percent } from './format.js';
import { foldSlices, slicesOf } from './signals.js';

const MOST_BARS = 12;
const LONGEST_LABEL = 14;
// With more bars the labels are rotated, so an emoji would not fit.
const ROOMY_BARS = 4;
// Selects the coloured emoji, because a canvas cannot choose the emoji's font.
const EMOJI_STYLE = '\uFE0F';

/** Shows the bar chart of signals and its data table. @param {Record<string, number>} summary */
export function showBars(summary) {
  const slices = slicesOf(summary);
  byId('bars-rows').replaceChildren(...slices.map((slice) =>
    tableRow(chip(slice), number(slice.count), percent(slice.share))));
  const parts = slices.map(({ signal, count }) => `${signal} ${count}`);
  const bars = foldSlices(slices, MOST_BARS);
  drawChart('bars', `Bar chart of interactions by signal: ${parts.join(', ')}`, (look) => configuration(bars, look));
}

function configuration(slices, look) {
  const { color, font } = look;
  const roomy = slices.length <= ROOMY_BARS;
  const label = ({ signal, emoji }) => (roomy ? [emoji + EMOJI_STYLE, shorten(signal)] : shorten(signal));
  return {
    data: {
      labels: slices.map(label),
      datasets: [{
        data: slices.map(({ count }) => count),
        backgroundColor: slices.map(({ tone }) => color(tone)),
        borderRadius: 8, maxBarThickness: 64, categoryPercentage: 0.82, minBarLength: 2,
      }],
    },
    options: {
      layout: { padding: { top: 22 } },
      scales: axes(look, { ticks: { color: color('ink'), font, autoSkip: false, maxRotation: roomy ? 0 : 50 } }),
      plugins: {
        countsOnBars: { ink: color('ink'), family: font.family },
        legend: { display: false },
        tooltip: tooltip(look, {
          title: ([{ dataIndex }]) => slices[dataIndex].signal,
          label: ({ dataIndex }) => ` ${number(slices[dataIndex].count)} (${percent(slices[dataIndex].share)})`,
        }),
      },
    },
    plugins: [countsOnBars],
  };
}

const countsOnBars = {
  id: 'countsOnBars',
  afterDatasetsDraw(drawn, _, { ink, family }) {
    const { ctx, data } = drawn;
    Object.assign(ctx, { font: `600 13px ${family}`, fillStyle: ink, textAlign: 'center' });
    drawn.getDatasetMeta(0).data.forEach((bar, index) => ctx.fillText(number(data.datasets[0].data[index]), bar.x, bar.y - 8));
  },
};

const shorten = (name) => (name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name);
