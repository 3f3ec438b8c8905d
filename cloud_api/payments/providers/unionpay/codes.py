"""What UnionPay's answer codes mean for money. Source: 全渠道平台接入接口规范 第5部分 附录."""

from __future__ import annotations

from typing import Final

from cloud_api.kit.i18n import gettext as _

DONE: Final = frozenset({"00", "A6"})  # A6: "有缺陷的成功", done with a defect that is not ours
OPEN: Final = frozenset({"03", "04", "05"})  # timed out, not clear, accepted: ask later
TAKEN: Final = "42"  # the card was charged, but after the time to pay: UnionPay decides
ABSENT: Final = "34"
AGAIN: Final = "12"  # this order number was used: ask what became of it
NO_FILE: Final = "98"
SLOW_DOWN: Final = "37"

WORDS: Final = {
    "02": "银联系统暂时关闭，稍后再试",
    "10": "银联说报文格式不对：多半是商户号或产品没有开通",
    "11": "银联不认这张签名证书：核对证书是不是这个商户号的，是否已在银联商户平台启用",
    "13": "银联说缺少必填的内容：核对商户号",
    "31": "银联说商户状态不正确：商户号可能还没开通或已停用",
    "32": "银联说没有这个交易的权限：让收单机构开通网关支付",
    "33": "金额超过银联的限额",
    "38": "银联风险受限，联系收单机构",
    "39": "不在银联的受理时间内",
    "43": "银联说没有这项业务的权限：让收单机构开通",
}


def in_words(code: str, message: str = "") -> str:
    """What is wrong, for whoever set the account up."""
    return WORDS.get(
        code, _("银联回答 {code} {message}").format(code=code, message=message).strip()
    )
