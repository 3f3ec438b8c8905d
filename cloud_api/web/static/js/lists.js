// List pages: filters act at once and live in the URL; rows can be picked for what is done with many.

import { fill } from './api.js';
import { visit } from './regions.js';

const TYPING = 350; // ms of quiet before a search is asked
let typing = 0;

function failed(href) {
  const note = document.querySelector('[data-list-failed]');
  if (!note) return location.assign(href);
  note.hidden = false;
  note.querySelector('[data-list-again]').dataset.href = href;
  return undefined;
}

function address(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  const told = query.toString();
  return form.getAttribute('action') + (told ? `?${told}` : '');
}

document.addEventListener('change', (event) => {
  const form = event.target.closest?.('[data-filters]');
  if (form) visit(address(form), { failed });
});
document.addEventListener('input', (event) => {
  if (event.target.type !== 'search' || !event.target.closest('[data-filters]')) return;
  clearTimeout(typing);
  typing = setTimeout(() => visit(address(event.target.form), { failed }), TYPING);
});
document.addEventListener('submit', (event) => {
  if (!event.target.matches('[data-filters]')) return;
  event.preventDefault();
  clearTimeout(typing);
  visit(address(event.target), { failed });
});
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-list-link]');
  if (link && !(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
    event.preventDefault();
    visit(link.getAttribute('href'), { failed });
  }
  const retry = event.target.closest('[data-list-again]');
  if (retry) visit(retry.dataset.href, { failed });
  const many = event.target.closest('[data-picks-href]');
  if (many) location.assign(`${many.dataset.picksHref}?ids=${picked().map(encodeURIComponent).join(',')}`);
  if (event.target.closest('[data-pick-none]')) {
    for (const box of document.querySelectorAll('[data-pick]')) box.checked = false;
    count();
  }
});

// "/" goes to the search of this page, else to that of orders. One key alone can be in the way of who
// speaks to the browser, so it can be switched off in one's menu; that is kept in this browser.
const KEY = 'km-find-key';
const keyed = () => {
  try { return localStorage.getItem(KEY) !== 'off'; } catch { return true; }
};
const field = () => document.querySelector('[data-filters] input[type="search"]');
const find = () => {
  field()?.focus();
  field()?.select();
  return field();
};
if (location.hash === '#find') find();
for (const box of document.querySelectorAll('[data-find-key]')) {
  box.checked = keyed();
  box.addEventListener('change', () => {
    try { localStorage.setItem(KEY, box.checked ? 'on' : 'off'); } catch { /* nothing is kept here */ }
  });
}
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !keyed()) return;
  if (event.target.closest('input, textarea, select, [contenteditable]') || document.querySelector('dialog[open]')) return;
  const link = document.querySelector('[data-find]');
  if (!field() && !link) return;
  event.preventDefault();
  if (!find()) link.click();
});
document.addEventListener('click', (event) => {
  if (event.target.closest('[data-find]') && location.pathname === '/console/orders' && find()) event.preventDefault();
});

/** What is picked, by id. */
export function picked() {
  return [...document.querySelectorAll('[data-pick]:checked')].map((box) => box.value);
}

function count() {
  const bar = document.querySelector('[data-bulk]');
  const all = document.querySelector('[data-pick-all]');
  const n = picked().length;
  if (all) {
    all.checked = n > 0 && n === document.querySelectorAll('[data-pick]').length;
    all.indeterminate = n > 0 && !all.checked;
  }
  for (const box of document.querySelectorAll('[data-pick]')) box.closest('tr')?.classList.toggle('is-picked', box.checked);
  if (!bar) return;
  bar.hidden = n === 0;
  const words = bar.querySelector('[data-bulk-count]');
  words.textContent = fill(words.dataset.t, { n });
}

document.addEventListener('change', (event) => {
  if (event.target.matches?.('[data-pick-all]')) for (const box of document.querySelectorAll('[data-pick]')) box.checked = event.target.checked;
  if (event.target.matches?.('[data-pick-all], [data-pick]')) count();
});
document.addEventListener('km:regions', count);
