"""Quotes: a price told once, stored with its lines, never computed again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.pricing import rules
from cloud_api.pricing.models import Quote, Tariff
from cloud_api.pricing.split import Piece, split
from cloud_api.stores.models import Room, Store

QUOTE_VALID: Final = timedelta(minutes=10)


async def quote(
    session: AsyncSession,
    actor: Actor,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
) -> Quote:
    """Price a stretch of room time under the store's rules and store the quote.

    Raises NotFound for the room; KaimenError ``booking.*``, ``room.maintenance``, ``price.missing``.
    """
    room = (await session.exec(scoped(actor, Room).where(col(Room.id) == room_id))).first()
    if room is None:
        raise NotFound("room", "没有这个包间")
    store = (await session.exec(scoped(actor, Store).where(col(Store.id) == room.store_id))).one()
    starts_at, ends_at = starts_at.astimezone(UTC), ends_at.astimezone(UTC)
    rules.check(store, room, starts_at, ends_at, clocks.now)
    pieces = split(await tariffs_of(session, actor, room), store.tz, starts_at, ends_at)
    made = Quote(
        merchant_id=store.merchant_id,
        store_id=store.id,
        room_id=room.id,
        starts_at=starts_at,
        ends_at=ends_at,
        total_fen=sum(piece.amount_fen for piece in pieces),
        lines=[_line(piece, store.tz) for piece in pieces],
        created_at=clocks.now,
        expires_at=clocks.now + QUOTE_VALID,
    )
    session.add(made)
    await session.flush()
    return made


async def tariffs_of(session: AsyncSession, actor: Actor, room: Room) -> Sequence[Tariff]:
    """The tariffs that may rule in ``room``: its own and the store's."""
    query = scoped(actor, Tariff).where(
        col(Tariff.store_id) == room.store_id,
        or_(col(Tariff.room_id).is_(None), col(Tariff.room_id) == room.id),
    )
    return (await session.exec(query)).all()


async def prices_from(session: AsyncSession, actor: Actor, store_id: str) -> dict[str | None, int]:
    """The lowest hourly price in fen by room id; ``None`` stands for rooms without tariffs of their own."""
    query = scoped(actor, Tariff).where(col(Tariff.store_id) == store_id)
    lowest: dict[str | None, int] = {}
    for tariff in (await session.exec(query)).all():
        here = lowest.get(tariff.room_id)
        lowest[tariff.room_id] = tariff.hourly_fen if here is None else min(here, tariff.hourly_fen)
    return lowest


async def take_quote(session: AsyncSession, actor: Actor, quote_id: str, clocks: Clocks) -> Quote:
    """The quote to order from. Raises NotFound, or KaimenError ``quote.expired`` (410)."""
    found = (await session.exec(scoped(actor, Quote).where(col(Quote.id) == quote_id))).first()
    if found is None:
        raise NotFound("quote", "没有这份报价，请重新选择时间")
    if found.expires_at <= clocks.now:
        raise KaimenError("quote.expired", "报价已过期，请重新选择时间", status=410)
    return found


def _line(piece: Piece, tz: str) -> dict[str, Any]:
    zone = ZoneInfo(tz)
    here, there = piece.starts_at.astimezone(zone), piece.ends_at.astimezone(zone)
    return {
        "text": f"{piece.tariff.name} {here:%H:%M}–{there:%H:%M}",
        "from": _iso(piece.starts_at),
        "to": _iso(piece.ends_at),
        "minutes": piece.seconds // 60,
        "hourly_fen": piece.tariff.hourly_fen,
        "amount_fen": piece.amount_fen,
        "tariff_id": piece.tariff.id,
    }


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
