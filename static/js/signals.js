const KNOWN = { positive: '😊', neutral: '😐', stressed: '😣', uncertain: '🤔' };
const OTHER_EMOJI = '🏷️';
/** Entries whose text the classifier cannot read are counted under this name. */
export const UNCLASSIFIED = 'unclassified';
const UNCLASSIFIED_EMOJI = '❔';
const OTHER_TONES = 4;

/** The standard signals, in display order. */
export const FIXED_ORDER = Object.keys(KNOWN);

/**
 * @typedef {object} Slice a signal's share of a summary
 * @property {string} signal
 * @property {string} emoji
 * @property {string} tone the name of its colour in the style sheet
 * @property {number} count
 * @property {number} share from 0 to 1
 */

/** Returns the name under which an interaction is counted. @param {object} entry @returns {string} */
export const signalOf = ({ detected_signal: signal, classification }) =>
  (classification && classification.score === null ? UNCLASSIFIED : signal);

/** @param {string} signal @returns {string} */
export function emojiOf(signal) {
  if (signal === UNCLASSIFIED) return UNCLASSIFIED_EMOJI;
  return Object.hasOwn(KNOWN, signal) ? KNOWN[signal] : OTHER_EMOJI;
}

/**
 * Returns the colour name of a signal. The colour of a non-standard signal depends only on its name.
 * @param {string} signal
 * @returns {string}
 */
export function toneOf(signal) {
  if (Object.hasOwn(KNOWN, signal)) return signal;
  if (signal === UNCLASSIFIED) return 'neutral';
  let hash = 0;
  for (const character of signal) hash = (hash * 31 + character.codePointAt(0)) % 65521;
  return `other-${(hash % OTHER_TONES) + 1}`;
}

/** Returns the number of interactions with `signal`. */
export const countOf = (summary, signal) => (Object.hasOwn(summary, signal) ? summary[signal] : 0);

/** @param {Record<string, number>} summary @returns {number} */
export const totalOf = (summary) => Object.values(summary).reduce((sum, count) => sum + count, 0);

/** Returns the number of interactions with a signal. @param {Record<string, number>} summary @returns {number} */
export const classifiedIn = (summary) => totalOf(summary) - countOf(summary, UNCLASSIFIED);

/**
 * Returns the slices of a summary: all standard signals, then the others by count and name.
 * @param {Record<string, number>} summary
 * @returns {Slice[]}
 */
export function slicesOf(summary) {
  const total = totalOf(summary);
  const others = Object.keys(summary)
    .filter((signal) => !Object.hasOwn(KNOWN, signal))
    .sort((a, b) => summary[b] - summary[a] || (a < b ? -1 : 1));
  return [...FIXED_ORDER, ...others].map((signal) => {
    const count = countOf(summary, signal);
    return { signal, emoji: emojiOf(signal), tone: toneOf(signal), count, share: total && count / total };
  });
}

/**
 * Limits the number of slices to `most` by merging the last ones into "others".
 * @param {Slice[]} slices
 * @param {number} most
 * @returns {Slice[]}
 */
export function foldSlices(slices, most) {
  if (slices.length <= most) return slices;
  const rest = slices.slice(most - 1);
  const sum = (field) => rest.reduce((total, slice) => total + slice[field], 0);
  const name = `${rest.length} others`;
  const others = { signal: name, emoji: OTHER_EMOJI, tone: 'neutral', count: sum('count'), share: sum('share') };
  return [...slices.slice(0, most - 1), others];
}
