// A file that is guarded: a[data-guarded] asks for the second factor where that is needed, then saves it.

import { busy, word } from './api.js';
import { proved } from './factor.js';

async function fetched(href) {
  const response = await fetch(href, { credentials: 'same-origin', headers: { Accept: 'application/json' } });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const sheet = document.getElementById('sheet-factor');
  if (told.code === 'second_factor.fresh_needed' && sheet) return (await proved(sheet)) ? fetched(href) : null;
  throw new Error(told.detail || told.title || word('server'));
}

async function save(link) {
  const place = document.querySelector('[data-guarded-error]');
  place.textContent = '';
  try {
    const response = await fetched(link.href);
    if (!response) return; // thought better of it
    const made = document.createElement('a');
    made.href = URL.createObjectURL(await response.blob());
    made.download = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? '';
    made.click();
    setTimeout(() => URL.revokeObjectURL(made.href), 60000);
  } catch (problem) {
    place.textContent = problem instanceof TypeError ? word('network') : problem.message;
  }
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-guarded]');
  if (!link) return;
  event.preventDefault();
  busy(link, () => save(link));
});
