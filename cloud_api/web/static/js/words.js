// A notice's words: a variable goes in where the cursor stands, and the server shows how it would read.
//   data-words    on the form, names the event; data-insert on a chip, the text it puts in

import { api } from './api.js';
import { bodyOf } from './forms.js';

const QUIET = 300; // ms without typing before the server is asked
const PREVIEW = '/api/v1/console/notifications/templates/preview';
const form = document.querySelector('form[data-words]');
let typing = 0;
let turn = 0;
let last = form?.elements.body;

function tell(name, message) {
  for (const place of form.querySelectorAll('[data-error-for]')) {
    const mine = place.dataset.errorFor === name;
    place.textContent = mine ? message : '';
    const field = form.elements[place.dataset.errorFor];
    if (mine) field?.setAttribute('aria-invalid', 'true');
    else field?.removeAttribute('aria-invalid');
  }
}

async function look() {
  const mine = ++turn;
  try {
    const told = await api(PREVIEW, { body: { ...bodyOf(form), event: form.dataset.words } });
    if (mine !== turn) return;
    tell('', '');
    document.querySelector('[data-preview-title]').textContent = told.title;
    document.querySelector('[data-preview-body]').textContent = told.body;
  } catch (problem) {
    if (mine === turn && problem.field) tell(problem.field, problem.message);
  }
}

form?.addEventListener('focusin', (event) => {
  if (event.target.matches('[name="title"], [name="body"]')) last = event.target;
});
form?.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(look, QUIET);
});
form?.addEventListener('click', (event) => {
  const chip = event.target.closest('[data-insert]');
  if (!chip) return;
  last.setRangeText(chip.dataset.insert, last.selectionStart, last.selectionEnd, 'end');
  last.focus();
  last.dispatchEvent(new Event('input', { bubbles: true }));
});
