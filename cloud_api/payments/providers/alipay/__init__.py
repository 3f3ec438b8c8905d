"""Alipay (支付宝) open platform: https://opendocs.alipay.com/open/270/105898."""
