"""What a walk over the demonstration sees and touches: coils of boards, rows of the database, people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.database import Database
from cloud_api.orders.models import Order
from cloud_api.store_channel.models import EventCursor, StoreEvent
from cloud_api.stores.models import Door
from demo.people import Person, Refused, until
from demo.processes import local_http
from demo.seed import (
    CONTACT_INPUT,
    METER_PORT,
    OWNER_PHONE,
    RELAYS,
    ROLES,
    ROOMS,
    SPEAKER_PORT,
)
from demo.stage import Stage
from store_link.clock import BusinessClock

CHANNEL = {role: channel for role, _, channel in ROLES}


class Sight:
    """Eyes and hands over a stage that is up. ``order`` is the one that is spoken of now."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.clock = BusinessClock(stage.clock_file)
        self.guest = Person(stage, "+8613900000001")
        self.other = Person(stage, "+8613900000002")
        self.owner = Person(stage, OWNER_PHONE)
        self.rooms: dict[str, str] = {}
        self.doors: dict[str, Door] = {}
        self.order: dict[str, Any] = {}

    def close(self) -> None:
        """Nobody looks any more."""
        for person in self.people:
            person.close()

    @property
    def people(self) -> tuple[Person, ...]:
        """Who has a phone here."""
        return (self.guest, self.other, self.owner)

    # --------------------------------------------------------------------------------------- looking

    def board(self, room: str) -> dict[str, Any]:
        """The virtual board of a room, as it is now."""
        unit = next(plan.unit for plan in ROOMS if plan.name == room)
        state = local_http().get(f"{self.stage.url('boards', local=True)}/state").json()
        boards = [board for line in state["lines"] for board in line["boards"]]
        return next(
            board for board in boards if board["unit_id"] == unit and board["profile"] == RELAYS
        )

    def coil(self, room: str, role: str) -> dict[str, Any]:
        """One coil of a room's board."""
        found: dict[str, Any] = self.board(room)["coils"][CHANNEL[role] - 1]
        return found

    def pulses(self, room: str) -> int:
        """How often the lock of a room was pulsed, as the board counted."""
        return int(self.coil(room, "lock")["pulses"])

    def expect_power(self, room: str, role: str, *, on: bool, seconds: float = 8.0) -> None:
        """A coil is, or soon becomes, on or off."""
        until(
            lambda: self.coil(room, role)["on"],
            lambda seen: seen is on,
            f"{room} {role} {'on' if on else 'off'}",
            seconds,
        )

    def expect_case(self, who: Person, door: str, case: str) -> dict[str, Any]:
        """What the door answers."""
        view = until(
            lambda: who.get(f"/doors/{self.doors[door].token}"),
            lambda seen: seen["case"] == case,
            f"the door to say {case}",
            5,
        )
        found: dict[str, Any] = view
        return found

    def expect_refusal(self, who: Person, door: str) -> None:
        """A tap is refused with a code."""
        try:
            answer = who.unlock(self.doors[door].token)
        except Refused as refused:
            if refused.status not in {403, 409}:
                raise
            return
        assert answer["state"] in {"refused", "not_sent"}, answer

    def seen(self) -> dict[str, Any]:
        """The order as its guest sees it."""
        return self.guest.get(f"/orders/{self.order['id']}")

    def online(self, seconds: float = 40.0) -> None:
        """Wait until the cloud sees the store online again."""
        view = f"/console/stores/{self.stage.store_id}/devices"
        until(
            lambda: self.owner.get(view),
            lambda seen: seen["online"] and all(b["state"] == "online" for b in seen["boards"]),
            "the store to be online",
            seconds,
        )

    def binding(self, room: str, role: str) -> str:
        """The id of a room's binding."""
        view = self.owner.get(f"/console/stores/{self.stage.store_id}/devices")
        return next(
            str(one["id"])
            for one in view["bindings"]
            if one["role"] == role and one["rooms"] == [self.rooms[room]]
        )

    # ---------------------------------------------------------------------------------------- acting

    def to_window(self) -> None:
        """Advance the clock to five minutes before the order's start."""
        self.advance_to(datetime.fromisoformat(self.order["starts_at"]) - timedelta(minutes=5))

    def advance_to(self, when: datetime) -> None:
        """Advance business time to an instant; fine if it is past already."""
        self.clock.advance(max(0.0, (when - self.clock.now()).total_seconds()))

    def sense(self, room: str, *, taken: bool) -> None:
        """Let the presence sensor of a room see people, or nobody."""
        number = next(i for i, plan in enumerate(ROOMS, 1) if plan.name == room)
        self._meddle(f"/boards/inputs/inputs/{number}", {"on": taken})

    def fault(self, room: str, *, dead: bool) -> None:
        """Make the board of a room silent, or heal it."""
        self._meddle(f"/boards/{self.board(room)['id']}/fault", {"dead": dead})

    def open_door(self, *, standing: bool) -> None:
        """Let the contact of the measured room's door see it open, or shut."""
        self._meddle(f"/boards/inputs/inputs/{CONTACT_INPUT}", {"on": standing})

    def draw(self, *, watts: float, counted_wh: float) -> None:
        """What the meter of the measured room shows."""
        self._meddle(f"/boards/{METER_PORT}/points/power", {"value": watts})
        self._meddle(f"/boards/{METER_PORT}/points/energy", {"value": counted_wh})

    def said(self) -> list[int]:
        """The numbers of the clips that the measured room's voice has played."""
        state = local_http().get(f"{self.stage.url('boards', local=True)}/state").json()
        boards = [board for line in state["lines"] for board in line["boards"]]
        played: list[int] = next(b["played"] for b in boards if b["id"] == SPEAKER_PORT)
        return played

    def scan(self, reader: str, text: str) -> None:
        """Hold a code before a reader."""
        self._meddle(f"/boards/{reader}/scan", {"text": text})

    def _meddle(self, path: str, body: dict[str, bool] | dict[str, str] | dict[str, float]) -> None:
        local_http().post(
            f"{self.stage.url('boards', local=True)}{path}", json=body, timeout=5.0
        ).raise_for_status()

    # ------------------------------------------------------------------------------------- database

    def read(self, query: Callable[[Any], Any]) -> Any:
        """Run ``query(session)`` on the cloud's database."""

        async def run() -> Any:
            db = Database(f"sqlite+aiosqlite:///{self.stage.folder / 'cloud.db'}")
            try:
                async with db.read() as session:
                    return await query(session)
            finally:
                await db.close()

        return asyncio.run(run())

    def learn_the_store(self) -> None:
        """Rooms and doors by their names."""
        listed: Any = self.guest.get(f"/stores/{self.stage.store_id}/rooms")
        items = listed["items"] if isinstance(listed, dict) else listed
        self.rooms = {room["name"]: room["id"] for room in items}
        self.doors = {door.name: door for door in self.read(_doors)}

    def claim(self) -> RoomClaim:
        """The claim of the order."""

        async def query(session: Any) -> RoomClaim:
            order = await session.get(Order, self.order["id"])
            found: RoomClaim = await session.get(RoomClaim, order.claim_id)
            return found

        found: RoomClaim = self.read(query)
        return found

    def journal(self) -> tuple[int, int, int]:
        """How far the cursor is, how many events there are, and the highest number among them."""
        found: tuple[int, int, int] = self.read(_journal)
        return found

    def entries(self, by: str) -> list[str]:
        """How entries by pass or PIN ended, as the cloud was told, oldest first."""

        async def query(session: Any) -> list[str]:
            rows = await session.exec(
                select(StoreEvent)
                .where(col(StoreEvent.kind) == "access")
                .order_by(col(StoreEvent.seq))
            )
            return [str(row.body["outcome"]) for row in rows if row.body["by"] == by]

        found: list[str] = self.read(query)
        return found

    def open_commands(self) -> int:
        """Commands of which nobody knows yet what became of them."""
        return int(self.read(_open_commands))


async def _doors(session: AsyncSession) -> list[Door]:
    return list((await session.exec(select(Door))).all())


async def _journal(session: AsyncSession) -> tuple[int, int, int]:
    cursor = (await session.exec(select(EventCursor))).one().upto
    count = (await session.exec(select(func.count(col(StoreEvent.id))))).one()
    highest = (await session.exec(select(func.max(StoreEvent.seq)))).one()
    return cursor, count, highest or 0


async def _open_commands(session: AsyncSession) -> int:
    ended = {"done", "failed", "refused", "expired", "unknown", "duplicate", "not_sent"}
    rows = await session.exec(
        select(func.count(col(DeviceCommand.id))).where(col(DeviceCommand.state).not_in(ended))
    )
    return int(rows.one())


def quarter(instant: datetime) -> datetime:
    """The next half hour on the wall (UTC's half hours are China's)."""
    step = 1800
    return datetime.fromtimestamp(-(-int(instant.timestamp()) // step) * step, UTC)
