"""Keys of other software and the addresses that hear of events, as pages are tried out with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_api.branding.colour import ramp
from cloud_api.branding.looks import Look
from cloud_api.branding.schemas import BrandOut, RampOut
from cloud_api.staff.api_keys import MAY
from cloud_api.staff.permissions import GROUPS
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.brand import BrandPage
from cloud_api.web.view_models.retention import KeptRow, RetentionPage
from cloud_api.web.view_models.software import (
    ApiKeyForm,
    ApiKeyRow,
    ApiKeysPage,
    DeliveryRow,
    WebhookForm,
    WebhookPage,
    WebhookRow,
    WebhooksPage,
)
from cloud_api.webhooks.kinds import TOPICS
from tests.web.samples import NOW

_STORES = (("s1", "静安店", "南京西路"), ("s2", "徐汇店", "漕溪北路"))
KEYS: Listing[ApiKeyRow] = Listing(
    path="/console/api-keys",
    caption="API 密钥",
    columns=tuple(Column(text) for text in ("名字", "状态", "能做什么", "上次用", "")),
    rows=(
        ApiKeyRow(
            "k1", "财务软件", "kmk_3fJ9aQ2b", ("看订单", "导出订单", "看收入和统计"), "全部门店",
            "陈店长", NOW - timedelta(days=30), NOW - timedelta(minutes=20), True,
        ),
        ApiKeyRow("k2", "门口大屏", "kmk_Zp07xWm1", ("看门店和包间",), "静安店", "陈店长", NOW, None, True),
        ApiKeyRow("k3", "旧报表", "kmk_Q1kkd93s", ("看订单",), "徐汇店", "小林", NOW, NOW, False),
    ),
    filters=(
        Filter("state", "chips", "状态", "", (Choice("", "在用"), Choice("stopped", "已停用"))),
    ),
    query={"sort": "-created"},
    empty=Empty("别的软件要读订单、管设备，先给它一把密钥", "新建密钥", "/console/api-keys/new"),
)  # fmt: skip
KEY_FORM = ApiKeyForm(
    tuple((name, tuple(one for one in group if one[0] in MAY)) for name, group in GROUPS), _STORES
)
_NO_BRAND = BrandOut(
    merchant_id="m1", version=0, name="", short="", slogan="", phone="", wechat="", footer="", colour="",
    square="", wide="", can_undo=False,
)  # fmt: skip
BRAND = BrandPage(
    values=_NO_BRAND.model_copy(
        update={
            "version": 4, "name": "听竹轩", "short": "听竹轩", "slogan": "一盏灯，一桌牌", "colour": "#8B1E3F",
            "phone": "021-5555 0000", "wechat": "tingzhu_01", "footer": "沪ICP备12345678号-1",
            "square": "/static/art/icon-192.png", "can_undo": True,
        }
    ),
    look=Look("m1", "听竹轩", "听竹轩", "一盏灯，一桌牌", colour="#8B1E3F", version=4),
    merchant="雀友会",
    ramp=RampOut.of(ramp("#8B1E3F")),
    store="雀友会·静安店",
    room="竹间",
    shared=True,
    front_href="/?house=m1",
)  # fmt: skip
_HOOK = WebhookRow(
    "w1", "/console/webhooks/w1", "财务软件", "hooks.erp.example", "在推", "is-free", "",
    "订单的全部事件、告警 · 发生", "全部门店",
)  # fmt: skip
_STOPPED = replace(
    _HOOK, id="w2", href="/console/webhooks/w2", name="门口大屏", host="screen.example", state="停了",
    tone="is-overtime", why="连续五天没有送到", kinds="所有事件", stores="静安店",
)  # fmt: skip
HOOKS: Listing[WebhookRow] = Listing(
    path="/console/webhooks",
    caption="推送地址",
    columns=tuple(Column(text) for text in ("名字", "状态", "推哪些事件", "门店")),
    rows=(_HOOK, _STOPPED),
    query={"sort": ""},
    empty=Empty("订单、告警、门店一有变化，就告诉别的软件", "加一个地址", "/console/webhooks/new"),
)
_DELIVERIES: Listing[DeliveryRow] = Listing(
    path="/console/webhooks/w1",
    caption="推送记录",
    columns=tuple(Column(text) for text in ("事件", "结果", "对方的回答", "时间", "")),
    rows=(
        DeliveryRow("1", "webhook.test", "试发", "正在发", "is-booked", None, None, "", 0, NOW, False),
        DeliveryRow("2", "order.paid", "订单 · 已支付", "送到了", "is-free", 200, 38, "", 1, NOW, True),
        DeliveryRow(
            "3", "alarm.raised", "告警 · 发生", "等着再试", "is-grace", 503, 912, "upstream is down", 4,
            NOW, True,
        ),
        DeliveryRow(
            "4", "order.cancelled", "订单 · 已取消", "没送到", "is-overtime", None, 3001, "连不上", 10,
            NOW - timedelta(days=4), True,
        ),
    ),
    next_cursor="abc",
    empty=Empty("推过的每一条都会记在这里，可以先发一条试试"),
)  # fmt: skip
HOOK = WebhookPage(
    row=_HOOK,
    enabled=True,
    kinds=("订单的全部事件", "告警 · 发生"),
    kept_by="陈店长",
    made_at=NOW - timedelta(days=9),
    old_until=NOW + timedelta(hours=20),
    list=_DELIVERIES,
    going=True,
    may_edit=True,
)
_QUIET = replace(
    HOOK, row=_STOPPED, enabled=False, kinds=(), old_until=None, going=False,
    list=replace(_DELIVERIES, rows=(), next_cursor=""),
)  # fmt: skip


_KEPT = KeptRow(
    "events", "门店上报的事件", "开门、用电、设备状态的流水", 730, ((365, "1 年"), (730, "2 年"), (0, "一直留着")),
    12345, "180 天", 678, NOW - timedelta(hours=9),
)  # fmt: skip
RETENTION = RetentionPage((_KEPT, replace(_KEPT, key="guests", days=0, old=0, cleared=None)), True)


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The console's pages about other software inside its frame: full, empty, and only to be read."""
    around = {"nav": nav, "shell": shell}
    pages: dict[str, tuple[str, object]] = {
        "brand": ("brand.html", BRAND),
        "brand-none": (
            "brand.html",
            replace(BRAND, values=_NO_BRAND, look=Look(name="雀友会"), ramp=None, shared=False),
        ),
        "api-keys": ("api_keys.html", ApiKeysPage(KEYS, True)),
        "api-keys-none": (
            "api_keys.html",
            ApiKeysPage(replace(KEYS, rows=(), filters=()), False),
        ),
        "api-key-new": ("api_key_form.html", KEY_FORM),
        "webhooks": ("webhooks.html", WebhooksPage(HOOKS, True)),
        "webhooks-none": ("webhooks.html", WebhooksPage(replace(HOOKS, rows=()), True)),
        "webhook-new": ("webhook_form.html", WebhookForm(TOPICS, _STORES)),
        "webhook": ("webhook.html", HOOK),
        "webhook-stopped": ("webhook.html", _QUIET),
        "retention": ("retention.html", RETENTION),
        "retention-none": (
            "retention.html",
            RetentionPage(tuple(replace(one, old=0) for one in RETENTION.rows), False),
        ),
        "webhook-read": ("webhook.html", replace(HOOK, may_edit=False, going=False)),
    }
    return {
        f"console-{name}": (f"console/{template}", {"page": page, **around})
        for name, (template, page) in pages.items()
    }
