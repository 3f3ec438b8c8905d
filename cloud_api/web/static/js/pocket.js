// What the phone keeps for a dead spot: the passes of the coming day, renewed each minute while there is
// network; and the app itself, on the home screen of whoever wants it there.

import { now } from './clock.js';

const PLACE = 'km-passes';
const EVERY = 60000;
const href = document.querySelector('meta[name="km-passes"]')?.content;

let gone = false; // logged out on this very page: what is still on its way is not kept

export async function renew() {
  if (!href || document.hidden || !navigator.onLine) return;
  try {
    const answer = await fetch(href, { credentials: 'same-origin', headers: { Accept: 'application/json' } });
    if (!answer.ok) return;
    const told = await answer.json();
    if (gone) return;
    // The phone's own clock may be wrong: how far it is off is kept with the passes.
    localStorage.setItem(PLACE, JSON.stringify({ items: told.items, at: now(), ahead: Date.parse(told.now) - Date.now() }));
  } catch {
    // No network, or no room to keep anything: what was kept before stays.
  }
}

if (href) {
  renew();
  setInterval(renew, EVERY);
  addEventListener('online', renew);
  document.addEventListener('visibilitychange', renew);
}
for (const form of document.querySelectorAll('form[action="/logout"]')) {
  form.addEventListener('submit', () => {
    gone = true;
    localStorage.removeItem(PLACE);
  });
}

// --- the worker ----------------------------------------------------------------------------------------
if ('serviceWorker' in navigator) {
  const looks = `${document.documentElement.lang}/${document.documentElement.dataset.theme ?? ''}`;
  navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then((worker) => {
    if (localStorage.getItem('km-looks') === looks) return;
    worker.active?.postMessage('offline');
    localStorage.setItem('km-looks', looks);
  }).catch(() => undefined);
}

// --- on the home screen --------------------------------------------------------------------------------
const standing = matchMedia('(display-mode: standalone)').matches || navigator.standalone;
const hints = [...document.querySelectorAll('[data-install]')];
const GONE = 'km-install-gone';

function hint(way) {
  if (standing || (localStorage.getItem(GONE) && !document.querySelector('[data-install-always]'))) return;
  for (const box of hints) {
    if ('installAlways' in box.dataset || !localStorage.getItem(GONE)) box.hidden = false;
    for (const part of box.querySelectorAll('[data-way]')) part.hidden = part.dataset.way !== way;
  }
}

if (hints.length) {
  let asked = null;
  addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    asked = event;
    hint('ask');
  });
  // Safari on iPhones has no such question; there the share sheet does it.
  if (/iP(hone|ad|od)/.test(navigator.userAgent) && !/MicroMessenger|AlipayClient/.test(navigator.userAgent)) hint('share');
  for (const box of hints) {
    box.querySelector('[data-install-go]')?.addEventListener('click', async () => {
      if (!asked) return;
      asked.prompt();
      await asked.userChoice;
      asked = null;
      box.hidden = true;
    });
    box.querySelector('[data-install-later]')?.addEventListener('click', () => {
      localStorage.setItem(GONE, '1');
      box.hidden = true;
    });
  }
}
