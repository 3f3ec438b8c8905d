// Choosing a brand: what is typed stands at once in both phones, in the tones that the server makes of the
// colour; a logo is sent when it is chosen.

import { api, busy, fill } from './api.js';
import { again } from './regions.js';
import { toast } from './sheet.js';

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? '';
const WORDS = ['name', 'slogan', 'phone', 'wechat', 'footer'];
let running = null;
let last = JSON.parse(document.querySelector('[data-ramp]')?.dataset.ramp ?? 'null'); // what the phones are painted in

const form = () => document.querySelector('form[data-brand]');
const all = (selector) => document.querySelectorAll(`[data-preview] ${selector}`);

function show() {
  const { elements } = form();
  for (const word of WORDS) {
    const text = elements[word].value.trim() || (word === 'name' ? elements.name.placeholder : '');
    for (const place of all(`[data-put="${word}"]`)) place.textContent = text;
    for (const place of all(`[data-show="${word}"]`)) if (word !== 'name') place.hidden = !text;
  }
}

function paint(tones) {
  for (const screen of document.querySelectorAll('[data-preview]')) {
    for (const name of ['--brand', '--brand-d', '--brand-ink', '--brand-w', '--on-brand']) {
      if (tones) screen.style.setProperty(name, tones[screen.dataset.preview][name]);
      else screen.style.setProperty(name, `var(${name.replace('on-brand', 'on-jade').replace('brand', 'jade')})`);
    }
  }
}

function tell(told) {
  const place = document.querySelector('[data-told]');
  place.classList.toggle('is-moved', Boolean(told && (told.moved.length || told.like)));
  if (!told) {
    place.textContent = '';
    return;
  }
  const key = told.moved.length === 2 ? 'tBoth' : told.moved[0] === 'light' ? 'tLight' : told.moved[0] === 'dark' ? 'tDark' : 'tFits';
  const lines = [fill(place.dataset[key], { light: told.light['--brand'], dark: told.dark['--brand'] })];
  if (told.like) lines.push(place.dataset[told.like === 'alarm' ? 'tAlarm' : 'tLamp']);
  place.textContent = lines.join(' ');
}

function put(told) {
  last = told;
  paint(told);
  tell(told);
}

async function colour() {
  const field = form().elements.colour;
  const text = field.value.trim();
  const error = form().querySelector('[data-error-for="colour"]');
  error.textContent = '';
  field.removeAttribute('aria-invalid');
  running?.abort();
  if (!text) {
    put(null);
    return;
  }
  if (!/^#[0-9a-f]{6}$/i.test(text)) return; // still being typed
  form().querySelector('[data-pick]').value = text.toLowerCase();
  running = new AbortController();
  try {
    const told = await api('/api/v1/console/brand/ramp', { body: { colour: text }, signal: running.signal });
    put(told);
  } catch (problem) {
    if (problem.name !== 'AbortError' && problem.message) error.textContent = problem.message;
  }
}

async function send(row, method, body) {
  const place = row.querySelector('[data-error-for="file"]');
  place.textContent = '';
  const headers = { 'X-CSRF-Token': csrf, Accept: 'application/json' };
  if (body) headers['Content-Type'] = body.type || 'application/octet-stream';
  try {
    const answer = await fetch(row.dataset.url, { method, body, headers, credentials: 'same-origin' });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.detail);
    toast(row.dataset[body ? 'tDone' : 'tGone']);
    await redraw();
  } catch (refused) {
    place.textContent = refused.message || JSON.parse(document.querySelector('meta[name="km-words"]').content).network;
  }
}

/** What was typed and not saved stays; version and logos are the server's. */
async function redraw() {
  const typed = [...form().elements].filter((field) => field.name && field.name !== 'version').map((field) => [field.name, field.value]);
  await again();
  for (const [name, value] of typed) form().elements[name].value = value;
  if (last) form().querySelector('[data-pick]').value = last.chosen.toLowerCase();
  show();
}

document.addEventListener('input', (event) => {
  if (!event.target.form?.matches('[data-brand]')) return;
  if (event.target.matches('[data-pick]')) form().elements.colour.value = event.target.value.toUpperCase();
  show();
  if (event.target.matches('[data-pick], [name="colour"]')) colour();
});

document.addEventListener('change', (event) => {
  const row = event.target.closest('[data-logo]');
  const [file] = event.target.files ?? [];
  if (row && file) busy(event.target.closest('label'), () => send(row, 'PUT', file)).then(() => { event.target.value = ''; });
});

document.addEventListener('click', (event) => {
  const drop = event.target.closest('[data-logo-drop]');
  if (drop) busy(drop, () => send(drop.closest('[data-logo]'), 'DELETE'));
  if (event.target.closest('[data-no-colour]')) {
    form().elements.colour.value = '';
    colour();
  }
});

document.addEventListener('km:regions', () => {
  show();
  put(last);
});
put(last);
