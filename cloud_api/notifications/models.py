"""Notices, how each was delivered, and a merchant's channels, words and rules for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class NoticeChannel(SQLModel, table=True):
    """A way out that a merchant has: a kind, and the credentials of its provider (JSON, encrypted)."""

    __tablename__ = "notice_channel"
    __table_args__ = (UniqueConstraint("merchant_id", "name"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    kind: str  # a key of notifications.channels.CHANNELS
    name: str = Field(max_length=40)
    credentials: str = Field(sa_type=Encrypted("notice_channel.credentials"))
    enabled: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)
    checked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # the last test's time
    checked: str | None = None  # and how it went: "ok", or the provider's words


class NoticeTemplate(SQLModel, table=True):
    """A merchant's own words for an event, instead of those in notifications/texts.py.

    ``channel`` is a kind, or ``*`` for all. ``provider_template`` is the template's code at an SMS or
    WeChat provider, ``provider_params`` its parameters in order: ``[[name, text with {variables}], …]``.
    """

    __tablename__ = "notice_template"
    __table_args__ = (UniqueConstraint("merchant_id", "event", "channel", "language"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    event: str
    channel: str = "*"
    language: str = "zh_Hans"
    title: str = ""
    body: str = ""
    provider_template: str = ""
    provider_params: list[Any] = Field(default_factory=list, sa_type=Json)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class NoticeRule(SQLModel, table=True):
    """Which kinds of channels an event takes at a merchant, instead of those in texts.py."""

    __tablename__ = "notice_rule"
    __table_args__ = (UniqueConstraint("merchant_id", "event"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    event: str
    channels: list[Any] = Field(default_factory=list, sa_type=Json)  # kinds; in-app is always there
    enabled: bool = True
    updated_at: datetime = Field(sa_type=UTCDateTime)


class NoticeSettings(SQLModel, table=True):
    """A merchant's quiet hours (local ``HH:MM``, may cross midnight) and limits per person and hour."""

    __tablename__ = "notice_settings"
    __table_args__ = (
        CheckConstraint("per_hour BETWEEN 1 AND 1000 AND per_event_hour BETWEEN 1 AND 1000"),
    )
    merchant_id: str = Field(primary_key=True, foreign_key="merchant.id")
    quiet_from: str | None = "22:30"
    quiet_until: str | None = "08:00"
    tz: str = "Asia/Shanghai"  # of notices that belong to no store
    per_hour: int = 20
    per_event_hour: int = 6
    updated_at: datetime = Field(sa_type=UTCDateTime)


class Notice(SQLModel, table=True):
    """Something told to one person (``account_id``), or to the groups behind robots (None).

    For a person it is at the same time the entry of their in-app inbox. ``created_at`` and ``read_at``
    are business time: that is what the page's clock shows.
    """

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("once"),
        Index("notice_inbox", "account_id", "created_at"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    account_id: str | None = Field(default=None, foreign_key="account.id")
    audience: str  # customer | staff | group
    once: str  # hash of event, recipient and key: what makes it single
    event: str
    subject: str
    language: str
    urgent: bool = False
    title: str
    body: str
    values: dict[str, Any] = Field(default_factory=dict, sa_type=Json)  # the template's variables
    created_at: datetime = Field(sa_type=UTCDateTime)
    useless_after: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    read_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Delivery(SQLModel, table=True):
    """One notice on one channel: the delivery log. States in notifications/transitions.py.

    Instants are wire time, ``due_at`` is business time (quiet hours are people's time).
    """

    __tablename__ = "notice_delivery"
    __table_args__ = (
        UniqueConstraint("notice_id", "channel_id"),
        CheckConstraint(
            "state IN ('waiting','sending','retrying','sent','failed','unknown','skipped')"
        ),
        Index("notice_delivery_log", "merchant_id", "created_at"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    notice_id: str = Field(foreign_key="notice.id", index=True)
    channel_id: str  # of notice_channel; deleted channels leave their log
    kind: str
    recipient: str  # masked: "尾号 4821", "a***@example.com", the group's name
    state: str = "waiting"
    attempts: int = 0
    due_at: datetime = Field(sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)
    final_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    provider_ref: str | None = None  # the provider's own number of it
    code: str | None = None  # the provider's code, or ours
    detail: str | None = None
    version: int = 0


class NoticeChoice(SQLModel, table=True):
    """What a guest wants to be told of outside the app; no row: yes (choices.py). Business time."""

    __tablename__ = "notice_choice"
    account_id: str = Field(primary_key=True, foreign_key="account.id")
    kind: str = Field(primary_key=True, max_length=20)
    wanted: bool
    changed_at: datetime = Field(sa_type=UTCDateTime)


class WechatConsent(SQLModel, table=True):
    """A customer's yes to one subscribe message of one template: used once, never again."""

    __tablename__ = "wechat_consent"
    __table_args__ = (Index("wechat_consent_free", "account_id", "template_id", "used_at"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    appid: str
    openid: str = Field(sa_type=Encrypted("wechat_consent.openid"))
    template_id: str
    created_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    used_by: str | None = Field(default=None, unique=True)  # delivery id
