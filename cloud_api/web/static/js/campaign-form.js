// A campaign while it is written: beside the form stands what guests will read of it.

import { fill } from './api.js';

const live = document.querySelector('[data-live]');
const form = document.querySelector('form[data-api]');
const YUAN = new Intl.NumberFormat('zh', { minimumFractionDigits: 0, maximumFractionDigits: 2 });

const value = (name) => form.elements[name]?.value?.trim() ?? '';
const whole = (name) => Number.parseInt(value(name), 10) || 0;
const yuan = (text) => (Number.isFinite(Number(text)) && text !== '' ? `¥${YUAN.format(Number(text))}` : '¥–');

function long(minutes) {
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  const t = live.dataset;
  return fill(h && m ? t.tHm : h ? t.tH : t.tM, { h, m });
}

function say(part, text) {
  const place = live.querySelector(`[data-live-part="${part}"]`);
  place.textContent = text;
  const row = place.closest('li') ?? place;
  row.hidden = !text;
}

function draw() {
  const t = live.dataset;
  const [team, people] = [whole('team_size'), whole('people')];
  say('name', value('name') || t.tName);
  say('tagline', value('tagline'));
  say('team', team > 1 ? fill(t.tTeam, { n: team }) : t.tAlone);
  say('price', yuan(value('price_fen')));
  say('list', Number(value('list_fen')) > Number(value('price_fen')) ? yuan(value('list_fen')) : '');
  say('length', [fill(t.tOnce, { t: long(whole('minutes')) }), people ? fill(t.tPeople, { n: people }) : ''].filter(Boolean).join(t.tComma));
  say('valid', fill(t.tValid, { n: whole('valid_days') }));
  say('extras', value('extras') ? fill(t.tExtras, { x: value('extras').split('\n').map((line) => line.trim()).filter(Boolean).join(t.tComma) }) : '');
  say('back', [form.elements.refundable.checked ? t.tBack : t.tKept, form.elements.refund_on_expiry.checked ? t.tOver : t.tLost].join(t.tComma));
  say('buy', team > 1 ? fill(t.tOpen, { p: yuan(value('price_fen')) }) : fill(t.tBuy, { p: yuan(value('price_fen')) }));
  for (const art of live.querySelectorAll('[data-live-art]')) art.hidden = art.dataset.liveArt !== value('picture');
}

if (live && form) {
  live.hidden = false;
  form.addEventListener('input', draw);
  form.addEventListener('change', draw);
  draw();
}
