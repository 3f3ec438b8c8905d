// The console: one room under the glass, a reason before every remote command, and the store's answer
// row by row. A switch shows what the store reported; nothing here is optimistic.

import { api, busy, clearProblems, fill, intent, word } from './api.js';
import { hm, now, offsetOf } from './clock.js';
import './countdown.js';
import './forms.js';
import './lists.js';
import { touch } from './live.js';
import { again } from './regions.js';
import './sheet.js';

// Where the pages of a section do not fit side by side, the one that is open is in sight.
document.querySelector('.subnav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });

const offset = offsetOf(document.querySelector('meta[name="km-now"]')?.content ?? '');

// --- the store's answer --------------------------------------------------------------------------
const sprite = document.querySelector('use')?.getAttribute('href').split('#')[0];
const texts = document.getElementById('words')?.dataset ?? {};

function sign(kind) {
  if (kind === 'wait') return document.createElement('span');
  if (kind === 'now') {
    const spin = document.createElement('span');
    spin.className = 'spin';
    return spin;
  }
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'i i-s');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `${sprite}#${{ ok: 'check', failed: 'x', unknown: 'circle-alert' }[kind]}`);
  svg.append(use);
  return svg;
}

/** Draws the rows: [{text, kind: ok|now|wait|failed|unknown, seconds?}]. */
function draw(box, rows, by = '') {
  box.hidden = false;
  box.querySelector('[data-answer-steps]').replaceChildren(...rows.map((row) => {
    const item = document.createElement('li');
    item.className = `is-${row.kind === 'now' ? 'wait' : row.kind}`;
    const text = document.createElement('span');
    text.textContent = row.text;
    const took = document.createElement('small');
    took.className = 'num';
    took.textContent = row.seconds === undefined ? '' : word('step', { n: row.seconds.toFixed(1) });
    item.append(sign(row.kind), text, took);
    return item;
  }));
  const line = box.querySelector('[data-answer-by]');
  line.textContent = by;
  line.hidden = !by;
}

/** What came back, as three rows; `…_ms` count from the tap, where the server knows them. */
function rowsOf(answer, last, took) {
  const seconds = (ms) => (ms === null || ms === undefined ? undefined : ms / 1000);
  const sent = { text: texts.sent, kind: 'ok', seconds: seconds(answer.sent_ms) };
  const obeyed = { text: texts.obeyed, kind: 'ok', seconds: seconds(answer.accepted_ms) };
  const said = answer.message;
  switch (answer.state) {
    case 'done': return [sent, obeyed, { text: last || said, kind: 'ok', seconds: seconds(answer.took_ms) ?? took }];
    case 'refused': return [sent, { text: said || texts.failed, kind: 'failed', seconds: took }];
    case 'expired': return [{ text: said || texts.expired, kind: 'failed', seconds: took }];
    case 'unknown': return [sent, { text: said || texts.unknown, kind: 'unknown', seconds: took }];
    default: return [sent, obeyed, { text: said || texts.failed, kind: 'failed', seconds: took }];
  }
}

// --- asking before doing -------------------------------------------------------------------------
const dialog = document.querySelector('[data-ask-dialog]');
let asked = null;

function ask(kind, button, name) {
  const n = button.closest('[data-stepper]')?.dataset.wanted ?? button.dataset.word ?? '';
  asked = { kind, button, n, url: button.dataset.url ?? button.dataset.setUrl, key: intent() };
  for (const part of dialog.querySelectorAll('[data-ask-title], [data-ask-line]')) part.textContent = fill(part.dataset[`t${kind[0].toUpperCase()}${kind.slice(1)}`], { name, n });
  const go = dialog.querySelector('[data-ask-go]');
  go.firstElementChild.textContent = go.dataset[`t${kind[0].toUpperCase()}${kind.slice(1)}`];
  dialog.querySelector('[data-ask-for]').hidden = !['on', 'off', 'climate', 'air'].includes(kind);
  const clip = dialog.querySelector('[data-ask-clip]');
  clip.hidden = kind !== 'say';
  if (kind === 'say') clip.querySelector('select').replaceChildren(...JSON.parse(button.dataset.clips).map(([key, text]) => new Option(text, key)));
  const force = dialog.querySelector('[data-ask-force]');
  force.hidden = kind !== 'off' || !('may' in force.dataset);
  force.querySelector('input').checked = false;
  const why = dialog.querySelector('[name="why"]');
  why.value = '';
  why.dispatchEvent(new Event('input'));
  clearProblems(dialog);
  dialog.showModal();
}

document.addEventListener('click', (event) => {
  if (!event.isTrusted) return;
  const button = event.target.closest('[data-ask]');
  if (button && button.getAttribute('aria-busy') !== 'true') {
    if (button.dataset.ask === 'clean') command({ kind: 'clean', button, url: button.dataset.url, key: intent() }, '', 0, false, '');
    else if (dialog) ask(button.dataset.ask, button, button.dataset.name);
  }
  const device = event.target.closest('.console .switch[data-set-url]');
  if (dialog && device && device.getAttribute('aria-busy') !== 'true') {
    const on = device.getAttribute('aria-checked') !== 'true';
    ask(on ? 'on' : 'off', device, device.closest('[data-device]').querySelector('h3').textContent);
  }
});

/** What the store is asked, by kind. */
function bodyOf(kind, button, n, why, seconds, force, clip) {
  switch (kind) {
    case 'door': case 'clear': return { why };
    case 'clean': return {};
    case 'climate': return { setpoint: Number(n), for_s: seconds, why };
    case 'air': return { [button.dataset.air]: button.dataset.value, for_s: seconds, why };
    case 'say': return { clip, why };
    default: return { on: kind === 'on', for_s: seconds, why, force };
  }
}

async function command({ kind, button, url, key, n = '' }, why, seconds, force, clip) {
  const group = button.closest('[data-door-box], [data-device-box]');
  const box = group.querySelector('[data-answer]');
  const last = kind === 'door' || kind === 'clean' ? texts.moved : texts.switched;
  const line = group.querySelector('[data-device-word]');
  const started = performance.now();
  group.setAttribute('hx-morph-skip', '');
  draw(box, [{ text: texts.sent, kind: 'now' }, { text: texts.obeyed, kind: 'wait' }, { text: last, kind: 'wait' }]);
  if (line && button.dataset.tPending) line.textContent = button.dataset.tPending;
  await busy(button, async () => {
    const body = bodyOf(kind, button, n, why, seconds, force, clip);
    let answer;
    try {
      answer = await api(url, { body, key, timeout: 15000 });
    } catch (problem) {
      answer = { state: problem.status === 0 ? 'unknown' : 'expired', message: problem.message };
    }
    const took = (performance.now() - started) / 1000;
    const who = document.querySelector('.menu-pop > b')?.textContent ?? '';
    draw(box, rowsOf(answer, last, took), fill(texts.by, { who, t: hm(now(), offset), why }));
    if (line && button.dataset.tPending) line.textContent = answer.state === 'done' ? (answer.message ?? '') : button.dataset[answer.state === 'unknown' ? 'tUnknown' : 'tFailed'];
    if (answer.state === 'done' && (kind === 'on' || kind === 'off')) button.setAttribute('aria-checked', String(answer.on ?? kind === 'on'));
    if (answer.state === 'done' && kind === 'air') for (const one of button.parentElement.querySelectorAll('[data-air]')) one.setAttribute('aria-pressed', String(one === button));
  });
  setTimeout(() => group.removeAttribute('hx-morph-skip'), 20000);
  touch(['merchant']);
  if ('after' in button.dataset) setTimeout(again, 4000); // what it opened has a page of its own
}

dialog?.querySelector('[data-ask-form]').addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  const why = form.elements.why.value.trim();
  const error = form.querySelector('[data-form-error]');
  if ([...why].length < 2) {
    error.textContent = error.dataset.tEmpty;
    form.elements.why.focus();
    return;
  }
  dialog.close();
  command(asked, why, Number(form.elements.for_s.value), form.elements.force.checked, form.elements.clip.value);
});

// --- a temperature is chosen first and asked for then; the number shown is the store's until it answers ---
document.addEventListener('click', (event) => {
  const step = event.target.closest('[data-stepper] [data-step]'); // other pages have steps of their own
  if (!step) return;
  const box = step.closest('[data-stepper]');
  const { low, high, now: told } = box.dataset;
  const wanted = Math.min(Number(high), Math.max(Number(low), Number(box.dataset.wanted ?? told) + Number(step.dataset.step)));
  box.dataset.wanted = wanted;
  box.querySelector('[data-stepped]').textContent = `${wanted}°`;
  box.classList.toggle('is-wish', wanted !== Number(told));
  box.querySelector('[data-ask]').hidden = wanted === Number(told);
  box.closest('[data-device-box]')?.setAttribute('hx-morph-skip', '');
});

// --- many at once: each device's own answer -------------------------------------------------------
document.addEventListener('km:done', (event) => {
  const form = event.target;
  if (!form.matches('[data-bulk-form]')) return;
  event.preventDefault();
  const { message, items } = event.detail;
  form.querySelector('[data-bulk-ask]').hidden = true;
  form.querySelector('[data-bulk-told]').hidden = false;
  form.querySelector('[data-bulk-sum]').textContent = message;
  form.querySelector('[data-bulk-items]').replaceChildren(...items.filter((one) => one.state !== 'done').map((one) => {
    const row = document.createElement('li');
    const name = document.createElement('span');
    name.className = 'grow';
    name.textContent = one.name;
    const said = document.createElement('span');
    said.textContent = one.message;
    row.append(name, said);
    return row;
  }));
  touch(['merchant']);
});
document.addEventListener('click', (event) => {
  if (!event.target.closest('[data-open-sheet="bulk"]')) return;
  document.querySelector('[data-bulk-ask]').hidden = false;
  document.querySelector('[data-bulk-told]').hidden = true;
});

// --- alarms and the clock ------------------------------------------------------------------------
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-alarm-ack]');
  if (!button) return;
  busy(button, async () => {
    await api(`/api/v1/console/alarms/${button.dataset.alarmAck}/acknowledge`, { body: {} });
    button.closest('[data-alarm]').remove();
  }).catch((problem) => { button.closest('.alarm').append(Object.assign(document.createElement('p'), { textContent: problem.message })); });
});
// --- what goes on and tells no event: drawn again every data-again-s seconds until it says no more ----
let drawn = Date.now();
setInterval(() => {
  const going = document.querySelector('[data-again-s]');
  if (!going || document.hidden || document.querySelector('dialog[open]') || Date.now() - drawn < going.dataset.againS * 1000) return;
  drawn = Date.now();
  again();
}, 500);

const clock = document.querySelector('[data-clock]');
if (clock) setInterval(() => { clock.textContent = hm(now(), offset); }, 1000);
