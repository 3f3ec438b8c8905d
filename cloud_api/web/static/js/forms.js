// Forms that speak to the JSON API. The body is what the fields hold; one idempotency key belongs to one
// content, so that a second try after a lost answer is the same act; a refusal stands at its field.
//   data-api           on the form, whose method is "dialog"; action and data-method say where, data-next what follows
//   name="a.b"         makes {"a": {"b": …}}
//   data-type          int, fen (typed in yuan), bool, list, bits (the sum of what is ticked), lines (an
//                      array), instant (local time, data-offset behind it), text, or none (is not sent); an empty text is left out,
//                      data-empty="null" sends null for it, data-empty="keep" the empty text
//   data-only-changed  on a form whose API leaves alone what it is not told: only what differs from what was
//                      drawn is sent, so that two who change different things at once lose nothing
//   data-seen          the mark of what was drawn: whoever saves second is told (kit/seen.py)
//   km:done            is told on the form, with the answer

import { api, busy, fill, intent } from './api.js';
import { picked } from './lists.js';
import { again } from './regions.js';
import { toast } from './sheet.js';

const LATER = 'km-toast'; // said on the next page
const keys = new WeakMap();

function valueOf(field) {
  const text = field.value.trim();
  const kind = field.dataset.type;
  if (field.type === 'checkbox') return field.checked;
  if (text === '') return field.dataset.empty === 'null' ? null : field.dataset.empty === 'keep' ? '' : undefined;
  if (kind === 'int') return Number.isFinite(Number(text)) ? Math.round(Number(text)) : text;
  if (kind === 'fen') return Number.isFinite(Number(text)) ? Math.round(Number(text) * 100) : text;
  if (kind === 'lines') return text.split(/[\n,，;；]+/).map((line) => line.trim()).filter(Boolean);
  if (kind === 'instant') return `${text.slice(0, 16)}:00${field.dataset.offset}`;
  if (kind === 'bool') return text === 'true' || text === '1';
  return text;
}

/** The form's content as the API takes it. */
export function bodyOf(form) {
  const body = form.dataset.body ? JSON.parse(form.dataset.body) : {};
  const put = (name, value) => {
    const path = name.split('.');
    let place = body;
    for (const part of path.slice(0, -1)) place = place[part] ??= {};
    place[path.at(-1)] = value;
  };
  for (const field of form.elements) {
    if (!field.name || field.disabled || field.dataset.type === 'none' || field.closest('[hidden]')) continue;
    if (field.type === 'radio' && !field.checked) continue;
    if (field.dataset.type === 'list') {
      const all = [...form.elements].filter((other) => other.name === field.name);
      put(field.name, all.filter((other) => other.checked).map((other) => other.value));
      continue;
    }
    if (field.dataset.type === 'bits') {
      const all = [...form.elements].filter((other) => other.name === field.name && other.checked);
      put(field.name, all.reduce((sum, other) => sum + Number(other.value), 0));
      continue;
    }
    const value = valueOf(field);
    if (value !== undefined) put(field.name, value);
    if (field.dataset.channel) put('channel', field.dataset.channel); // a way to pay names its channel
  }
  return body;
}

/** What the form would send if nobody had touched it. */
function drawn(form) {
  const now = [...form.elements].map((field) => [field, field.value, field.checked]);
  form.reset();
  const body = bodyOf(form);
  for (const [field, value, checked] of now) {
    if (field.type !== 'file') field.value = value;
    if (checked !== undefined) field.checked = checked;
  }
  return body;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const plain = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** What is new in `now`: by name, and by name within a group; a list is whole. */
export function changed(before, now, deep = true) {
  const found = {};
  for (const [name, value] of Object.entries(now)) {
    if (same(before[name], value)) continue;
    found[name] = deep && plain(value) && plain(before[name]) ? changed(before[name], value, false) : value;
  }
  return found;
}

/** What was sent is what is drawn from now on. */
function settle(form) {
  for (const field of form.elements) {
    if (field.options) for (const option of field.options) option.defaultSelected = option.selected;
    else if (field.type === 'checkbox' || field.type === 'radio') field.defaultChecked = field.checked;
    else if (field.type !== 'file' && 'defaultValue' in field) field.defaultValue = field.value;
  }
}

function clear(form) {
  for (const place of form.querySelectorAll('[data-error-for]')) place.textContent = '';
  for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  const summary = form.querySelector('[data-form-error]');
  if (summary) summary.hidden = true;
}

/** Says what is wrong: at the field where there is one, else above the form. */
function show(form, message, name = '') {
  const field = name && [...form.elements].find((one) => one.name === name);
  const place = name && form.querySelector(`[data-error-for="${CSS.escape(name)}"]`);
  if (place) place.textContent = message;
  if (field) {
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }
  const summary = form.querySelector('[data-form-error]');
  if (summary && !place) {
    summary.textContent = message;
    summary.hidden = false;
    summary.scrollIntoView({ block: 'nearest' });
  }
}

function check(form) {
  for (const field of form.elements) {
    if (field.closest('[hidden]') || !field.willValidate || field.checkValidity()) continue;
    const missing = field.validity.valueMissing || field.validity.tooShort;
    show(form, missing ? field.dataset.tRequired ?? form.dataset.tRequired : field.validationMessage, field.name);
    return false;
  }
  const blank = [...form.elements].find((field) => field.required && field.minLength > 0 && [...field.value.trim()].length < field.minLength);
  if (blank) show(form, blank.dataset.tRequired ?? form.dataset.tRequired, blank.name);
  return !blank;
}

function keyOf(form, body) {
  const told = form.getAttribute('action') + JSON.stringify(body);
  const known = keys.get(form);
  if (known?.told === told) return known.key;
  const made = { told, key: intent() };
  keys.set(form, made);
  return made.key;
}

async function send(form, button) {
  clear(form);
  if (!check(form)) return;
  const whole = bodyOf(form);
  const part = 'onlyChanged' in form.dataset;
  const body = part ? changed(drawn(form), whole) : whole;
  if (part && !Object.keys(body).length) return void await follow(form, whole);
  await busy(button, async () => {
    let answer;
    try {
      answer = await api(form.getAttribute('action'), { method: form.dataset.method, body, key: keyOf(form, body), saw: form.dataset.seen, timeout: 30000 });
    } catch (problem) {
      if (problem.status && problem.status < 500) keys.delete(form); // refused for good: the next try is a new act
      show(form, problem.message, problem.field);
      return;
    }
    keys.delete(form);
    if (answer.seen) form.dataset.seen = answer.seen;
    if (part) settle(form);
    const quiet = !form.dispatchEvent(new CustomEvent('km:done', { detail: answer, bubbles: true, cancelable: true }));
    if (quiet) return; // who listens shows the answer
    form.closest('dialog')?.close();
    await follow(form, answer);
  });
}

async function follow(form, answer) {
  const { next, done } = form.dataset;
  if (next && next !== '.') {
    if (done) sessionStorage.setItem(LATER, fill(done, answer));
    location.assign(fill(next, answer));
    return;
  }
  if (done && answer?.undo) undoable(form, fill(done, answer), answer.undo);
  else if (done) toast(fill(done, answer));
  if (next === '.') await again();
}

/** Ten seconds to take back what was done to many: the answer tells the body that does it. */
function undoable(form, said, body) {
  const action = form.getAttribute('action');
  const { tUndo, tUndone } = form.closest('dialog').dataset;
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'btn btn-text btn-s';
  button.textContent = tUndo;
  button.addEventListener('click', () => busy(button, async () => {
    try {
      await api(action, { body, key: intent() });
      toast(tUndone);
      await again();
    } catch (problem) {
      toast(problem.message);
    }
  }));
  toast(said, 10, button);
}

document.addEventListener('submit', (event) => {
  if (!event.target.matches('form[data-api]')) return;
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector('[type="submit"]');
  send(event.target, button);
});

document.addEventListener('click', (event) => {
  const opener = event.target.closest('[data-open-sheet]');
  const form = opener && document.querySelector(`#sheet-${CSS.escape(opener.dataset.openSheet)} form[data-api]`);
  if (form) {
    form.reset();
    clear(form);
    if (opener.dataset.url) form.setAttribute('action', opener.dataset.url);
    const fixed = opener.dataset.body ? JSON.parse(opener.dataset.body) : {};
    if (opener.dataset.withPicks) fixed[opener.dataset.withPicks] = picked();
    form.dataset.body = JSON.stringify(fixed);
    for (const part of form.querySelectorAll('[data-t]')) part.textContent = fill(part.dataset.t, { name: opener.dataset.name ?? '', n: picked().length });
  }
  const filler = event.target.closest('[data-fill]');
  if (filler) {
    const field = filler.closest('form').elements[filler.dataset.fill];
    field.value = filler.textContent.trim();
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.focus();
  }
});

const said = sessionStorage.getItem(LATER);
if (said) {
  sessionStorage.removeItem(LATER);
  toast(said);
}
