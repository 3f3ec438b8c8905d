// What one wants to be told of: a switch shows what was kept, never what was tapped.

import { api, busy, clearProblems, showProblem } from './api.js';

for (const choice of document.querySelectorAll('[data-choice]')) {
  choice.addEventListener('click', () => busy(choice, async () => {
    const scope = choice.closest('section');
    clearProblems(scope);
    try {
      const wanted = choice.getAttribute('aria-checked') !== 'true';
      const kept = await api('/api/v1/me/notice-choices', { method: 'PUT', body: { kind: choice.dataset.choice, wanted } });
      choice.setAttribute('aria-checked', String(kept.choices[choice.dataset.choice]));
    } catch (problem) {
      showProblem(scope, problem);
    }
  }));
}
