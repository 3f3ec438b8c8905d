// Setting a store and its rooms up: what plain forms cannot say. Hours of a week, days that differ, what
// stands in a room, photos and their order. All of it ends in calls of the JSON API.

import { api, busy, intent } from './api.js';
import { again } from './regions.js';
import { toast } from './sheet.js';

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? '';

function problem(scope, text) {
  const place = scope.querySelector('[data-form-error]');
  if (!place) return toast(text);
  place.textContent = text;
  place.hidden = !text;
  return undefined;
}

/** Saves `body`, or what it makes of what stands there now: somebody else may have changed that meanwhile. */
async function save(form, body, done) {
  const button = form.querySelector('[type="submit"]');
  const action = form.getAttribute('action');
  await busy(button, async () => {
    problem(form, '');
    try {
      const sent = typeof body === 'function' ? body(await api(action, { method: 'GET' })) : body;
      await api(action, { method: form.dataset.method ?? 'PATCH', body: sent, key: intent() });
      toast(done ?? form.dataset.done);
      await again();
    } catch (refused) {
      problem(form, refused.message);
    }
  });
}

// --- hours and days ----------------------------------------------------------------------------
const spansOf = (row) => [...row.querySelectorAll('[data-span]')]
  .map((span) => [...span.querySelectorAll('input')].map((input) => input.value))
  .filter(([opens, closes]) => opens && closes);

function hoursOf(form) {
  return [...form.querySelectorAll('[data-weekday]')].map((row) => {
    if (row.querySelector('[data-closed]').checked) return [];
    const spans = spansOf(row);
    return spans.length ? spans : [['00:00', '00:00']];
  });
}

function dayOf(form) {
  const { date, name, as, how } = form.elements;
  if (!date.value) return null;
  const hours = how.value === 'usual' ? null : how.value === 'closed' ? [] : spansOf(form);
  return { [date.value]: { name: name.value.trim(), as: as.value, hours } };
}

// --- rooms -------------------------------------------------------------------------------------
function equipmentOf(form) {
  return [...form.querySelectorAll('[data-thing]')]
    .map((row) => Object.fromEntries([...row.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part.value.trim()])))
    .filter((thing) => thing.kind && (thing.kind !== 'other' || thing.brand));
}

const listed = (text) => text.split(/[,，、\n]+/).map((one) => one.trim()).filter(Boolean);

function roomOf(form) {
  const value = (name) => form.elements[name].value.trim();
  return {
    name: value('name'), capacity: Number(value('capacity')), area_m2: Number(value('area_m2')), style: value('style'), kind: value('kind'),
    art: value('art'), about: value('about'), selling: value('selling'), tags: listed(value('tags')), facilities: listed(value('facilities')), equipment: equipmentOf(form),
  };
}

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.matches('[data-hours]')) {
    event.preventDefault();
    save(form, { hours: hoursOf(form) });
  } else if (form.matches('[data-special]')) {
    event.preventDefault();
    const day = dayOf(form);
    if (day) save(form, (store) => ({ days: { ...store.days, ...day } }));
    else problem(form, form.dataset.tDate);
  } else if (form.matches('[data-room]')) {
    event.preventDefault();
    if (form.dataset.method === 'POST') {
      busy(form.querySelector('[type="submit"]'), async () => {
        try {
          const made = await api(form.getAttribute('action'), { body: roomOf(form), key: intent() });
          location.assign(`/console/house/rooms/${made.id}`);
        } catch (refused) {
          problem(form, refused.message);
        }
      });
    } else save(form, roomOf(form));
  }
});

document.addEventListener('click', async (event) => {
  const add = event.target.closest('[data-add-thing]');
  if (add) {
    const rows = add.closest('fieldset').querySelector('[data-things]');
    const row = rows.querySelector('[data-thing]').cloneNode(true);
    for (const part of row.querySelectorAll('input')) part.value = '';
    rows.append(row);
    row.querySelector('select').focus();
  }
  const gone = event.target.closest('[data-drop-thing]');
  if (gone) {
    const rows = gone.closest('[data-things]');
    if (rows.children.length > 1) gone.closest('[data-thing]').remove();
    else for (const part of gone.closest('[data-thing]').querySelectorAll('input')) part.value = '';
  }
  const day = event.target.closest('[data-drop-day]');
  if (day) {
    const form = document.querySelector('form[data-special]');
    await save(form, ({ days }) => {
      delete days[day.dataset.dropDay];
      return { days };
    });
  }
  const move = event.target.closest('[data-move]');
  if (move) {
    const item = move.closest('[data-item]');
    const list = item.parentElement;
    const other = move.dataset.move === 'up' ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    list.insertBefore(item, move.dataset.move === 'up' ? other : other.nextElementSibling);
    move.focus();
    const ids = [...list.querySelectorAll('[data-item]')].map((one) => one.dataset.item);
    try {
      await api(list.dataset.order, { method: 'PUT', body: { [list.dataset.field]: ids }, key: intent() });
    } catch (refused) {
      toast(refused.message);
      await again();
    }
  }
});

// --- photos ------------------------------------------------------------------------------------
document.addEventListener('change', async (event) => {
  const input = event.target.closest('input[type="file"][data-upload]');
  if (!input || !input.files.length) return;
  const scope = input.closest('[data-shots]');
  const label = input.closest('label');
  label.setAttribute('aria-busy', 'true');
  problem(scope, '');
  for (const file of [...input.files]) {
    const film = file.type.startsWith('video/');
    const url = input.dataset.upload.replace('{kind}', film ? 'video' : input.dataset.kind ?? 'photo');
    try {
      const answer = await fetch(url, { method: input.dataset.method ?? 'POST', body: file, credentials: 'same-origin', headers: { 'X-CSRF-Token': csrf, Accept: 'application/json', 'Content-Type': file.type || 'application/octet-stream' } });
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        problem(scope, `${file.name}: ${told.detail ?? scope.dataset.tFailed}`);
      }
    } catch {
      problem(scope, `${file.name}: ${scope.dataset.tFailed}`);
    }
  }
  input.value = '';
  label.removeAttribute('aria-busy');
  await again();
});

// --- wiring: a channel and what it does are one choice; an enrolment code is shown and kept nowhere -----
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.matches('[data-wire]')) return;
  event.preventDefault();
  const [capability, channel] = form.elements.use.value.split(':');
  const rooms = [...form.querySelectorAll('[name="rooms"]:checked')].map((one) => one.value);
  busy(form.querySelector('[type="submit"]'), async () => {
    problem(form, '');
    try {
      await api(form.getAttribute('action'), { body: { name: form.elements.name.value.trim(), capability, channel: channel ? Number(channel) : null, role: form.elements.role.value, rooms }, key: intent() });
      location.assign(form.dataset.next);
    } catch (refused) {
      problem(form, refused.message);
    }
  });
});
document.addEventListener('km:done', (event) => {
  const form = event.target;
  if (!form.matches('[data-show-code]')) return;
  event.preventDefault();
  const place = form.querySelector('[data-code]');
  place.textContent = event.detail.code;
  place.hidden = false;
  const run = form.querySelector('[data-code-run]');
  if (run) run.textContent = run.dataset.codeRun.replace('{code}', event.detail.code);
  form.querySelector('[data-code-line]').hidden = false;
});
