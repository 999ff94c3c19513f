import { axes, drawChart, tooltip } from './charts.js';
import { byId, el, tableRow } from './dom.js';
import { count, moment, number, utc } from './format.js';
import { countOf, foldSlices, slicesOf, totalOf } from './signals.js';
import { RANGES, bucketOf } from './view.js';

const STEPS = { hour: 3_600_000, day: 86_400_000 };
const MOST_SIGNALS = 8;
// More bars would be thinner than a pixel. Above this number, empty bars are omitted.
const MOST_SLOTS = 1000;
const dayInUtc = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** Shows stacked signals over time and their data table. @param {object} now a summary in buckets @param {object} view */
export function showOverTime(now, view) {
  const bucket = bucketOf(view);
  const label = (time) => (bucket === 'day' ? dayInUtc.format(time) : moment(time));
  const slots = slotsOf(now.buckets, RANGES[view.range], STEPS[bucket]);
  const signals = foldSlices(slicesOf(now.counts).filter((slice) => slice.count > 0), MOST_SIGNALS);
  byId('over-time-scope').textContent = bucket === 'day' ? 'Days in UTC' : 'Hours';
  byId('over-time-head').replaceChildren(...[bucket === 'day' ? 'Day' : 'Hour', 'All', ...signals.map(({ signal }) => signal)]
    .map((text) => el('th', { scope: 'col' }, text)));
  byId('over-time-rows').replaceChildren(...now.buckets.toReversed().map(({ start, counts }) =>
    tableRow(el('time', { datetime: start, title: utc(start) }, label(Date.parse(start))), number(totalOf(counts)),
      ...signals.map((slice) => number(valueOf(slice, counts, signals))))));
  const words = `Stacked bar chart of signals by ${bucket}: ${count(totalOf(now.counts), 'interaction')} in ${count(now.buckets.length, bucket)}`;
  drawChart('over-time', words, (look) => configuration(slots, signals, label, look));
}

/** Returns every hour or day of the range, including empty ones. */
function slotsOf(buckets, range, step) {
  const filled = new Map(buckets.map(({ start, counts }) => [Date.parse(start), counts]));
  const last = Math.floor(Date.now() / step) * step;
  const first = range === Infinity ? Math.min(last, ...filled.keys()) : Math.floor((Date.now() - range) / step) * step;
  if ((last - first) / step > MOST_SLOTS) return [...filled];
  return Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step)
    .map((start) => [start, filled.get(start) ?? {}]);
}

function valueOf({ signal }, counts, signals) {
  if (signal in counts) return countOf(counts, signal);
  const named = signals.reduce((sum, other) => sum + countOf(counts, other.signal), 0);
  return signals.length === MOST_SIGNALS && signal === signals.at(-1).signal ? totalOf(counts) - named : 0;
}

function configuration(slots, signals, label, look) {
  const { color, font } = look;
  return {
    data: {
      labels: slots.map(([start]) => label(start)),
      datasets: signals.map((slice) => ({
        label: slice.signal,
        data: slots.map(([, counts]) => valueOf(slice, counts, signals)),
        backgroundColor: color(slice.tone),
        borderRadius: 3, maxBarThickness: 40, categoryPercentage: 0.86, barPercentage: 1,
      })),
    },
    options: {
      interaction: { mode: 'index', intersect: false },
      scales: axes(look, { stacked: true, ticks: { color: color('muted'), font, maxRotation: 0, maxTicksLimit: 8 } }, { stacked: true }),
      plugins: {
        legend: { position: 'bottom', labels: { color: color('ink'), font, usePointStyle: true, boxHeight: 7, padding: 16 } },
        tooltip: tooltip(look, {}),
      },
    },
  };
}
