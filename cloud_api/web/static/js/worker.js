// The service worker. Pages always come from the network, since each is somebody's own; where there is
// none, one page that needs none shows what the phone kept. Files whose address has a hash are kept.
// The server puts STAMP and KEPT in front.

const CACHE = `kaimen-${STAMP}`;
const OFFLINE = '/offline';
const DOOR = /^\/(d\/|orders\/[^/]+\/(stay|pass)$)/;
const DOOR_PATIENCE_MS = 10000; // before a door nobody waits for a network that only pretends to be there

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...KEPT, OFFLINE])).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith('kaimen-') && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

// The language or the theme changed: the page that is kept has to follow.
self.addEventListener('message', (event) => {
  if (event.data === 'offline') event.waitUntil(caches.open(CACHE).then((cache) => cache.add(OFFLINE)).catch(() => undefined));
});

async function visit(request, url) {
  const kept = async () => (await caches.match(OFFLINE, { cacheName: CACHE })) ?? Response.error();
  const patience = DOOR.test(url.pathname) ? new Promise((give) => setTimeout(give, DOOR_PATIENCE_MS)) : new Promise(() => undefined);
  try {
    const answer = await Promise.race([fetch(request), patience.then(kept)]);
    return [502, 503, 504].includes(answer.status) && !answer.headers.get('X-Request-Id') ? await kept() : answer;
  } catch {
    return kept();
  }
}

async function file(request) {
  const found = await caches.match(request, { cacheName: CACHE });
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    const copy = answer.clone();
    caches.open(CACHE).then((cache) => cache.put(request, copy)).catch(() => undefined);
  }
  return answer;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') event.respondWith(visit(request, url));
  else if (KEPT.includes(url.pathname + url.search)) event.respondWith(file(request));
  else if (url.pathname.startsWith('/static/') && (url.searchParams.has('v') || url.pathname.startsWith('/static/m-') || KEPT.includes(url.pathname))) event.respondWith(file(request));
});
