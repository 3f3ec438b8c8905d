// The feed of what happened (SSE). An event names topics; every [data-live="topic"] on the page asks for
// its own fragment again and is morphed, so that focus, scroll and open things stay where they are.
//   data-live       "store:ID", "room:ID", "order:ID" or "merchant" (any event)
//   data-live-on    "alarm": asked for again when such an event comes, and at no other time
//   data-live-href  where its fragment is; data-live-reload takes it out of this same page instead

import { setNow } from './clock.js';

const href = document.querySelector('meta[name="km-events"]')?.content;
// The server names its events by noun; what they say is the same for all.
const NAMES = ['clock', 'change', 'order', 'room', 'store', 'device', 'command', 'access', 'power', 'stay', 'alarm', 'cleaning'];
const waiting = new Set();
let timer = 0;

function topicsOf(event) {
  if (Array.isArray(event.topics)) return event.topics;
  return ['order', 'room', 'store', 'door', 'device'].filter((noun) => event[`${noun}_id`]).map((noun) => `${noun}:${event[`${noun}_id`]}`);
}

async function refresh(element) {
  const url = element.dataset.liveHref || ('liveReload' in element.dataset ? location.pathname + location.search : '');
  if (!url || !window.htmx) return;
  if (element.querySelector('[data-pick]:checked')) return; // rows that somebody is choosing stay where they are
  await window.htmx.ajax('GET', url, { target: element, swap: 'outerMorph', select: `#${CSS.escape(element.id)}` });
  document.dispatchEvent(new CustomEvent('km:live', { detail: { id: element.id } })); // for who places things by script
}

// An error has no part of this page in it: what is shown stays. And where the page is another by now (it was
// paid, it is over, the login ended), go where its reader is sent.
document.addEventListener('htmx:before:response', (event) => {
  const { request, response: { raw } } = event.detail.ctx;
  if (request.method !== 'GET' || (raw.ok && !raw.redirected)) return;
  event.preventDefault();
  if (raw.ok) location.reload();
});

function flush() {
  timer = 0;
  const topics = new Set(waiting);
  waiting.clear();
  for (const element of document.querySelectorAll('[data-live], [data-live-on]')) {
    if (topics.has(element.dataset.liveOn) || topics.has(element.dataset.live) || element.dataset.live === 'merchant') refresh(element);
  }
}

/** Refreshes what shows these topics; many at once become one request each. */
export function touch(topics) {
  for (const topic of topics) waiting.add(topic);
  timer ||= setTimeout(flush, 400);
}

/** Time moved on, or a minute passed: what is shown may be another state now though nothing was said. */
function everything() {
  for (const element of document.querySelectorAll('[data-live]')) refresh(element);
}

function listen() {
  const mark = document.querySelector('[data-live-word]');
  const said = mark?.lastElementChild?.textContent;
  const source = new EventSource(href);
  const take = (message) => {
    let event;
    try {
      event = JSON.parse(message.data);
    } catch {
      return;
    }
    if (event.now) setNow(event.now);
    const topics = message.type === 'alarm' ? [...topicsOf(event), 'alarm'] : topicsOf(event);
    if (event.jump) everything();
    else if (topics.length) touch(topics);
    document.dispatchEvent(new CustomEvent('km:event', { detail: { ...event, topics } }));
  };
  source.onmessage = take;
  for (const name of NAMES) source.addEventListener(name, take);
  source.onopen = () => {
    everything(); // what happened between the drawing of the page and this moment was told to nobody
    if (mark) {
      mark.lastElementChild.textContent = said;
      mark.firstElementChild.classList.remove('dot-off');
    }
  };
  source.onerror = () => {
    if (mark) {
      mark.lastElementChild.textContent = mark.dataset.tOff;
      mark.firstElementChild.classList.add('dot-off');
    }
  };
  addEventListener('pagehide', () => source.close());
  addEventListener('pageshow', (event) => event.persisted && location.reload());
}

if (href) listen();
setInterval(() => document.hidden || everything(), 60000);
