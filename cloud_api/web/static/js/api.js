// The one way from a page to /api/v1: JSON, CSRF token, an idempotency key per intent, and problems
// (application/problem+json) turned into a sentence that can be shown as it is.

// Forms that a script sends have method="dialog": a browser alone sends nothing of them. Until every script of
// the page has run their buttons wait (button.css), so that no tap is lost.
addEventListener('DOMContentLoaded', () => { document.documentElement.dataset.ready = ''; });

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? '';
const words = JSON.parse(document.querySelector('meta[name="km-words"]')?.content ?? '{}');

/** A text of the page for scripts, with {name} filled in. */
export function word(key, values = {}) {
  return fill(words[key] ?? '', values);
}

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A refusal or failure. `message` is for people; `code` is stable; `status` 0 means no answer came. */
export class Problem extends Error {
  constructor(status, code, message, field = '', body = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.body = body;
  }
}

/** A key for one thing a person wants. Keep it while retrying the same thing; make a new one for another. */
export function intent() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Calls the API. `saw`: the mark of what is changed (kit/seen.py); `seen` of the answer is the new one. Throws Problem. After 401 the page goes to the login and comes back here. */
export async function api(path, { method = 'POST', body, key, saw, signal, timeout = 20000 } = {}) {
  const headers = { Accept: 'application/json' };
  if (method !== 'GET') {
    headers['X-CSRF-Token'] = csrf;
    headers['Idempotency-Key'] = key ?? intent();
  }
  if (saw) headers['X-Seen'] = saw;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort('timeout'), timeout);
  signal?.addEventListener('abort', () => stop.abort('superseded'));
  let response;
  try {
    response = await fetch(path, { method, headers, signal: stop.signal, credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = stop.signal.aborted;
    throw new Problem(0, late ? 'timeout' : 'network', word(late ? 'timeout' : 'network'));
  } finally {
    clearTimeout(timer);
  }
  const text = await response.text();
  let answer = {};
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    answer = {};
  }
  const seen = response.headers.get('X-Seen');
  if (seen) Object.defineProperty(answer, 'seen', { value: seen });
  if (response.ok) return answer;
  const prove = document.getElementById('sheet-factor');
  if (answer.code === 'second_factor.fresh_needed' && prove && !path.endsWith('/second-factor')) {
    const { proved } = await import('./factor.js');
    if (await proved(prove)) return api(path, { method, body, key: headers['Idempotency-Key'], saw, signal, timeout });
  }
  if (response.status === 401 && !location.pathname.endsWith('/login')) {
    const login = location.pathname.startsWith('/console') ? '/console/login' : '/login';
    location.assign(`${login}?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw new Problem(response.status, answer.code ?? 'unknown', answer.detail || answer.title || word('server'), answer.field, answer);
}

/** Marks a button busy while `work` runs; a second tap meanwhile does nothing. */
export async function busy(button, work) {
  if (button.getAttribute('aria-busy') === 'true') return undefined;
  button.setAttribute('aria-busy', 'true');
  try {
    return await work();
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/** Shows a problem in the form's own place (never in a toast) and takes the focus to the field at fault. */
export function showProblem(scope, problem) {
  const field = problem.field && scope.querySelector(`[name="${CSS.escape(problem.field)}"]`);
  const place = (field && scope.querySelector(`[data-error-for="${CSS.escape(problem.field)}"]`)) || scope.querySelector('[data-form-error]');
  if (place) place.textContent = problem.message;
  if (field) {
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }
}

export function clearProblems(scope) {
  for (const place of scope.querySelectorAll('.error')) place.textContent = '';
  for (const field of scope.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
}
