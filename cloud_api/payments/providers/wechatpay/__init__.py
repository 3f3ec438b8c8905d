"""WeChat Pay (微信支付), API v3: https://pay.weixin.qq.com/doc/v3/merchant/4012081606."""
