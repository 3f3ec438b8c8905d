// The month of a store in a sheet: which days still have time. A day is a link to its timeline.

import { api, fill } from './api.js';

const sheet = document.querySelector('[data-month]');
if (sheet) run();

function run() {
  const d = sheet.dataset;
  const days = sheet.querySelector('[data-month-days]');
  const title = sheet.querySelector('[data-month-title]');
  const error = sheet.querySelector('[data-month-error]');
  const [back, on] = sheet.querySelectorAll('[data-month-by]');
  const retry = sheet.querySelector('[data-month-again]');
  const months = new Map();
  const box = () => Object.assign(document.createElement('span'), { className: 'month-day is-wait' });
  let shown = d.day.slice(0, 7);

  const step = (month, by) => {
    const [year, number] = month.split('-').map(Number);
    return new Date(Date.UTC(year, number - 1 + by, 1)).toISOString().slice(0, 7);
  };
  const words = { free: d.tFree, some: d.tSome, full: d.tFull, closed: d.tClosed, past: d.tPast, far: d.tFar };

  function cell(told) {
    const open = told.state === 'free' || told.state === 'some';
    const made = document.createElement(open ? 'a' : 'span');
    const [, month, day] = told.day.split('-').map(Number);
    made.className = `month-day is-${told.state}${told.day === d.today ? ' is-today' : ''}`;
    if (open) made.href = `${d.book}?day=${told.day}`;
    if (told.day === d.day) made.setAttribute('aria-current', 'date');
    made.setAttribute('aria-label', fill(d.tDay, { m: month, d: day, word: words[told.state] ?? '' }));
    if (!open) made.setAttribute('role', 'note');
    const number = document.createElement('b');
    number.textContent = String(day);
    const note = document.createElement('small');
    note.textContent = told.state === 'past' ? '' : told.name || (words[told.state] ?? '');
    made.append(number, note);
    return made;
  }

  async function show(month) {
    shown = month;
    const [year, number] = month.split('-').map(Number);
    title.textContent = fill(d.tTitle, { y: year, m: number });
    back.disabled = month <= d.today.slice(0, 7);
    on.disabled = month >= d.far.slice(0, 7);
    error.textContent = '';
    retry.hidden = true;
    // Never the days of one month below the name of another: until they come, their empty boxes.
    if (!months.has(month)) days.replaceChildren(...Array.from({ length: 35 }, box));
    days.setAttribute('aria-busy', String(!months.has(month)));
    try {
      if (!months.has(month)) months.set(month, (await api(`${d.href}?month=${month}`, { method: 'GET' })).days);
    } catch {
      if (month === shown) {
        error.textContent = d.tFailed;
        retry.hidden = false;
        days.replaceChildren();
      }
      return;
    } finally {
      if (month === shown) days.setAttribute('aria-busy', 'false');
    }
    if (month !== shown) return; // another month was asked for meanwhile
    const first = new Date(Date.UTC(year, number - 1, 1)).getUTCDay();
    const blank = Array.from({ length: (first + 6) % 7 }, () => document.createElement('span'));
    days.replaceChildren(...blank, ...months.get(month).map(cell));
  }

  retry.addEventListener('click', () => show(shown));
  sheet.addEventListener('click', (event) => {
    const by = event.target.closest('[data-month-by]');
    if (by) show(step(shown, Number(by.dataset.monthBy)));
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-open-sheet="month"]')) show(shown);
  });
}
