// Which addresses are ours: the mini-program shows no others.
const { site } = require('./config');

/** The path of our own site that an address or a path names; '/' for every other, and for the way in itself. */
function within(address) {
  const rest = address.startsWith(site) ? address.slice(site.length) : address;
  return rest.startsWith('/') && !rest.startsWith('//') && !rest.startsWith('/mini') ? rest : '/';
}

/** A page of this mini-program that shows a path. */
const shows = (path) => `/pages/web/web?path=${encodeURIComponent(path)}`;

module.exports = { site, within, shows };
