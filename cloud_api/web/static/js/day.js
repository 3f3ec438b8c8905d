// The console's day: bars are put in their places, a booking is dragged or moved by keys to another time or
// room. Nothing is believed before the cloud has said so: the move is quoted, said, and asked for.

import { api, busy, intent } from './api.js';
import { now } from './clock.js';
import { touch } from './live.js';
import { again } from './regions.js';
import { toast } from './sheet.js';

const HOUR = 3600000;
const sheet = document.getElementById('sheet-move');
const said = document.querySelector('[data-day-said]');
let held = null; // what is picked up: {bar, row, from, length, startRow, startFrom, pointer?}

let missed = false; // something happened while a bar was held: the day was not drawn again then

const first = document.querySelector('[data-day]');
const day = () => document.querySelector('[data-day]') ?? first; // gone where an answer had none: a login that ended
const begin = () => Date.parse(day().dataset.from);
const hours = () => Number(day().dataset.hours);
const share = (at) => (at - begin()) / (hours() * HOUR);
const rows = () => [...day().querySelectorAll('[data-row-room]')];

function hm(at) {
  const sign = day().dataset.offset[0] === '-' ? -1 : 1;
  const [h, m] = day().dataset.offset.slice(1).split(':').map(Number);
  return new Date(at + sign * (h * 60 + m) * 60000).toISOString().slice(11, 16);
}

function put(bar, from, to) {
  const a = Math.max(0, share(from));
  const b = Math.min(1, share(to));
  bar.style.setProperty('--x', `${a * 100}%`);
  bar.style.setProperty('--w', `max(6px, calc(${Math.max(0, b - a) * 100}% - 2px))`);
  bar.classList.toggle('is-narrow', (b - a) * hours() < 0.7);
}

function lay() {
  if (!day()?.isConnected) return;
  for (const hour of day().querySelectorAll('[data-hour]')) hour.style.setProperty('--x', `${(Number(hour.dataset.hour) / hours()) * 100}%`);
  for (const bar of day().querySelectorAll('.db[data-from]')) if (bar !== held?.bar) put(bar, Date.parse(bar.dataset.from), Date.parse(bar.dataset.to));
  const line = day().querySelector('[data-now-line]');
  const here = share(now());
  line.hidden = here < 0 || here > 1;
  line.style.setProperty('--x', `${here * 100}%`);
  line.style.setProperty('--h', `${day().querySelector('.day-grid').offsetHeight}px`);
}

function show() {
  put(held.bar, held.from, held.from + held.length);
  if (held.bar.parentElement !== held.row.querySelector('.day-track')) held.row.querySelector('.day-track').append(held.bar);
  const clash = [...held.row.querySelectorAll('.db[data-from]')].some((other) => other !== held.bar && !other.matches('.is-done') && Date.parse(other.dataset.from) < held.from + held.length && held.from < Date.parse(other.dataset.to));
  held.bar.classList.toggle('is-clash', clash);
  for (const row of rows()) row.classList.toggle(clash ? 'is-full' : 'is-over', row === held.row);
  for (const row of rows()) row.classList.remove(clash ? 'is-over' : 'is-full');
  said.textContent = `${held.row.dataset.name} ${hm(held.from)}–${hm(held.from + held.length)}${clash ? ` ${sheet.dataset.tNo}` : ''}`;
}

function lift(bar, pointer = null) {
  const from = Date.parse(bar.dataset.from);
  const row = bar.closest('[data-row-room]');
  held = { bar, row, from, length: Date.parse(bar.dataset.to) - from, startRow: row, startFrom: from, pointer, moved: false };
  bar.classList.add('is-lifted');
  day().setAttribute('hx-morph-skip', '');
}

function back() {
  if (!held) return;
  const { bar, startRow, startFrom, length } = held;
  bar.classList.remove('is-lifted', 'is-clash');
  startRow.querySelector('.day-track').append(bar);
  for (const row of rows()) row.classList.remove('is-over', 'is-full');
  put(bar, startFrom, startFrom + length);
  day().removeAttribute('hx-morph-skip');
  held = null;
  if (missed) touch(['merchant']);
  missed = false;
}

const iso = (at) => new Date(at).toISOString();
const yuan = (fen) => `¥${(Math.abs(fen) / 100).toFixed(fen % 100 ? 2 : 0)}`;

function tell(text, wrong = '') {
  sheet.querySelector('[data-move-line]').textContent = text;
  const place = sheet.querySelector('[data-form-error]');
  place.textContent = wrong;
  place.hidden = !wrong;
  sheet.querySelector('[type="submit"]').hidden = Boolean(wrong);
}

let wish = null;
async function drop() {
  const { bar, row, from, length, startRow, startFrom } = held;
  if (row === startRow && from === startFrom) return back();
  const id = bar.dataset.movable;
  const body = { room_id: row.dataset.rowRoom, starts_at: iso(from), ends_at: iso(from + length) };
  wish = { id, body, was: { room_id: startRow.dataset.rowRoom, starts_at: iso(startFrom), ends_at: iso(startFrom + length) }, key: intent() };
  sheet.querySelector('[data-move-title]').textContent = sheet.dataset.tTo.replace('{room}', row.dataset.name).replace('{from}', hm(from)).replace('{to}', hm(from + length));
  try {
    const offer = await api(`/api/v1/console/orders/${id}/change/quote`, { body });
    wish.body.expect_fen = offer.diff_fen;
    const text = offer.diff_fen > 0 ? sheet.dataset.tMore : offer.diff_fen < 0 ? sheet.dataset.tLess : sheet.dataset.tSame;
    tell(text.replace('{m}', yuan(offer.diff_fen)));
  } catch (problem) {
    tell('', problem.message);
  }
  sheet.showModal();
  return undefined;
}

sheet?.querySelector('[data-move-form]').addEventListener('submit', (event) => {
  event.preventDefault();
  busy(event.target.querySelector('[type="submit"]'), async () => {
    try {
      const done = await api(`/api/v1/console/orders/${wish.id}/change`, { body: wish.body, key: wish.key });
      const { id, was } = wish;
      const free = wish.body.expect_fen === 0;
      sheet.close();
      await again();
      if (done.state === 'applied' && free) undoable(id, was);
      else toast(done.state === 'applied' ? sheet.dataset.tDone : sheet.dataset.tWait);
    } catch (problem) {
      tell('', problem.message);
    }
  });
});
sheet?.addEventListener('close', () => back());

/** Ten seconds to put a booking back that cost nothing to move. */
function undoable(id, was) {
  toast(sheet.dataset.tDone, 10);
  const box = document.querySelector('[data-toasts] .toast');
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'btn btn-text btn-s';
  button.textContent = sheet.dataset.tUndo;
  button.addEventListener('click', () => busy(button, async () => {
    try {
      await api(`/api/v1/console/orders/${id}/change`, { body: { ...was, expect_fen: 0 }, key: intent() });
      toast(sheet.dataset.tUndone);
      await again();
    } catch (problem) {
      toast(problem.message);
    }
  }));
  box?.append(button);
}

// --- by pointer ------------------------------------------------------------------------------------
document.addEventListener('pointerdown', (event) => {
  const bar = event.target.closest('[data-movable]');
  if (!bar || event.button || !day()?.matches('[data-move]') || sheet.open) return;
  lift(bar, { id: event.pointerId, x: event.clientX, y: event.clientY });
});
document.addEventListener('pointermove', (event) => {
  if (!held?.pointer || held.pointer.id !== event.pointerId) return;
  const { pointer } = held;
  if (!held.moved && Math.hypot(event.clientX - pointer.x, event.clientY - pointer.y) < 6) return;
  held.moved = true;
  const step = Number(held.row.dataset.stepMin) * 60000;
  const track = held.row.querySelector('.day-track').getBoundingClientRect();
  const shift = ((event.clientX - pointer.x) / track.width) * hours() * HOUR;
  held.from = held.startFrom + Math.round(shift / step) * step;
  const under = rows().find((row) => { const box = row.getBoundingClientRect(); return event.clientY >= box.top && event.clientY < box.bottom; });
  if (under && under.dataset.rowStore === held.startRow.dataset.rowStore) held.row = under;
  show();
});
for (const end of ['pointerup', 'pointercancel']) {
  document.addEventListener(end, (event) => {
    if (!held?.pointer || held.pointer.id !== event.pointerId) return;
    const { moved } = held;
    if (!moved || end === 'pointercancel') return back();
    held.pointer = null;
    const follow = (click) => { if (click.target.closest('.db')) click.preventDefault(); };
    document.addEventListener('click', follow, { once: true, capture: true });
    setTimeout(() => document.removeEventListener('click', follow, { capture: true })); // a finger's drag ends without one
    drop();
  });
}

// --- by keys ---------------------------------------------------------------------------------------
document.addEventListener('keydown', (event) => {
  const bar = event.target.closest?.('[data-movable]');
  if (!bar || sheet.open || !day()?.matches('[data-move]')) return;
  if (!held && event.key === ' ') { event.preventDefault(); lift(bar); show(); return; }
  if (!held && event.key === 'Enter' && !event.ctrlKey) { event.preventDefault(); lift(bar); show(); return; }
  if (!held) return;
  const step = Number(held.row.dataset.stepMin) * 60000;
  const mine = rows().filter((row) => row.dataset.rowStore === held.startRow.dataset.rowStore);
  const at = mine.indexOf(held.row);
  if (event.key === 'ArrowLeft') held.from -= step;
  else if (event.key === 'ArrowRight') held.from += step;
  else if (event.key === 'ArrowUp' && at > 0) held.row = mine[at - 1];
  else if (event.key === 'ArrowDown' && at < mine.length - 1) held.row = mine[at + 1];
  else if (event.key === 'Escape') { event.preventDefault(); back(); bar.focus(); return; }
  else if (event.key === 'Enter') { event.preventDefault(); drop(); return; }
  else return;
  event.preventDefault();
  show();
  bar.focus();
});

lay();
document.addEventListener('km:regions', () => {
  if (held && !held.startRow.isConnected) held = null; // its bar went with the day that was
  lay();
});
document.addEventListener('km:event', () => { missed ||= held !== null; });
document.addEventListener('km:live', lay);
setInterval(lay, 30000);
const view = day();
if (view) view.scrollLeft = Math.max(0, share(now()) * view.querySelector('.day-grid').offsetWidth - 300);
