"""Campaigns in the console: the list with its funnel, the form, and what came of it in numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import console_routes as api
from cloud_api.groupbuy import report
from cloud_api.groupbuy.schemas import CampaignPageOut, ConsoleCampaignOut, ReportRow
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import CAMPAIGN_EDIT, CAMPAIGN_READ
from cloud_api.stores.models import Room
from cloud_api.web import words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.customer.groupbuy import localised
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.campaigns import (
    CampaignForm,
    CampaignReportPage,
    CampaignRow,
    ConsoleCampaignsPage,
)
from cloud_api.web.view_models.groupbuy import CampaignPage
from cloud_api.web.view_models.house import Shot

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/campaigns"
_STATES: Final = {
    "draft": ("草稿", "is-done", ("publish", "end")),
    "published": ("在卖", "is-free", ("pause", "end")),
    "paused": ("暂停", "is-grace", ("publish", "end")),
    "ended": ("已结束", "is-maintenance", ()),
}
_ARTS: Final = {
    "room-moon-bamboo": "月洞竹影",
    "room-plum-branch": "梅枝",
    "room-tea-lattice": "茶室格窗",
    "room-scroll": "卷轴",
    "room-city-window": "城市窗景",
    "room-arch-vase": "拱门花瓶",
    "room-round-window": "圆窗",
}
_BYS: Final = {  # on its chip, at the head of its column
    "campaign": ("按活动", "活动"),
    "store": ("按门店", "门店"),
    "staff": ("按店员", "店员"),
    "day": ("按天", "日期"),
    "way": ("按方式", "方式"),
    "channel": ("按渠道", "渠道"),
}
_SORTS: Final = ("sold", "name", "sold_fen", "redeemed", "redeemed_fen", "expired", "refunded")
_HALF: Final = 30


@router.get("/campaigns")
async def all_campaigns(request: Request, seen: Seen, who: Who) -> Response:
    """One's campaigns, newest first. Needs campaign.read."""
    who.need(CAMPAIGN_READ)
    want = asked(request, names=("state",), sorts=("created",))
    state = want.get("state") if want.get("state") in _STATES else ""
    told = await api.list_campaigns(request, who, state, want.cursor or None, 20)
    may_edit = CAMPAIGN_EDIT in who.permissions
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    here = seen.at(frame.tz)
    rows = tuple(_row(localised(here, one), may_edit) for one in told.items)
    listing = Listing(
        path=PATH,
        columns=(
            Column(_("活动")),
            Column(_("状态")),
            Column(_("价格"), number=True),
            Column(_("卖出 · 核销 · 过期 · 退")),
            Column(_("卖到")),
            Column(""),
        ),
        rows=rows,
        filters=(
            Filter(
                "state",
                "chips",
                _("状态"),
                state,
                (
                    Choice("", _("全部")),
                    *(Choice(key, _(name)) for key, (name, _t, _m) in _STATES.items()),
                ),
            ),
        ),
        query={"state": state, "sort": ""},
        cursor=want.cursor,
        next_cursor=told.next_cursor or "",
        empty=Empty(
            _("团购活动会在这里：定好价格和规则，发布以后顾客就能拼"),
            _("新建活动") if may_edit else "",
            f"{PATH}/new",
        ),
        caption=_("团购活动"),
    )
    model = ConsoleCampaignsPage(listing, may_edit)
    return console_page(here, who, frame, "console/campaigns.html", model, here="campaigns")


@router.get("/campaigns/new")
async def new_campaign(seen: Seen, who: Who) -> Response:
    """The form of a new campaign. Needs campaign.edit."""
    who.need(CAMPAIGN_EDIT)
    return await _form_page(seen, who, None)


@router.get("/campaigns/{campaign_id}")
async def one_campaign(request: Request, seen: Seen, who: Who, campaign_id: str) -> Response:
    """One campaign's form. Needs campaign.read and campaign.edit."""
    who.need(CAMPAIGN_READ)
    who.need(CAMPAIGN_EDIT)
    return await _form_page(seen, who, await api.get_campaign(campaign_id, request, who))


@router.get("/campaigns/{campaign_id}/preview")
async def preview(request: Request, seen: Seen, who: Who, campaign_id: str) -> Response:
    """What guests will see of a campaign, also while it is a draft. Needs campaign.read."""
    who.need(CAMPAIGN_READ)
    one = await api.get_campaign(campaign_id, request, who)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    here = seen.at(frame.tz)
    shown = CampaignPageOut(**one.model_dump(), teams=[])
    model = CampaignPage(
        localised(here, shown),
        words.hours(one.minutes),
        _("这是预览，发布以后顾客才看得到")
        if one.state == "draft"
        else _("这是预览，顾客看到的也是这样"),
        edit_href=f"{PATH}/{one.id}" if CAMPAIGN_EDIT in who.permissions else PATH,
    )
    return page(here, "customer/campaign.html", model, shell=here.shell())


@router.get("/groupbuy/report")
async def numbers(request: Request, seen: Seen, who: Who) -> Response:
    """Group-buy in numbers. Needs campaign.read."""
    who.need(CAMPAIGN_READ)
    want = asked(request, names=("first", "last", "by"), sorts=_SORTS)
    chosen = (
        request.query_params.get("sort") == want.sort
    )  # else as the report has them: days by date
    by = want.get("by") if want.get("by") in _BYS else "campaign"
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        last = want.day("last") or here.now.date()
        first = want.day("first") or last - timedelta(days=29)
        rows: tuple[ReportRow, ...] = ()
        liability, problem = 0, ""
        try:
            told = await report.report(session, who, first, last, by)
            rows, liability = tuple(told.rows), told.liability_fen
            if chosen:
                rows = tuple(
                    sorted(rows, key=lambda row: getattr(row, want.key), reverse=want.downwards)
                )
        except KaimenError as error:
            problem = _(error.message)
    filters: Listing[ReportRow] = Listing(
        path="/console/groupbuy/report",
        columns=(
            Column(_(_BYS[by][1]), sort="name"),
            Column(_("卖出"), sort="sold", number=True),
            Column(_("金额"), sort="sold_fen", number=True),
            Column(_("核销"), sort="redeemed", number=True),
            Column(_("核销金额"), sort="redeemed_fen", number=True),
            Column(_("过期"), sort="expired", number=True),
            Column(_("退"), sort="refunded", number=True),
        ),
        rows=(),
        query={**want.query, "by": by, "sort": want.sort if chosen else ""},
        sort=want.sort if chosen else "",
        filters=(
            Filter("first", "date", _("从"), first.isoformat()),
            Filter("last", "date", _("到"), last.isoformat()),
            Filter(
                "by",
                "chips",
                _("怎么分"),
                by,
                tuple(Choice(key, _(name)) for key, (name, _head) in _BYS.items()),
            ),
        ),
    )
    total = ReportRow(key="", name=_("合计"))
    for row in rows:
        for name in type(row).model_fields:
            if name not in ("key", "name"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
    sheet = f"/api/v1/console/groupbuy/report.{{form}}?first={first}&last={last}&by={by}"
    model = CampaignReportPage(
        filters,
        rows,
        liability,
        total,
        problem,
        sheet.format(form="csv"),
        sheet.format(form="xlsx"),
    )
    return console_page(
        here, who, frame, "console/campaign_report.html", model, here="groupbuy-report"
    )


async def _form_page(seen: Visit, who: Staff, one: ConsoleCampaignOut | None) -> Response:
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        rooms = await _rooms(session, who, frame)
    here = seen.at(frame.tz)
    now = here.now.replace(second=0, microsecond=0)
    starts = here.local(one.starts_at) if one else now
    ends = here.local(one.ends_at) if one else now + timedelta(days=30)
    plain = now.strftime("%z")
    model = CampaignForm(
        one=one,
        starts=_field(starts),
        ends=_field(ends),
        offset=f"{plain[:3]}:{plain[3:]}",
        stores=tuple((store.id, store.name, "") for store in frame.stores),
        rooms=rooms,
        arts=tuple((key, _(name)) for key, name in _ARTS.items() if key in words.ARTS),
        froms=_times(0, 1440, one.from_minute if one else 0),
        untils=_times(_HALF, 2881, one.until_minute if one else 1440),
        shots=_shots(one),
        cover=next((shot.src for shot in (one.media if one else ()) if shot.src), ""),
        photo_mb=seen.cloud.settings.photo_mb,
        video_mb=seen.cloud.settings.video_mb,
        row=_row(localised(here, one), may_edit=True) if one else None,
        checks=_checks(one, seen.cloud.clocks.now) if one else (),
    )
    return console_page(here, who, frame, "console/campaign.html", model, here="campaigns")


def _checks(one: ConsoleCampaignOut, now: datetime) -> tuple[tuple[bool, str], ...]:
    """What guests ask before they buy, and whether the campaign answers it."""
    return (
        (bool(one.media), _("有照片或视频")),
        (bool(one.tagline), _("有一句话说明")),
        (bool(one.rules), _("写了使用规则")),
        (one.list_fen > one.price_fen or one.team_size == 1, _("拼团比单独买便宜")),
        (one.ends_at > now, _("结束时间还没到")),
        (one.stock is None or one.stock > 0, _("有库存")),
        (one.refundable or one.refund_on_expiry, _("不用的券能退，或者到期自动退")),
    )


async def _rooms(
    session: AsyncSession, who: Staff, frame: Frame
) -> tuple[tuple[str, str, str], ...]:
    names = {store.id: store.name for store in frame.stores}
    query = scoped(who, Room).where(col(Room.store_id).in_(names))
    found = (await session.exec(query.order_by(col(Room.store_id), col(Room.sort)))).all()
    return tuple((room.id, room.name, names[room.store_id]) for room in found)


def _shots(one: ConsoleCampaignOut | None) -> tuple[Shot, ...]:
    return tuple(
        Shot(shot.id, shot.src, shot.alt, shot.kind, shot.seconds)
        for shot in (one.media if one is not None else ())
    )


def _row(one: ConsoleCampaignOut, may_edit: bool) -> CampaignRow:
    name, tone, may = _STATES[one.state]
    return CampaignRow(
        one=one,
        state=_(name),
        tone=tone,
        may=may if may_edit else (),
        href=f"{PATH}/{one.id}" if may_edit else "",
    )


def _field(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M}"


def _times(first: int, end: int, chosen: int) -> tuple[tuple[int, str], ...]:
    """Half hours of a day, or of two, and what is chosen already."""
    return tuple((minute, _clock(minute)) for minute in sorted({*range(first, end, _HALF), chosen}))


def _clock(minute: int) -> str:
    if minute <= 1440:
        return f"{minute // 60:02d}:{minute % 60:02d}"
    return _("次日 {t}").format(t=f"{(minute - 1440) // 60:02d}:{minute % 60:02d}")
