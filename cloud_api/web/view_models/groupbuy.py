"""Group-buy and vouchers on the customer's phone: campaigns, teams round a table, orders, vouchers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from cloud_api.groupbuy.schemas import (
    AdviceOut,
    CampaignOut,
    CampaignPageOut,
    GroupOrderOut,
    TeamOut,
    VoucherFullOut,
    VoucherOut,
)
from cloud_api.web.view_models.booking import PayMethod
from cloud_api.web.view_models.parts import NO_PICTURE, SharePicture


@dataclass(frozen=True)
class Chair:
    """A seat at the table, in the drawing's units. ``state``: paid, held (somebody is paying) or free."""

    x: float
    y: float
    state: str


def chairs(team: TeamOut) -> tuple[Chair, ...]:
    """The seats round the table, the first at the top, with the clock."""
    held = team.size - team.seats_left
    seats = []
    for n in range(team.size):
        turn = 2 * math.pi * n / team.size - math.pi / 2
        state = "paid" if n < team.paid else "held" if n < held else "free"
        seats.append(
            Chair(round(110 + 84 * math.cos(turn), 1), round(110 + 84 * math.sin(turn), 1), state)
        )
    return tuple(seats)


@dataclass(frozen=True)
class CampaignsPage:
    """What may be bought now."""

    rows: tuple[CampaignOut, ...]
    more_href: str = ""
    advice: tuple[AdviceOut, ...] = ()
    """What is worth its money to this guest, with the reason."""


@dataclass(frozen=True)
class CampaignPage:
    """One campaign; ``closed`` says why nothing can be bought, empty where something can."""

    one: CampaignPageOut
    length: str
    closed: str = ""
    edit_href: str = ""
    """Where a preview leads back to; empty on the guests' page."""
    share_url: str = ""
    share_picture: SharePicture = NO_PICTURE


@dataclass(frozen=True)
class TeamPage:
    """The page of a shared link."""

    one: CampaignOut
    team: TeamOut
    length: str
    share_url: str
    closed: str = ""
    share_picture: SharePicture = NO_PICTURE

    @property
    def chairs(self) -> tuple[Chair, ...]:
        """The table."""
        return chairs(self.team)


@dataclass(frozen=True)
class GroupOrdersPage:
    """One's own group orders."""

    rows: tuple[GroupOrderOut, ...]
    more_href: str = ""


@dataclass(frozen=True)
class GroupOrderPage:
    """One group order. ``pay`` is choose, failed or waiting while it is unpaid, else empty."""

    one: GroupOrderOut
    line: str
    tone: str
    icon: str
    pay: str = ""
    methods: tuple[PayMethod, ...] = ()
    elsewhere: bool = False
    provider_name: str = ""
    go_on_href: str = ""
    code_href: str = ""
    jsapi: str = ""
    open_state: str = ""
    share_url: str = ""
    fresh: bool = False

    @property
    def chairs(self) -> tuple[Chair, ...]:
        """The table, where there is a team."""
        return chairs(self.one.team) if self.one.team is not None else ()


@dataclass(frozen=True)
class VouchersPage:
    """One's vouchers; ``forming`` are orders whose team is not full or that are not paid."""

    rows: tuple[VoucherOut, ...]
    forming: tuple[GroupOrderOut, ...] = ()
    more_href: str = ""


@dataclass(frozen=True)
class VoucherRoom:
    """A room that the voucher may open; ``note`` says why not now. ``offset`` is its store's, +08:00."""

    id: str
    name: str
    store_name: str
    art: str
    free: bool
    note: str
    offset: str


@dataclass(frozen=True)
class VoucherPage:
    """One voucher. ``used`` tells when and where. ``door_room`` is the room of the door one stands at."""

    one: VoucherFullOut
    tone: str
    icon: str
    length: str
    used: str = ""
    order_href: str = ""
    rooms: tuple[VoucherRoom, ...] = ()
    first_day: str = ""
    last_day: str = ""
    door_room: VoucherRoom | None = None
    door_href: str = ""
    may_return: bool = False
    scanner: bool = False
    """A door of its stores has a reader that takes it."""
    offline: bool = False
    """None of its stores is connected now."""
    valid_until: datetime | None = None


@dataclass(frozen=True)
class GiftPage:
    """A present; ``gone`` where somebody has it already."""

    token: str
    name: str = ""
    length: str = ""
    when: str = ""
    stores: str = ""
    valid_until: datetime | None = None
    gone: bool = False
    own_href: str = ""
