"""Reading and setting the rules of booking, for staff; what changed stands in the log of acts."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import booking_rules
from cloud_api.claims.booking_rules import OF_STORE, Rules, merged, rules_of
from cloud_api.claims.models import BookingRule
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.outbox import desired_changed
from cloud_api.staff.permissions import STORE_EDIT, STORE_READ
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room, get_store


async def read(
    session: AsyncSession, staff: Staff, store_id: str, room_id: str | None
) -> tuple[Rules, dict[str, Any]]:
    """The rules in force, and what of them is set here (for a room: what differs from its store)."""
    staff.need(STORE_READ)
    store, room = await _place(session, staff, store_id, room_id)
    row = await session.get(BookingRule, store.id if room is None else room.id)
    return await rules_of(session, store, room_id), dict(row.rules) if row is not None else {}


async def set_rules(
    session: AsyncSession,
    staff: Staff,
    store_id: str,
    room_id: str | None,
    changes: dict[str, Any],
    clocks: Clocks,
) -> Rules:
    """Set some rules of a store, or of one of its rooms; None takes a rule back to what stands above.

    Needs store.edit. Raises NotFound, KaimenError ``rules.bad`` (422) that names the field.
    """
    staff.need(STORE_EDIT)
    store, room = await _place(session, staff, store_id, room_id)
    if unknown := next((name for name in changes if name not in Rules.model_fields), None):
        raise KaimenError("rules.bad", "没有这条规则", status=422, field=unknown)
    key = store.id if room is None else room.id
    row = await session.get(BookingRule, key)
    if row is None:
        row = BookingRule(
            id=key,
            merchant_id=store.merchant_id,
            store_id=store.id,
            room_id=room_id,
            updated_at=clocks.now,
        )
    before = dict(row.rules)
    own = {name: value for name, value in {**before, **changes}.items() if value is not None}
    columns: dict[str, Any] = {
        name: own.pop(name) for name in OF_STORE if room is None and name in own
    }
    base = (await session.get(BookingRule, store.id)) if room is not None else None
    checked = _checked(store, columns, base.rules if base is not None else {}, own)
    for name in columns:
        before[name] = getattr(store, name)
        setattr(store, name, getattr(checked, name))
    dumped = checked.model_dump(mode="json", by_alias=True)
    row.rules, row.updated_at = {name: dumped[name] for name in own}, clocks.now
    session.add_all([store, row])
    await session.flush()
    booking_rules.changed(session)
    await audit.record(
        session,
        staff,
        "booking.rules",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"store:{store.id}" if room is None else f"room:{room.id}",
        before={name: before.get(name) for name in sorted(changes)},
        after={name: dumped[name] for name in sorted(changes)},
        clocks=clocks,
    )
    await desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )
    return checked


def _checked(
    store: Store, columns: dict[str, Any], of_store: dict[str, Any], own: dict[str, Any]
) -> Rules:
    try:
        return merged(store, {**of_store, **columns}, own)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "min_minutes"
        text = first["msg"].removeprefix("Value error, ")
        known = first["type"] == "value_error"
        raise KaimenError(
            "rules.bad",
            text if known else "这一项填得不对，请看提示的范围",
            status=422,
            field=f"rules.{field}",
        ) from None


async def _place(
    session: AsyncSession, staff: Staff, store_id: str, room_id: str | None
) -> tuple[Store, Room | None]:
    store = await get_store(session, staff, store_id)
    if room_id is None:
        return store, None
    room = await get_room(session, staff, room_id)
    if room.store_id != store.id:
        raise NotFound("room")
    return store, room
