"""A platform's voucher for a room: claim → verify → confirm, and back again where a step fails (I3).

The room is held first, so that no voucher is spent for nothing. The question to the platform is written
down before it is asked. Verified, the order is made of the held room; refused, the room goes back on
sale; unknown, the room stays held and a job finds out. An order that cannot be made after all, or is
cancelled, has the platform take the verification back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.groupbuy.platform_hand import ask_people, confirm_by_hand
from cloud_api.groupbuy.platform_order import confirm, record
from cloud_api.groupbuy.redeem import begins_at, no_room
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.dates import full
from cloud_api.kit.due_jobs import Again, looked, schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.orders import gate
from cloud_api.orders.models import Order
from cloud_api.platform_vouchers import deals, service
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDeal, PlatformUse
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.platforms.base import Coupon, Prepared, bad_code
from cloud_api.platform_vouchers.transitions import OPEN, OVER, begun, lock_use
from cloud_api.staff.permissions import VOUCHER_REDEEM
from cloud_api.stores.models import Room, Store

ASK_FOR: Final = timedelta(minutes=20)  # a room waits so long for somebody to confirm by hand
_LOOK_S: Final = (3, 5, 5, 5, 10, 20, 40, 60, 120, 300)
_BACK_S: Final = (5, 10, 20, 40, 60, 120, 300)
_FIRST_LOOK: Final = timedelta(seconds=15)  # after the call itself had its time
_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Wish:
    """Which code of which platform, for which room, from when. See RedeemIn."""

    account_id: str
    code: str
    room_id: str
    key: str | None = None
    deal_id: str | None = None
    starts_at: datetime | None = None
    way: str = "online"


async def redeem(
    cloud: Cloud,
    who: Customer | Staff,
    guest: Customer,
    wish: Wish,
    *,
    nonce: str | None = None,
    why: str = "",
) -> PlatformUse:
    """Use a platform's voucher for ``guest``: confirmed, unknown, or waiting for a person (``asked``).

    ``nonce`` is the client's number of this try. Raises NotFound; KaimenError ``platform.bad_code``,
    ``platform.deal_wanted``, ``platform.choose`` (with ``keys``), ``platform.silent``; Conflict
    ``platform.not_usable``, ``platform.unknown_deal``, ``platform.used`` (with ``at``, ``store``, ``room``,
    ``by``), ``platform.busy``, ``platform.refused``, ``platform.confirm_failed``, ``voucher.no_room`` and
    what forbids an order (orders/gate.py).
    """
    if isinstance(who, Staff):
        who.need(VOUCHER_REDEEM)
    async with cloud.db.read() as session:
        if nonce is not None and (known := await session.get(PlatformUse, nonce)) is not None:
            return await _finished(cloud, known)
        room = await _room(session, who, wish.room_id)
        account = await service.account_for(session, wish.account_id, room.store_id)
    prepared = await ask_what(cloud, account, room.store_id, wish.code)
    coupon = _by_hand(account, wish.code) if prepared is None else pick(prepared, wish.key)
    async with cloud.db.write() as session:
        use = await _begin(
            session, who, guest, account, room.id, wish, coupon, prepared, nonce, cloud
        )
        if prepared is None:
            if isinstance(who, Staff):
                await confirm_by_hand(session, who, use.id, why, cloud.clocks)
            else:
                await ask_people(session, use, cloud.clocks)
            return use
    return await _finished(cloud, await service.verify(cloud, use.id))


async def ask_what(
    cloud: Cloud, account: PlatformAccount, store_id: str, text: str
) -> Prepared | None:
    """What is behind a code; one that was used here is refused with when, where and by whom.

    None where staff confirm by hand. Raises as ``service.prepare``; Conflict ``platform.used``.
    """
    try:
        return await service.prepare(cloud, account, store_id, text)
    except Conflict as error:
        if error.code != "platform.not_usable":
            raise
        async with cloud.db.read() as session:
            known = await _used_here(session, account, text)
            if known is None:
                raise
            raise await used(session, known) from error


async def _used_here(
    session: AsyncSession, account: PlatformAccount, text: str
) -> PlatformUse | None:
    """Our own use of a typed code; the platform says no more than that it is not usable."""
    code = "".join(text.split()).replace("-", "")
    query = scoped(_SYSTEM, PlatformUse).where(
        col(PlatformUse.merchant_id) == account.merchant_id,
        col(PlatformUse.kind) == account.kind,
        col(PlatformUse.code_tail) == code[-4:],
        col(PlatformUse.state).not_in(sorted(OVER)),
    )
    found = await session.exec(query.order_by(col(PlatformUse.id).desc()).limit(20))
    return next((one for one in found.all() if one.code == code), None)


def pick(prepared: Prepared, key: str | None) -> Coupon:
    """The voucher that is meant. Raises KaimenError ``platform.choose`` (422) where that is open."""
    for one in prepared.coupons:
        if one.key == key:
            return one
    deals_ = {one.deal for one in prepared.coupons}
    if key is None and len(deals_) == 1:  # several of the same kind: any of them
        return prepared.coupons[0]
    raise KaimenError(
        "platform.choose",
        "这个码里有几种券，选一张",
        status=422,
        field="key",
        extra={"keys": [one.key for one in prepared.coupons]},
    )


async def _finished(cloud: Cloud, use: PlatformUse) -> PlatformUse:
    """What a verification's state brings: an order, or the room back. Raises what the guest must know."""
    if use.state == "refused":
        await _let_go(cloud, use.id)
        words = _("{label}没有核销这张券，房间没有占用").format(label=use.label)
        if use.why:
            words += _("（{label}说：{detail}）").format(label=use.label, detail=use.why)
        raise Conflict("platform.refused", words, use=use.id)
    if use.state == "verified":
        use = await confirm(cloud, use.id)
    if use.state in ("cancelling", "cancelled", "stuck") and use.order_id is None:
        raise Conflict(
            "platform.confirm_failed",
            _("券核销了，但是订不成：{why}。正在把券退回{label}").format(
                why=use.why, label=use.label
            ),
            use=use.id,
        )
    return use


async def look(cloud: Cloud, job: DueJob) -> None:
    """Job ``platform.look``: how did the verification end? Asked until somebody knows."""
    async with cloud.db.read() as session:
        use = await session.get_one(PlatformUse, job.ref)
    if use.state in OPEN:
        use = await service.look(cloud, job.ref)
    if use.state in OPEN:
        raise Again(_LOOK_S[min(looked(job), len(_LOOK_S) - 1)], use.why or use.state)
    if use.state == "refused":
        await _let_go(cloud, use.id)
    elif use.state == "verified":
        await confirm(cloud, use.id)


async def used(session: AsyncSession, use: PlatformUse) -> Conflict:
    """Where, when and by whom a code was used, as the refusal of a second try."""
    if use.state not in ("confirmed", "cancelling", "stuck"):
        return Conflict("platform.busy", "这张券正在核销，等它有结果再试", use=use.id)
    store = await session.get_one(Store, use.store_id)
    room = await session.get_one(Room, use.room_id)
    order = None if use.order_id is None else await session.get(Order, use.order_id)
    at = (use.verified_at or use.created_at).astimezone(ZoneInfo(store.tz))
    return Conflict(
        "platform.used",
        _("这张券 {local:%m月%d日 %H:%M} 在{store}{room}用过了").format(
            local=at, store=store.name, room=room.name
        ),
        at=at.isoformat(),
        store=store.name,
        room=room.name,
        by=use.by_name,
        way=use.way,
        order="" if order is None else order.number,
        use=use.id,
    )


async def _begin(
    session: AsyncSession,
    who: Customer | Staff,
    guest: Customer,
    account: PlatformAccount,
    room_id: str,
    wish: Wish,
    coupon: Coupon,
    prepared: Prepared | None,
    nonce: str | None,
    cloud: Cloud,
) -> PlatformUse:
    """Hold the room and write the question down, in one transaction."""
    clocks = cloud.clocks
    room = await session.get_one(Room, room_id)
    store = await session.get_one(Store, room.store_id)
    deal = await _deal(session, account, wish, coupon, prepared, store)
    begins = begins_at(wish.starts_at, clocks)
    refusal = deals.refuse(deal, room_id=room.id, starts_at=max(begins, clocks.now), tz=store.tz)
    if refusal is not None:
        raise Conflict(refusal.code, refusal.message)
    if coupon.until is not None and begins >= coupon.until:
        zone = ZoneInfo(store.tz)
        day = full(coupon.until.astimezone(zone), begins.astimezone(zone))
        raise Conflict("voucher.expired", _("这张券 {day} 到期了").format(day=day))
    index = service.key_index(account, coupon.key)
    twin = scoped(_SYSTEM, PlatformUse).where(
        col(PlatformUse.key_index) == index, col(PlatformUse.state).not_in(sorted(OVER))
    )
    if (known := (await session.exec(twin)).first()) is not None:
        raise await used(session, known)
    await gate.check_may_order(
        session, guest, store, room, clocks, unpaid=isinstance(who, Customer)
    )
    ends = begins + timedelta(minutes=deal.minutes)
    try:
        claim = await claims.hold(session, room, None, begins, ends, clocks)
    except claims.RoomTaken as taken:
        await taken.explain(session)
        raise no_room(taken, store.tz) from taken
    worth = coupon.paid_fen if coupon.paid_fen is not None else deal.worth_fen
    use = PlatformUse(
        id=nonce or new_id(),
        merchant_id=account.merchant_id,
        store_id=store.id,
        account_id=guest.account_id,
        platform_account_id=account.id,
        kind=account.kind,
        label=service.label_of(account),
        state="asked" if prepared is None else "verifying",
        key_index=index,
        code=coupon.code or coupon.key,
        code_tail=(coupon.code or coupon.key)[-4:],
        secret=coupon.secret,
        token="" if prepared is None else prepared.token,
        deal=deal.deal,
        name=deal.name,
        worth_fen=worth,
        place=str(account.places.get(store.id, "")),
        room_id=room.id,
        starts_at=begins,
        ends_at=ends,
        claim_id=claim.id,
        way=wish.way,
        by=who.ref,
        by_name=who.name if isinstance(who, Staff) else "",
        expires_at=clocks.now + ASK_FOR if prepared is None else None,
        created_at=clocks.now,
    )
    try:
        async with session.begin_nested():
            session.add(use)
            await session.flush()
    except IntegrityError as error:  # somebody was faster, between our look and now
        if (known := (await session.exec(twin)).first()) is None:
            raise
        raise await used(session, known) from error
    await begun(session, use, clocks)
    if prepared is not None:
        await schedule(
            session,
            merchant_id=use.merchant_id,
            kind=service.LOOK,
            ref=use.id,
            run_at=clocks.real + _FIRST_LOOK,
            clock="wire",
        )
    if isinstance(who, Staff):
        await record(session, who, use, "platform_voucher.redeem", "", clocks)
    return use


async def _deal(
    session: AsyncSession,
    account: PlatformAccount,
    wish: Wish,
    coupon: Coupon,
    prepared: Prepared | None,
    store: Store,
) -> PlatformDeal:
    if prepared is None:
        return await deals.chosen(session, account, wish.deal_id, store.id)
    found = await deals.find(session, account, coupon.deal, store.id)
    if found is None:
        raise Conflict(
            "platform.unknown_deal",
            _("店家还没有说「{name}」能开哪间、玩多久，券没有动，请联系店家").format(
                name=coupon.title or coupon.deal
            ),
            deal=coupon.deal,
            title=coupon.title,
        )
    return found


async def _let_go(cloud: Cloud, use_id: str) -> None:
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, use_id)
        if use.state == "refused" and use.claim_id is not None:
            await claims.release(session, use.claim_id, "platform_refused")


def _by_hand(account: PlatformAccount, text: str) -> Coupon:
    """A code that staff will look at: only its form can be judged."""
    kind = KINDS[account.kind]
    code = "".join(text.split()).replace("-", "")
    low, high = kind.lengths
    if not (low <= len(code) <= high and code.isascii() and code.isalnum()):
        raise bad_code(service.label_of(account), kind.lengths)
    return Coupon(key=code, deal="", title="", code=code)


async def _room(session: AsyncSession, who: Customer | Staff, room_id: str) -> Room:
    room = (await session.exec(scoped(who, Room).where(col(Room.id) == room_id))).first()
    if room is None:
        raise NotFound("room", "没有这个包间")
    return room
