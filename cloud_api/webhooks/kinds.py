"""The kinds of event that an address may ask for, in words; what each means stands in docs/webhooks.md.

A kind that is not here (a store reports more than people choose between) is told to who asks for its topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloud_api.kit.i18n import gettext as _

TEST: Final = "webhook.test"


@dataclass(frozen=True, slots=True)
class Topic:
    """What belongs together: asked for as a whole by ``key``, or one by one. ``kinds``: kind, name."""

    key: str
    name: str
    kinds: tuple[tuple[str, str], ...]


TOPICS: Final = (
    Topic(
        "order",
        "订单",
        (
            ("order.pending_payment", "待支付"),
            ("order.paid", "已支付"),
            ("order.ready", "待使用"),
            ("order.in_use", "使用中"),
            ("order.completed", "已完成"),
            ("order.cancelled", "已取消"),
        ),
    ),
    Topic(
        "group_order",
        "团购订单",
        (
            ("group_order.pending_payment", "待支付"),
            ("group_order.paid", "已支付"),
            ("group_order.issued", "已发券"),
            ("group_order.cancelled", "已取消"),
            ("group_order.refunding", "退款中"),
            ("group_order.refunded", "已退款"),
        ),
    ),
    Topic(
        "platform_voucher",
        "平台券",
        (
            ("platform_voucher.asked", "等人核对"),
            ("platform_voucher.verifying", "核销中"),
            ("platform_voucher.unknown", "结果不明"),
            ("platform_voucher.verified", "已核销"),
            ("platform_voucher.confirmed", "已订好"),
            ("platform_voucher.cancelling", "撤销中"),
            ("platform_voucher.cancelled", "已撤销"),
            ("platform_voucher.stuck", "撤销卡住"),
            ("platform_voucher.refused", "被拒"),
            ("platform_voucher.lapsed", "没人核对，过期"),
        ),
    ),
    Topic(
        "room",
        "包间",
        (
            ("room.normal", "恢复正常"),
            ("room.open", "常开"),
            ("room.cleaning", "保洁"),
            ("room.maintenance", "维护"),
        ),
    ),
    Topic(
        "cleaning",
        "保洁任务",
        (
            ("cleaning.open", "待做"),
            ("cleaning.taken", "有人接了"),
            ("cleaning.cleaning", "打扫中"),
            ("cleaning.to_check", "待验"),
            ("cleaning.rejected", "返工"),
            ("cleaning.done", "做完"),
            ("cleaning.cancelled", "已取消"),
        ),
    ),
    Topic(
        "alarm",
        "告警",
        (
            ("alarm.raised", "发生"),
            ("alarm.returned", "又发生"),
            ("alarm.acknowledged", "有人处理"),
            ("alarm.escalated", "上报"),
            ("alarm.resolved", "解决"),
        ),
    ),
    Topic("store", "门店", (("store.online", "连上"), ("store.offline", "断网"))),
)
_TOPIC_NAMES: Final = {topic.key: topic.name for topic in TOPICS}
_NAMES: Final = {kind: name for topic in TOPICS for kind, name in topic.kinds}


def name_of(kind: str) -> str:
    """``order.paid`` or ``order`` in the reader's words; a kind without words is said as it is."""
    if kind == TEST:
        return _("试发")
    topic, dot, _one = kind.partition(".")
    if topic not in _TOPIC_NAMES:
        return kind
    if not dot:
        return _("{topic}的全部事件").format(topic=_(_TOPIC_NAMES[topic]))
    if kind not in _NAMES:
        return _(_TOPIC_NAMES[topic])
    return _("{topic} · {name}").format(topic=_(_TOPIC_NAMES[topic]), name=_(_NAMES[kind]))
