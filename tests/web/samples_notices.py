"""Alarms, notices and messages as pages are tried out with them."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models import alarm_rules as rules
from cloud_api.web.view_models import notices as vm
from tests.web.samples import NOW

ALARMS: Listing[vm.AlarmRow] = Listing(
    path="/console/alarms",
    caption="告警",
    query={"sort": "-raised"},
    sort="-raised",
    columns=tuple(Column(text) for text in ("告警", "状态", "在哪里", "什么时候", "多久", "")),
    rows=(
        vm.AlarmRow("1", "门店断网", "", "is-overtime", "紧急", "待处理", "静安店", NOW, "12 分钟", 2, "", True, True),
        vm.AlarmRow("2", "设备没有回应", "竹间 继电器板", "is-cleaning", "注意", "处理中", "静安店", NOW, "3 分钟", 1, "你在处理", False, True),
    ),
    filters=(Filter("state", "chips", "状态", "", (Choice("", "要处理"), Choice("resolved", "已解决"))),),
    empty=Empty("没有要处理的"),
)  # fmt: skip
NOTICES = vm.NoticesPage(
    channels=(
        vm.ChannelRow("1", "店长群", "企业微信群机器人", True, "试发成功", "is-free", "/console"),
    ),
    kinds=(vm.KindChoice("email", "电子邮件", "/console/notifications/channels/new?kind=email"),),
    events=(vm.EventRow("order.new", "新订单", "店员", "消息、电子邮件", True, True, "/console"),),
    quiet_from="22:30",
    quiet_until="08:00",
    per_hour=20,
    per_event_hour=6,
    may_edit=True,
)
CHANNEL = vm.ChannelPage(
    "email",
    "电子邮件",
    "",
    True,
    (
        vm.ChannelField("host", "SMTP 服务器", "text", "", "", True),
        vm.ChannelField("port", "端口", "number", "465", "", False),
        vm.ChannelField("security", "加密方式", "text", "tls", "", False),
        vm.ChannelField("password", "密码", "password", "", "已经存好了，要换才填", False),
        vm.ChannelField("to", "收件人", "list", "a@b.example", "", True),
    ),
)
EVENT = vm.EventPage(
    event="order.ready",
    name="预订确认",
    audience="顾客",
    urgent=True,
    title="",
    body="",
    default_title="预订好了",
    default_body="{store} {room}",
    variables=(("{room}", "包间名"),),
    enabled=True,
    channels=("sms",),
    choices=(("sms", "短信", "用第一个短信渠道"),),
    providers=(vm.ProviderTemplate("sms_aliyun", "阿里云短信", "SMS_1", "room={room}"),),
    may_edit=True,
    channel_name="所有渠道",
    own=True,
    words=(
        vm.WordsChoice("*", "所有渠道", "/console/notifications", True),
        vm.WordsChoice("in_app", "消息", "/console/notifications", False),
    ),
    languages=(
        vm.WordsChoice("zh_Hans", "简体", "/console/notifications", True),
        vm.WordsChoice("en", "English", "/console/notifications", False),
    ),
    shown_title="预订好了",
    shown_body="静安店 竹间",
    tests=(("1", "店长群"),),
)
TEMPLATES = vm.TemplatesPage(
    (vm.TemplateRow("预订确认", "顾客", "预订好了", "/console/notifications", EVENT.words),)
)
RULES = rules.AlarmRulesPage(
    rows=(
        rules.RuleRow("store.offline", "门店断网", "is-overtime", "紧急", "持续1 分钟", "能处理告警的人",
                      ("10 分钟没人处理：店长", "30 分钟没人处理：店主（短信）"), True, "/console"),
        rules.RuleRow("hazard.input", "烟感或火警", "is-maintenance", "不告警", "马上", "没有人", (), False, "/console"),
    ),
    quiet="告警在安静时间也发",
    may_edit=True,
)  # fmt: skip
RULE = rules.AlarmRuleForm(
    kind="power.overload",
    name="用电超过上限",
    enabled=True,
    severity="critical",
    severities=(("critical", "紧急"), ("warning", "注意")),
    raise_after_s=60,
    spans=((0, "马上"), (60, "1 分钟")),
    limit="用电超过多少瓦算超",
    threshold="3500",
    steps=(
        rules.StepRow("staff:alarm.handle", 0, ()),
        rules.StepRow("role:owner", 30, ("sms",)),
        rules.StepRow("", None, ()),
    ),
    people=(("staff:alarm.handle", "能处理告警的人"), ("role:owner", "店主")),
    channels=(("sms", "短信", "用第一个短信渠道"),),
    quiet="告警在安静时间也发",
    own=True,
    default='{"enabled": true}',
)
LOG: Listing[vm.DeliveryRow] = Listing(
    path="/console/notifications/log",
    caption="通知记录",
    query={"sort": "-created"},
    sort="-created",
    columns=tuple(Column(text) for text in ("通知", "结果", "渠道", "给谁", "时间")),
    rows=(
        vm.DeliveryRow("1", "新订单", "飞书群机器人", "店长群", "新订单", "不确定", "is-cleaning", "服务商没有回应", 3, NOW),
    ),
    empty=Empty("发出去的每一条都会记在这里", "去加渠道", "/console/notifications"),
)  # fmt: skip
MESSAGES = vm.MessagesPage(
    rows=(
        vm.MessageRow("预订好了", "静安店 竹间，11月23日 14:00", "/orders/1", NOW, True),
        vm.MessageRow("退款好了", "¥76 已原路退回", "", NOW, False),
    ),
    more_href="/me/notices?cursor=x",
)


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The console's pages of these packages, inside its frame; and the customer's messages."""
    around: dict[str, object] = {"nav": nav, "shell": shell}
    return {
        "console-alarms": ("console/alarms.html", around | {"page": vm.AlarmsPage(ALARMS)}),
        "console-no-alarms": (
            "console/alarms.html",
            around | {"page": vm.AlarmsPage(replace(ALARMS, rows=(), filters=()))},
        ),
        "console-notices": ("console/notices.html", around | {"page": NOTICES}),
        "console-no-channels": (
            "console/notices.html",
            around | {"page": replace(NOTICES, channels=(), may_edit=False)},
        ),
        "console-channel": ("console/channel.html", around | {"page": CHANNEL}),
        "console-alarm-rules": ("console/alarm_rules.html", around | {"page": RULES}),
        "console-alarm-rules-read": (
            "console/alarm_rules.html",
            around | {"page": replace(RULES, may_edit=False)},
        ),
        "console-alarm-rule": ("console/alarm_rule.html", around | {"page": RULE}),
        "console-notice-templates": (
            "console/notice_templates.html",
            around | {"page": TEMPLATES},
        ),
        "console-notice-clip": (
            "console/notice_event.html",
            around | {"page": replace(EVENT, channel="speaker", clips=(("", "不说话"),), tests=())},
        ),
        "console-notice-read": (
            "console/notice_event.html",
            around | {"page": replace(EVENT, may_edit=False)},
        ),
        "console-notice-event": ("console/notice_event.html", around | {"page": EVENT}),
        "messages": ("customer/notices.html", {"page": MESSAGES}),
        "notice-choices": (
            "customer/notice_choices.html",
            {
                "page": vm.ChoicesPage(
                    (
                        vm.ChoiceRow(
                            "booking", "订单进展", "订好、改时间、取消、退款、客服回复", True
                        ),
                        vm.ChoiceRow("time", "到点提醒", "快开始、快结束、超时要付的钱", False),
                    )
                )
            },
        ),
        "messages-none": ("customer/notices.html", {"page": vm.MessagesPage()}),
        "console-notice-log": (
            "console/notice_log.html",
            around | {"page": vm.DeliveryLogPage(LOG)},
        ),
    }
