// Between a tap and the next page: nothing of a slow line is without a sign. After 200 ms a bar runs along the
// top, after 8 s a line says why. Coming back, or a file that was only fetched, ends it.

import { word } from './api.js';
import { toast } from './sheet.js';

const SOON_MS = 200;
const SLOW_MS = 8000;
const bar = document.createElement('div');
bar.className = 'going';
bar.hidden = true;
document.body.append(bar);

let timers = [];
let stays = false; // what was tapped last leaves this page where it is

function stop() {
  timers.forEach(clearTimeout);
  timers = [];
  bar.hidden = true;
}

addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  stays = Boolean(link) && (link.hasAttribute('download') || link.target === '_blank' || !/^https?:$/.test(link.protocol) || link.pathname.endsWith('.ics'));
}, true);
addEventListener('beforeunload', () => {
  stop();
  if (stays) return;
  timers = [setTimeout(() => { bar.hidden = false; }, SOON_MS), setTimeout(() => toast(word('slow')), SLOW_MS)];
});
addEventListener('pageshow', stop);
addEventListener('pagehide', stop);
