// Goes to another state of the same page without leaving it: fetches the page and puts its regions in
// the place of those here. A region is [data-region="name"]; the drawer at the side is #inspector.

const SLOW = 200; // ms; what is quicker shows no waiting

const frame = () => document.querySelector('.frame');
let turn = 0;

function put(page) {
  for (const old of document.querySelectorAll('[data-region]')) {
    const fresh = page.querySelector(`[data-region="${CSS.escape(old.dataset.region)}"]`);
    if (fresh) old.replaceWith(document.adoptNode(fresh));
  }
  const drawer = page.getElementById('inspector');
  document.getElementById('inspector')?.remove();
  frame()?.classList.toggle('has-insp', Boolean(drawer));
  if (drawer) frame().append(document.adoptNode(drawer));
  mark(drawer?.dataset.inspector ?? '');
  document.dispatchEvent(new CustomEvent('km:regions'));
}

/** Marks the tile or row whose detail is open. */
function mark(id) {
  for (const one of document.querySelectorAll('[data-tile], [data-row]')) {
    if ((one.dataset.tile ?? one.dataset.row) === id) one.setAttribute('aria-current', 'true');
    else one.removeAttribute('aria-current');
  }
}

/** Shows `href`, a state of this page. Where that fails `failed` is called, else the browser goes there. */
export async function visit(href, { push = true, failed = null } = {}) {
  const mine = ++turn;
  const waiting = setTimeout(() => document.querySelector('[data-region]')?.setAttribute('aria-busy', 'true'), SLOW);
  try {
    const response = await fetch(href, { headers: { Accept: 'text/html' }, credentials: 'same-origin' });
    if (mine !== turn) return;
    if (!response.ok || response.redirected) return void location.assign(href);
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    if (mine !== turn) return;
    if (push) history.pushState({ regions: true }, '', href);
    put(page);
  } catch {
    if (mine !== turn) return;
    if (failed) failed(href);
    else location.assign(href);
  } finally {
    clearTimeout(waiting);
    if (mine === turn) for (const region of document.querySelectorAll('[data-region]')) region.setAttribute('aria-busy', 'false');
  }
}

/** Draws this page's regions again as they are now. */
export function again() {
  return visit(location.pathname + location.search, { push: false });
}

addEventListener('popstate', () => visit(location.pathname + location.search, { push: false }));

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-tile], a[data-aside], a[data-insp-close]');
  if (!link || !frame() || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  visit(link.getAttribute('href'));
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  document.querySelector('[data-insp-close]')?.click();
});
