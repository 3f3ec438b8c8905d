"""Platform vouchers for the house: accesses and what their deals open, uses, where records differ."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import platform_routes as api
from cloud_api.groupbuy.platform_views import deal_out
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.platform_vouchers import accounts, deals
from cloud_api.platform_vouchers.models import PlatformAccount
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.schemas import DealOut
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_READ, PAYMENT_ACCOUNTS, VOUCHER_REDEEM
from cloud_api.stores.models import Room
from cloud_api.vouchers.judge import when
from cloud_api.web import words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.customer.groupbuy import localised
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.platforms import (
    DealRow,
    PlatformField,
    PlatformKind,
    PlatformPage,
    PlatformRow,
    PlatformsPage,
    PlatformUseRow,
    PlatformUsesPage,
)

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/platforms"
_HALF: Final = 30
_TONES: Final = {
    "asked": "is-grace",
    "verifying": "is-booked",
    "unknown": "is-grace",
    "verified": "is-booked",
    "confirmed": "is-in_use",
    "cancelling": "is-booked",
    "stuck": "is-overtime",
}
_WAYS: Final = {"online": "顾客在手机上", "door": "顾客在门口", "scan": "扫码", "code": "输码"}


@router.get("/platforms")
async def all_accounts(seen: Seen, who: Who) -> Response:
    """The accesses. Needs payment.accounts."""
    who.need(PAYMENT_ACCOUNTS)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        rows = [
            await _row(session, frame, account)
            for account in await accounts.list_accounts(session, who)
        ]
    model = PlatformsPage(
        rows=tuple(rows),
        kinds=tuple(
            PlatformKind(_(kind.name), _(kind.guide), f"{PATH}/new?kind={key}")
            for key, kind in KINDS.items()
        ),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/platforms.html", model, here="platforms")


@router.get("/platforms/new")
async def new_account(seen: Seen, who: Who, kind: str = "") -> Response:
    """The form of a new access. Needs payment.accounts."""
    who.need(PAYMENT_ACCOUNTS)
    if kind not in KINDS:
        raise NotFound("platform_account", "没有这种平台")
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    known = KINDS[kind]
    model = PlatformPage(
        id="",
        kind=kind,
        kind_name=_(known.name),
        guide=_(known.guide),
        name=_(known.name),
        enabled=True,
        fields=_fields(kind, None),
        place=known.place,
        one_store=not known.place and known.make is not None,
        stores=tuple((store.id, store.name, "") for store in frame.stores),
        by_hand=known.make is None,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/platform_account.html", model, here="platforms")


@router.get("/platforms/{account_id}")
async def one_account(seen: Seen, who: Who, account_id: str) -> Response:
    """An access's form without its secrets, and its deals. Needs payment.accounts."""
    who.need(PAYMENT_ACCOUNTS)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        account = await accounts.get_account(session, who, account_id)
        found = [deal_out(one) for one in await deals.deals_of(session, account)]
        rooms = (
            await session.exec(scoped(who, Room).order_by(col(Room.store_id), col(Room.sort)))
        ).all()
    known, here = KINDS[account.kind], seen.at(frame.tz)
    names = {store.id: store.name for store in frame.stores}
    inside = {room.id: room.name for room in rooms}
    model = PlatformPage(
        id=account.id,
        kind=account.kind,
        kind_name=_(known.name),
        guide=_(known.guide),
        name=account.name,
        enabled=account.enabled,
        fields=_fields(account.kind, account),
        place=known.place,
        one_store=False,
        stores=tuple(
            (key, names.get(key, ""), str(account.places.get(key, "")))
            for key in (names if known.place and account.store_id is None else account.places)
            if key in names
        ),
        store_id=account.store_id or "",
        checked="" if account.checked is None else _checked(account.checked),
        good=account.checked == "ok",
        checked_at=None if account.checked_at is None else here.local(account.checked_at),
        by_hand=known.make is None,
        deals=tuple(_deal(one, inside) for one in found),
        rooms=tuple((room.id, room.name, names.get(room.store_id, "")) for room in rooms),
        froms=tuple((m, _clock(m)) for m in range(0, 1440, _HALF)),
        untils=tuple((m, _clock(m)) for m in range(_HALF, 2880 + 1, _HALF)),
    )
    return console_page(here, who, frame, "console/platform_account.html", model, here="platforms")


@router.get("/platform-vouchers")
async def uses(
    request: Request,
    seen: Seen,
    who: Who,
    show: Annotated[str, Query(max_length=20)] = "waiting",
    cursor: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Uses that wait for somebody, all of them, or where records differ. Needs voucher.redeem."""
    who.need(VOUCHER_REDEEM)
    show = show if show in ("waiting", "all", "differences") else "waiting"
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    here = seen.at(frame.tz)
    differing = await api.list_differences(request, who, False, cursor or None, 50)
    if show == "differences":
        model = PlatformUsesPage(
            show,
            differences=tuple(localised(here, one) for one in differing.items),
            next_href=_next(show, differing.next_cursor),
            open_differences=len(differing.items),
        )
    else:
        state = "waiting" if show == "waiting" else ""
        told = await api.list_uses(request, who, state, None, None, cursor or None, 50)
        orders = ORDER_READ in who.permissions
        model = PlatformUsesPage(
            show,
            rows=tuple(
                PlatformUseRow(
                    one=localised(here, one),
                    way=_(_WAYS.get(one.way, one.way)),
                    tone=_TONES.get(one.state, "is-done"),
                    order_href=f"/console/orders/{one.order_id}" if orders and one.order_id else "",
                )
                for one in told.items
            ),
            next_href=_next(show, told.next_cursor),
            open_differences=len(differing.items),
        )
    return console_page(
        here, who, frame, "console/platform_vouchers.html", model, here="platform-vouchers"
    )


def _next(show: str, cursor: str | None) -> str:
    return f"/console/platform-vouchers?show={show}&cursor={cursor}" if cursor else ""


async def _row(session: AsyncSession, frame: Frame, account: PlatformAccount) -> PlatformRow:
    state, tone, why = _("在用"), "is-free", ""
    count = len(await deals.deals_of(session, account))
    if not account.enabled:
        state, tone = _("停用"), "is-maintenance"
    elif account.checked not in (None, "ok"):
        state, tone, why = _("试过不通"), "is-overtime", _(account.checked or "")
    elif not count:
        state, tone, why = (
            _("没有商品"),
            "is-grace",
            _("说好每个平台商品能开哪间、玩多久，顾客才能用"),
        )
    elif account.checked is None and KINDS[account.kind].make is not None:
        state, tone, why = _("还没试过"), "is-booked", _("试一下，确认能核销")
    names = {store.id: store.name for store in frame.stores}
    return PlatformRow(
        id=account.id,
        name=account.name,
        kind=_(KINDS[account.kind].name),
        stores=_("、").join(names[key] for key in account.places if key in names),
        state=state,
        tone=tone,
        why=why,
        deals=count,
        href=f"{PATH}/{account.id}",
        by_hand=KINDS[account.kind].make is None,
    )


def _fields(kind: str, account: PlatformAccount | None) -> tuple[PlatformField, ...]:
    known = KINDS[kind]
    values = {} if account is None else accounts.public_fields(account)
    return tuple(
        PlatformField(
            name=name,
            title=_(info.title or name),
            secret=name in known.secret,
            value=values.get(name, "" if info.is_required() else str(info.default)),
            required=info.is_required() and account is None,
            kept=account is not None and name in known.secret,
        )
        for name, info in known.credentials.model_fields.items()
    )


def _deal(one: DealOut, rooms: dict[str, str]) -> DealRow:
    inside = _("、").join(rooms[room] for room in one.room_ids if room in rooms)
    return DealRow(
        one=one,
        length=words.hours(one.minutes),
        when=when(one),
        where=inside or _("每一间"),
        sheet=f"deal-{one.id}",
    )


def _checked(text: str) -> str:
    return _("通了，可以核销") if text == "ok" else _(text)


def _clock(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    text = f"{rest // 60:02d}:{rest % 60:02d}" if minute != 1440 else "24:00"
    return _("次日 {time}").format(time=text) if day and minute != 1440 else text
