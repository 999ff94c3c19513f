import { binsOf, kindOf } from './bins.js';
import { axes, drawChart, tooltip } from './charts.js';
import { byId, el, link, tableRow } from './dom.js';
import { count, number, percent, utc, zone } from './format.js';
import { classifiedIn, countOf, foldSlices, slicesOf, totalOf } from './signals.js';
import { addressOf, linkFrom } from './view.js';

const MOST_SIGNALS = 8;
const SHORTEST = 10 * 60_000;

/**
 * Shows stacked signals over time and their data table. A bar leads to its period.
 * @param {object} now counts in buckets @param {import('./view.js').View} view @param {(change: object) => void} go
 */
export function showOverTime(now, view, go) {
  const kind = kindOf(view);
  const [heading, one, scope] = kind.words;
  const bins = binsOf(view, now.buckets, kind);
  const signals = foldSlices(slicesOf(now.counts).filter((slice) => slice.count > 0), MOST_SIGNALS);
  const period = ({ start, end }) => ({ from: new Date(start).toISOString(), to: new Date(end).toISOString(), bucket: '' });
  const isLong = ({ start, end }) => end - start > SHORTEST;
  const address = (bin) => (view.user ? addressOf({ ...view, ...period(bin), entry: '' }) : linkFrom(view, { ...view, ...period(bin) }));
  const time = ({ start }) => el('time', { datetime: new Date(start).toISOString(), title: utc(start) }, kind.label(start));
  byId('over-time-scope').textContent = scope.includes('UTC') ? scope : `${scope}, ${zone}`;
  byId('over-time-head').replaceChildren(...[heading, 'All', ...signals.map(({ signal }) => signal)].map((text) => el('th', { scope: 'col' }, text)));
  const filled = bins.filter(({ counts }) => totalOf(counts) > 0);
  byId('over-time-rows').replaceChildren(...filled.toReversed().map((bin) =>
    tableRow(isLong(bin) ? link(address(bin), time(bin)) : time(bin), number(totalOf(bin.counts)),
      ...signals.map((slice) => number(valueOf(slice, bin.counts, signals))))));
  const words = `Stacked bar chart of signals by ${one}: ${count(totalOf(now.counts), 'interaction')} in ${count(filled.length, one, plural(one))}`;
  const drill = (index) => isLong(bins[index]) && go(period(bins[index]));
  drawChart('over-time', words, (look) => configuration(bins, signals, kind.label, drill, look));
}

const plural = (one) => (/^\d/.test(one) ? `periods of ${one}` : `${one}s`);

function valueOf({ signal }, counts, signals) {
  if (signal in counts) return countOf(counts, signal);
  const named = signals.reduce((sum, other) => sum + countOf(counts, other.signal), 0);
  return signals.length === MOST_SIGNALS && signal === signals.at(-1).signal ? totalOf(counts) - named : 0;
}

function configuration(bins, signals, label, drill, look) {
  const { color, font } = look;
  const total = (index) => totalOf(bins[index].counts);
  const share = (index) => {
    const { counts } = bins[index];
    return classifiedIn(counts) > 0 ? `, ${percent(countOf(counts, 'stressed') / classifiedIn(counts))} stressed` : '';
  };
  return {
    data: {
      labels: bins.map(({ start }) => label(start)),
      datasets: signals.map((slice) => ({
        label: slice.signal,
        data: bins.map(({ counts }) => valueOf(slice, counts, signals)),
        backgroundColor: color(slice.tone), hoverBackgroundColor: color(slice.tone),
        borderRadius: 2, maxBarThickness: 40, categoryPercentage: 0.86, barPercentage: 1,
      })),
    },
    options: {
      interaction: { mode: 'index', intersect: false },
      onClick: (_, [bar]) => bar && drill(bar.index),
      scales: axes(look, { stacked: true, ticks: { color: color('muted'), font, maxRotation: 0, maxTicksLimit: 8 } }, { stacked: true }),
      plugins: {
        legend: { position: 'bottom', labels: { color: color('muted'), font, usePointStyle: true, boxHeight: 6, boxWidth: 6, padding: 14 } },
        tooltip: tooltip(look, {
          label: ({ dataset, raw }) => ` ${dataset.label} ${number(raw)}`,
          footer: ([{ dataIndex }]) => `${number(total(dataIndex))} in total${share(dataIndex)}`,
        }),
      },
    },
  };
}
