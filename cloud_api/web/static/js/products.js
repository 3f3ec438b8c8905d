// Slots and packages of the room and day that are looked at, as chips with their price; and the coupons
// that were weighed. A chip is a choice like any other: the timeline asks for its price.

import { api, fill } from './api.js';
import { hm, offsetOf } from './clock.js';

const tl = document.querySelector('[data-timeline]');
const place = document.querySelector('[data-products]');
if (tl && place) run();

function run() {
  const { day, tPackage, tSlot, tPayg, tPaygnote, tHours } = place.dataset;
  const offset = offsetOf(tl.dataset.start);
  const yuan = (fen) => `¥${(fen / 100).toLocaleString('en', { minimumFractionDigits: fen % 100 ? 2 : 0 })}`;
  const menus = new Map();
  let shown = '';
  let from = null;

  const menuOf = (room) => {
    if (!menus.has(room)) {
      menus.set(room, api(`/api/v1/rooms/${encodeURIComponent(room)}/menu?day=${day}`, { method: 'GET' }).catch(() => {
        menus.delete(room); // asked again with the next choice
        return { slots: [], packages: [] };
      }));
    }
    return menus.get(room);
  };

  function chip(title, note, choice) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'chip chip-price';
    button.dataset.product = choice.id;
    button.setAttribute('aria-pressed', 'false');
    const name = document.createElement('b');
    name.textContent = title;
    const more = document.createElement('small');
    more.textContent = note;
    button.append(name, more);
    button.addEventListener('click', () => tl.dispatchEvent(new CustomEvent('km:product', { detail: choice.make() })));
    return button;
  }

  function draw(room, menu) {
    const slots = menu.slots.map((s) => chip(`${s.name} ${yuan(s.price_fen)}`, fill(tSlot, { a: hm(Date.parse(s.starts_at), offset), b: hm(Date.parse(s.ends_at), offset) }), {
      id: s.slot_id, make: () => ({ room, from: Date.parse(s.starts_at), to: Date.parse(s.ends_at), want: { slot_id: s.slot_id, day } }),
    }));
    const midnight = Date.parse(`${day}T00:00:00Z`) - offset;
    const packages = menu.packages.map((p) => chip(`${p.name} ${yuan(p.price_fen)}`, fill(tPackage, { n: p.minutes % 60 ? (p.minutes / 60).toFixed(1) : p.minutes / 60 }), {
      id: p.package_id,
      make: () => {
        const first = midnight + p.from_minute * 60000;
        const last = midnight + p.until_minute * 60000;
        const at = from !== null && from >= first && from < last ? from : Math.max(first, from ?? first);
        return { room, from: at, to: at + p.minutes * 60000, want: { package_id: p.package_id } };
      },
    }));
    const hours = (minutes) => fill(tHours, { n: minutes % 60 ? (minutes / 60).toFixed(1) : minutes / 60 });
    const payg = menu.payg ? [chip(tPayg, fill(tPaygnote, { n: hours(menu.payg_prepay_minutes), m: menu.payg_unit_minutes }), {
      id: 'payg',
      make: () => ({ room, from: from ?? midnight, to: (from ?? midnight) + menu.payg_prepay_minutes * 60000, want: { payg: true } }),
    })] : [];
    const all = [...payg, ...slots, ...packages];
    place.replaceChildren(...all);
    place.hidden = !all.length;
  }

  document.addEventListener('km:picked', async (event) => {
    const { room, product } = event.detail;
    from = Date.parse(event.detail.from);
    if (room !== shown) {
      shown = room;
      const menu = await menuOf(room);
      if (room !== shown) return; // another room was chosen meanwhile
      draw(room, menu);
    }
    for (const button of place.querySelectorAll('[data-product]')) button.setAttribute('aria-pressed', String(button.dataset.product === (product ?? '')));
  });
}
