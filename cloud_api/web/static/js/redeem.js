// The desk: a code typed in groups of four or scanned by the camera, the rooms it opens, and redeeming.

import { api, busy, clearProblems, fill, intent, showProblem } from './api.js';
import { hm, offsetOf } from './clock.js';
import { again } from './regions.js';
import { hasCamera, watch } from './scanner.js';

const CODE = 12;
const one = (name) => document.querySelector(`[data-${name}]`);
const form = one('look');
const field = form.elements.code;
const store = document.querySelector('.desk').dataset.store; // only its rooms
let seen = null; // the voucher under the eye: {id, way}
let key = intent();

/** What is shown at the right: none, valid, used or done. */
function panel(name) {
  for (const part of ['none', 'valid', 'used', 'done']) one(`result-${part}`).hidden = part !== name;
}

field.addEventListener('input', () => {
  if (!/^[\d\s-]*$/.test(field.value)) return; // a scanner's gun types the whole QR
  const digits = field.value.replace(/\D/g, '').slice(0, CODE);
  const grouped = digits.replace(/(\d{4})(?=\d)/g, '$1 ');
  if (grouped !== field.value) field.value = grouped;
});

function pair(list, name, value) {
  if (!value) return;
  const dt = document.createElement('dt');
  const dd = document.createElement('dd');
  dt.textContent = name;
  dd.textContent = value;
  list.append(dt, dd);
}

const LANG = document.documentElement.lang;
const DAY = new Intl.DateTimeFormat(LANG, { month: 'short', day: 'numeric', timeZone: 'UTC' });

/** Used, over, or given back: when, where and by whom. */
function showUsed(voucher, used) {
  const facts = one('u-facts');
  const t = facts.dataset;
  one('u-name').textContent = voucher?.name ?? '';
  facts.replaceChildren();
  one('u-line').textContent = used ? t.tUsed : fill(t.tState, { state: voucher.state });
  if (used) {
    const offset = offsetOf(document.querySelector('meta[name="km-now"]').content);
    const at = new Date(Date.parse(used.at) + offset);
    pair(facts, t.tAt, `${DAY.format(at)} ${hm(Date.parse(used.at), offset)}`);
    pair(facts, t.tWhere, `${used.store} ${used.room}`);
    pair(facts, t.tWho, used.by || t.tSelf);
    pair(facts, t.tOrder, used.order);
  }
  panel('used');
}

function showValid(voucher, rooms) {
  one('v-state').textContent = voucher.state;
  one('v-name').textContent = voucher.name;
  one('v-facts').textContent = `${voucher.when} · ${voucher.stores.join(LANG === 'en' ? ', ' : '、')}`;
  one('v-rules').textContent = voucher.rules;
  const box = one('rooms');
  box.replaceChildren(...rooms.map((room) => {
    const label = document.createElement('label');
    label.className = 'radio';
    const text = document.createElement('span');
    text.textContent = room.name;
    const note = document.createElement('small');
    note.textContent = room.fits ? box.dataset.tFree : room.message;
    text.append(note);
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'room_id', value: room.id, disabled: !room.fits });
    label.append(text, input);
    return label;
  }));
  const first = box.querySelector('input:not(:disabled)');
  if (first) first.checked = true;
  const redeem = one('redeem');
  redeem.querySelector('[type="submit"]').disabled = !first;
  const error = redeem.querySelector('[data-form-error]');
  error.textContent = first ? '' : error.dataset.tNone;
  panel('valid');
}

async function look(code, way) {
  clearProblems(form);
  if (!code) return showProblem(form, { field: 'code', message: form.dataset.tEmpty });
  return busy(form.querySelector('[type="submit"]'), async () => {
    try {
      const told = await api('/api/v1/console/vouchers/look', { body: { code, ...(store ? { store_id: store } : {}) } });
      seen = { id: told.voucher.id, way };
      for (const button of document.querySelectorAll('[data-extend]')) {
        button.dataset.url = `/api/v1/console/vouchers/${seen.id}/extend`;
        button.dataset.name = told.voucher.name;
      }
      const expired = one('expired');
      if (expired) expired.hidden = told.voucher.status !== 'expired';
      key = intent();
      if (told.used || told.voucher.status !== 'issued') showUsed(told.voucher, told.used);
      else showValid(told.voucher, told.rooms);
    } catch (problem) {
      panel('none');
      showProblem(form, problem);
    }
  });
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const code = field.value.trim();
  look(code, code.startsWith('KV') ? 'scan' : 'code');
});

one('redeem').addEventListener('submit', (event) => {
  event.preventDefault();
  const redeem = event.target;
  const error = redeem.querySelector('[data-form-error]');
  const room = redeem.querySelector('[name="room_id"]:checked');
  if (!room) return void (error.textContent = error.dataset.tRoom);
  busy(redeem.querySelector('[type="submit"]'), async () => {
    clearProblems(redeem);
    try {
      const done = await api('/api/v1/console/vouchers/redeem', { body: { voucher_id: seen.id, room_id: room.value, way: seen.way }, key, timeout: 30000 });
      const line = one('d-line');
      const offset = offsetOf(document.querySelector('meta[name="km-now"]').content);
      one('d-name').textContent = done.voucher.name;
      line.textContent = fill(line.dataset.t, { room: done.room, from: hm(Date.parse(done.starts_at), offset), to: hm(Date.parse(done.ends_at), offset), order: done.order_number });
      panel('done');
      field.value = '';
      again();
    } catch (problem) {
      if (problem.status !== 0) key = intent();
      if (problem.code === 'voucher.used') showUsed(null, problem.body);
      else showProblem(redeem, problem);
    }
  });
});

document.addEventListener('km:done', (event) => {
  if (event.target.closest('#sheet-extend') && field.value) look(field.value.trim(), seen?.way ?? 'code');
});

document.addEventListener('click', (event) => {
  if (!event.target.closest('[data-next-code]')) return;
  panel('none');
  field.focus();
});

// --- the camera: by the browser's own reader, or the small decoder where it has none ------------------
if (hasCamera) {
  const view = one('scan-view');
  const button = one('scan-start');
  const words = button.querySelector('span');
  let camera = null;
  one('scan').hidden = false;

  const stop = () => {
    camera?.stop();
    camera = null;
    view.hidden = true;
    words.textContent = button.dataset.tStart;
  };
  const found = (text) => {
    navigator.vibrate?.(20);
    stop();
    look(text, 'scan');
    return true;
  };
  button.addEventListener('click', () => {
    if (camera) return void stop();
    busy(button, async () => {
      clearProblems(form);
      view.hidden = false;
      words.textContent = button.dataset.tStop;
      try {
        camera = await watch(view, one('scan').dataset.decoder, found);
      } catch {
        stop();
        showProblem(form, { message: button.dataset.tFailed });
      }
    });
  });
  addEventListener('pagehide', stop);
  document.addEventListener('visibilitychange', () => document.hidden && stop());
}
