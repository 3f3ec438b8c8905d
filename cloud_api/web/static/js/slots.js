// What may be chosen on a timeline: pure reckoning, no page. All instants are milliseconds since the epoch.

export const MINUTE = 60000;
export const HOUR = 3600000;

/** The free stretches of a room: [{from, to}], after `earliest`, with `clean` minutes kept before the next one. */
export function gaps(busy, { start, end, earliest, clean }) {
  const found = [];
  let at = Math.max(start, earliest);
  for (const span of [...busy].sort((a, b) => a.from - b.from)) {
    const until = Math.min(end, span.state === 'cleaning' || span.state === 'closed' ? span.from : span.from - clean * MINUTE);
    if (until > at) found.push({ from: at, to: until });
    at = Math.max(at, span.to);
  }
  if (end > at) found.push({ from: at, to: end });
  return found;
}

/** The times on the step between two instants, both ends in. The step counts from the day's start. */
export function steps(from, to, step, origin) {
  const size = step * MINUTE;
  const times = [];
  for (let at = origin + Math.ceil((from - origin) / size) * size; at <= to; at += size) times.push(at);
  return times;
}

/** Starts that leave at least the shortest booking. `current` (the running minute) comes first where allowed. */
export function starts(free, { step, min, origin, current }) {
  const times = free.flatMap((gap) => steps(gap.from, gap.to - min * MINUTE, step, origin));
  if (current !== null && free.some((gap) => current >= gap.from && current + min * MINUTE <= gap.to) && !times.includes(current)) times.unshift(current);
  return times;
}

/** Ends for a start: on the step, and the very end of the gap. */
export function ends(free, from, { step, min, max, origin }) {
  const gap = free.find((g) => from >= g.from && from < g.to);
  if (!gap) return [];
  const last = Math.min(gap.to, from + max * MINUTE);
  const times = steps(from + min * MINUTE, last, step, (from - origin) % (step * MINUTE) === 0 ? origin : from);
  if (last - from >= min * MINUTE && !times.includes(last)) times.push(last);
  return times;
}

/** The member of `times` nearest to an instant. */
export function nearest(times, at) {
  return times.reduce((best, time) => (best === null || Math.abs(time - at) < Math.abs(best - at) ? time : best), null);
}
