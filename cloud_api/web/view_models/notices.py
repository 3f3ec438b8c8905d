"""Alarms and notices: the console's lists and forms, and a customer's messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cloud_api.web.view_models.listing import Listing


@dataclass(frozen=True)
class ChoiceRow:
    """A kind of messages, in words, and whether it is wanted outside the app."""

    kind: str
    name: str
    what: str
    wanted: bool


@dataclass(frozen=True)
class ChoicesPage:
    """What a guest wants to be told of by text message or WeChat."""

    rows: tuple[ChoiceRow, ...]


@dataclass(frozen=True)
class AlarmRow:
    """An alarm; ``tone`` is a chip's class, ``lasted`` in words."""

    id: str
    name: str
    what: str
    tone: str
    severity: str
    state: str
    store_name: str
    raised_at: datetime
    lasted: str
    times: int
    by: str
    can_take: bool
    can_close: bool
    raw: str = ""  # what the store's program says, for engineers


@dataclass(frozen=True)
class AlarmsPage:
    """The list of alarms."""

    list: Listing[AlarmRow]


@dataclass(frozen=True)
class ChannelRow:
    """A merchant's channel; ``checked`` is how its last test went, in words."""

    id: str
    name: str
    kind: str
    enabled: bool
    checked: str
    tone: str
    href: str


@dataclass(frozen=True)
class EventRow:
    """An event with the channels it takes, in words."""

    event: str
    name: str
    audience: str
    channels: str
    enabled: bool
    own: bool
    href: str


@dataclass(frozen=True)
class KindChoice:
    """A kind of channel that can be added."""

    kind: str
    name: str
    href: str


@dataclass(frozen=True)
class NoticesPage:
    """Channels, quiet hours, events."""

    channels: tuple[ChannelRow, ...]
    kinds: tuple[KindChoice, ...]
    events: tuple[EventRow, ...]
    quiet_from: str
    quiet_until: str
    per_hour: int
    per_event_hour: int
    may_edit: bool
    seen: str = ""


@dataclass(frozen=True)
class ChannelField:
    """A field of a channel's form. ``kind``: text, password, number, list."""

    name: str
    title: str
    kind: str
    value: str
    hint: str
    required: bool


@dataclass(frozen=True)
class ChannelPage:
    """One channel's form; ``name`` is empty for a new one."""

    kind: str
    kind_name: str
    name: str
    enabled: bool
    fields: tuple[ChannelField, ...]


@dataclass(frozen=True)
class ProviderTemplate:
    """The template's code and parameters of an event at one provider."""

    channel: str
    name: str
    code: str
    params: str
    seen: str = ""


@dataclass(frozen=True)
class WordsChoice:
    """A channel that an event may have words of its own for; ``own`` where it has."""

    channel: str
    name: str
    href: str
    own: bool


@dataclass(frozen=True)
class TemplateRow:
    """An event with the channels it may have words for."""

    name: str
    audience: str
    title: str
    href: str
    choices: tuple[WordsChoice, ...]


@dataclass(frozen=True)
class TemplatesPage:
    """Every event and channel, and where the words were changed."""

    rows: tuple[TemplateRow, ...]


@dataclass(frozen=True)
class EventPage:
    """An event's words and channels. ``shown_title`` and ``shown_body`` are an example, as it is now;
    ``tests`` are the channels (id, name) that an example can be sent by.
    """

    event: str
    name: str
    audience: str
    urgent: bool
    title: str
    body: str
    default_title: str
    default_body: str
    variables: tuple[tuple[str, str], ...]
    enabled: bool
    channels: tuple[str, ...]
    choices: tuple[tuple[str, str, str], ...]
    providers: tuple[ProviderTemplate, ...]
    may_edit: bool
    channel: str = "*"
    channel_name: str = ""
    own: bool = False
    words: tuple[WordsChoice, ...] = ()
    clip: str = ""
    clips: tuple[tuple[str, str], ...] = ()
    shown_title: str = ""
    shown_body: str = ""
    tests: tuple[tuple[str, str], ...] = ()
    language: str = "zh_Hans"
    languages: tuple[WordsChoice, ...] = ()
    seen_rule: str = ""
    seen_words: str = ""


@dataclass(frozen=True)
class DeliveryRow:
    """A line of the delivery log."""

    id: str
    event: str
    channel: str
    recipient: str
    title: str
    state: str
    tone: str
    why: str
    attempts: int
    at: datetime


@dataclass(frozen=True)
class DeliveryLogPage:
    """What was sent and how it went."""

    list: Listing[DeliveryRow]


@dataclass(frozen=True)
class MessageRow:
    """A message to a customer."""

    title: str
    body: str
    href: str
    at: datetime
    fresh: bool


@dataclass(frozen=True)
class MessagesPage:
    """A customer's messages, the newest first."""

    rows: tuple[MessageRow, ...] = field(default=())
    more_href: str = ""
