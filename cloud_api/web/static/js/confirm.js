// Before ordering: extras and coupons. Each change asks for another price of the same time; the page is then
// that price's own, so that going back and a reload show what was chosen last.

import { api, intent } from './api.js';

const PAUSE = 350; // a thumb that taps three times asks once
const page = () => document.getElementById('confirm');
let timer = 0;
let asking = null;

function extras() {
  return [...document.querySelectorAll('[data-extra]')]
    .map((one) => ({ extra_id: one.dataset.extra, quantity: Number(one.querySelector('[data-count]').textContent) }))
    .filter((one) => one.quantity > 0);
}

async function ask(coupon, quiet = false) {
  asking?.abort();
  asking = new AbortController();
  const mine = asking;
  const button = document.querySelector('[data-order]');
  const body = { ...JSON.parse(page().dataset.want), extras: extras() };
  if (coupon !== undefined) body.coupon_ids = coupon ? [coupon] : [];
  button.disabled = true;
  page().classList.add('is-quoting');
  try {
    const quote = await api('/api/v1/quotes', { body, key: intent(), signal: mine.signal });
    if (mine !== asking) return;
    const href = `/quotes/${quote.id}`;
    const open = document.getElementById('coupon-fold')?.open;
    await window.htmx.ajax('GET', href, { target: '#main', select: '#main', swap: 'outerMorph' });
    history.replaceState(null, '', href);
    sessionStorage.setItem(`km-asked-${href}`, '1');
    if (open && document.getElementById('coupon-fold')) document.getElementById('coupon-fold').open = true;
  } catch (problem) {
    if (mine !== asking || mine.signal.aborted) return;
    const place = document.querySelector('[data-basket-error]');
    if (!quiet && place) place.textContent = problem.message;
  } finally {
    if (mine === asking) {
      page()?.classList.remove('is-quoting');
      for (const one of document.querySelectorAll('[data-order]')) one.disabled = false;
    }
  }
}

/** The coupon that goes on being chosen; undefined leaves it to the price to take the best. */
function kept() {
  const { coupon } = page().dataset;
  return coupon === 'best' ? undefined : coupon === 'none' ? '' : coupon;
}

document.addEventListener('change', (event) => {
  if (event.target.name === 'coupon') ask(event.target.value);
});

document.addEventListener('click', (event) => {
  if (event.target.closest('[data-best]')) return void ask(undefined);
  const step = event.target.closest('[data-extra] [data-by]');
  if (!step) return undefined;
  const box = step.closest('[data-extra]');
  const count = box.querySelector('[data-count]');
  const next = Math.min(Number(box.dataset.most), Math.max(0, Number(count.textContent) + Number(step.dataset.by)));
  count.textContent = String(next);
  box.querySelector('[data-by="-1"]').disabled = next === 0;
  box.querySelector('[data-by="1"]').disabled = next >= Number(box.dataset.most);
  clearTimeout(timer);
  timer = setTimeout(() => ask(kept()), PAUSE);
  return undefined;
});

// The price was asked for before logging in: it is asked for again as whoever has come, once.
if (page() && 'requote' in page().dataset && !sessionStorage.getItem(`km-asked-${location.pathname}`)) ask(undefined, true);
