// A platform's code: looked at, then used for a room. On the guest's phone and at the desk.

import { api, busy, clearProblems, fill, intent, showProblem } from './api.js';

const form = document.querySelector('form[data-platform]');
const t = form.dataset;
const found = form.querySelector('[data-found]');
const error = form.querySelector('[data-form-error]');
let seen = null; // {manual, items} of the code in the field
let key = intent();

const way = () => form.querySelector('[name="account_id"]:checked') ?? form.querySelector('[name="account_id"]');

function choice(name, value, text, note, { disabled = false, checked = false } = {}) {
  const label = document.createElement('label');
  label.className = 'radio';
  const words = document.createElement('span');
  words.textContent = text;
  if (note) {
    const small = document.createElement('small');
    small.textContent = note;
    words.append(small);
  }
  const input = Object.assign(document.createElement('input'), { type: 'radio', name, value, disabled, checked });
  label.append(words, input);
  return label;
}

function forget() {
  seen = null;
  found.hidden = true;
  form.querySelector('[data-look-row]').hidden = false;
}

/** The rooms that the chosen voucher opens; the one of the door where the guest stands, if there is one. */
function showRooms() {
  const item = seen.items.find((one) => one.key === form.elements.key?.value) ?? seen.items[0];
  const box = form.querySelector('[data-rooms]');
  const rooms = t.room ? item.rooms.filter((room) => room.id === t.room) : item.rooms;
  const first = rooms.find((room) => room.fits);
  const later = form.elements.when?.value === 'later';
  box.replaceChildren(...rooms.map((room) => choice('room_id', room.id, room.name, room.fits ? t.tFree : room.message, { checked: room === (first ?? rooms[0]), disabled: !room.fits && !later && room.code !== 'voucher.no_room' ? true : !room.fits && !later })));
  form.querySelector('[data-use]').disabled = !item.known || (!first && !later);
  error.textContent = !item.known ? fill(t.tUnknown, { name: item.title || item.deal }) : !first && !later ? t.tNone : '';
  form.querySelector('[data-terms]').textContent = item.known ? `${item.name} · ${item.when}` : '';
}

function show() {
  const box = form.querySelector('[data-coupons]');
  box.hidden = seen.items.length < 2;
  box.replaceChildren(...seen.items.map((one, n) => choice('key', one.key, one.name || one.title, one.when, { checked: n === 0 })));
  for (const part of form.querySelectorAll('[data-manual-only]')) part.hidden = !seen.manual;
  form.querySelector('[data-look-row]').hidden = true;
  found.hidden = false;
  if (!seen.items.length) {
    error.textContent = t.tNothing;
    return;
  }
  showRooms();
}

form.addEventListener('input', (event) => {
  if (['code', 'account_id'].includes(event.target.name)) {
    clearProblems(form);
    forget();
  }
});
form.addEventListener('change', (event) => {
  if (event.target.name === 'when') form.querySelector('[data-later]').hidden = event.target.value !== 'later';
  if (['key', 'when'].includes(event.target.name) && seen) showRooms();
});

async function look(button) {
  clearProblems(form);
  const code = form.elements.code.value.trim();
  if (code.length < 4) return void showProblem(form, { field: 'code', message: t.tEmpty });
  await busy(button, async () => {
    try {
      seen = await api(t.look, { body: { account_id: way().value, store_id: t.store, code }, timeout: 20000 });
      key = intent();
      show();
    } catch (problem) {
      forget();
      showProblem(form, problem);
    }
  });
}

async function use(button) {
  clearProblems(form);
  const room = form.querySelector('[name="room_id"]:checked');
  if (!room) return void (error.textContent = t.tRoom);
  const body = { account_id: way().value, code: form.elements.code.value.trim(), room_id: room.value, way: t.way };
  const picked = form.querySelector('[name="key"]:checked')?.value ?? seen.items[0].key;
  if (seen.manual) body.deal_id = picked;
  else body.key = picked;
  if (form.elements.when?.value === 'later') {
    if (!form.elements.starts_at.value) return void (error.textContent = t.tWhen);
    body.starts_at = `${form.elements.starts_at.value.slice(0, 16)}:00${t.offset}`;
  }
  if (form.elements.phone) body.phone = form.elements.phone.value.trim();
  if (form.elements.why && seen.manual) body.why = form.elements.why.value.trim();
  await busy(button, async () => {
    try {
      const done = await api(t.redeem, { body, key, timeout: 40000 });
      if (done.state === 'confirmed' && t.confirmed) location.assign(fill(t.confirmed, { id: done.order_id }));
      else location.assign(fill(t.next, { id: done.id }));
    } catch (problem) {
      if (problem.status !== 0) key = intent(); // a lost answer is asked for again as the same try
      if (['platform.used', 'platform.not_usable', 'platform.refused'].includes(problem.code)) forget();
      showProblem(form, problem);
    }
  });
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (seen && !found.hidden && seen.items.length) use(form.querySelector('[data-use]'));
  else look(form.querySelector('[data-look-button]'));
});
