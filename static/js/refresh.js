// Decides when the page is refreshed. `PARTS` in script.js decides what is requested.
import { byId } from './dom.js';
import { duration } from './format.js';

let seconds = 0;
let updated = 0;
let due = Infinity;
let look = () => {};

/** @param {() => void} again refreshes the page */
export function start(again) {
  look = again;
  byId('refresh-now').addEventListener('click', again);
  addEventListener('online', () => { if (due < Infinity) again(); });
  document.addEventListener('visibilitychange', tick);
  setInterval(tick, 1000);
}

/** @param {string} every in seconds, '0' for never */
export const setPace = (every) => {
  seconds = Number(every);
  due = updated && seconds ? updated + seconds * 1000 : Infinity;
};

/** Records a successful refresh. */
export function landed() {
  updated = Date.now();
  setPace(seconds);
  tick();
}

/** Records a failed refresh; retries in `wait` seconds, regardless of the interval. */
export function failed(wait) {
  due = Date.now() + wait * 1000;
  tick();
}

/** Pauses until the next successful refresh. */
export function hold() { due = Infinity; }

/** Stops refreshing, because the page shows no data. */
export function stop() {
  updated = 0;
  hold();
  byId('updated').textContent = '';
}

function tick() {
  const now = Date.now();
  if (updated) {
    const paused = document.hidden && seconds ? ', paused' : '';
    byId('updated').textContent = now - updated < 1000 ? 'Updated just now' : `Updated ${duration(Math.floor((now - updated) / 1000) * 1000)} ago${paused}`;
  }
  const left = Math.ceil((due - now) / 1000);
  byId('countdown').textContent = due < Infinity ? `Retrying in ${Math.max(0, left)} s.` : '';
  if (due <= now && !document.hidden) {
    hold();
    look();
  }
}
