"""What air conditioners are set to when a stay begins, by season, and when a room is cleaned.

Set once, then the guest chooses. A device that does not take a part of it leaves that part as it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import unchanged
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from store_link.rules import AirFan, AirMode, AirRule, MonthDay

LOW: Final = 16
HIGH: Final = 30


class AirSet(BaseModel):
    """What it is set to; null: left as it is. ``setpoint`` in °C."""

    model_config = ConfigDict(extra="forbid")
    mode: AirMode | None = None
    setpoint: Annotated[int, Field(ge=LOW, le=HIGH)] | None = None
    fan: AirFan | None = None

    @property
    def empty(self) -> bool:
        """Whether it says nothing."""
        return self.mode is None and self.setpoint is None and self.fan is None


class Season(AirSet):
    """From one day of the year (``MM-DD``, local) to another, both included; over the new year too."""

    begins: MonthDay
    ends: MonthDay


class AirDefaults(BaseModel):
    """``rest``: when neither season is; ``cleaning``: when staff set the room to it."""

    model_config = ConfigDict(extra="forbid")
    summer: Season = Season(begins="06-01", ends="09-30")
    winter: Season = Season(begins="11-15", ends="03-15")
    rest: AirSet = AirSet()
    cleaning: AirSet = AirSet()

    def rules(self) -> tuple[AirRule, ...]:
        """As the wire has it: the first that holds."""
        said: tuple[tuple[AirSet, dict[str, str]], ...] = (
            (self.summer, {"phase": "stay"}),
            (self.winter, {"phase": "stay"}),
            (self.rest, {"phase": "stay"}),
            (self.cleaning, {"phase": "cleaning"}),
        )
        return tuple(
            AirRule.model_validate(one.model_dump() | more) for one, more in said if not one.empty
        )


def of(kept: dict[str, Any] | None) -> AirDefaults | None:
    """What a row keeps."""
    return None if kept is None else AirDefaults.model_validate(kept)


def facts_of(target: Store | Room) -> dict[str, Any]:
    """What a form shows of a store's or a room's."""
    return {"air": target.air}


def rules_of(store: Store, room: Room | None = None) -> tuple[AirRule, ...]:
    """Of a room: its own, else the store's."""
    own = None if room is None else of(room.air)
    found = own or of(store.air)
    return () if found is None else found.rules()


async def save(
    session: AsyncSession,
    actor: Staff,
    target: Store | Room,
    wanted: AirDefaults | None,
    clocks: Clocks,
    saw: str | None = None,
) -> None:
    """Set them for a store or for one of its rooms; None: none, or the store's. Needs store.edit.

    Raises KaimenError ``air.seasons_overlap`` (422): a day has one season; Conflict ``air.changed`` (kit/seen.py).
    """
    actor.need(STORE_EDIT)
    if wanted is not None and _overlap(wanted.summer, wanted.winter):
        raise KaimenError(
            "air.seasons_overlap",
            _("夏季和冬季有几天重了，改一下日期"),
            status=422,
            field="winter.begins",
        )
    store = target
    if isinstance(target, Room):
        store = await stores.get_store(session, actor, target.store_id)
    assert isinstance(store, Store)
    await session.refresh(target, with_for_update={"key_share": True})
    before = facts_of(target)
    after = {"air": None if wanted is None else wanted.model_dump(mode="json")}
    unchanged(saw, before, after, "air.changed")
    target.air = after["air"]
    session.add(target)
    kind = "room" if isinstance(target, Room) else "store"
    await audit.record(
        session,
        actor,
        "air.edit",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"{kind}:{target.id}",
        before=before,
        after=after,
        clocks=clocks,
    )
    await outbox.desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )


def _overlap(one: Season, other: Season) -> bool:
    if one.empty or other.empty:
        return False
    first, second = (AirRule(begins=s.begins, ends=s.ends) for s in (one, other))
    return first.holds(other.begins) or second.holds(one.begins)
