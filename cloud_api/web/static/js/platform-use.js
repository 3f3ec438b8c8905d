// A platform's voucher that waits: looked at every few seconds, until there is an answer.

import { api, busy, clearProblems, intent, showProblem } from './api.js';

const EVERY = 3000;
const watched = document.querySelector('[data-platform-watch]');
if (watched) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const told = await api(watched.dataset.platformWatch, { method: 'GET' });
      if (told.state !== watched.dataset.is) location.reload();
    } catch {
      // No network: the strip at the top says so.
    }
  }, EVERY);
}

const key = intent();
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-withdraw]');
  if (!button) return;
  busy(button, async () => {
    const scope = button.closest('.actions');
    clearProblems(scope);
    try {
      await api(button.dataset.withdraw, { body: {}, key });
      location.reload();
    } catch (problem) {
      showProblem(scope, problem);
    }
  });
});
