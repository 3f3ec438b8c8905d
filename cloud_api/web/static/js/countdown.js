// Every [data-countdown="ISO"] on the page, once a second. data-format: mmss, clock, over, words, or a
// sentence in data-t with {t}. data-reload asks for the page again when it reaches nought.

import { fill } from './api.js';
import { hoursMinutes, minutesSeconds, now } from './clock.js';

const opened = performance.now();

function parts(element, ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = [[Math.floor((seconds % 3600) / 60), element.dataset.tM], [seconds % 60, element.dataset.tS]];
  const shown = hours ? [[hours, element.dataset.tH], rest[0]] : rest;
  element.replaceChildren(...shown.flatMap(([n, unit], place) => {
    const small = document.createElement('small');
    small.textContent = unit;
    return [document.createTextNode(hours && !place ? n : String(n).padStart(2, '0')), small];
  }));
}

function tick(element) {
  const at = Date.parse(element.dataset.countdown);
  if (Number.isNaN(at)) return;
  const left = at - now();
  const place = element.querySelector('[data-count]') ?? element;
  const format = element.dataset.format;
  if (format === 'over') place.textContent = `+${hoursMinutes(-left - 59999)}`;
  else if (format === 'words') parts(element, left);
  else if (format === 'clock') place.textContent = hoursMinutes(left);
  else if (element.dataset.t) place.textContent = left > 0 ? fill(element.dataset.t, { t: minutesSeconds(left) }) : element.dataset.tEnd;
  else place.textContent = minutesSeconds(left);
  if (left <= 0 && 'reload' in element.dataset && !element.dataset.done && performance.now() - opened > 2000) {
    element.dataset.done = '1';
    location.reload();
  }
}

function all() {
  for (const element of document.querySelectorAll('[data-countdown]')) tick(element);
}

all();
setInterval(all, 1000);
document.addEventListener('km:clock', all);
