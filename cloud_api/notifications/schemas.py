"""What goes in and out of the routes for notices."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import LANGUAGES
from cloud_api.kit.i18n import gettext as _
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.models import Delivery, Notice, NoticeChannel

Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
STATE_NAMES = {
    "waiting": "等着发",
    "sending": "正在发",
    "retrying": "会再试",
    "sent": "已发出",
    "failed": "没发出",
    "unknown": "不确定",
    "skipped": "没有发",
}
CODE_NAMES = {
    "too_many": "这一小时发得太多",
    "no_template": "还没填服务商的模板编号",
    "too_late": "到时间已经没用了",
    "no_address": "客人没有同意接收",
    "channel_off": "渠道已停用",
    "interrupted": "发送时中断，不知道到没到",
    "no_answer": "服务商没有回应",
    "unreachable": "连不上服务商",
    "host_refused": "服务器地址不能用",
    "store.offline": "门店断网",
    "no_speaker": "包间里没有音箱",
    "no_clip": "音箱里没有这一句",
    "bad_credentials": "渠道的密钥不完整",
}


class ChoiceIn(BaseModel):
    """Whether one wants a kind of messages outside the app."""

    kind: Annotated[str, StringConstraints(max_length=20)]
    wanted: bool


class ChoicesOut(BaseModel):
    """What one wants to be told of by text message or WeChat, by kind; the inbox holds all of it."""

    choices: dict[str, bool]


class ChannelOut(BaseModel):
    """A channel; of secret fields only whether they are set."""

    id: str
    kind: str
    kind_name: str
    name: str
    enabled: bool
    fields: dict[str, Any]
    checked_at: datetime | None
    checked: str | None

    @classmethod
    def of(cls, channel: NoticeChannel) -> ChannelOut:
        """From the table."""
        port = CHANNELS[channel.kind]
        return cls(
            id=channel.id,
            kind=channel.kind,
            kind_name=port.name,
            name=channel.name,
            enabled=channel.enabled,
            fields=shown(channel),
            checked_at=channel.checked_at,
            checked=channel.checked,
        )


def shown(channel: NoticeChannel) -> dict[str, Any]:
    """A channel's fields without its secrets."""
    port = CHANNELS[channel.kind].credentials
    try:
        given = port.model_validate_json(channel.credentials).model_dump()
    except ValueError:
        return {}
    return {name: "" if name in port.SECRET else value for name, value in given.items()}


class ChannelsOut(BaseModel):
    """A merchant's channels, and the kinds there are with their fields."""

    items: list[ChannelOut]
    kinds: list[dict[str, Any]]


class ChannelIn(BaseModel):
    """A channel as a merchant enters it. A secret left empty stays as it was."""

    kind: str = Field(max_length=20)
    name: Annotated[Text, StringConstraints(min_length=1, max_length=40)]
    enabled: bool = True
    fields: dict[str, Any] = {}


class ChannelsIn(BaseModel):
    """All channels a merchant has from now on, by their names; those left out are removed."""

    items: list[ChannelIn] = Field(max_length=20)


class TestIn(BaseModel):
    """What to send as a test."""

    event: str = Field("order.ready", max_length=40)


class TestOut(BaseModel):
    """How a test went, in the provider's words."""

    state: str
    state_name: str
    code: str
    detail: str


class TemplateIn(BaseModel):
    """A merchant's own words. ``provider_params``: [[name, text with {variables}], …] in order."""

    event: str = Field(max_length=40)
    channel: str = Field("*", max_length=20)
    language: str = Field("zh_Hans", pattern=f"^({'|'.join(LANGUAGES)})$")
    title: Annotated[Text, StringConstraints(max_length=60)] = ""
    body: Annotated[Text, StringConstraints(max_length=500)] = ""
    provider_template: Annotated[Text, StringConstraints(max_length=64)] = ""
    provider_params: list[
        tuple[
            Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^\w+$")],
            Annotated[str, StringConstraints(max_length=100)],
        ]
    ] = Field([], max_length=20)


class TemplateForm(BaseModel):
    """One event's words as a form gives them: parameters as lines of ``name=text``."""

    channel: str = Field("*", max_length=20)
    language: str = Field("zh_Hans", pattern=f"^({'|'.join(LANGUAGES)})$")
    title: str = Field("", max_length=60)
    body: str = Field("", max_length=500)
    provider_template: str = Field("", max_length=64)
    provider_params: str = Field("", max_length=2000)

    def of(self, event: str) -> TemplateIn:
        """As the API has it. Raises KaimenError ``template.params`` for a line without a name."""
        pairs = []
        for line in filter(None, map(str.strip, self.provider_params.splitlines())):
            name, equals, text = (part.strip() for part in line.partition("="))
            if not equals or not re.fullmatch(r"\w{1,32}", name) or len(text) > 100:
                raise KaimenError(
                    "template.params",
                    _("“{line}”要写成 名字=内容").format(line=line[:20]),
                    status=422,
                    field="provider_params",
                )
            pairs.append((name, text))
        given = self.model_dump(exclude={"provider_params"})
        return TemplateIn(event=event[:40], provider_params=pairs[:20], **given)


class TemplateOut(BaseModel):
    """An event with our words, the merchant's, and its variables."""

    event: str
    name: str
    audience: Literal["customer", "staff"]
    urgent: bool
    title: str
    body: str
    variables: dict[str, str]
    own: list[TemplateIn]


class TemplatesOut(BaseModel):
    """Every event."""

    items: list[TemplateOut]


class PreviewOut(BaseModel):
    """A template filled with an example."""

    title: str
    body: str
    params: list[tuple[str, str]]


class EventRuleIn(BaseModel):
    """One event's rule, where the path names the event."""

    enabled: bool = True
    channels: list[str] = Field([], max_length=12)


class RuleIn(BaseModel):
    """Which kinds of channels an event takes; ``sms`` means the first SMS channel there is."""

    event: str = Field(max_length=40)
    enabled: bool = True
    channels: list[str] = Field([], max_length=12)


class SettingsIn(BaseModel):
    """Quiet hours (None: none) and limits per person and hour."""

    quiet_from: Clock | None = None
    quiet_until: Clock | None = None
    per_hour: int = Field(20, ge=1, le=1000)
    per_event_hour: int = Field(6, ge=1, le=1000)


class RulesIn(BaseModel):
    """Rules of events, and the settings for all."""

    rules: list[RuleIn] = Field([], max_length=40)
    settings: SettingsIn | None = None


class RuleOut(RuleIn):
    """A rule with the event's name; ``own`` is false where it is the default."""

    name: str
    audience: str
    own: bool


class RulesOut(BaseModel):
    """Every event's rule."""

    rules: list[RuleOut]
    settings: SettingsIn


class DeliveryOut(BaseModel):
    """One line of the delivery log."""

    id: str
    event: str
    event_name: str
    kind: str
    kind_name: str
    recipient: str
    title: str
    state: str
    state_name: str
    attempts: int
    code: str | None
    why: str
    provider_ref: str | None
    created_at: datetime
    final_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery, notice: Notice, event_name: str) -> DeliveryOut:
        """From the tables."""
        return cls(
            id=delivery.id,
            event=notice.event,
            event_name=event_name,
            kind=delivery.kind,
            kind_name=CHANNELS[delivery.kind].name,
            recipient=delivery.recipient,
            title=notice.title,
            state=delivery.state,
            state_name=STATE_NAMES[delivery.state],
            attempts=delivery.attempts,
            code=delivery.code,
            why=CODE_NAMES.get(delivery.code or "", delivery.detail or delivery.code or ""),
            provider_ref=delivery.provider_ref,
            created_at=delivery.created_at,
            final_at=delivery.final_at,
        )


class DeliveriesOut(BaseModel):
    """A page of the delivery log."""

    items: list[DeliveryOut]
    next_cursor: str | None = None


class NoticeOut(BaseModel):
    """A message in one's inbox; ``at`` is business time."""

    id: str
    event: str
    title: str
    body: str
    link: str
    at: datetime
    read: bool

    @classmethod
    def of(cls, notice: Notice) -> NoticeOut:
        """From the table."""
        return cls(
            id=notice.id,
            event=notice.event,
            title=notice.title,
            body=notice.body,
            link=str(notice.values.get("link") or ""),
            at=notice.created_at,
            read=notice.read_at is not None,
        )


class InboxOut(BaseModel):
    """A page of one's inbox, and how many of it are unread."""

    items: list[NoticeOut]
    unread: int
    next_cursor: str | None = None


class ConsentIn(BaseModel):
    """What ``wx.requestSubscribeMessage`` was answered with "accept", and the code of ``wx.login``."""

    merchant_id: str = Field(max_length=64)
    code: str = Field(min_length=1, max_length=128)
    templates: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=5
    )


class ConsentOut(BaseModel):
    """How many messages were agreed to."""

    taken: int
