// Inside our mini-program: what a web-view may not do, the mini-program's own pages do. WeChat's script is there
// before this one, and only there (web/pages.py).

const program = document.querySelector('meta[name="km-mini"]') ? window.wx?.miniProgram : undefined;

/** A page of the mini-program for this path of ours; it begins by asking WeChat who is here. */
const begin = (path) => `/pages/web/web?path=${encodeURIComponent(path)}`;

/** The native sheet for a payment; undefined where this is no mini-program. */
export const pay = program && ((fields) => program.navigateTo({ url: `/pages/pay/pay?fields=${encodeURIComponent(fields)}` }));

/** WeChat's own scanner; undefined where this is no mini-program. */
export const scan = program && (() => program.navigateTo({ url: '/pages/scan/scan' }));

const again = document.querySelector('[data-mini-again]');
if (again && program) program.reLaunch({ url: begin(again.dataset.miniAgain) });
