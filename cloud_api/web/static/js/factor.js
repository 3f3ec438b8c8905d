// A dangerous act asks for the second factor once more. The act itself waits, and nothing typed is lost.

import { api, busy } from './api.js';

let asking = null;

/** Whether the person proved it in `sheet`; several acts that wait share one question. */
export function proved(sheet) {
  asking ??= ask(sheet).finally(() => { asking = null; });
  return asking;
}

function ask(sheet) {
  const form = sheet.querySelector('[data-factor]');
  const field = form.elements.code;
  const wrong = form.querySelector('[data-error-for="code"]');
  return new Promise((resolve) => {
    const done = (good) => {
      form.removeEventListener('submit', submit);
      sheet.removeEventListener('close', closed);
      if (sheet.open) sheet.close();
      resolve(good);
    };
    const closed = () => done(false);
    const submit = (event) => {
      event.preventDefault();
      busy(form.querySelector('[type="submit"]'), async () => {
        try {
          await api('/api/v1/auth/second-factor', { body: { code: field.value.trim() } });
          done(true);
        } catch (problem) {
          wrong.textContent = problem.message;
          field.value = '';
          field.focus();
        }
      });
    };
    field.value = '';
    wrong.textContent = '';
    form.addEventListener('submit', submit);
    sheet.addEventListener('close', closed);
    sheet.showModal();
    field.focus();
  });
}
