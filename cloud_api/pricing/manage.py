"""Setting prices: tariffs, slots, packages, extras, how time is counted. Needs price.edit.

What was quoted keeps its price. A change of tariffs that would leave an hour of a room without any price
is refused: nobody could book it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeVar

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.pricing.calendar import HOLIDAY, PLAIN, Day, matches
from cloud_api.pricing.models import Extra, Package, PriceRule, Slot, Tariff
from cloud_api.staff.permissions import PRICE_EDIT
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_store, rooms_of

Thing = TypeVar("Thing", Tariff, Slot, Package, Extra)
MOST: Final = 200  # of each in a store


@dataclass(frozen=True, slots=True)
class Prices:
    """All of a store's, in the order people see them."""

    tariffs: list[Tariff]
    slots: list[Slot]
    packages: list[Package]
    extras: list[Extra]
    rule: PriceRule


async def prices_of(session: AsyncSession, actor: Actor, store: Store) -> Prices:
    """Everything that is set; those that are stopped as well."""
    rule = await session.get(PriceRule, store.id)
    tariffs = await _all(session, Tariff, store.id)
    return Prices(
        tariffs=sorted(tariffs, key=lambda t: (-t.priority, t.from_minute, t.id)),
        slots=await _all(session, Slot, store.id),
        packages=await _all(session, Package, store.id),
        extras=await _all(session, Extra, store.id),
        rule=rule or PriceRule(store_id=store.id, merchant_id=store.merchant_id),
    )


async def save(
    session: AsyncSession,
    actor: Staff,
    model: type[Thing],
    store_id: str,
    thing_id: str | None,
    values: dict[str, Any],
    clocks: Clocks,
) -> Thing:
    """Make one, or give ``thing_id`` new values. Raises NotFound, Conflict ``price.too_many``,
    ``price.hole``, ``price.other_room``.
    """
    actor.need(PRICE_EDIT)
    store = await get_store(session, actor, store_id)
    rooms = await rooms_of(session, actor, store_id)
    wanted = {values["room_id"]} if values.get("room_id") else set(values.get("rooms") or ())
    if not wanted <= {room.id for room in rooms}:
        raise Conflict("price.other_room", "选的包间不在这家店，刷新再选")
    before = None
    known = await _all(session, model, store.id)
    if thing_id is None:
        if len(known) >= MOST:
            raise Conflict("price.too_many", _("最多 {most} 条，先删掉不用的").format(most=MOST))
        made = model(
            merchant_id=store.merchant_id, store_id=store.id, created_at=clocks.now, **values
        )
    else:
        made = _one(known, thing_id)
        before = {name: _plain(getattr(made, name)) for name in values}
        for name, value in values.items():
            setattr(made, name, value)
    session.add(made)
    await session.flush()
    if isinstance(made, Tariff) and thing_id is not None:
        _check_whole(await _all(session, Tariff, store.id), rooms)
    after = {name: _plain(value) for name, value in values.items()}
    await _record(session, actor, store, made, "save", before, after, clocks)
    return made


async def remove(
    session: AsyncSession,
    actor: Staff,
    model: type[Thing],
    store_id: str,
    thing_id: str,
    clocks: Clocks,
) -> None:
    """A tariff goes; anything else is sold no more. Raises NotFound, Conflict ``price.hole``."""
    actor.need(PRICE_EDIT)
    store = await get_store(session, actor, store_id)
    found = _one(await _all(session, model, store.id), thing_id)
    if isinstance(found, Tariff):
        await session.delete(found)
        await session.flush()
        rooms = await rooms_of(session, actor, store_id)
        _check_whole(await _all(session, Tariff, store.id), rooms)
    else:
        found.active = False
        session.add(found)
    await _record(session, actor, store, found, "remove", {"name": found.name}, None, clocks)


async def set_rule(
    session: AsyncSession, actor: Staff, store_id: str, values: dict[str, Any], clocks: Clocks
) -> PriceRule:
    """How the store counts time."""
    actor.need(PRICE_EDIT)
    store = await get_store(session, actor, store_id)
    rule = await session.get(PriceRule, store.id)
    rule = rule or PriceRule(store_id=store.id, merchant_id=store.merchant_id)
    before = {name: getattr(rule, name) for name in values}
    for name, value in values.items():
        setattr(rule, name, value)
    session.add(rule)
    await audit.record(
        session, actor, "price.rule", merchant_id=store.merchant_id, store_id=store.id,
        subject=f"store:{store.id}", before=before, after=values, clocks=clocks,
    )  # fmt: skip
    return rule


def hole(tariffs: Sequence[Tariff], room: Room) -> tuple[int, int, bool] | None:
    """The first (weekday, minute, holiday) of a room that no tariff prices; None: all have a price."""
    mine = [
        t for t in tariffs if t.room_id in (None, room.id) and t.room_kind in (None, "", room.kind)
    ]
    for weekday in range(7):
        for kind in (PLAIN, HOLIDAY):
            day = Day(date(2026, 1, 5), kind, weekday)
            minute = 0
            spans = sorted((t.from_minute, t.until_minute) for t in mine if matches(t, day))
            for begin, end in spans:
                if begin > minute:
                    break
                minute = max(minute, end)
            if minute < 1440:
                return weekday, minute, kind == HOLIDAY
    return None


def _check_whole(tariffs: Sequence[Tariff], rooms: Sequence[Room]) -> None:
    for room in rooms:
        found = hole(tariffs, room)
        if found is not None:
            weekday, minute, holiday = found
            when = f"{'节假日' if holiday else '周' + '一二三四五六日'[weekday]} {minute // 60:02d}:{minute % 60:02d}"
            raise Conflict(
                "price.hole",
                _("这样改，{name}在{when}起就没有价格了，先补一条能盖住的").format(
                    name=room.name, when=when
                ),
            )


def _one(known: Sequence[Thing], thing_id: str) -> Thing:
    found = next((one for one in known if one.id == thing_id), None)
    if found is None:
        raise NotFound("price")
    return found


async def _all(session: AsyncSession, model: type[Thing], store_id: str) -> list[Thing]:
    query = scoped(System(), model).where(col(model.store_id) == store_id)
    found = list((await session.exec(query)).all())
    return sorted(found, key=lambda one: (getattr(one, "sort", 0), one.id))


async def _record(
    session: AsyncSession,
    actor: Staff,
    store: Store,
    made: Tariff | Slot | Package | Extra,
    act: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    clocks: Clocks,
) -> None:
    noun = type(made).__name__.lower()
    await audit.record(
        session, actor, f"{noun}.{act}", merchant_id=store.merchant_id, store_id=store.id,
        subject=f"{noun}:{made.id}", before=before, after=after, clocks=clocks,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
