"""Platform vouchers as people see them: what a store takes, what a code opens, how a use stands."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.groupbuy.desk import bounds, zone_of
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import page_of
from cloud_api.orders.models import Order
from cloud_api.orders.views import phone_tails
from cloud_api.platform_vouchers import deals, service
from cloud_api.platform_vouchers.matching import CATEGORIES
from cloud_api.platform_vouchers.models import (
    PlatformAccount,
    PlatformDeal,
    PlatformDifference,
    PlatformUse,
)
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.platforms.base import Prepared
from cloud_api.platform_vouchers.schemas import (
    ConsoleUseOut,
    ConsoleUsesOut,
    CouponOut,
    DealOut,
    DifferenceOut,
    DifferencesOut,
    LookOut,
    RoomChoice,
    UseOut,
    WayOut,
)
from cloud_api.platform_vouchers.transitions import WAITING
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers.judge import when

_MAY = {
    "asked": ["confirm", "refuse"],
    "unknown": ["confirm", "refuse"],
    "confirmed": ["undo"],
    "stuck": ["settle"],
}


async def ways(session: AsyncSession, store_id: str) -> list[WayOut]:
    """The platforms whose vouchers a store takes now."""
    found = []
    for account in await service.accounts_of(session, store_id):
        kind = KINDS[account.kind]
        mine = [
            one
            for one in await deals.deals_of(session, account)
            if one.active and deals.fits_store(one, store_id)
        ]
        if not mine:
            continue
        found.append(
            WayOut(
                account_id=account.id,
                family=service.family_of(account),
                label=service.label_of(account),
                manual=kind.make is None,
                least_digits=kind.lengths[0],
                most_digits=kind.lengths[1],
                deals=[deal_out(one) for one in mine] if kind.make is None else [],
            )
        )
    return found


def deal_out(deal: PlatformDeal) -> DealOut:
    """A deal with its number."""
    return DealOut(**{**deal.model_dump(), "account_id": deal.platform_account_id})


async def coupons(
    session: AsyncSession,
    who: Actor,
    account: PlatformAccount,
    store: Store,
    prepared: Prepared | None,
    clocks: Clocks,
) -> LookOut:
    """What is behind a code, and which rooms each opens now; by hand: every deal it may be, by its id."""
    label = service.label_of(account)
    items: list[CouponOut] = []
    if prepared is None:
        for deal in await deals.deals_of(session, account):
            if deal.active and deals.fits_store(deal, store.id):
                items.append(
                    CouponOut(
                        key=deal.id,
                        deal=deal.deal,
                        title=deal.name,
                        known=True,
                        name=deal.name,
                        minutes=deal.minutes,
                        paid_fen=None,
                        until=None,
                        when=when(deal),
                        rooms=await rooms_for(session, who, deal, store, clocks),
                    )
                )
    for one in () if prepared is None else prepared.coupons:
        found = await deals.find(session, account, one.deal, store.id)
        items.append(
            CouponOut(
                key=one.key,
                deal=one.deal,
                title=one.title,
                known=found is not None,
                name=one.title if found is None else found.name,
                minutes=0 if found is None else found.minutes,
                paid_fen=one.paid_fen,
                until=one.until,
                when="" if found is None else when(found),
                rooms=[] if found is None else await rooms_for(session, who, found, store, clocks),
            )
        )
    return LookOut(label=label, manual=prepared is None, items=items)


async def rooms_for(
    session: AsyncSession, who: Actor, deal: PlatformDeal, store: Store, clocks: Clocks
) -> list[RoomChoice]:
    """The rooms of a store that ``who`` sees, and whether the deal opens each of them now."""
    query = scoped(who, Room).where(col(Room.store_id) == store.id)
    rooms = (await session.exec(query.order_by(col(Room.sort)))).all()
    now, until = clocks.now, clocks.now + timedelta(minutes=deal.minutes)
    busy = select(col(RoomClaim.room_id)).where(
        col(RoomClaim.room_id).in_([room.id for room in rooms]),
        col(RoomClaim.state) != "released",
        col(RoomClaim.block_from) < until,
        col(RoomClaim.block_until) > now,
    )
    taken = set((await session.exec(busy)).all())
    choices = []
    for room in rooms:
        no = deals.refuse(deal, room_id=room.id, starts_at=now, tz=store.tz)
        code, message = (no.code, no.message) if no else (None, None)
        if no is None and (room.id in taken or room.mode == "maintenance"):
            code, message = "voucher.no_room", _("现在有人，或者马上有人要来")
        choices.append(
            RoomChoice(id=room.id, name=room.name, fits=code is None, code=code, message=message)
        )
    return choices


async def use(session: AsyncSession, one: PlatformUse) -> UseOut:
    """A use as its guest sees it."""
    return UseOut(**(await _facts(session, [one]))[0])


async def uses(
    session: AsyncSession,
    staff: Staff,
    *,
    state: str,
    day: date | None,
    store_id: str | None,
    cursor: str | None,
    limit: int,
) -> ConsoleUsesOut:
    """Uses of the stores that ``staff`` works in, newest first."""
    query = scoped(staff, PlatformUse)
    if state == "waiting":
        query = query.where(col(PlatformUse.state).in_(sorted(WAITING | {"stuck"})))
    elif state:
        query = query.where(col(PlatformUse.state) == state)
    if store_id is not None:
        query = query.where(col(PlatformUse.store_id) == store_id)
    if day is not None:
        begins, ends = bounds(day, day, await zone_of(session, staff, store_id))
        query = query.where(
            col(PlatformUse.created_at) >= begins, col(PlatformUse.created_at) < ends
        )
    found, following = await page_of(
        session,
        query,
        by=PlatformUse.created_at,
        key=PlatformUse.id,
        cursor=cursor,
        limit=limit,
    )
    return ConsoleUsesOut(items=await console(session, found), next_cursor=following)


async def console(session: AsyncSession, found: list[PlatformUse]) -> list[ConsoleUseOut]:
    """Uses as staff see them. The code is shown whole where somebody has to enter it by hand."""
    tails = await phone_tails(session, {one.account_id for one in found})
    ids = [one.order_id for one in found if one.order_id is not None]
    numbers = dict(
        (
            await session.exec(
                select(col(Order.id), col(Order.number)).where(col(Order.id).in_(ids))
            )
        ).all()
    )
    return [
        ConsoleUseOut(
            **facts,
            code=one.code if one.state in ("asked", "unknown", "stuck") else "",
            phone_tail=tails.get(one.account_id, ""),
            way=one.way,
            by_name=one.by_name,
            order_number=numbers.get(one.order_id or "", ""),
            receipt=one.receipt,
            verified_at=one.verified_at,
            may=_MAY.get(one.state, []),
        )
        for one, facts in zip(found, await _facts(session, found), strict=True)
    ]


async def differences(
    session: AsyncSession, staff: Staff, *, solved: bool, cursor: str | None, limit: int
) -> DifferencesOut:
    """Where records differ, newest first."""
    query = scoped(staff, PlatformDifference)
    known = col(PlatformDifference.solved_at)
    query = query.where(known.is_not(None) if solved else known.is_(None))
    found, following = await page_of(
        session,
        query,
        by=PlatformDifference.found_at,
        key=PlatformDifference.id,
        cursor=cursor,
        limit=limit,
    )
    return DifferencesOut(
        items=[await difference(session, one) for one in found], next_cursor=following
    )


async def difference(session: AsyncSession, one: PlatformDifference) -> DifferenceOut:
    """One of them."""
    account = await session.get_one(PlatformAccount, one.platform_account_id)
    return DifferenceOut(
        **one.model_dump(
            include={
                "id", "day", "category", "receipt", "name", "theirs_fen", "ours_fen", "use_id",
                "solved_at", "solved_why",
            }
        ),
        account=account.name,
        category_name=_(CATEGORIES[one.category]),
    )  # fmt: skip


async def _facts(session: AsyncSession, found: list[PlatformUse]) -> list[dict[str, Any]]:
    places = [one.store_id for one in found]
    stores = {
        store.id: store
        for store in (
            await session.exec(scoped(System(), Store).where(col(Store.id).in_(places)))
        ).all()
    }
    inside = [one.room_id for one in found]
    rooms = dict(
        (
            await session.exec(select(col(Room.id), col(Room.name)).where(col(Room.id).in_(inside)))
        ).all()
    )
    shown = {
        "id", "state", "label", "name", "code_tail", "store_id", "room_id", "starts_at",
        "ends_at", "worth_fen", "order_id", "expires_at", "created_at",
    }  # fmt: skip
    return [
        {
            **one.model_dump(include=shown),
            "word": _(service.WORDS[one.state]),
            "why": _(one.why) if one.why else "",
            "store": stores[one.store_id].name,
            "room": rooms.get(one.room_id, ""),
            "waiting": one.state in WAITING,
        }
        for one in found
    ]
