"""The rules of booking of a store and of its rooms, and the refusals that come from them.

A rule is looked for at the room, then at its store, then among the store's own columns, then here.
Every refusal has a code of its own (``booking.*``), names the rule, and offers the nearest free times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import bindparam
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.claims.models import BookingRule
from cloud_api.kit.dates import days
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import built
from cloud_api.pricing import rules as limits
from cloud_api.pricing.lines import words
from cloud_api.stores.models import Room, Store

_KNOWN: Final = "kaimen.booking_rules"  # in a session: what it read
_MINUTE: Final = timedelta(minutes=1)
OF_STORE: Final = ("min_minutes", "step_minutes", "max_minutes", "advance_days", "cleaning_s")
"""What the store has a column of its own for; a room may still say otherwise."""

Minutes = Annotated[int, Field(ge=0, le=43_200)]
PerCent = Annotated[int, Field(ge=0, le=100)]
LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Blocked(BaseModel):
    """Hours in which nobody may book: local times on some weekdays (Monday = 1 … Sunday = 64).

    ``until`` at or before ``from_`` is on the next day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    weekdays: Annotated[int, Field(ge=1, le=127)] = 127
    from_: LocalTime = Field(alias="from")
    until: LocalTime
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)] = ""


class Tier(BaseModel):
    """Cancelling at least ``minutes`` before the start costs ``per_cent`` of what was paid."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    minutes: Minutes
    per_cent: PerCent


class Rules(BaseModel):
    """All rules of a room, in force. Minutes are elapsed time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    min_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    step_minutes: Annotated[int, Field(ge=1, le=240)] = 30
    max_minutes: Annotated[int, Field(ge=1, le=2880)] = 720
    advance_days: Annotated[int, Field(ge=0, le=365)] = 7
    cleaning_s: Annotated[int, Field(ge=0, le=14_400)] = 900
    notice_minutes: Minutes = 0
    blocked: Annotated[tuple[Blocked, ...], Field(max_length=20)] = ()
    max_open: Annotated[int, Field(ge=0, le=100)] = 0  # orders of one customer; 0 = any number
    confirm_minutes: Annotated[int, Field(ge=0, le=1440)] = 0  # the house confirms; 0 = by itself
    no_show_minutes: Annotated[int, Field(ge=0, le=720)] = 0  # released so long after the start
    no_show_per_cent: PerCent = 100
    cancel_tiers: Annotated[tuple[Tier, ...], Field(max_length=6)] = (
        Tier(minutes=120, per_cent=0),
        Tier(minutes=0, per_cent=50),
    )
    change_until_minutes: Minutes = 30
    change_free_times: Annotated[int, Field(ge=0, le=20)] = 1
    change_per_cent: PerCent = 10
    early_unit_minutes: Annotated[int, Field(ge=0, le=240)] = (
        0  # 0: leaving early gives nothing back
    )
    early_per_cent: PerCent = 100
    extend_step_minutes: Annotated[int, Field(ge=1, le=240)] = 30
    offer_minutes: Annotated[int, Field(ge=2, le=240)] = 15  # so long a waiting guest is waited for
    friends: Annotated[int, Field(ge=0, le=30)] = 8
    staff_hold_minutes: Annotated[int, Field(ge=2, le=1440)] = 60

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.min_minutes > self.max_minutes:
            raise ValueError("最短时长不能超过最长时长")
        before = [tier.minutes for tier in self.cancel_tiers]
        if before != sorted(set(before), reverse=True):
            raise ValueError("取消的档位要从早到晚排，不能重复")
        return self

    @property
    def cleaning(self) -> timedelta:
        """How long the room is blocked after a stay."""
        return timedelta(seconds=self.cleaning_s)


def merged(store: Store, of_store: dict[str, Any], of_room: dict[str, Any]) -> Rules:
    """The rules in force, from what is set where."""
    columns = {name: getattr(store, name) for name in OF_STORE}
    return Rules.model_validate({**columns, **of_store, **of_room})


async def rules_of(session: AsyncSession, store: Store, room_id: str | None) -> Rules:
    """The rules of a room, or of its store for None."""
    rows = await _rows(session, [store.id, room_id or store.id])
    return merged(store, rows.get(store.id, {}), rows.get(room_id or "", {}))


async def rules_by_room(
    session: AsyncSession, stores: Sequence[Store], rooms: Sequence[Room]
) -> dict[str, Rules]:
    """By room id, the rules of rooms; one query for any number."""
    by_id = {store.id: store for store in stores}
    rows = await _rows(session, [*by_id, *(room.id for room in rooms)])
    return {
        room.id: merged(by_id[room.store_id], rows.get(room.store_id, {}), rows.get(room.id, {}))
        for room in rooms
    }


async def _rows(session: AsyncSession, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is set, by id; asked once in a session, which is a transaction or a look."""
    known: dict[str, dict[str, Any] | None] = session.info.setdefault(_KNOWN, {})
    if unknown := set(ids) - known.keys():
        rows = (await session.exec(_of_ids(), params={"ids": list(unknown)})).all()
        known.update(dict.fromkeys(unknown))
        known.update({row.id: row.rules for row in rows})
    return {key: found for key in ids if (found := known[key]) is not None}


def beside(query: Any) -> Any:
    """``query`` of a Room with its Store, and what is set about booking for either: two more columns.

    Give them to ``know``, and nobody in that session asks for them again.
    """
    of_store, of_room = aliased(BookingRule), aliased(BookingRule)
    return (
        query.outerjoin(of_store, col(of_store.id) == col(Store.id))
        .outerjoin(of_room, col(of_room.id) == col(Room.id))
        .add_columns(of_store.rules, of_room.rules)
    )


def know(
    session: AsyncSession,
    room: Room,
    of_store: dict[str, Any] | None,
    of_room: dict[str, Any] | None,
) -> None:
    """Remember what ``beside`` brought."""
    known = session.info.setdefault(_KNOWN, {})
    known.update({room.store_id: of_store, room.id: of_room})


@built
def _of_ids() -> SelectOfScalar[BookingRule]:
    return select(BookingRule).where(col(BookingRule.id).in_(bindparam("ids", expanding=True)))


def changed(session: AsyncSession) -> None:
    """A rule was set in this session: they are asked anew."""
    session.info.pop(_KNOWN, None)


def refusal(
    rules: Rules,
    store: Store,
    room: Room,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    *,
    fixed: bool = False,
) -> KaimenError | None:
    """Why this time may not be booked, or None. Whether it is free is not asked here."""
    try:
        limits.check(store, room, starts_at, ends_at, now, rules, fixed=fixed)
    except KaimenError as error:
        return error
    if rules.notice_minutes and starts_at < now + rules.notice_minutes * _MINUTE - _MINUTE:
        return KaimenError(
            "booking.notice",
            _("要提前 {time} 预订").format(time=span_words(rules.notice_minutes)),
            status=422,
            field="starts_at",
            extra={"limit_minutes": rules.notice_minutes},
        )
    for blocked in rules.blocked:
        if _touches(blocked, store.tz, starts_at, ends_at):
            why = _("（{why}）").format(why=blocked.why) if blocked.why else ""
            return KaimenError(
                "booking.blocked",
                _("{from_}–{until} 不接受预订{why}").format(
                    from_=blocked.from_, until=blocked.until, why=why
                ),
                status=422,
                field="starts_at",
            )
    return None


def _touches(blocked: Blocked, tz: str, starts_at: datetime, ends_at: datetime) -> bool:
    zone = ZoneInfo(tz)
    day = starts_at.astimezone(zone).date() - timedelta(days=1)
    last = ends_at.astimezone(zone).date()
    opens, closes = time.fromisoformat(blocked.from_), time.fromisoformat(blocked.until)
    while day <= last:
        if blocked.weekdays >> day.weekday() & 1:
            until = day if closes > opens else day + timedelta(days=1)
            begin = datetime.combine(day, opens, zone)
            end = datetime.combine(until, closes, zone)
            if begin < ends_at and starts_at < end:
                return True
        day += timedelta(days=1)
    return False


def span_words(minutes: int) -> str:
    """``2 小时``, ``1 天``, ``45 分钟``."""
    if minutes and minutes % 1440 == 0:
        return days(minutes // 1440)
    return words(minutes)
