"""Redeeming: a voucher, a room and an order in one transaction, so that all of them happen or none (I3).

The database decides twice: who gets the room (I1) and who gets the voucher (one conditional UPDATE). A
client that asks again under the same number gets what it got before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims.service import RoomTaken
from cloud_api.groupbuy import books, money
from cloud_api.groupbuy.buy import KIND
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.money import yuan
from cloud_api.orders import cancel, kept, place
from cloud_api.orders.books import wait_of
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import events_of, lock_order
from cloud_api.payments.dispatch import ref_of
from cloud_api.pricing.models import Quote
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import VOUCHER_REDEEM
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers import judge
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Redemption, Voucher
from cloud_api.vouchers.transitions import lock_voucher, move

UNDO_WITHIN: Final = timedelta(minutes=30)
_LATE: Final = timedelta(minutes=5)  # a start so far back is still "now"
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What came of it."""

    voucher: Voucher
    order: Order
    redemption: Redemption


async def redeem(
    session: AsyncSession,
    who: Customer | Staff,
    *,
    room_id: str,
    clocks: Clocks,
    text: str | None = None,
    voucher_id: str | None = None,
    starts_at: datetime | None = None,
    way: str = "online",
    nonce: str | None = None,
) -> Redeemed:
    """Use a voucher for a room from ``starts_at`` (now, if None): its order is ready, the door opens.

    ``text`` is a typed code or a scanned QR, else ``voucher_id`` names one that ``who`` sees. ``nonce``
    is the client's own number for this try. Raises NotFound; KaimenError ``voucher.bad_code`` … (422);
    Conflict ``voucher.used`` (with ``at``, ``store``, ``room``, ``by``, ``order``), ``voucher.no_room``
    (with what is free when), and the ``voucher.*`` codes of ``judge``.
    """
    if isinstance(who, Staff):
        who.need(VOUCHER_REDEEM)
    found = await _find(session, who, text, voucher_id, clocks)
    if nonce is not None and (known := await vouchers.redemption(session, nonce)) is not None:
        return await _again(session, found, known)
    voucher = await lock_voucher(session, who, found.id)  # a friend may have taken it just now
    room, store = await _room(session, who, room_id)
    begins = begins_at(starts_at, clocks)
    if voucher.state == "redeemed":
        raise await used(session, voucher)
    refusal = judge.refuse(
        voucher, store_id=store.id, room_id=room.id, starts_at=max(begins, clocks.now), tz=store.tz
    )
    if refusal is not None:
        raise Conflict(refusal.code, refusal.message)
    guest = Customer(account_id=voucher.account_id)
    quote = await _quote(session, voucher, room, begins, clocks)
    try:
        by = who if isinstance(who, Staff) else None  # who redeems at the desk has confirmed it
        order = await place.place(session, guest, quote.id, clocks, by=by)
    except RoomTaken as taken:
        await taken.explain(session)
        raise no_room(taken, store.tz) from taken
    redemption = Redemption(
        id=nonce or new_id(),
        merchant_id=voucher.merchant_id,
        store_id=store.id,
        voucher_id=voucher.id,
        campaign_id=voucher.campaign_id,
        order_id=order.id,
        room_id=room.id,
        way=way,
        by=who.ref,
        by_name=who.name if isinstance(who, Staff) else "",
        amount_fen=voucher.value_fen,
        at=clocks.now,
    )
    session.add(redemption)
    await session.flush()
    if not await move(session, voucher, "redeemed", redemption_id=redemption.id, gift_hash=None):
        raise await used(session, voucher)
    await books.follow_later(session, voucher.merchant_id, ref_of(voucher.source), clocks)
    if isinstance(who, Staff):
        await audit.record(
            session,
            who,
            "voucher.redeem",
            merchant_id=voucher.merchant_id,
            store_id=store.id,
            subject=f"voucher:{voucher.id}",
            after={"name": voucher.name, "order": order.number, "room": room.name, "way": way},
            clocks=clocks,
        )
    return Redeemed(voucher, order, redemption)


async def undo(
    session: AsyncSession, staff: Staff, redemption_id: str, why: str, clocks: Clocks
) -> Voucher:
    """Take a redemption back within half an hour: the order is cancelled, the voucher is whole again, once the
    store says that nobody went in where they could have (orders/refund_wait.py).

    Raises NotFound, KaimenError ``voucher.why`` (422), Conflict ``voucher.undo_late``,
    ``voucher.in_use`` (the guests are in), ``voucher.undone``.
    """
    staff.need(VOUCHER_REDEEM)
    if len(why.strip()) < 2:
        raise KaimenError("voucher.why", "请写明撤销的原因", status=422, field="why")
    query = scoped(staff, Redemption).where(
        col(Redemption.id) == redemption_id, col(Redemption.kind) == "redeem"
    )
    redemption = (await session.exec(query)).first()
    if redemption is None:
        raise NotFound("redemption", "没有这条核销记录")
    if clocks.now - redemption.at > UNDO_WITHIN:
        minutes = UNDO_WITHIN // _MINUTE
        raise Conflict(
            "voucher.undo_late",
            _("核销超过 {minutes} 分钟就不能撤销了，请走退款").format(minutes=minutes),
        )
    order = await lock_order(session, staff, redemption.order_id)
    if order.status in ("in_use", "completed"):
        raise Conflict("voucher.in_use", "客人已经进房，不能撤销")
    voucher = await lock_voucher(session, staff, redemption.voucher_id)
    if voucher.redemption_id != redemption.id or order.status == "cancelled":
        raise Conflict("voucher.undone", "这次核销已经撤销，或者订单取消了")
    await cancel.cancel_by_staff(session, staff, order.id, why.strip(), clocks)
    await session.refresh(voucher)
    await audit.record(
        session,
        staff,
        "voucher.undo",
        merchant_id=voucher.merchant_id,
        store_id=redemption.store_id,
        subject=f"voucher:{voucher.id}",
        after={"name": voucher.name, "order": order.number},
        why=why.strip(),
        clocks=clocks,
    )
    return voucher


async def unused(
    session: AsyncSession, order: Order, was: str, by: str, at: datetime, clocks: Clocks
) -> None:
    """An order that a voucher paid for was cancelled: the voucher is whole again (``refund_wait.when_unused``).

    Where the room's rules keep a share of the price (a late cancelling, nobody came) a voucher cannot be
    whole: it stays used, and what the rules do not keep goes back to who paid for it.
    """
    query = scoped(System(), Redemption).where(
        col(Redemption.order_id) == order.id, col(Redemption.kind) == "redeem"
    )
    redemption = (await session.exec(query)).first()
    if redemption is None:
        return
    voucher = await lock_voucher(session, System(), redemption.voucher_id)
    if voucher.redemption_id != redemption.id:
        return
    share = kept.share_of(voucher.value_fen, await kept.per_cent_of(session, order, was, at))
    if share.kept_fen:
        await money.give_back_part(session, voucher, share.back_fen, clocks)
        return
    if not await move(session, voucher, "issued", redemption_id=None):
        return
    by_name, why = await _who_and_why(session, order, by)
    await books.follow_later(session, voucher.merchant_id, ref_of(voucher.source), clocks)
    session.add(
        Redemption(
            merchant_id=redemption.merchant_id,
            store_id=redemption.store_id,
            voucher_id=voucher.id,
            campaign_id=voucher.campaign_id,
            kind="undo",
            undoes=redemption.id,
            order_id=order.id,
            room_id=redemption.room_id,
            way=redemption.way,
            by=by,
            by_name=by_name,
            why=why,
            amount_fen=-redemption.amount_fen,
            at=clocks.now,
        )
    )
    if voucher.valid_until <= clocks.now:
        await schedule(
            session,
            merchant_id=voucher.merchant_id,
            kind=vouchers.EXPIRE,
            ref=voucher.id,
            run_at=clocks.now,
        )


async def _who_and_why(session: AsyncSession, order: Order, by: str) -> tuple[str, str]:
    """Which member of staff cancelled an order, and why; nothing where it was nobody of them."""
    kind, _sep, key = by.partition(":")
    member = await session.get(StaffMember, key) if kind == "staff" else None
    if member is None:
        return "", ""
    told = [one for one in await events_of(session, [order.id]) if one.now == "cancelled"]
    return member.name, told[-1].why[:200] if told else ""


async def used(session: AsyncSession, voucher: Voucher) -> Conflict:
    """When, where and by whom a voucher was used, as the refusal of a second try."""
    redemption = await session.get(Redemption, voucher.redemption_id or "")
    if redemption is None:
        return Conflict("voucher.used", "这张券用过了")
    store = await session.get_one(Store, redemption.store_id)
    room = await session.get_one(Room, redemption.room_id)
    order = await session.get_one(Order, redemption.order_id)
    if order.status == "cancelled" and await wait_of(session, order.id) is not None:
        return Conflict(
            "voucher.used",
            "取消了的订单还在等门店确认没有人进房，确认了这张券就能用，一般几秒",
            order=order.number,
            waits=True,
        )
    local = redemption.at.astimezone(ZoneInfo(store.tz))
    return Conflict(
        "voucher.used",
        _("这张券 {local:%m月%d日 %H:%M} 在{store}{room}用过了").format(
            local=local, store=store.name, room=room.name
        ),
        at=redemption.at.isoformat(),
        store=store.name,
        room=room.name,
        by=redemption.by_name,
        way=redemption.way,
        order=order.number,
        redemption=redemption.id,
    )


def no_room(taken: RoomTaken, tz: str) -> Conflict:
    """The room is not free: when it is, which others are; the voucher was not touched."""
    extra: dict[str, Any] = dict(taken.extra)
    following = extra.get("next_free")
    begins = following.get("starts_at") if isinstance(following, dict) else following
    when = ""
    if isinstance(begins, str):
        begins = datetime.fromisoformat(begins)
    if isinstance(begins, datetime):
        when = _("，{time:%H:%M} 有").format(time=begins.astimezone(ZoneInfo(tz)))
    return Conflict("voucher.no_room", _("现在没有空房{when}。券没有动").format(when=when), **extra)


async def _find(
    session: AsyncSession, who: Actor, text: str | None, voucher_id: str | None, clocks: Clocks
) -> Voucher:
    if text:
        return await vouchers.find(session, who, text, clocks)
    if voucher_id:
        return await vouchers.get(session, who, voucher_id)
    raise KaimenError("voucher.bad_code", "请输入券码，或选一张券", status=422, field="code")


async def _again(session: AsyncSession, voucher: Voucher, known: Redemption) -> Redeemed:
    if known.voucher_id != voucher.id:
        raise Conflict("redemption.other", "这个请求号已经用过了，请换一个")
    order = await session.get_one(Order, known.order_id)
    return Redeemed(voucher, order, known)


async def _room(session: AsyncSession, who: Actor, room_id: str) -> tuple[Room, Store]:
    room = (await session.exec(scoped(who, Room).where(col(Room.id) == room_id))).first()
    if room is None:
        raise NotFound("room", "没有这个包间")
    store = (await session.exec(scoped(who, Store).where(col(Store.id) == room.store_id))).one()
    return room, store


def begins_at(starts_at: datetime | None, clocks: Clocks) -> datetime:
    """When a stay begins: this minute, or ``starts_at``. Raises KaimenError ``booking.past`` (422)."""
    now = clocks.now.replace(second=0, microsecond=0)
    if starts_at is None:
        return now
    if starts_at < now - _LATE:
        raise KaimenError(
            "booking.past", "开始时间已经过了，请选之后的时间", status=422, field="starts_at"
        )
    return starts_at.astimezone(UTC)


async def _quote(
    session: AsyncSession, voucher: Voucher, room: Room, begins: datetime, clocks: Clocks
) -> Quote:
    """What the order says of its price: the package, and the voucher that pays it."""
    ends = begins + timedelta(minutes=voucher.minutes)
    span = {
        "from": begins.isoformat(),
        "to": ends.isoformat(),
        "minutes": voucher.minutes,
        "hourly_fen": 0,
        "tariff_id": "",
    }
    quote = Quote(
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        room_id=room.id,
        starts_at=begins,
        ends_at=ends,
        total_fen=0,
        lines=[
            {**span, "kind": "room_time", "text": voucher.name, "amount_fen": voucher.value_fen},
            {
                **span,
                "kind": "voucher",
                "text": _("团购券抵 {money}").format(money=yuan(voucher.value_fen)),
                "amount_fen": -voucher.value_fen,
                "voucher_id": voucher.id,
                "source": KIND,
            },
        ],
        created_at=clocks.now,
        expires_at=clocks.now + timedelta(minutes=1),
    )
    session.add(quote)
    await session.flush()
    return quote
