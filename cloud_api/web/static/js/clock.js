// The server's business clock on this page: the instant of rendering plus what has passed since.
// The device's own clock is never believed; demo and tests may advance the server's, and tell us.

const meta = document.querySelector('meta[name="km-now"]');
const navigation = performance.getEntriesByType('navigation')[0];
let base = meta ? Date.parse(meta.content) : Date.now();
let since = navigation ? navigation.responseStart : performance.now();

/** Milliseconds since the epoch on the business clock. */
export function now() {
  return base + (performance.now() - since);
}

/** Takes over an instant that the server has just said (ISO 8601). */
export function setNow(iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return;
  base = at;
  since = performance.now();
  document.dispatchEvent(new CustomEvent('km:clock'));
}

const two = (n) => String(n).padStart(2, '0');

/** 1:24, hours and minutes of what is left, minutes rounded up as the server does. */
export function hoursMinutes(ms) {
  const minutes = Math.max(0, Math.ceil(ms / 60000));
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;
}

/** 03:12, minutes and seconds. */
export function minutesSeconds(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
}

/** The offset of an ISO string in milliseconds; a store's times are shown in the store's zone. */
export function offsetOf(iso) {
  const found = /([+-])(\d\d):?(\d\d)$/.exec(iso);
  if (!found) return 0;
  return (found[1] === '-' ? -1 : 1) * (Number(found[2]) * 60 + Number(found[3])) * 60000;
}

/** 19:05 in the zone of `offset`. */
export function hm(ms, offset) {
  const at = new Date(ms + offset);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

/** An instant as the API wants it: ISO 8601 with the store's offset, whole seconds. */
export function iso(ms, offset) {
  const sign = offset < 0 ? '-' : '+';
  const minutes = Math.abs(offset) / 60000;
  return `${new Date(ms + offset).toISOString().slice(0, 19)}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
