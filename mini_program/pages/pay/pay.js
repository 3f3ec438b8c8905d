// WeChat's own sheet. Whatever it says, the page behind asks the server, and the server asks WeChat.
Page({
  onLoad(options) {
    const { timeStamp, nonceStr, package: prepaid, signType, paySign } = JSON.parse(decodeURIComponent(options.fields));
    wx.requestPayment({ timeStamp, nonceStr, package: prepaid, signType, paySign, complete: () => wx.navigateBack() });
  },
});
