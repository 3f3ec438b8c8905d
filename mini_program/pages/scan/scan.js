// WeChat's scanner: a door's sticker leads to the door, which still wants one tap.
const { within, shows } = require('../../address');

Page({
  onLoad() {
    wx.scanCode({
      success: ({ result }) => {
        const path = within(result);
        if (path !== '/') return void wx.reLaunch({ url: shows(path) });
        wx.showToast({ title: '这不是门上的码', icon: 'none' });
        wx.navigateBack();
      },
      fail: () => wx.navigateBack(),
    });
  },
});
