"""What a store last said of itself, in a form for people: boards, switches, stays, how fresh it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import Binding, Board, StoreStatus
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.stores import service as stores
from store_link.clock import from_ms
from store_link.reports import Reported

STALE = timedelta(seconds=90)  # a store reports at least every 30 s


@dataclass(frozen=True, slots=True)
class ValueView:
    """A binding as last read. ``quality``: ok, stale, fault, never; ``at`` is wire time."""

    value: bool | int | float | str | None
    quality: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class AirView:
    """An air conditioner as the store reports it; ``modes`` and ``fans`` it can be told there."""

    mode: str | None
    fan: str | None
    quality: str
    modes: tuple[str, ...]
    fans: tuple[str, ...]
    until: datetime | None  # business time, while it is held


@dataclass(frozen=True, slots=True)
class StoreStatusView:
    """A store's report. ``stale`` when it is offline or older than 90 s; instants are wire time."""

    online: bool
    stale: bool
    nonce: str | None
    presence_at: datetime | None
    reported_at: datetime | None
    epoch: int = 0
    rev: int = 0
    version: str = ""
    clock: str = "untrusted"
    boards: dict[str, str] = field(default_factory=dict)  # board id → online, offline, …
    values: dict[str, ValueView] = field(default_factory=dict)  # by binding id
    stays: dict[str, str] = field(default_factory=dict)  # claim id → state
    overrides: dict[str, datetime] = field(
        default_factory=dict
    )  # binding id → until, business time
    modes: dict[str, str] = field(default_factory=dict)  # room id → mode that the store obeys
    climates: dict[str, tuple[int, datetime]] = field(
        default_factory=dict
    )  # binding id → (°C, until, business time)
    airs: dict[str, AirView] = field(default_factory=dict)  # by binding id; none of an older store
    outbox_depth: int = 0

    def board_dead(self, board_id: str | None) -> bool:
        """Whether the store says that this board does not answer."""
        return board_id is not None and self.boards.get(board_id) in ("offline", "refused")


NOTHING = StoreStatusView(False, True, None, None, None)


async def get_status(
    session: AsyncSession, actor: Actor, store_id: str, now: datetime | None = None
) -> StoreStatusView:
    """The status of a store that ``actor`` sees. Raises NotFound ``store.not_found``.

    With ``now`` (wire time) a report older than 90 s counts as stale. What a store reports holds
    nothing personal, so a customer's door page may ask as well.
    """
    await stores.get_store(session, actor, store_id)
    query = scoped(System(), StoreStatus).where(col(StoreStatus.store_id) == store_id)
    row = (await session.exec(query)).one_or_none()
    return NOTHING if row is None else view(row, now)


def view(row: StoreStatus, now: datetime | None) -> StoreStatusView:
    """From the row; with ``now`` (wire time) an old report counts as stale."""
    old = now is not None and (row.reported_at is None or now - row.reported_at > STALE)
    try:
        said = None if row.reported is None else Reported.model_validate(row.reported)
    except ValidationError:
        said = None  # of a version we do not know: presence still holds
    base: dict[str, Any] = {
        "online": row.online and row.nonce is not None,
        "stale": old or not row.online or said is None,
        "nonce": row.nonce,
        "presence_at": row.presence_at,
        "reported_at": row.reported_at,
        "epoch": row.epoch,
        "rev": row.rev,
    }
    if said is None:
        return StoreStatusView(**base)
    return StoreStatusView(
        **base,
        version=said.version,
        clock=said.clock.value,
        boards={board.id: board.state for board in said.boards},
        values={
            key: ValueView(
                value.value, value.quality.value, None if value.at is None else from_ms(value.at)
            )
            for key, value in said.values.items()
        },
        stays={stay.id: stay.state.value for stay in said.stays},
        overrides={item.binding: from_ms(item.until) for item in said.overrides},
        modes={item.room: item.mode for item in said.modes},
        climates={item.binding: (item.setpoint, from_ms(item.until)) for item in said.climates},
        airs={
            air.binding: AirView(
                air.mode,
                air.fan,
                air.quality.value,
                air.modes,
                air.fans,
                None if air.until is None else from_ms(air.until),
            )
            for air in said.airs
        },
        outbox_depth=said.outbox.depth,
    )


async def online(session: AsyncSession, store_ids: Iterable[str]) -> set[str]:
    """Those of ``store_ids`` that are heard from; one query."""
    query = select(col(StoreStatus.store_id)).where(
        col(StoreStatus.store_id).in_(list(store_ids)),
        col(StoreStatus.online),
        col(StoreStatus.nonce).is_not(None),
    )
    return set((await session.exec(query)).all())


async def boards_of(session: AsyncSession, actor: Actor, store_id: str) -> list[Board]:
    """The boards of a store."""
    query = scoped(actor, Board).where(col(Board.store_id) == store_id).order_by(col(Board.id))
    return list((await session.exec(query)).all())


async def bindings_of(session: AsyncSession, actor: Actor, store_id: str) -> list[Binding]:
    """The uses of a store's boards."""
    query = (
        scoped(actor, Binding).where(col(Binding.store_id) == store_id).order_by(col(Binding.id))
    )
    return list((await session.exec(query)).all())
