// The page of a dead spot: shows the passes that the phone kept, the one whose time it is first, and
// goes back to where one wanted to be as soon as there is network.

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
const list = document.querySelector('[data-kept]');
const card = document.querySelector('template[data-card]');

function saved() {
  try {
    return JSON.parse(localStorage.getItem('km-passes') ?? 'null');
  } catch {
    return null;
  }
}

function draw() {
  const told = saved();
  if (!told) return { count: 0, opens: false };
  const now = Date.now() + told.ahead;
  const items = told.items.filter((one) => !one.until || Date.parse(one.until) > now);
  list.replaceChildren(...items.map((one) => {
    const made = card.content.cloneNode(true);
    const at = (name) => made.querySelector(`[data-${name}]`);
    at('room').textContent = `${one.room} · ${one.store}`;
    at('when').textContent = `${one.day} ${one.range}`;
    at('address').textContent = one.address;
    at('code').hidden = !one.svg;
    at('none').hidden = Boolean(one.svg || one.pin);
    if (one.svg) at('qr').src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(one.svg)}`;
    at('keys').hidden = !one.pin;
    at('digits').replaceChildren(...[...one.pin].map((digit) => {
      const cell = document.createElement('b');
      cell.textContent = digit;
      return cell;
    }));
    const age = Math.max(0, Math.floor((now - told.at) / 60000));
    at('age').textContent = age < 1 ? list.dataset.tFresh : fill(list.dataset.tAge, { n: age });
    const call = at('call');
    call.hidden = !one.phone;
    call.href = `tel:${one.phone.replace(/[^\d+]/g, '')}`;
    return made;
  }));
  return { count: items.length, opens: items.some((one) => one.svg || one.pin) };
}

const { count, opens } = draw();
document.querySelector('[data-nothing]').hidden = count > 0;
document.querySelector('[data-head]').textContent = list.dataset[opens ? 'tPass' : 'tNone'];
document.querySelector('[data-cause]').textContent = list.dataset[opens ? 'tKept' : 'tBare'];
setInterval(() => document.hidden || draw(), 30000);

const again = () => location.reload();
addEventListener('online', again);
document.querySelector('[data-again]').addEventListener('click', again);
// The phone may have network again without saying so.
setInterval(() => {
  if (document.hidden || location.pathname === '/offline') return;
  fetch('/healthz', { cache: 'no-store' }).then((answer) => answer.ok && again()).catch(() => undefined);
}, 15000);
