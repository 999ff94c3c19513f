import { ApiError, getPicture } from './api.js';
import { byId, el } from './dom.js';

let request = null;
let address = '';

/**
 * Opens the chart that the API draws, to look at and to download.
 * @param {string} key
 * @param {import('./api.js').View} view
 */
export async function openPicture(key, view) {
  request = new AbortController();
  const { signal } = request;
  byId('picture-save').hidden = true;
  byId('picture-body').replaceChildren(el('p', { class: 'waiting' }, 'Drawing…'));
  byId('picture').showModal();
  try {
    show(await getPicture(key, view, signal), view);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) throw error;
    const problem = el('p', { class: 'problem' }, `The chart could not be fetched. ${error.message}`);
    byId('picture-body').replaceChildren(problem);
  }
}

function show(picture, { agent, user }) {
  address = URL.createObjectURL(picture);
  const alt = `Bar chart of the signals of ${user} with ${agent}`;
  byId('picture-body').replaceChildren(el('img', { src: address, width: '800', height: '480', alt }));
  const save = byId('picture-save');
  save.href = address;
  save.download = `signals-${agent}-${user}.png`;
  save.hidden = false;
}

/** Lets go of the picture when its dialog closes, by whatever means. */
function forget() {
  request?.abort();
  byId('picture-body').replaceChildren();
  byId('picture-save').removeAttribute('href');
  URL.revokeObjectURL(address);
}

byId('picture').addEventListener('close', forget);
byId('picture-close').addEventListener('click', () => byId('picture').close());
