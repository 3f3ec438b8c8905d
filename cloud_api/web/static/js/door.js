// The door button: ready → sending → open | failed | unknown. One tap, one command; a tap while one is
// on its way does nothing, and an unknown one may be repeated only after the first has expired.

import { api, intent, word } from './api.js';

const OPEN_FOR = 5000;

function put(button, state, line = '', bad = false) {
  button.dataset.state = state;
  const label = { ready: 'tReady', sending: 'tSending', open: 'tOpen', failed: 'tFailed', unknown: 'tUnknown' }[state];
  button.querySelector('[data-door-word]').textContent = button.dataset[label];
  const say = document.querySelector('[data-door-say]');
  if (say) {
    say.textContent = line;
    say.classList.toggle('is-bad', bad);
  }
  document.body.classList.toggle('is-opened', state === 'open');
  button.dispatchEvent(new CustomEvent('km:door', { bubbles: true, detail: { state } }));
}

// A command that failed, or that nobody answered in its life: the way to another room.
function instead() {
  document.querySelector('[data-door-else]')?.removeAttribute('hidden');
}

async function open(button) {
  const life = Number(button.dataset.life) * 1000;
  const started = performance.now();
  const still = () => Math.max(0, life - (performance.now() - started));
  navigator.vibrate?.(10);
  button.style.setProperty('--life', `${life / 1000}s`);
  put(button, 'sending', button.dataset.tSending);
  let answer;
  try {
    answer = await api(button.dataset.url, { body: {}, key: intent(), timeout: life + 4000 });
  } catch (problem) {
    if (problem.status === 0 && navigator.onLine) answer = { state: 'unknown' };
    else answer = { state: 'failed', message: problem.status === 0 ? button.dataset.tOffline : problem.message };
  }
  if (answer.state === 'done') {
    put(button, 'open', button.dataset.tOpen);
    setTimeout(() => put(button, 'ready'), OPEN_FOR);
  } else if (answer.state === 'unknown') {
    put(button, 'unknown', answer.message || button.dataset.tUnknownLine);
    button.setAttribute('aria-disabled', 'true');
    setTimeout(() => {
      instead();
      button.removeAttribute('aria-disabled');
      button.querySelector('[data-door-word]').textContent = button.dataset.tAgain;
    }, still());
  } else {
    put(button, 'failed', answer.message || word('server'), true);
    if (answer.state === 'failed' && answer.command_id) instead();
  }
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-door]');
  if (!button) return;
  event.preventDefault(); // the form is for phones without this script
  if (!event.isTrusted) return;
  const free = ['ready', 'failed', 'unknown'].includes(button.dataset.state);
  if (free && button.getAttribute('aria-disabled') !== 'true') open(button);
});

// A tap that came before this script was told by the page itself: it is news for as long as any other.
const told = document.querySelector('[data-door][data-state="open"]');
if (told) {
  document.body.classList.add('is-opened');
  setTimeout(() => put(told, 'ready'), OPEN_FOR);
}
