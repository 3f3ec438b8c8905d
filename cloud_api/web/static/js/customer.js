// What the customer's pages (and the logins) do besides links: log in, order, pay, wait, cancel, finish.

import { api, busy, clearProblems, fill, intent, showProblem, word } from './api.js';
import './countdown.js';
import './going.js';
import './live.js';
import { pay as payInMini } from './mini.js';
import './pocket.js';
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
      wait(answer.retry_after_s ?? 60);
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
        const answer = await api(form.dataset.loginUrl, { body: { phone: form.elements.phone.value.trim(), code: form.elements.code.value.trim() } });
        const kept = ['taken', 'other'].includes(answer.linked); // logged in, but not linked: say so
        location.assign(kept ? `/me/logins?linked=${answer.linked}` : form.dataset.next);
      } catch (problem) {
        form.elements.code.value = '';
        showProblem(form, problem);
      }
    });
  });
}

// --- order and pay -----------------------------------------------------------------------------
for (const button of document.querySelectorAll('[data-order]')) {
  const keys = new Map(); // a quote that is ordered once more after a lost answer is the same act
  button.addEventListener('click', () => busy(button, async () => {
    const scope = button.closest('main');
    clearProblems(scope);
    const { quote } = button.dataset;
    if (!keys.has(quote)) keys.set(quote, intent());
    try {
      const order = await api('/api/v1/orders', { body: { quote_id: quote }, key: keys.get(quote) });
      location.assign(fill(button.dataset.payHref, { id: order.id }));
    } catch (problem) {
      const call = scope.querySelector('[data-call]');
      if (call) call.hidden = !problem.body.phone; // only the store can help: its number beside the reason
      if (problem.code === 'book.taken') taken(button, scope, problem);
      else showProblem(scope, problem);
    }
  }));
}

/** Somebody was quicker: the free room is named, and the button goes there with the same time. */
function taken(button, scope, problem) {
  const [other] = problem.body.other_rooms ?? [];
  const again = scope.querySelector('[data-taken]');
  if (!other) {
    if (again) again.hidden = false;
    showProblem(scope, problem);
    return;
  }
  problem.message = fill(button.dataset.tOther, { room: other.name });
  showProblem(scope, problem);
  const link = document.createElement('a');
  link.className = button.className;
  const time = new URLSearchParams({ day: button.dataset.from.slice(0, 10), from: button.dataset.from, to: button.dataset.to });
  link.href = `/rooms/${encodeURIComponent(other.id)}/book?${time}`;
  link.textContent = fill(button.dataset.tPick, { room: other.name });
  button.replaceWith(link);
  link.focus();
}

for (const form of document.querySelectorAll('[data-pay]')) {
  const keys = new Map();
  const at = form.dataset.payAt ?? `/orders/${form.dataset.pay}`;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const scope = form.closest('main');
    const button = scope.querySelector('[type="submit"][form="payform"]');
    const { provider, channel, balance } = form.querySelector('[name="method"]:checked').dataset;
    const method = `${provider}:${channel}:${balance}`;
    if (!keys.has(method)) keys.set(method, intent());
    busy(button, async () => {
      clearProblems(scope);
      try {
        const attempt = await api(`/api/v1${at}/pay`, { body: { provider, channel, balance_fen: Number(balance ?? 0) }, key: keys.get(method) });
        const step = attempt.state === 'pending' ? attempt.step : null;
        if (step?.kind === 'redirect') location.assign(step.url);
        else if (form.dataset.payPage) location.assign(fill(form.dataset.payPage, { id: attempt.payment_id }));
        else if (step?.kind === 'form') location.assign(`${at}/pay/go`);
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
  const href = `/api/v1${waiting.dataset.payAt ?? `/orders/${waiting.dataset.payWait}`}`;
  // Asked for at once, since one may just have come back from the provider's page; then every few seconds.
  const look = (asks) => api(asks ? `${href}/check-payment` : href, asks ? { body: {} } : { method: 'GET' });
  const goOn = (order) => {
    const tries = order.payments ?? [{ state: order.payment_state }]; // a group order tells of the newest
    const open = tries.find((p) => ['created', 'pending', 'unknown'].includes(p.state));
    const waits = ((order.status ?? order.state) === 'pending_payment' || order.overtime?.state === 'due') && open;
    if (waits && (open.state === waiting.dataset.payState || !waiting.dataset.payState)) return false;
    location.reload();
    return true;
  };
  let rounds = 0;
  const check = async () => goOn(await look((rounds += 1) % 5 === 1));
  check().catch(() => undefined);
  setInterval(() => document.hidden || check().catch(() => undefined), 3000);
  const change = document.querySelector('[data-pay-change]');
  const closing = intent();
  change?.addEventListener('click', () => busy(change, async () => {
    clearProblems(document);
    waiting.dataset.payState = ''; // what closing makes of it is told here: a page drawn anew would lose the words
    try {
      await api(`${href}/close-payment`, { body: {}, key: closing, timeout: 30000 });
      location.reload();
    } catch (problem) {
      showProblem(document, problem);
    }
  }));
  // WeChat's own sheet. Whatever it says, the server asks WeChat before anything is believed.
  const sheet = waiting.dataset.payJsapi;
  const wechat = async () => payInMini ? payInMini(sheet) : new Promise((done) => {
    const call = () => window.WeixinJSBridge.invoke('getBrandWCPayRequest', JSON.parse(sheet), done);
    if (window.WeixinJSBridge) call();
    else document.addEventListener('WeixinJSBridgeReady', call, { once: true });
  });
  for (const again of document.querySelectorAll('[data-pay-sheet]')) {
    again.addEventListener('click', () => wechat().then(() => check()).catch(() => undefined));
  }
  const once = sheet && `km-sheet-${JSON.parse(sheet).package}`; // opens by itself once per payment
  if (sheet && !sessionStorage.getItem(once)) {
    sessionStorage.setItem(once, '1');
    wechat().then(() => check()).catch(() => undefined);
  }
  const button = document.querySelector('[data-pay-check]');
  button?.addEventListener('click', () => busy(button, async () => {
    clearProblems(document);
    try {
      if (!goOn(await look(true))) showProblem(document, { message: waiting.dataset.tStill });
    } catch (problem) {
      showProblem(document, problem);
    }
  }));
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

// --- a door that does not open now looks again by itself -------------------------------------------
const watched = document.querySelector('[data-door-watch]');
if (watched) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const door = await api(`/api/v1/doors/${encodeURIComponent(watched.dataset.doorWatch)}`, { method: 'GET' });
      if (door.case !== watched.dataset.case) location.reload();
    } catch {
      // No network: the strip at the top says so.
    }
  }, 5000);
}
for (const code of document.querySelectorAll('[data-renew]')) {
  const href = code.getAttribute('src');
  setInterval(() => { code.src = `${href}?at=${Date.now()}`; }, Number(code.dataset.renew) * 1000);
}

// --- a stay that is over -----------------------------------------------------------------------------
const stay = document.getElementById('stay');
if (stay) {
  document.addEventListener('km:event', (event) => {
    const { order_id: id, status } = event.detail;
    if (`order:${id}` === stay.dataset.live && status !== 'in_use') location.reload();
  });
}

// --- a row of chips shows the one that is chosen, however far to the side ------------------------------
for (const row of document.querySelectorAll('.chips')) {
  const on = row.querySelector('[aria-current]');
  if (on) row.scrollLeft = on.offsetLeft - row.offsetLeft - (row.clientWidth - on.clientWidth) / 2;
}

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
