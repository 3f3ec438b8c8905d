// What the customer's pages (and the logins) do besides links: log in, order, pay, wait, cancel, finish.

import { api, busy, clearProblems, fill, intent, showProblem, word } from './api.js';
import './countdown.js';
import './live.js';
import './sheet.js';

const label = (button, text) => { (button.querySelector('span') ?? button).textContent = text; };

// --- login -------------------------------------------------------------------------------------
for (const form of document.querySelectorAll('[data-login]')) {
  const codePart = form.querySelector('[data-code-part]');
  const submit = form.querySelector('[type="submit"]');
  const resend = form.querySelector('[data-resend]');
  let key = intent();

  const wait = (seconds) => {
    resend.disabled = seconds > 0;
    label(resend, seconds > 0 ? fill(resend.dataset.tWait, { n: seconds }) : resend.dataset.tReady);
    if (seconds > 0) setTimeout(() => wait(seconds - 1), 1000);
  };
  const send = () => busy(submit, async () => {
    clearProblems(form);
    try {
      const answer = await api(form.dataset.codeUrl, { body: { phone: form.elements.phone.value.trim() }, key });
      key = intent();
      codePart.hidden = false;
      label(submit, submit.dataset.tLogin);
      wait(answer.resend_after_s ?? 60);
      form.elements.code.focus();
    } catch (problem) {
      key = intent();
      showProblem(form, problem);
    }
  });
  resend.addEventListener('click', send);
  form.elements.code.addEventListener('input', () => {
    if (/^\d{6}$/.test(form.elements.code.value)) form.requestSubmit();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (codePart.hidden) return void send();
    busy(submit, async () => {
      clearProblems(form);
      try {
        await api(form.dataset.loginUrl, { body: { phone: form.elements.phone.value.trim(), code: form.elements.code.value.trim() } });
        location.assign(form.dataset.next);
      } catch (problem) {
        form.elements.code.value = '';
        showProblem(form, problem);
      }
    });
  });
}

// --- order and pay -----------------------------------------------------------------------------
for (const button of document.querySelectorAll('[data-order]')) {
  const key = intent();
  button.addEventListener('click', () => busy(button, async () => {
    const scope = button.closest('main');
    clearProblems(scope);
    try {
      const order = await api('/api/v1/orders', { body: { quote_id: button.dataset.quote }, key });
      location.assign(fill(button.dataset.payHref, { id: order.id }));
    } catch (problem) {
      showProblem(scope, problem);
    }
  }));
}

for (const form of document.querySelectorAll('[data-pay]')) {
  const keys = new Map();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const scope = form.closest('main');
    const button = scope.querySelector('[type="submit"][form="payform"]');
    const { provider, channel } = form.querySelector('[name="method"]:checked').dataset;
    const method = `${provider}:${channel}`;
    if (!keys.has(method)) keys.set(method, intent());
    busy(button, async () => {
      clearProblems(scope);
      try {
        const attempt = await api(`/api/v1/orders/${form.dataset.pay}/pay`, { body: { provider, channel }, key: keys.get(method) });
        if (attempt.redirect_url) location.assign(attempt.redirect_url);
        else location.reload();
      } catch (problem) {
        if (problem.status !== 0) keys.delete(method);
        showProblem(scope, problem);
      }
    });
  });
}

const waiting = document.querySelector('[data-pay-wait]');
if (waiting) {
  const check = async () => {
    const order = await api(`/api/v1/orders/${waiting.dataset.payWait}`, { method: 'GET' });
    if (!['unpaid', 'held', 'pending'].includes(order.state)) location.assign(waiting.dataset.orderHref);
  };
  setInterval(() => document.hidden || check().catch(() => undefined), 3000);
  const button = document.querySelector('[data-pay-check]');
  button?.addEventListener('click', () => busy(button, () => check().catch((problem) => showProblem(document, problem))));
}

// --- acts with a consequence that the sheet has already told -------------------------------------
const keys = new WeakMap();
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (button) {
    if (!keys.has(button)) keys.set(button, intent());
    const scope = button.closest('dialog, main');
    busy(button, async () => {
      clearProblems(scope);
      try {
        await api(button.dataset.act, { body: {}, key: keys.get(button) });
        location.reload();
      } catch (problem) {
        if (problem.status !== 0) keys.delete(button);
        showProblem(scope, problem);
      }
    });
  }
  if (event.target.closest('[data-print]')) print();
});

// --- devices of one's own room -------------------------------------------------------------------
document.addEventListener('click', async (event) => {
  const button = event.target.closest('.customer .switch[data-set-url]');
  if (!button || button.getAttribute('aria-busy') === 'true') return;
  const box = button.closest('[data-device]');
  const line = box.querySelector('[data-device-word]');
  const want = button.getAttribute('aria-checked') !== 'true';
  await busy(button, async () => {
    line.textContent = button.dataset.tPending;
    try {
      const answer = await api(button.dataset.setUrl, { body: { on: want }, key: intent(), timeout: 14000 });
      if (answer.state === 'done') {
        button.setAttribute('aria-checked', String(want));
        box.classList.toggle('is-on', want);
      }
      line.textContent = answer.message || (answer.state === 'done' ? '' : button.dataset[answer.state === 'unknown' ? 'tUnknown' : 'tFailed']);
    } catch (problem) {
      line.textContent = problem.message;
    }
  });
});

// --- no network ----------------------------------------------------------------------------------
function network() {
  const strip = document.querySelector('.offline-strip');
  if (navigator.onLine) return void strip?.remove();
  if (strip) return;
  const made = document.createElement('p');
  made.className = 'offline-strip';
  made.setAttribute('role', 'status');
  made.textContent = word('offline');
  document.body.prepend(made);
}
addEventListener('online', network);
addEventListener('offline', network);
network();
