// Inside WeChat: its own menu shares this page with our words and picture. Where it does not answer the
// page's Open Graph says the same.

const place = document.querySelector('[data-wechat-share]');
const url = location.href.split('#')[0];

async function tell() {
  const answer = await fetch(`/api/v1/wechat/share-config?url=${encodeURIComponent(url)}`, { headers: { Accept: 'application/json' } });
  if (!answer.ok) return;
  const { app_id: appId, nonce: nonceStr, timestamp, signature } = await answer.json();
  const { title, said: desc, link, picture: imgUrl } = place.dataset;
  window.wx.ready(() => {
    window.wx.updateAppMessageShareData({ title, desc, link, imgUrl });
    window.wx.updateTimelineShareData({ title, link, imgUrl });
  });
  window.wx.config({ debug: false, appId, timestamp, nonceStr, signature, jsApiList: ['updateAppMessageShareData', 'updateTimelineShareData'] });
}

if (place && window.wx?.config) tell().catch(() => undefined);
