// Turns the ring once a second. Reads data-start, data-end, data-grace-end of [data-ring]; the phase follows
// from them and the server's clock, so a page left open tells grace and overtime without a reload.

import { fill } from './api.js';
import { hm, hoursMinutes, now, offsetOf } from './clock.js';

const spoken = new WeakMap();

function say(ring, minutes) {
  const place = document.querySelector('[data-ring-say]');
  if (!place || spoken.get(ring) === minutes) return;
  spoken.set(ring, minutes);
  place.textContent = minutes > 0 ? fill(ring.dataset.tSay, { n: minutes }) : ring.dataset.tEnd;
}

function turn(ring) {
  const at = now();
  const [start, end, grace] = ['start', 'end', 'graceEnd'].map((name) => Date.parse(ring.dataset[name]));
  const part = (name) => ring.querySelector(`[data-ring-${name}]`);
  const left = end - at;
  const phase = left > 0 ? 'running' : at < grace ? 'grace' : 'overtime';
  ring.classList.toggle('is-grace', phase === 'grace');
  ring.classList.toggle('is-over', phase === 'overtime');
  ring.classList.toggle('is-soon', phase === 'running' && left < 15 * 60000);
  ring.dataset.phase = phase;
  if (phase === 'running') {
    const share = Math.min(1, left / (end - start));
    part('arc').setAttribute('stroke-dasharray', `${(share * 1000).toFixed(2)} 1000`);
    part('arc').setAttribute('stroke-dashoffset', (share * 1000 - 1000).toFixed(2));
    part('knob').setAttribute('transform', `rotate(${(-360 * share).toFixed(2)} 140 140)`);
    for (const dot of part('dots').children) dot.toggleAttribute('hidden', Number(dot.dataset.min) * 60000 > left);
    part('word').textContent = ring.dataset.tLeft;
    const seconds = Math.max(0, Math.ceil(left / 1000));
    part('num').textContent = `${Math.floor(seconds / 3600)}:${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')}`;
    part('sec').textContent = `:${String(seconds % 60).padStart(2, '0')}`;
    for (const mark of [30, 15, 5]) if (left <= mark * 60000 && left > (mark - 1) * 60000) say(ring, mark);
    return;
  }
  const whole = phase === 'grace' ? Math.max(1, grace - end) : 60 * 60000;
  const share = phase === 'grace' ? (grace - at) / whole : Math.min(1, (at - grace) / whole);
  if (phase === 'grace') {
    part('arc').removeAttribute('stroke-dasharray');
    part('arc').setAttribute('stroke-dashoffset', '0');
    part('sec').textContent = '';
    part('num').textContent = hoursMinutes(grace - at);
    part('word').textContent = ring.dataset.tGrace;
  } else {
    part('arc').setAttribute('stroke-dasharray', `${(share * 1000).toFixed(2)} 1000`);
    part('arc').setAttribute('stroke-dashoffset', '0');
    part('sec').textContent = '';
    part('num').textContent = `+${hoursMinutes(at - end - 59999)}`;
    part('word').textContent = ring.dataset.tOver;
  }
  part('until').textContent = phase === 'grace'
    ? fill(ring.dataset.tTo, { t: hm(grace, offsetOf(ring.dataset.end)) })
    : fill(ring.dataset.tWas, { t: hm(end, offsetOf(ring.dataset.end)) });
  say(ring, 0);
}

function all() {
  for (const ring of document.querySelectorAll('[data-ring]')) turn(ring);
}

all();
setInterval(all, 1000);
document.addEventListener('km:clock', all);
