"""Waiting for a time that is taken: when it comes free, the first in line has it for some minutes.

States: waiting → offered → taken; offered → waiting (let go by, behind the others) → left after the
second time; waiting → over when the time has begun. What is offered is held by a claim of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import moving
from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import refusal, rules_of
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import notify
from cloud_api.orders import place
from cloud_api.orders.models import Order, WaitEntry
from cloud_api.orders.transitions import WAITLIST
from cloud_api.pricing.service import quote
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room, get_store, rooms_of

OFFER_END: Final = "waitlist.offer_end"  # ref: entry id
MOST: Final = 5  # of one customer at a time
_LINE: Final = 200
_PATIENCE: Final = 2  # offers that may be let go by
_OPEN: Final = ("waiting", "offered")


async def join(
    session: AsyncSession,
    customer: Customer,
    store_id: str,
    room_id: str | None,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
) -> WaitEntry:
    """Wait for a room (None: any of the store) at a time. The same again gives what stands.

    Raises NotFound, the ``booking.*`` rules, Conflict ``wait.too_many``.
    """
    store = await get_store(session, customer, store_id)
    room = None if room_id is None else await get_room(session, customer, room_id)
    if room is not None and room.store_id != store.id:
        raise NotFound("room")
    refused: KaimenError | None = None
    for one in [room] if room is not None else await rooms_of(session, customer, store.id):
        rules = await rules_of(session, store, one.id)
        refused = refusal(rules, store, one, starts_at, ends_at, clocks.now)
        if refused is None:
            break
    else:
        raise refused or KaimenError("booking.closed", "这段时间不能订", status=422)
    known = await mine(session, customer, clocks)
    for entry in known:
        if (entry.store_id, entry.room_id, entry.starts_at, entry.ends_at) == (
            store.id,
            room_id,
            starts_at,
            ends_at,
        ):
            return entry
    if len(known) >= MOST:
        raise Conflict("wait.too_many", _("最多同时排 {most} 个候补，先退掉一个").format(most=MOST))
    made = WaitEntry(
        merchant_id=store.merchant_id,
        store_id=store.id,
        account_id=customer.account_id,
        room_id=room_id,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await schedule(
        session, merchant_id=store.merchant_id, kind=WAITLIST, ref=store.id, run_at=clocks.now
    )
    return made


async def leave(session: AsyncSession, customer: Customer, entry_id: str, clocks: Clocks) -> None:
    """Stop waiting; what was kept for it goes to the next in line. Raises NotFound."""
    entry = await _locked(session, customer, entry_id)
    if entry.state not in _OPEN:
        return
    await _let_go(session, entry, "left", clocks)


async def take(session: AsyncSession, customer: Customer, entry_id: str, clocks: Clocks) -> Order:
    """Order what is offered; again gives the order. Raises NotFound, Conflict ``wait.no_offer``."""
    entry = await _locked(session, customer, entry_id)
    if entry.state == "taken" and entry.order_id is not None:
        return await session.get_one(Order, entry.order_id)
    late = entry.offer_expires_at is None or entry.offer_expires_at <= clocks.now
    if entry.state != "offered" or entry.offered_room_id is None or late:
        raise Conflict("wait.no_offer", "现在没有给你留的位，有位会通知你")
    priced = await quote(
        session, customer, entry.offered_room_id, entry.starts_at, entry.ends_at, clocks
    )
    order = await place.place(
        session, customer, priced.id, clocks, source="waitlist", claim_id=entry.claim_id
    )
    entry.state, entry.order_id = "taken", order.id
    session.add(entry)
    return order


async def look(cloud: Cloud, job: DueJob) -> None:
    """Something came free in a store: offer it to who waited longest, and was not offered before."""
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        query = (
            scoped(System(), WaitEntry)
            .where(col(WaitEntry.store_id) == job.ref, col(WaitEntry.state) == "waiting")
            .order_by(col(WaitEntry.passed), col(WaitEntry.created_at), col(WaitEntry.id))
            .limit(_LINE)
            .with_for_update()
        )
        store = await session.get_one(Store, job.ref)
        rooms = [r for r in await rooms_of(session, System(), store.id) if r.mode == "normal"]
        for entry in (await session.exec(query)).all():
            if entry.starts_at <= clocks.now:
                entry.state = "over"
                session.add(entry)
                continue
            for room in rooms:
                if entry.room_id in (None, room.id) and await _offer(
                    session, store, entry, room, clocks
                ):
                    break


async def _offer(
    session: AsyncSession, store: Store, entry: WaitEntry, room: Room, clocks: Clocks
) -> bool:
    rules = await rules_of(session, store, room.id)
    if refusal(rules, store, room, entry.starts_at, entry.ends_at, clocks.now) is not None:
        return False
    span = (entry.starts_at, entry.ends_at + rules.cleaning)
    try:
        (claim_id,) = await moving.hold_pieces(session, room, None, [span], clocks)
    except claims.RoomTaken:
        return False
    await moving.bought(session, claim_id, entry.ends_at)
    until = min(clocks.now + timedelta(minutes=rules.offer_minutes), entry.starts_at)
    entry.state, entry.claim_id, entry.offered_room_id = "offered", claim_id, room.id
    entry.offer_expires_at = until
    session.add(entry)
    await session.flush()
    await schedule(
        session, merchant_id=entry.merchant_id, kind=OFFER_END, ref=entry.id, run_at=until
    )
    await notify(
        session,
        merchant_id=entry.merchant_id,
        store_id=entry.store_id,
        event="waitlist.offer",
        to=f"account:{entry.account_id}",
        subject=f"wait:{entry.id}",
        data={
            "room_id": room.id,
            "starts_at": entry.starts_at.isoformat(),
            "ends_at": entry.ends_at.isoformat(),
            "minutes": max(1, round((until - clocks.now).total_seconds() / 60)),
        },
        key=f"{entry.id}.{entry.passed}",
        at=clocks.now,
    )
    return True


async def offer_ended(cloud: Cloud, job: DueJob) -> None:
    """The offer was let go by: the room goes to the next, its waiting guest behind the others."""
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        entry = await _locked(session, System(), job.ref)
        if entry.state != "offered" or entry.offer_expires_at is None:
            return
        if entry.offer_expires_at > clocks.now:
            return
        entry.passed += 1
        gone = entry.passed >= _PATIENCE
        await _let_go(session, entry, "left" if gone else "waiting", clocks)


async def mine(session: AsyncSession, customer: Customer, clocks: Clocks) -> list[WaitEntry]:
    """What one waits for, the nearest first. A time that began is waited for no more."""
    query = scoped(customer, WaitEntry).where(
        col(WaitEntry.state).in_(_OPEN), col(WaitEntry.starts_at) > clocks.now
    )
    return list((await session.exec(query.order_by(col(WaitEntry.starts_at)).limit(50))).all())


async def before(session: AsyncSession, entry: WaitEntry) -> int:
    """How many wait in the same store for an overlapping time, and came earlier."""
    count = await session.exec(
        select(func.count())
        .select_from(WaitEntry)
        .where(
            col(WaitEntry.store_id) == entry.store_id,
            col(WaitEntry.state).in_(_OPEN),
            col(WaitEntry.created_at) < entry.created_at,
            col(WaitEntry.starts_at) < entry.ends_at,
            col(WaitEntry.ends_at) > entry.starts_at,
        )
    )
    return int(count.one())


async def _let_go(session: AsyncSession, entry: WaitEntry, to: str, clocks: Clocks) -> None:
    if entry.claim_id is not None:
        await claims.release(session, entry.claim_id, "offer_over")
    await session.exec(
        update(WaitEntry)
        .where(col(WaitEntry.id) == entry.id)
        .values(
            state=to,
            passed=entry.passed,
            claim_id=None,
            offered_room_id=None,
            offer_expires_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    await session.refresh(entry)
    await schedule(
        session,
        merchant_id=entry.merchant_id,
        kind=WAITLIST,
        ref=entry.store_id,
        run_at=clocks.now + timedelta(milliseconds=1),
    )


async def _locked(session: AsyncSession, actor: Customer | System, entry_id: str) -> WaitEntry:
    query = scoped(actor, WaitEntry).where(col(WaitEntry.id) == entry_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("wait", "没有这个候补")
    return found
