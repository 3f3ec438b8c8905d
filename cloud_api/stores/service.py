"""Stores, rooms and doors as the rest of the cloud asks for them."""

from __future__ import annotations

from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import service as audit
from cloud_api.kit import outbox
from cloud_api.kit.actor import Actor, Staff, scoped, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.paging import page_of
from cloud_api.kit.statements import built
from cloud_api.staff.permissions import PRICE_EDIT, STORE_EDIT, STORE_READ
from cloud_api.stores.hours import check_hours, without_past
from cloud_api.stores.models import Door, Room, Store


async def list_stores(session: AsyncSession, actor: Actor) -> list[Store]:
    """The stores an actor sees, by name."""
    return list((await session.exec(scoped(actor, Store).order_by(col(Store.name)))).all())


async def get_store(session: AsyncSession, actor: Actor, store_id: str) -> Store:
    """One store. Raises NotFound ``store.not_found``."""
    found = (
        await session.exec(scoped(actor, Store).where(col(Store.id) == store_id))
    ).one_or_none()
    if found is None:
        raise NotFound("store")
    return found


async def rooms_of(session: AsyncSession, actor: Actor, store_id: str) -> list[Room]:
    """The rooms of a store in their own order; not those that were given up."""
    return list((await session.exec(rooms_query(actor, store_id))).all())


def rooms_query(actor: Actor, store_id: str) -> SelectOfScalar[Room]:
    """What ``rooms_of`` reads, for who wants to know more with it."""
    return (
        scoped(actor, Room)
        .where(col(Room.store_id) == store_id, col(Room.retired_at).is_(None))
        .order_by(col(Room.sort), col(Room.index))
    )


async def get_room(session: AsyncSession, actor: Actor, room_id: str) -> Room:
    """One room. Raises NotFound ``room.not_found``."""
    found = (await session.exec(scoped(actor, Room).where(col(Room.id) == room_id))).one_or_none()
    if found is None:
        raise NotFound("room")
    return found


async def doors_of(session: AsyncSession, actor: Actor, store_id: str) -> list[Door]:
    """The doors of a store: entrances first, then by name."""
    query = (
        scoped(actor, Door)
        .where(col(Door.store_id) == store_id)
        .order_by(col(Door.kind), col(Door.id))
    )
    return list((await session.exec(query)).all())


async def get_door(session: AsyncSession, actor: Actor, door_id: str) -> Door:
    """One door by its id. Raises NotFound ``door.not_found``."""
    who, theirs = stand_in(actor)
    found = (await session.exec(_door(who), params={"door_id": door_id, **theirs})).one_or_none()
    if found is None:
        raise NotFound("door")
    return found


async def locate_door(session: AsyncSession, actor: Actor, door_id: str) -> tuple[str, str]:
    """Store and merchant of a door. Raises NotFound ``door.not_found``."""
    found = (await session.execute(*locating_door(actor, door_id))).one_or_none()
    if found is None:
        raise NotFound("door")
    return found.store_id, found.merchant_id


def locating_door(actor: Actor, door_id: str) -> tuple[Any, dict[str, Any]]:
    """The statement, with its values, whose row is the (id, store_id, merchant_id) of a door."""
    who, theirs = stand_in(actor)
    return _located(who), {"door_id": door_id, **theirs}


@built
def _located(who: Actor) -> Any:
    return _door(who).with_only_columns(col(Door.id), col(Door.store_id), col(Door.merchant_id))


@built
def _door(who: Actor) -> SelectOfScalar[Door]:
    return scoped(who, Door).where(col(Door.id) == bindparam("door_id"))


async def get_door_by_token(session: AsyncSession, actor: Actor, token: str) -> Door:
    """The door whose sticker carries ``token``. Raises NotFound ``door.not_found``."""
    found = (await session.exec(scoped(actor, Door).where(col(Door.token) == token))).one_or_none()
    if found is None:
        raise NotFound("door", "这张门贴已经失效，请联系店家")
    return found


async def edit_store(
    session: AsyncSession, actor: Staff, store_id: str, changes: dict[str, object], clocks: Clocks
) -> Store:
    """Change a store's rules. Needs store.edit; ``changes`` were validated by the schema.

    What overtime costs is a price: that needs price.edit as well.
    """
    actor.need(STORE_EDIT)
    priced = {name for name in changes if name.startswith("overtime_")} - {"overtime_power"}
    if priced:
        actor.need(PRICE_EDIT)
    store = await get_store(session, actor, store_id)
    check_hours(changes)
    if "days" in changes:
        today = clocks.now.astimezone(ZoneInfo(store.tz)).date()
        changes["days"] = without_past(cast(dict[str, Any], changes["days"]), today)
    before = {name: getattr(store, name) for name in changes}
    for name, value in changes.items():
        setattr(store, name, value)
    if store.min_minutes > store.max_minutes:
        raise KaimenError(
            "store.min_above_max", "最短时长不能超过最长时长", status=422, field="min_minutes"
        )
    if (store.opens is None) != (store.closes is None):
        raise KaimenError(
            "store.half_hours", "开门和打烊时间要一起填，或都不填", status=422, field="opens"
        )
    if (store.quiet_from is None) != (store.quiet_until is None):
        raise KaimenError(
            "store.half_quiet", "安静的时间要一起填，或都不填", status=422, field="quiet_from"
        )
    if priced and store.overtime_mode == "per_unit" and store.overtime_unit_fen == 0:
        raise KaimenError(
            "store.overtime_free", "写上每个计费单位多少钱，或改成不收", status=422,
            field="overtime_unit_fen",
        )  # fmt: skip
    session.add(store)
    if priced:
        await audit.record(
            session,
            actor,
            "store.overtime_rule",
            merchant_id=store.merchant_id,
            store_id=store.id,
            subject=f"store:{store.id}",
            before={name: before[name] for name in sorted(priced)},
            after={name: changes[name] for name in sorted(priced)},
            clocks=clocks,
        )
    rest = sorted(n for n in changes if n not in priced and before[n] != changes[n])
    if rest:
        await audit.record(
            session,
            actor,
            "store.edit",
            merchant_id=store.merchant_id,
            store_id=store.id,
            subject=f"store:{store.id}",
            before={name: _shown(name, before[name]) for name in rest},
            after={name: _shown(name, changes[name]) for name in rest},
            clocks=clocks,
        )
    await outbox.desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )
    return store


def _shown(name: str, value: object) -> object:
    """As the log of acts keeps it: a password was set, not which."""
    return "***" if name == "wifi_password" and value else value


async def console_stores(session: AsyncSession, actor: Staff) -> list[Store]:
    """The stores a member of staff works in. Needs store.read."""
    actor.need(STORE_READ)
    return await list_stores(session, actor)


async def stores_page(
    session: AsyncSession, actor: Staff, *, cursor: str | None, limit: int
) -> tuple[list[Store], str | None]:
    """A page of ``console_stores`` and the cursor of the next. Needs store.read."""
    actor.need(STORE_READ)
    return await page_of(
        session, scoped(actor, Store), by=Store.name, key=Store.id, downwards=False,
        cursor=cursor, limit=limit,
    )  # fmt: skip
