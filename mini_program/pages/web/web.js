// The pages of the site, begun by saying who is here: wx.login's code is good once and for five minutes.
const { site, within, shows } = require('../../address');

Page({
  data: { src: '' },

  /** q: a door's sticker, a share or a team, scanned by WeChat (普通链接二维码); path: from our own pages. */
  onLoad(options) {
    const path = within(decodeURIComponent(options.q || options.path || '/'));
    const show = (src) => this.setData({ src });
    wx.login({
      success: ({ code }) => show(`${site}/mini?code=${encodeURIComponent(code)}&next=${encodeURIComponent(path)}`),
      fail: () => show(site + path), // one logs in by phone then
    });
  },

  /** Whatever page is open is what a friend gets: a team, a campaign, a room, an invitation. */
  onShareAppMessage({ webViewUrl }) {
    return { path: shows(within(webViewUrl || '/')) };
  },
});
