"""What the pages about other software are given: its keys, the addresses that hear of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.listing import Listing
from cloud_api.webhooks.kinds import Topic

StoreChoices = tuple[tuple[str, str, str], ...]
"""Id, name, note."""


@dataclass(frozen=True)
class ApiKeyRow:
    """``start`` is how the key begins; ``permissions`` in words."""

    id: str
    name: str
    start: str
    permissions: tuple[str, ...]
    stores: str
    made_by: str
    made_at: datetime
    used_at: datetime | None
    active: bool


@dataclass(frozen=True)
class ApiKeysPage:
    list: Listing[ApiKeyRow]
    may_edit: bool


@dataclass(frozen=True)
class ApiKeyForm:
    """``groups``: what this person may give a key: the group's name, then permission and name."""

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    stores: StoreChoices


@dataclass(frozen=True)
class WebhookRow:
    """``kinds`` and ``stores`` in words; ``tone`` is a state's class."""

    id: str
    href: str
    name: str
    host: str
    state: str
    tone: str
    why: str
    kinds: str
    stores: str


@dataclass(frozen=True)
class WebhooksPage:
    list: Listing[WebhookRow]
    may_edit: bool


@dataclass(frozen=True)
class WebhookForm:
    topics: tuple[Topic, ...]
    stores: StoreChoices


@dataclass(frozen=True)
class DeliveryRow:
    """One message. ``status`` is the answer's code, ``said`` its beginning or what was in the way."""

    id: str
    kind: str
    name: str
    state: str
    tone: str
    status: int | None
    took_ms: int | None
    said: str
    tries: int
    at: datetime
    may_replay: bool


@dataclass(frozen=True)
class WebhookPage:
    """One address. ``old_until``: till when its former secret signs as well; ``going``: one is on its way."""

    row: WebhookRow
    enabled: bool
    kinds: tuple[str, ...]
    kept_by: str
    made_at: datetime
    old_until: datetime | None
    list: Listing[DeliveryRow]
    going: bool
    may_edit: bool
