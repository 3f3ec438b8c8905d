// The phone's timeline. Dragging, tapping, the chips of lengths, the two time fields and the arrow keys all
// end in `choose`, so that nothing needs a drag. The price is asked for with every choice.

import { api, fill, intent, word } from './api.js';
import { hm, iso, now, offsetOf } from './clock.js';
import { ends, gaps, HOUR, MINUTE, nearest, starts } from './slots.js';

const tl = document.querySelector('[data-timeline]');
const form = document.querySelector('[data-pick]');
if (tl && form) run();

function run() {
  const d = tl.dataset;
  const offset = offsetOf(d.start);
  const start = Date.parse(d.start);
  const end = Date.parse(d.end);
  const rule = { step: Number(d.step), min: Number(d.min), max: Number(d.max), origin: start - ((start + offset) % 86400000) };
  const grid = tl.querySelector('[data-tl-grid]');
  const scroll = tl.querySelector('.tl-scroll');
  const pxHour = parseFloat(getComputedStyle(tl).getPropertyValue('--hour')) || 41;
  const px = (ms) => (ms / HOUR) * pxHour;
  const x = (at) => `${px(at - start)}px`;
  const time = (at) => hm(at, offset);
  const dayOf = (at) => Math.floor((at + offset) / 86400000);
  const clockWord = (at) => (at === end && time(at) === '00:00' ? '24:00' : dayOf(at) > dayOf(start) ? fill(d.tNext, { t: time(at) }) : time(at));
  const length = (ms) => {
    const minutes = Math.round(ms / MINUTE);
    if (minutes < 60) return fill(d.tMinutes, { n: minutes });
    return minutes % 60 ? fill(d.tHalf, { h: Math.floor(minutes / 60), m: minutes % 60 }) : fill(d.tHours, { n: minutes / 60 });
  };
  const field = (name) => form.querySelector(`[data-${name}]`);
  const rows = new Map([...tl.querySelectorAll('[data-row]')].map((element) => [element.dataset.row, {
    id: element.dataset.row, name: element.dataset.name, element, track: element.querySelector('[data-track]'),
    busy: [...element.querySelectorAll('.tl-block')].map((block) => ({ block, state: /is-(\w+)/.exec(block.className)[1], from: Date.parse(block.dataset.from), to: Date.parse(block.dataset.to) })),
  }]));
  const nextText = field('next').textContent.trim();
  const picked = { room: d.room, from: null, to: null, quote: null, product: null };
  let selection = null;
  let bubble = null;
  let asking = null;
  let timer = 0;
  const measure = document.createElement('canvas').getContext('2d');

  const current = () => Math.floor(now() / MINUTE) * MINUTE;
  const earliest = () => Math.max(start, d.startNow ? current() : now());
  const freeOf = (row) => gaps(row.busy, { start, end, earliest: earliest(), clean: Number(d.clean) });
  const startsOf = (row) => starts(freeOf(row), { ...rule, current: d.startNow && current() >= start ? current() : null });
  const endsOf = (row, from) => ends(freeOf(row), from, rule);
  const row = () => rows.get(picked.room);

  // --- drawing ---------------------------------------------------------------------------------
  function place(element, from, to) {
    element.style.setProperty('--x', x(Math.max(from, start)));
    element.style.setProperty('--w', `${Math.max(2, px(Math.min(to, end) - Math.max(from, start)))}px`);
  }

  function make(className, parent, text = '') {
    const element = document.createElement('span');
    element.className = className;
    element.textContent = text;
    parent.append(element);
    return element;
  }

  function drawBlocks(r) {
    for (const span of r.busy) {
      const shown = span.to > start && span.from < end;
      span.block.hidden = !shown;
      if (shown) place(span.block, span.from, span.to);
      span.block.classList.toggle('is-tiny', px(Math.min(span.to, end) - Math.max(span.from, start)) < (span.state === 'in_use' ? 52 : 30));
    }
  }

  function drawFrame() {
    tl.style.setProperty('--hours', String((end - start) / HOUR));
    const firstHour = start + ((HOUR - ((start + offset) % HOUR)) % HOUR);
    tl.style.setProperty('--off', `${px(firstHour - start)}px`);
    const head = tl.querySelector('[data-tl-hours]');
    head.replaceChildren();
    const at = now();
    const showNow = at >= start && at <= end;
    for (let hour = firstHour; hour < end; hour += HOUR) {
      if (hour - start < HOUR / 4 || (showNow && Math.abs(px(hour - at)) < 30)) continue;
      const mark = make('', head, String(new Date(hour + offset).getUTCHours()));
      mark.style.setProperty('--x', x(hour));
    }
    for (const old of grid.querySelectorAll('.tl-now, .tl-nowline, .tl-past')) old.remove();
    if (showNow) {
      const pill = make('tl-now', tl.querySelector('.tl-head'), time(at));
      const line = make('tl-nowline', grid);
      for (const element of [pill, line]) element.style.setProperty('--x', x(at));
      for (const r of rows.values()) place(make('tl-past', r.track), start, at);
    }
  }

  function drawSelection() {
    for (const old of grid.querySelectorAll('.tl-tint')) old.remove();
    for (const r of rows.values()) r.element.classList.toggle('is-on', r.id === picked.room);
    const r = row();
    if (!r || picked.from === null) {
      selection?.remove();
      selection = null;
      return;
    }
    const gap = freeOf(r).find((g) => picked.from >= g.from && picked.from < g.to);
    if (gap) place(make('tl-tint', r.track), gap.from, gap.to);
    if (!selection || selection.parentElement !== r.track) {
      selection?.remove();
      selection = make('tl-sel', r.track);
      make('', selection);
      for (const side of ['a', 'b']) {
        const handle = make(`tl-handle tl-handle-${side}`, selection);
        handle.dataset.handle = side;
        handle.tabIndex = 0;
        handle.setAttribute('role', 'slider');
        handle.setAttribute('aria-label', side === 'a' ? d.tA : d.tB);
      }
    }
    place(selection, picked.from, picked.to);
    const wide = px(picked.to - picked.from) > 74;
    selection.firstElementChild.textContent = wide ? length(picked.to - picked.from) : '';
    for (const handle of selection.querySelectorAll('[data-handle]')) {
      const at = handle.dataset.handle === 'a' ? picked.from : picked.to;
      handle.setAttribute('aria-valuetext', clockWord(at));
      handle.setAttribute('aria-valuenow', String(Math.round((at - start) / MINUTE)));
      handle.setAttribute('aria-valuemin', '0');
      handle.setAttribute('aria-valuemax', String((end - start) / MINUTE));
    }
  }

  function options(select, times, value, label) {
    select.replaceChildren(...times.map((at) => {
      const option = document.createElement('option');
      option.value = iso(at, offset);
      option.textContent = label(at);
      option.selected = at === value;
      return option;
    }));
    select.disabled = times.length === 0;
    measure.font = getComputedStyle(select).font;
    const said = select.selectedOptions[0]?.textContent ?? '';
    select.style.setProperty('width', `${Math.ceil(measure.measureText(said).width) + 12}px`);
  }

  function drawForm() {
    const r = row();
    field('room-name').textContent = r?.name ?? '';
    field('room-seats').textContent = r?.element.dataset.seats ?? '';
    if (r) field('pic').src = r.element.dataset.pic;
    const from = r ? startsOf(r) : [];
    if (picked.from !== null && !from.includes(picked.from)) from.push(picked.from);
    const to = r && picked.from !== null ? endsOf(r, picked.from) : [];
    if (picked.to !== null && !to.includes(picked.to)) to.push(picked.to);
    options(field('from'), from.sort((a, b) => a - b), picked.from, clockWord);
    options(field('to'), to.sort((a, b) => a - b), picked.to, clockWord);
    const chips = field('lengths');
    if (picked.from === null) return void chips.replaceChildren();
    const fits = endsOf(r, picked.from);
    const last = fits.at(-1);
    const lengths = [2, 3, 4, 5].map((n) => n * HOUR).filter((ms) => ms >= rule.min * MINUTE && ms <= rule.max * MINUTE);
    const made = lengths.map((ms) => ({ text: length(ms), to: picked.from + ms, fits: picked.from + ms <= last }));
    if (last && !made.some((chip) => chip.to === last)) {
      made.push({ text: fill(d.tUntil, { t: clockWord(last) }), to: last, fits: true });
      made.sort((a, b) => a.to - b.to);
    }
    chips.replaceChildren(...made.map((chip) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'chip';
      button.textContent = chip.text;
      button.dataset.until = iso(chip.to, offset);
      button.setAttribute('aria-pressed', String(chip.to === picked.to));
      if (!chip.fits) button.setAttribute('aria-disabled', 'true');
      return button;
    }));
    return undefined;
  }

  function say(text, bad = false) {
    field('say').textContent = text;
    field('say').classList.toggle('is-bad', bad);
  }

  // --- the price -------------------------------------------------------------------------------
  const yuan = (fen) => `${fen < 0 ? '−' : ''}¥${(Math.abs(fen) / 100).toLocaleString('en', { minimumFractionDigits: fen % 100 ? 2 : 0 })}`;

  function showQuote(quote) {
    field('total').textContent = yuan(quote.total_fen);
    const before = field('before');
    before.hidden = !quote.before_fen;
    before.textContent = quote.before_fen ? yuan(quote.before_fen) : '';
    const units = [...new Set(quote.lines.filter((l) => l.amount_fen > 0).map((l) => l.hourly_fen ?? 0))].sort((a, b) => a - b);
    const key = (l) => `k${Math.min(2, units.indexOf(l.hourly_fen ?? 0))}`;
    field('bar').replaceChildren(...quote.lines.filter((l) => l.from && l.to && l.amount_fen > 0).map((l) => {
      const part = document.createElement('i');
      part.className = key(l);
      part.style.setProperty('flex-grow', String((Date.parse(l.to) - Date.parse(l.from)) / MINUTE));
      return part;
    }));
    field('lines').replaceChildren(...quote.lines.map((l) => {
      const item = document.createElement('li');
      item.className = `fee${l.amount_fen < 0 ? ' is-off' : ''}`;
      const mark = document.createElement('span');
      mark.className = `fee-key ${l.amount_fen < 0 ? 'k-off' : key(l)}`;
      const text = document.createElement('span');
      text.textContent = l.text;
      const amount = document.createElement('b');
      amount.textContent = yuan(l.amount_fen);
      item.append(mark, text, amount);
      return item;
    }));
  }

  /** Without a price the button asks for it once more; so does the network when it is back. */
  function again(on) {
    const button = field('next');
    button.toggleAttribute('data-again', on);
    button.querySelector('span').textContent = on ? word('retry') : nextText;
    button.disabled = on ? false : !picked.quote;
  }

  async function price() {
    asking?.abort();
    if (field('next').hasAttribute('data-again')) {
      again(false);
      say('');
      form.classList.add('is-quoting');
    }
    asking = new AbortController();
    const mine = asking;
    const when = { starts_at: iso(picked.from, offset), ends_at: iso(picked.to, offset) };
    const sold = picked.product && ('slot_id' in picked.product ? picked.product : { ...picked.product, starts_at: when.starts_at });
    const want = { room_id: picked.room, ...(sold ?? when) };
    try {
      const quote = await api(d.quotes, { body: want, key: intent(), signal: mine.signal });
      if (mine !== asking) return;
      picked.quote = quote;
      showQuote(quote);
      field('next').disabled = false;
      form.classList.remove('is-quoting');
    } catch (problem) {
      if (mine !== asking || mine.signal.aborted) return;
      form.classList.remove('is-quoting');
      if (problem.status === 409) taken(problem.message);
      else {
        say(problem.message, true);
        again(true);
      }
    }
  }

  // --- choosing --------------------------------------------------------------------------------
  /** `product`: the slot or package that is asked for in place of the hours. */
  function choose(room, from, to, product = null) {
    const same = room === picked.room && from === picked.from && to === picked.to && product === picked.product;
    Object.assign(picked, { room, from, to, product });
    form.classList.toggle('has-product', product !== null);
    form.classList.toggle('has-night', to !== null && dayOf(to) > dayOf(start)); // its words are longer
    selection?.classList.remove('is-taken');
    drawSelection();
    if (same && (picked.quote || form.classList.contains('is-quoting'))) return;
    drawForm();
    picked.quote = null;
    // A price that is still on its way is of another time: it must not be taken for this one's.
    asking?.abort();
    asking = null;
    clearTimeout(timer);
    again(false);
    say('');
    if (from === null) return;
    form.classList.add('is-quoting');
    timer = setTimeout(price, 150);
    form.dispatchEvent(new CustomEvent('km:picked', { bubbles: true, detail: { room, from: iso(from, offset), to: iso(to, offset), product: product?.slot_id ?? product?.package_id ?? (product?.payg ? 'payg' : undefined) } }));
  }

  function chooseStart(from) {
    const fits = endsOf(row(), from);
    const wish = picked.from === null ? from + rule.min * MINUTE : from + (picked.to - picked.from);
    choose(picked.room, from, fits.includes(wish) ? wish : nearest(fits, wish));
  }

  function chooseRoom(room) {
    const r = rows.get(room);
    const from = startsOf(r);
    if (!from.length) {
      choose(room, null, null);
      return say(fill(d.tFull, { room: r.name }));
    }
    const wishLength = picked.from === null ? Math.max(rule.min, 120) * MINUTE : picked.to - picked.from;
    // On another day most want the time of day it is now; nobody wants midnight.
    const wish = picked.from ?? (current() >= start ? from[0] : rule.origin + ((current() + offset) % 86400000));
    const fitting = from.filter((at) => endsOf(r, at).at(-1) - at >= wishLength);
    const at = from.includes(wish) ? wish : nearest(fitting.length ? fitting : from, wish);
    const fits = endsOf(r, at);
    choose(room, at, nearest(fits, at + wishLength));
    return undefined;
  }

  /** Somebody else took the time: stripes, one shake, and who is free instead. */
  function taken(message) {
    selection?.classList.add('is-taken');
    field('next').disabled = true;
    picked.quote = null;
    const other = [...rows.values()].find((r) => r.id !== picked.room && freeOf(r).some((g) => g.from <= picked.from && g.to >= picked.to));
    say(other ? fill(d.tOther, { room: other.name }) : message || d.tTaken, true);
  }

  tl.addEventListener('km:product', ({ detail }) => {
    const r = rows.get(detail.room);
    choose(detail.room, detail.from, detail.to, detail.want);
    if (!freeOf(r).some((g) => g.from <= detail.from && g.to >= Math.min(detail.to, end))) {
      clearTimeout(timer);
      form.classList.remove('is-quoting');
      taken(d.tBusy);
    }
  });

  // --- taps, chips, fields ---------------------------------------------------------------------
  tl.addEventListener('click', (event) => {
    const name = event.target.closest('[data-pick-room]');
    if (name) return void chooseRoom(name.closest('[data-row]').dataset.row);
    const track = event.target.closest('[data-track]');
    if (!track || event.target.closest('.tl-sel')) return undefined;
    const r = rows.get(track.closest('[data-row]').dataset.row);
    const at = start + ((event.clientX - track.getBoundingClientRect().left) / pxHour) * HOUR;
    if (at < earliest() - rule.step * MINUTE) return void say(d.tPast);
    const free = freeOf(r);
    const gap = free.find((g) => at >= g.from - rule.step * MINUTE && at < g.to);
    if (!gap || r.busy.some((b) => at >= b.from && at < b.to)) return void say(d.tBusy);
    const inside = startsOf(r).filter((s) => s >= gap.from && s < gap.to);
    if (!inside.length) return void say(fill(d.tShort, { n: Math.floor((gap.to - gap.from) / MINUTE), m: length(rule.min * MINUTE) }));
    const floor = inside.filter((s) => s <= at).at(-1) ?? inside[0];
    picked.room = r.id;
    choose(r.id, floor, endsOf(r, floor)[0]);
    return undefined;
  });

  field('lengths').addEventListener('click', (event) => {
    const chip = event.target.closest('.chip');
    if (!chip) return;
    if (chip.getAttribute('aria-disabled') === 'true') say(fill(d.tCant, { n: chip.textContent, t: clockWord(endsOf(row(), picked.from).at(-1)) }));
    else choose(picked.room, picked.from, Date.parse(chip.dataset.until));
  });
  field('from').addEventListener('change', (event) => chooseStart(Date.parse(event.target.value)));
  field('to').addEventListener('change', (event) => choose(picked.room, picked.from, Date.parse(event.target.value)));

  // --- handles ---------------------------------------------------------------------------------
  function move(side, wish) {
    if (side === 'b') return choose(picked.room, picked.from, nearest(endsOf(row(), picked.from), wish));
    const gap = freeOf(row()).find((g) => picked.from >= g.from && picked.from < g.to);
    const times = startsOf(row()).filter((s) => gap && s >= gap.from && s <= picked.to - rule.min * MINUTE && s >= picked.to - rule.max * MINUTE);
    const from = nearest(times, wish);
    return from === null ? undefined : choose(picked.room, from, picked.to);
  }

  tl.addEventListener('pointerdown', (event) => {
    const handle = event.target.closest('[data-handle]');
    if (!handle || event.button) return;
    event.preventDefault();
    const side = handle.dataset.handle;
    handle.setPointerCapture(event.pointerId);
    bubble = make('tl-bubble', tl);
    const track = handle.closest('[data-track]');
    const follow = (to) => {
      const wish = start + ((to.clientX - track.getBoundingClientRect().left) / pxHour) * HOUR;
      move(side, wish);
      const at = side === 'a' ? picked.from : picked.to;
      bubble.textContent = clockWord(at);
      const box = scroll.getBoundingClientRect();
      bubble.style.setProperty('--x', `${track.getBoundingClientRect().left + px(at - start) - box.left}px`);
      bubble.style.setProperty('--y', `${track.getBoundingClientRect().top - box.top}px`);
      if (to.clientX > box.right - 24) scroll.scrollLeft += 8;
      else if (to.clientX < box.left + 90) scroll.scrollLeft -= 8;
    };
    follow(event);
    handle.addEventListener('pointermove', follow);
    const done = () => {
      handle.removeEventListener('pointermove', follow);
      bubble.remove();
    };
    handle.addEventListener('lostpointercapture', done, { once: true });
  });
  tl.addEventListener('keydown', (event) => {
    const handle = event.target.closest('[data-handle]');
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!handle || !by) return;
    event.preventDefault();
    const side = handle.dataset.handle;
    const at = side === 'a' ? picked.from : picked.to;
    move(side, at + by * rule.step * MINUTE);
  });

  // --- what changes meanwhile ------------------------------------------------------------------
  async function reload(r) {
    const answer = await api(`/api/v1/rooms/${encodeURIComponent(r.id)}/availability?from=${encodeURIComponent(d.start)}&to=${encodeURIComponent(d.end)}`, { method: 'GET' });
    for (const span of r.busy) span.block.remove();
    r.busy = answer.spans.filter((span) => span.state !== 'free').map((span) => {
      const block = make(`tl-block is-${span.state}`, r.track);
      make('', block, d[`tState${span.state}`] ?? '');
      return { block, state: span.state, from: Date.parse(span.starts_at), to: Date.parse(span.ends_at) };
    });
    drawBlocks(r);
    if (r.id !== picked.room || picked.from === null) return;
    if (freeOf(r).some((g) => g.from <= picked.from && g.to >= Math.min(picked.to, end))) drawForm();
    else taken(d.tTaken);
  }
  document.addEventListener('km:event', (event) => {
    for (const topic of event.detail.topics) {
      const r = topic.startsWith('room:') && rows.get(topic.slice(5));
      if (r) reload(r).catch(() => undefined);
    }
  });

  addEventListener('online', () => field('next').hasAttribute('data-again') && price());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!picked.quote) return void (field('next').hasAttribute('data-again') && price());
    if (Date.parse(picked.quote.expires_at) <= now() + 5000) await price();
    if (picked.quote) location.assign(fill(d.confirm, { id: picked.quote.id }));
  });

  drawFrame();
  for (const r of rows.values()) drawBlocks(r);
  const wished = d.from && rows.has(d.room) ? { from: Date.parse(d.from), to: Date.parse(d.to) } : null;
  if (wished && freeOf(rows.get(d.room)).some((g) => g.from <= wished.from && g.to >= wished.to)) choose(d.room, wished.from, wished.to);
  else if (rows.has(d.room)) chooseRoom(d.room);
  const shown = now() > start ? px(now() - start) - 40 : 0;
  if (picked.from !== null && px(picked.to - start) < shown + scroll.clientWidth - 90) scroll.scrollLeft = Math.max(0, shown);
  else if (picked.from !== null) scroll.scrollLeft = Math.max(0, px(picked.from - start) - 90);
  else scroll.scrollLeft = Math.max(0, shown);
  row()?.element.scrollIntoView({ block: 'nearest' });
  document.fonts?.ready.then(drawForm);
  setInterval(drawFrame, 30000);
}
