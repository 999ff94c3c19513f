import { byId, el, svg, tableRow } from './dom.js';
import { clockOf, count, dayOf, duration, moment, number, timeTag } from './format.js';

const BINS = 72;
const WIDTH = 720;
const HEIGHT = 96;

/**
 * Shows a user's episodes of anomalies, newest first.
 * @param {{episodes: object[], more: boolean}} watch
 * @param {object | null} chosen the episode whose events are shown
 * @param {(episode: object | null) => void} look shows the events around an episode
 */
export function showEpisodes({ episodes, more }, chosen, look) {
  byId('watch-scope').textContent = `${count(episodes.length, 'episode')}${more ? ' or more' : ''}, across all agents`;
  byId('episodes').replaceChildren(...(episodes.length > 0 ? episodes.map((episode) => item(episode, episode.start === chosen?.start, look))
    : [el('li', { class: 'calm' }, 'No anomalies in this range.')]));
}

function item(episode, on, look) {
  const { start, end, severity, peak_count: peak, rules, agent_ids: agents, anomalies, closed, partial } = episode;
  const lasted = duration(Date.parse(end) - Date.parse(start));
  const limits = rules.map((rule) => rule.replace(/^(.*):(\d+)$/s, '$1 (limit $2)'));
  const show = el('button', { type: 'button', class: 'episode', 'data-severity': severity, 'aria-pressed': String(on) },
    el('span', { class: 'severity' }, el('span', { class: 'name' }, severity)), timeTag(start, moment(start)),
    el('span', { class: 'facts' }, `${peak === null ? '' : `Peak ${count(peak, 'event')} · `}${count(anomalies, 'anomaly', 'anomalies')} in ${lasted}${closed ? '' : ', still open'}${partial ? ', in part' : ''}`),
    el('span', { class: 'facts' }, `${limits.join(', ')} · ${agents.join(', ')}`));
  show.addEventListener('click', () => look(on ? null : episode));
  return el('li', {}, show);
}

/**
 * Shows events over time, with anomalous windows marked, and the data table.
 * @param {{events: object[], span: {since?: string, until?: string}, more: boolean}} found
 * @param {object[]} episodes
 */
export function showStrip({ events, span, more }, episodes) {
  for (const part of ['strip', 'strip-ends', 'strip-table']) byId(part).toggleAttribute('hidden', events.length === 0);
  const times = events.map(({ event_time: time }) => Date.parse(time));
  const to = Math.max(Date.parse(span.until) || Date.now(), ...times);
  const from = Math.min((!more && Date.parse(span.since)) || to - 1000, ...times);
  const step = (to - from) / BINS;
  const bins = Array(BINS).fill(0);
  for (const time of times) bins[Math.min(BINS - 1, Math.floor((time - from) / step))] += 1;
  const seen = episodes.filter(({ start, end }) => Date.parse(end) >= from && Date.parse(start) <= to);
  const severityAt = (bin) => seen.find(({ start, end }) => Date.parse(start) < from + (bin + 1) * step && Date.parse(end) >= from + bin * step)?.severity;
  const most = Math.max(1, ...bins);
  const width = WIDTH / BINS;
  const marks = bins.map((_, bin) => severityAt(bin)).flatMap((severity, bin) => (severity
    ? [svg('rect', { class: 'window', 'data-severity': severity, x: bin * width - 2, y: 0, width: width + 4, height: HEIGHT })] : []));
  byId('strip').replaceChildren(...marks, ...bins.flatMap((many, bin) => (many === 0 ? [] : [svg('rect', {
    class: 'events', 'data-severity': severityAt(bin) ?? false, x: bin * width + 1, width: width - 2, rx: 2, y: HEIGHT - bar(many, most), height: bar(many, most),
  })])));
  const label = from > Date.now() - 86_400_000 ? clockOf : moment;
  byId('strip-from').textContent = label(from);
  byId('strip-to').textContent = label(to);
  byId('strip-scope').textContent = more ? `the newest ${count(events.length, 'event')}` : count(events.length, 'event');
  byId('strip').setAttribute('aria-label', `Events over time: ${count(events.length, 'event')} from ${label(from)} to ${label(to)}, ${count(seen.length, 'anomalous window')}`);
  byId('strip-rows').replaceChildren(...bins.flatMap((many, bin) => (many === 0 ? [] : [
    tableRow(`${dayOf(from + bin * step)}, ${clockOf(from + bin * step)}`, number(many), severityAt(bin) ?? '–'),
  ])).reverse());
}

const bar = (many, most) => 6 + (many / most) * (HEIGHT - 12);
