"""Every event: who hears of it, how urgent it is, by which channels, and in which words (zh_Hans).

Other languages come from the catalogues (kit/i18n.py). A merchant's own templates stand before these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import translations
from cloud_api.kit.notices import EVENTS, FOR_CUSTOMERS

Audience = Literal["customer", "staff"]

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_ORDER: Final = ("store", "room", "starts_at", "ends_at", "number", "phone", "link")
_ALARM: Final = ("store", "room", "alarm", "severity", "minutes", "detail", "device", "link")

VARIABLES: Final[dict[str, str]] = {
    "store": "门店名",
    "room": "包间名",
    "starts_at": "开始时间",
    "ends_at": "结束时间",
    "number": "订单号",
    "phone": "门店电话",
    "link": "打开的页面",
    "amount": "金额",
    "minutes": "分钟数",
    "reason": "原因",
    "alarm": "告警名称",
    "severity": "紧急程度",
    "detail": "细节",
    "device": "设备",
    "name": "姓名",
    "place": "登录的设备和地点",
    "at": "时间",
}


@dataclass(frozen=True, slots=True)
class EventText:
    """One event. ``urgent`` passes quiet hours and is repeated where nobody knows if it arrived."""

    event: str
    name: str
    title: str
    body: str
    variables: tuple[str, ...]
    urgent: bool = False
    channels: tuple[str, ...] = ()

    @property
    def audience(self) -> Audience:
        """Whom it is for."""
        return "customer" if self.event in FOR_CUSTOMERS else "staff"


_CLEANING: Final = ("store", "room", "link")
_SMS: Final = ("sms", "wechat")
_GROUP: Final = ("wecom", "dingtalk", "feishu", "email", "apprise")
_ALL: Final = ("sms", *_GROUP)

TEXTS: Final[dict[str, EventText]] = {
    text.event: text
    for text in (
        EventText(
            "team.full",
            "拼团成功",
            "拼团成功",
            "{name} 成团了，券已经放进“我的团购券”，{at} 前有效。",
            ("store", "phone", "link", "name", "at"),
        ),
        EventText(
            "team.failed",
            "拼团没成",
            "拼团没有凑满人",
            "{name} 没有凑满人，{amount} 已按原路退回。",
            ("store", "phone", "link", "name", "amount"),
        ),
        EventText(
            "voucher.expiring",
            "券快到期",
            "你有一张券快到期了",
            "{name} {at} 到期，打开就能订房。",
            ("store", "phone", "link", "name", "at"),
        ),
        EventText(
            "voucher.expired",
            "券已到期",
            "你的券到期了",
            "{name} 到期没有用，{amount} 已按原路退回。",
            ("store", "phone", "link", "name", "amount"),
        ),
        EventText(
            "order.paid",
            "支付成功",
            "支付成功",
            "{store} {room}，{starts_at} 到 {ends_at}，已付 {amount}。",
            (*_ORDER, "amount"),
        ),
        EventText(
            "order.ready",
            "预订确认",
            "预订好了",
            "{store} {room}，{starts_at} 到 {ends_at}。到店扫门口的码开门。",
            _ORDER,
            channels=_SMS,
        ),
        EventText(
            "order.starting_soon",
            "快开始了",
            "{minutes} 分钟后开始",
            "{store} {room} {starts_at} 开始，到店扫码开门，电话 {phone}。",
            (*_ORDER, "minutes"),
            urgent=True,
            channels=("wechat",),
        ),
        EventText(
            "order.ending_soon",
            "快结束了",
            "还有 {minutes} 分钟",
            "{room} {ends_at} 结束，想多玩一会儿可以在订单里续时。",
            (*_ORDER, "minutes"),
            urgent=True,
            channels=("wechat", "speaker"),
        ),
        EventText(
            "order.extended",
            "续时成功",
            "续时好了",
            "{room} 延长到 {ends_at}。",
            (*_ORDER, "amount"),
            urgent=True,
        ),
        EventText(
            "order.changed",
            "改订单",
            "订单改好了",
            "现在是 {room}，{starts_at} 到 {ends_at}。",
            (*_ORDER, "amount"),
            urgent=True,
        ),
        EventText(
            "order.no_show_soon",
            "还没到店",
            "房间还给你留 {minutes} 分钟",
            "{store} {room} {starts_at} 已经开始，{minutes} 分钟后没到就放掉了。来不了请取消，电话 {phone}。",
            (*_ORDER, "minutes"),
            urgent=True,
            channels=("wechat", "sms"),
        ),
        EventText(
            "order.pay_link",
            "店家代订",
            "{room}给你留好了",
            "{store} {room}，{starts_at} 到 {ends_at}，{amount}。{minutes} 分钟内付好：{link}",
            (*_ORDER, "amount", "minutes"),
            urgent=True,
            channels=_SMS,
        ),
        EventText(
            "order.message",
            "店家留言",
            "{store}给你留言",
            "{store} {room}，{starts_at}：{reason}",
            (*_ORDER, "reason"),
            urgent=True,
            channels=_SMS,
        ),
        EventText(
            "waitlist.offer",
            "候补有位",
            "排到了",
            "{store} {room}，{starts_at} 到 {ends_at} 空出来了，给你留 {minutes} 分钟：{link}",
            (*_ORDER, "minutes"),
            urgent=True,
            channels=_SMS,
        ),
        EventText(
            "ticket.answered",
            "客服回复",
            "客服回复了你",
            "{store}：{detail}",
            ("store", "detail", "link"),
            urgent=False,
            channels=("wechat",),
        ),
        EventText(
            "order.confirm_wanted",
            "等确认",
            "有订单等确认",
            "{store} {room} {starts_at}–{ends_at}，{minutes} 分钟内确认，过时自动退款。{link}",
            (*_ORDER, "minutes"),
            urgent=True,
            channels=_GROUP,
        ),
        EventText(
            "platform.asked",
            "平台券等确认",
            "有平台券等你核销",
            "{store} {room}：{name}，顾客在等。在平台的商家版里核销，再回来点“核销好了”。{link}",
            ("store", "room", "name", "link"),
            urgent=True,
            channels=_GROUP,
        ),
        EventText(
            "platform.stuck",
            "平台券没退成",
            "有平台券退不回去",
            "{store} {room}：{name}，平台不让撤销（{reason}）。{link}",
            ("store", "room", "name", "reason", "link"),
            channels=_GROUP,
        ),
        EventText(
            "order.changed_house",
            "改订单",
            "订单改了",
            "{store} {room} 现在是 {starts_at} 到 {ends_at}。",
            _ORDER,
            urgent=False,
            channels=(),
        ),
        EventText(
            "order.cancelled_house",
            "订单取消",
            "订单取消了",
            "{store} {room} {starts_at} 的订单取消：{reason}。",
            (*_ORDER, "reason"),
            urgent=False,
            channels=(),
        ),
        EventText(
            "order.ended_house",
            "使用结束",
            "{room}结束了",
            "{store} {room} 的客人走了，可以保洁。",
            _ORDER,
            urgent=False,
            channels=(),
        ),
        EventText(
            "cleaning.wanted",
            "有保洁任务",
            "{room}要打扫",
            "{store} {room} 等人打扫，谁有空谁接：{link}",
            _CLEANING,
            channels=_GROUP,
        ),
        EventText(
            "cleaning.assigned",
            "派给你的保洁",
            "{room}派给你打扫",
            "{store} {room} 派给你打扫：{link}",
            _CLEANING,
            urgent=True,
            channels=("sms",),
        ),
        EventText(
            "cleaning.to_check",
            "等验收",
            "{room}打扫好了",
            "{store} {room} 打扫好了，等你验收：{link}",
            _CLEANING,
            channels=_GROUP,
        ),
        EventText(
            "cleaning.rejected",
            "要返工",
            "{room}要再打扫一次",
            "{store} {room}：{reason}。{link}",
            (*_CLEANING, "reason"),
            urgent=True,
            channels=("sms",),
        ),
        EventText(
            "cleaning.late",
            "来不及打扫",
            "{room}还没打扫好",
            "{store} {room} 下一位 {starts_at} 到，现在还没打扫好：{link}",
            (*_CLEANING, "starts_at"),
            urgent=True,
            channels=_GROUP,
        ),
        EventText(
            "ticket.new",
            "新工单",
            "{name}",
            "{store}：{detail}",
            ("store", "name", "detail", "link"),
            urgent=False,
            channels=_GROUP,
        ),
        EventText(
            "invoice.wanted",
            "有人要发票",
            "有一张发票等着开",
            "{store} 订单 {number} 要开 {amount} 的发票",
            ("store", "number", "amount", "link"),
            urgent=False,
            channels=(),
        ),
        EventText(
            "invoice.issued",
            "发票开好",
            "发票开好了",
            "订单 {number} 的 {amount} 发票开好了，留了邮箱的会发过去",
            ("store", "number", "amount", "link"),
            urgent=False,
        ),
        EventText(
            "invoice.refused",
            "发票没开",
            "发票没有开",
            "订单 {number} 的发票没有开：{reason}",
            ("store", "number", "amount", "reason", "link"),
            urgent=False,
        ),
        EventText(
            "review.new",
            "新评价",
            "有新评价",
            "{store} {room}：{detail}",
            ("store", "room", "detail", "link"),
            urgent=False,
            channels=(),
        ),
        EventText(
            "order.ended",
            "使用结束",
            "感谢光临",
            "{store} {room} 已结束，带好随身物品。",
            _ORDER,
        ),
        EventText(
            "order.cancelled",
            "订单取消",
            "订单已取消",
            "{store} {room} {starts_at} 的订单已取消：{reason}。",
            (*_ORDER, "reason"),
            channels=("wechat",),
        ),
        EventText(
            "refund.asked",
            "退款中",
            "退款已提交",
            "订单 {number} 的 {amount} 正在原路退回。",
            (*_ORDER, "amount", "reason"),
        ),
        EventText(
            "refund.succeeded",
            "退款到账",
            "退款好了",
            "订单 {number} 的 {amount} 已原路退回，到账时间看银行。",
            (*_ORDER, "amount"),
            channels=("wechat",),
        ),
        EventText(
            "refund.failed",
            "退款受阻",
            "退款没有成功",
            "订单 {number} 的 {amount} 没能退回，门店会联系你，电话 {phone}。",
            (*_ORDER, "amount", "reason"),
            channels=_SMS,
        ),
        EventText(
            "refund.declined",
            "退款没有通过",
            "退款申请没有通过",
            "订单 {number}：{reason}。有疑问请打 {phone}。",
            (*_ORDER, "amount", "reason"),
        ),
        EventText(
            "overtime.due",
            "超时费",
            "有一笔超时费",
            "{room} 超时 {minutes} 分钟，超时费 {amount}，请在订单里支付。",
            (*_ORDER, "amount", "minutes"),
            channels=_SMS,
        ),
        EventText(
            "order.new",
            "新订单",
            "新订单",
            "{store} {room}，{starts_at} 到 {ends_at}，{amount}。",
            (*_ORDER, "amount"),
            channels=_GROUP,
        ),
        EventText(
            "refund.requested",
            "退款申请",
            "有客人申请退款",
            "{store} 订单 {number}，{amount}：{reason}。",
            (*_ORDER, "amount", "reason"),
            channels=_GROUP,
        ),
        EventText(
            "refund.refused",
            "退款被拒",
            "退款没有成功，需要人工处理",
            "{store} 订单 {number} 的 {amount} 没能退回。",
            (*_ORDER, "amount", "reason"),
            channels=_GROUP,
        ),
        EventText(
            "alarm.raised",
            "告警",
            "{alarm}",
            "{store} {room}{device} {alarm} {detail}",
            _ALARM,
            urgent=True,
            channels=_GROUP,
        ),
        EventText(
            "alarm.escalated",
            "告警没人处理",
            "{alarm}，还没有人处理",
            "{store} {room}{device} {alarm}，已经 {minutes} 分钟。",
            _ALARM,
            urgent=True,
            channels=_ALL,
        ),
        EventText(
            "alarm.resolved",
            "告警解除",
            "{alarm}，好了",
            "{store} {room}{device} {alarm}，持续 {minutes} 分钟，现在恢复了。",
            _ALARM,
            channels=_GROUP,
        ),
        EventText(
            "login.new_device",
            "新设备登录",
            "账号在新设备登录",
            "{at} 在 {place} 登录。不是你？马上改密码，并在登录列表里把它退出。",
            ("place", "at", "name", "link"),
            urgent=True,
            channels=("sms",),
        ),
    )
}
assert frozenset(TEXTS) == EVENTS


def variables_in(text: str) -> list[str]:
    """The variables a template names, in order."""
    return _VARIABLE.findall(text)


def check(event: str, text: str, field: str) -> None:
    """Refuse a template with a variable that the event has not: KaimenError ``template.variable``."""
    allowed = TEXTS[event].variables
    for name in variables_in(text):
        if name not in allowed:
            known = " ".join(f"{{{one}}}" for one in allowed)
            raise KaimenError(
                "template.variable",
                _("这里没有变量 {{{name}}}，能用的有：{known}").format(name=name, known=known),
                status=422,
                field=field,
                extra={"variable": name, "allowed": list(allowed)},
            )


def fill(text: str, values: dict[str, Any]) -> str:
    """A template with its variables filled in; what is not known is left out, never shown raw.

    No format specifications, no attributes: a template is a merchant's text, not a program.
    """
    return " ".join(_VARIABLE.sub(lambda m: str(values.get(m[1]) or ""), text).split())


def in_language(text: str, language: str) -> str:
    """A default text in a language; zh_Hans where there is no translation."""
    return translations(language).gettext(text) if text else ""
