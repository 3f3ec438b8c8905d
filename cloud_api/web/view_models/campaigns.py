"""The console's campaigns, the desk where vouchers are redeemed, and group-buy in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_api.groupbuy.schemas import ConsoleCampaignOut, RedemptionOut, ReportRow
from cloud_api.web.view_models.house import Shot
from cloud_api.web.view_models.listing import Listing


@dataclass(frozen=True)
class CampaignRow:
    """A campaign with what may be done to it; ``open_ones`` are sold and neither used nor over."""

    one: ConsoleCampaignOut
    state: str
    tone: str
    may: tuple[str, ...]
    href: str


@dataclass(frozen=True)
class ConsoleCampaignsPage:
    """One's campaigns."""

    list: Listing[CampaignRow]
    may_edit: bool


@dataclass(frozen=True)
class CampaignForm:
    """A campaign's form; ``one`` is None for a new one. Instants as their fields take them."""

    one: ConsoleCampaignOut | None
    starts: str
    ends: str
    offset: str
    stores: tuple[tuple[str, str, str], ...]
    rooms: tuple[tuple[str, str, str], ...]
    arts: tuple[tuple[str, str], ...]
    froms: tuple[tuple[int, str], ...]
    untils: tuple[tuple[int, str], ...]
    shots: tuple[Shot, ...] = ()
    cover: str = ""
    photo_mb: int = 0
    video_mb: int = 0
    row: CampaignRow | None = None
    checks: tuple[tuple[bool, str], ...] = ()
    """What a campaign needs before it is published, and whether it has it."""


@dataclass(frozen=True)
class RedemptionRow:
    """A line of today's log."""

    one: RedemptionOut
    way: str
    may_undo: bool
    order_href: str


@dataclass(frozen=True)
class DeskPage:
    """The desk, with what was redeemed today."""

    rows: tuple[RedemptionRow, ...]
    more: bool
    stores: tuple[tuple[str, str], ...]
    store_id: str = ""
    """Only this store's rooms and uses; empty for all."""
    may_extend: bool = False
    offset: str = "+08:00"
    today: str = ""


@dataclass(frozen=True)
class CampaignReportPage:
    """Numbers between two days, by one dimension."""

    filters: Listing[ReportRow]
    rows: tuple[ReportRow, ...]
    liability_fen: int
    total: ReportRow
    problem: str = ""
    csv_href: str = ""
    xlsx_href: str = ""
