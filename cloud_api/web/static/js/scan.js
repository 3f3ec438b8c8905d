// The scanner's page: the door's sticker leads to the door; it opens nothing by itself.

import { busy } from './api.js';
import { scan as scanInMini } from './mini.js';
import { hasCamera, readFile, watch } from './scanner.js';

const page = document.querySelector('[data-scan]');
const { decoder, host } = page.dataset;
const video = page.querySelector('video');
const start = document.querySelector('[data-scan-start]');
const torch = document.querySelector('[data-scan-torch]');
const say = page.querySelector('[data-scan-say]');
const OURS = /^\/(d|g|join|gift)\/[\w-]+$/;
let camera = null;

function stop() {
  camera?.stop();
  camera = null;
  page.classList.remove('is-live');
  if (torch) torch.hidden = true;
}

/** Whether the text was one of ours; then this page is left. */
function go(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    url = null;
  }
  if (url && OURS.test(url.pathname) && [location.host, host].includes(url.host)) {
    navigator.vibrate?.(20);
    location.assign(url.pathname);
    return true;
  }
  say.textContent = page.dataset.tOther;
  return false;
}

async function open() {
  say.textContent = '';
  try {
    camera = await watch(video, decoder, go);
    page.classList.add('is-live');
    start.hidden = true;
    if (camera.torch) {
      torch.hidden = false;
      torch.onclick = () => {
        const on = torch.getAttribute('aria-pressed') !== 'true';
        torch.setAttribute('aria-pressed', String(on));
        camera?.torch(on);
      };
    }
  } catch (error) {
    stop();
    start.hidden = false;
    say.textContent = page.dataset[error.name === 'NotAllowedError' ? 'tDenied' : 'tFailed'];
  }
}

if (scanInMini) {
  start.addEventListener('click', scanInMini);
} else if (hasCamera) {
  start.addEventListener('click', () => busy(start, open));
  // Whoever allowed it once need not tap again.
  navigator.permissions?.query({ name: 'camera' }).then((found) => found.state === 'granted' && busy(start, open)).catch(() => undefined);
} else {
  start.hidden = true;
  say.textContent = page.dataset.tNone;
}

document.querySelector('[data-scan-file]').addEventListener('change', async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  say.textContent = '';
  const text = await readFile(file, decoder).catch(() => '');
  event.target.value = '';
  if (!text) say.textContent = page.dataset.tNothing;
  else go(text);
});

addEventListener('pagehide', stop);
document.addEventListener('visibilitychange', () => document.hidden && stop());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !camera && hasCamera) start.hidden = false;
});
