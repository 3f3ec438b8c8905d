// The room's devices for its guest. A switch moves when the store has said that the device did, and never
// before; a tap while one is under way does nothing. Degrees are sent when the thumb has come to rest.

import { api, fill, intent } from './api.js';
import { toast } from './sheet.js';

const REST = 700;
const READ = 8000; // so long a refusal stays, whatever the page is told meanwhile
const FOLLOWS = 4000; // so soon after a device moved its store has reported it
const rests = new Map(); // by device: the timer, and what is aimed at
const told = new Map(); // by device: how the answer to the last tap is shown, and until when it stays

function say(box, word, state = '') {
  box.querySelector('[data-device-word]').textContent = word;
  for (const one of ['pending', 'failed', 'unknown', 'ok']) box.classList.toggle(`is-${one}`, one === state);
}

function keep(box, show, until) {
  told.set(box.id, { show, until });
  show(box);
}

async function ask(box, body, done) {
  const before = box.querySelector('[data-device-word]').textContent;
  const was = [...box.classList].find((name) => /^is-(ok|stale|unknown|failed)$/.test(name))?.slice(3) ?? 'ok';
  const answered = (word, state) => keep(box, (now) => say(now, word, state), Date.now() + READ);
  keep(box, (now) => {
    now.setAttribute('aria-busy', 'true');
    say(now, now.dataset.tPending, 'pending');
  }, Infinity);
  try {
    const answer = await api(box.dataset.guest, { body, key: intent(), timeout: 20000 });
    if (answer.state === 'done') keep(box, done, Date.now() + FOLLOWS);
    else if (answer.state === 'unknown') answered(box.dataset.tUnknown, 'unknown');
    else answered(answer.message || box.dataset.tFailed, 'failed');
  } catch (problem) {
    told.delete(box.id);
    say(box, before, was);
    toast(problem.message);
  } finally {
    box.removeAttribute('aria-busy');
  }
}

// What was asked for before the answer came knows nothing of it, and would take it off the page again.
document.addEventListener('km:live', () => {
  for (const [id, { show, until }] of told) {
    const box = document.getElementById(id);
    if (!box || Date.now() > until) told.delete(id);
    else show(box);
  }
});

document.addEventListener('click', (event) => {
  const box = event.target.closest('[data-guest]');
  if (box && box.dataset.guest) {
    const busy = box.getAttribute('aria-busy') === 'true';
    const flip = event.target.closest('[role="switch"]');
    if (flip && !busy) {
      const on = flip.getAttribute('aria-checked') !== 'true';
      ask(box, { on }, () => {
        flip.setAttribute('aria-checked', String(on));
        box.classList.toggle('is-on', on);
        say(box, on ? box.dataset.tOn : box.dataset.tOff, 'ok');
      });
    }
    const step = event.target.closest('[data-step]');
    if (step && !busy) aim(box, Number(step.dataset.step));
    const chip = event.target.closest('[data-air]');
    if (chip && !busy && chip.getAttribute('aria-pressed') !== 'true') air(box, chip);
  }
  const copy = event.target.closest('[data-copy]');
  if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.querySelector('span').textContent = copy.dataset.tDone; }).catch(() => undefined);
});

/** Mode or fan speed: the chip is pressed when the store has said that the device took it. */
function air(box, chip) {
  ask(box, { [chip.dataset.air]: chip.dataset.value }, () => {
    for (const one of chip.parentElement.querySelectorAll('[data-air]')) one.setAttribute('aria-pressed', String(one === chip));
    say(box, worded(box), 'ok');
  });
}

/** What the page says of an air conditioner, as device_words.air_word does. */
function worded(box) {
  const of = (part) => box.querySelector(`[data-air="${part}"][aria-pressed="true"]`);
  const [mode, fan, n] = [of('mode'), of('fan'), box.querySelector('[data-degrees]').dataset.now];
  let said = fill(box.dataset.tSet, { n });
  if (mode) said = mode.dataset.value === 'fan' ? mode.textContent : fill(box.dataset.tRuns, { mode: mode.textContent, n });
  return fan ? fill(box.dataset.tBlows, { said, fan: fan.textContent }) : said;
}

function aim(box, by) {
  const degrees = box.querySelector('[data-degrees]');
  const shown = degrees.querySelector('[data-stepped]');
  const { low, high, now } = degrees.dataset;
  const rest = rests.get(box.id) ?? { to: Number(now) };
  rest.to = Math.min(Number(high), Math.max(Number(low), rest.to + by));
  shown.textContent = `${rest.to}°`;
  clearTimeout(rest.timer);
  rest.timer = setTimeout(async () => {
    rests.delete(box.id);
    const aimed = rest.to;
    if (aimed === Number(degrees.dataset.now)) return;
    await ask(box, { setpoint: aimed }, () => {
      degrees.dataset.now = String(aimed);
      say(box, worded(box), 'ok');
    });
    shown.textContent = `${degrees.dataset.now}°`;
  }, REST);
  rests.set(box.id, rest);
}

// A buzz when the ring passes 15 and 5 minutes: a phone on the table is not looked at.
let last = null;
setInterval(() => {
  const ring = document.querySelector('[data-ring]');
  if (!ring) return;
  const soon = ring.classList.contains('is-soon');
  if (last === false && soon) navigator.vibrate?.([80, 80, 80]);
  last = soon;
}, 1000);
