// Group-buy and vouchers on the phone: buying, sharing, giving away, using a voucher for a room.

import { api, busy, clearProblems, fill, intent, showProblem } from './api.js';
import { toast } from './sheet.js';

const keys = new WeakMap();

/** One key for one content of one button: a second try after a lost answer is the same act. */
function keyOf(button, body) {
  const told = JSON.stringify(body);
  if (keys.get(button)?.told !== told) keys.set(button, { told, key: intent() });
  return keys.get(button).key;
}

async function act(button, scope, path, body, done) {
  await busy(button, async () => {
    clearProblems(scope);
    try {
      done(await api(path, { body, key: keyOf(button, body), timeout: 30000 }));
    } catch (problem) {
      if (problem.status !== 0) keys.delete(button);
      showProblem(scope, problem);
    }
  });
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(button.dataset.tDone);
  } catch {
    toast(button.dataset.tFailed);
  }
}

document.addEventListener('click', (event) => {
  const buy = event.target.closest('[data-buy]');
  if (buy) {
    const count = document.querySelector('[data-quantity]');
    const body = buy.dataset.body ? { ...JSON.parse(buy.dataset.body), quantity: Number(count?.value ?? 1) } : {};
    act(buy, buy.closest('main'), buy.dataset.buy, body, (answer) => location.assign(fill(buy.dataset.buyNext ?? '/groupbuy/orders/{id}', answer)));
  }
  const copier = event.target.closest('[data-copy], [data-copy-from]');
  if (copier) copy(copier, copier.dataset.copy ?? document.getElementById(copier.dataset.copyFrom).value);
  const share = event.target.closest('[data-share]');
  if (share) navigator.share({ url: share.dataset.share, text: share.dataset.shareText }).catch(() => undefined);
  const gift = event.target.closest('[data-gift]');
  if (gift) {
    const scope = gift.closest('dialog');
    act(gift, scope, gift.dataset.gift, {}, (answer) => {
      scope.querySelector('[data-gift-told]').hidden = false;
      scope.querySelector('#gift-url').value = answer.url;
      gift.hidden = true;
    });
  }
});
if (navigator.share) for (const button of document.querySelectorAll('[data-share]')) button.hidden = false;

// --- a voucher is used for a room, now or later ------------------------------------------------------
document.addEventListener('change', (event) => {
  if (event.target.name !== 'when') return;
  event.target.form.querySelector('[data-later]').hidden = event.target.value !== 'later';
});

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.matches('[data-api-redeem]')) return;
  event.preventDefault();
  const scope = form.closest('dialog');
  const error = form.querySelector('[data-form-error]');
  const room = form.querySelector('input[type="hidden"][name="room_id"], [name="room_id"]:checked');
  if (!room) return void (error.textContent = error.dataset.tRoom);
  const body = { voucher_id: form.dataset.voucher, room_id: room.value, way: form.dataset.way };
  if (form.elements.when?.value === 'later') {
    if (!form.elements.starts_at.value) return void (error.textContent = error.dataset.tWhen);
    body.starts_at = `${form.elements.starts_at.value.slice(0, 16)}:00${room.dataset.offset}`;
  }
  act(form.querySelector('[type="submit"]'), scope, '/api/v1/vouchers/redeem', body, (answer) => {
    location.assign(fill(form.dataset.next, { id: answer.order_id }));
  });
});

// --- a team fills without us: looked at every few seconds -------------------------------------------
const watched = document.querySelector('[data-watch]');
if (watched) {
  setInterval(async () => {
    if (document.hidden || document.querySelector('dialog[open]')) return;
    try {
      const told = await api(watched.dataset.watch, { method: 'GET' });
      const is = told.token ? [told.state, told.paid, told.seats_left] : !told.vouchers ? [told.status] : [told.status, told.team?.paid ?? '', told.vouchers.length];
      if (is.join(':') !== watched.dataset.watchIs) location.reload();
    } catch {
      // No network: the strip at the top says so.
    }
  }, 4000);
}
