// Pages about people: a set-up code or an invitation after the #, the second factor, codes shown once.

import { api, busy, fill, intent } from './api.js';
import { toast } from './sheet.js';

const one = (selector, from = document) => from.querySelector(selector);
const fragment = location.hash.slice(1);

// --- a code that stood after the #: it never reaches a server's log, nor stays in the address ----
const typed = one('[data-fragment]');
if (typed && fragment) {
  typed.value = decodeURIComponent(fragment);
  history.replaceState(null, '', location.pathname);
}

// --- an invitation -------------------------------------------------------------------------------
const KEPT = 'km-invite';
const invite = one('[data-invite]');
if (invite) {
  if (fragment) {
    sessionStorage.setItem(KEPT, fragment);
    history.replaceState(null, '', location.pathname);
  }
  const token = sessionStorage.getItem(KEPT) ?? '';
  const line = one('[data-invite-line]', invite);
  const who = one('[data-invite-who]', invite);
  const wrong = one('[data-invite-error]', invite);
  const acts = one('[data-invite-acts]', invite);
  const refuse = (problem) => { wrong.textContent = problem.status === 422 ? wrong.dataset.tPart : problem.message; };
  api('/api/v1/invitations/look', { body: { token } }).then((told) => {
    line.textContent = fill(line.dataset.t, told);
    const tail = fill(who.dataset.tTail, { n: told.phone_tail });
    who.textContent = fill(who.dataset.t, { tail });
    acts.hidden = false;
  }, (problem) => {
    line.hidden = true;
    refuse(problem);
  });
  one('[data-relogin]', invite)?.addEventListener('click', () => {
    // Whoever is logged in as somebody else logs out first.
    const go = () => location.assign(invite.dataset.login);
    if (!invite.dataset.person) return go();
    return api('/api/v1/auth/logout').then(go, refuse);
  });
  const accept = one('[data-accept]', invite);
  accept?.addEventListener('click', () => busy(accept, () => api('/api/v1/invitations/accept', { body: { token } }).then(() => {
    sessionStorage.removeItem(KEPT);
    location.assign(invite.dataset.next);
  }, refuse)));
}

// --- the second factor ---------------------------------------------------------------------------
for (const box of document.querySelectorAll('[data-totp]')) {
  const begin = one('[data-totp-begin]', box);
  begin.addEventListener('click', () => busy(begin, async () => {
    const wrong = one('[data-totp-error]', box);
    try {
      const made = await api(begin.dataset.totpBegin, { key: intent() });
      const picture = one('[data-src]', box);
      picture.src = `${picture.dataset.src}?t=${Date.now()}`;
      one('[data-totp-secret]', box).textContent = made.secret.match(/.{1,4}/g).join(' ');
      one('[data-totp-show]', box).hidden = false;
      begin.hidden = true;
      wrong.textContent = '';
    } catch (problem) {
      wrong.textContent = problem.message;
    }
  }));
}

// --- what is shown this one time -----------------------------------------------------------------
document.addEventListener('km:done', (event) => {
  const form = event.target;
  if (form.dataset.codes) {
    const box = one(form.dataset.codes);
    one('[data-codes-list]', box).replaceChildren(...event.detail.codes.map((code) => {
      const item = document.createElement('li');
      item.textContent = code;
      return item;
    }));
    form.closest('dialog')?.close();
    for (const other of document.querySelectorAll('[data-hide-after]')) other.hidden = true;
    box.hidden = false;
    box.focus();
  }
  const once = one('[data-once]');
  const told = once && event.detail[once.dataset.once];
  if (told) {
    one('[data-once-text]', once).textContent = told;
    form.closest('dialog')?.close();
    for (const made of document.querySelectorAll('[data-once-form]')) made.hidden = true;
    once.hidden = false;
    once.scrollIntoView({ block: 'nearest' });
    one('h2', once).focus();
  }
  if (form.closest('[data-invite-form]')) {
    const box = one('[data-invited]');
    const head = one('[data-invited-head]', box);
    head.textContent = event.detail.sms_sent ? head.dataset.tSent : head.dataset.tNot;
    one('[data-invited-link]', box).textContent = event.detail.link;
    form.closest('[data-invite-form]').hidden = true;
    box.hidden = false;
    head.focus();
  }
});

document.addEventListener('click', (event) => {
  const copy = event.target.closest('[data-copy]');
  if (!copy) return;
  const from = one(copy.dataset.copy);
  const lines = from.children.length ? [...from.children].map((item) => item.textContent) : [from.textContent];
  navigator.clipboard?.writeText(lines.join('\n')).then(() => toast(copy.dataset.tDone));
});

// --- which stores --------------------------------------------------------------------------------
for (const reach of document.querySelectorAll('[data-reach]')) {
  const form = reach.closest('form');
  reach.addEventListener('change', () => {
    const all = form.elements.reach.value === 'all';
    one('[data-reach-all]', form).disabled = !all;
    one('[data-reach-some]', form).hidden = all;
  });
}
