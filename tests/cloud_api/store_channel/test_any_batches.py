"""Whatever batches come, in whatever order: taken together they leave what taken one by one they leave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlmodel import col
from structlog.testing import capture_logs

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from cloud_api.store_channel import ingest, together
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from store_link.clock import ManualClock
from store_link.messages import ClockQuality, Event, EventBatch, EventKind
from tests.cloud_api.factories import Shop, make_store
from tests.support.statements import statements

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
LENGTH, FORK, SPECIAL, BROKEN = (
    9,
    4,
    3,
    7,
)  # seq from which a copy goes its way, of a BOOT, of nonsense


@dataclass(frozen=True)
class Told:
    """A batch as drawn: of which of two stores, which events of its journal, by whom."""

    store: int
    first: int
    last: int
    who: str  # "own" | "copy": a copied card with events of its own | "stranger": the other store


tellings = st.builds(
    lambda store, first, length, who: Told(store, first, min(first + length, LENGTH), who),
    st.integers(0, 1),
    st.integers(1, LENGTH),
    st.integers(0, 5),
    st.sampled_from(["own", "own", "own", "own", "copy", "stranger"]),
)
rounds = st.lists(st.lists(tellings, min_size=1, max_size=6), min_size=1, max_size=4)


class Desk:
    """One database with two pairs of stores: what is told to one pair together, to the other one by one."""

    def __init__(self, runner: asyncio.Runner, cloud: Cloud, shops: list[Shop]) -> None:
        self.runner, self.cloud, self.shops = runner, cloud, shops
        self._examples = itertools.count()

    async def play(self, said: list[list[Told]], *, at_once: bool, example: int) -> Any:
        """What came of each batch, and what is there at the end."""
        shops = self.shops[:2] if at_once else self.shops[2:]
        name = f"x{example}-{at_once}"
        came: list[int | str] = []
        for told in said:
            claims = [self._claim(one, shops, name) for one in told]
            taken: list[ingest.Taken | None] = [None] * len(claims)
            if at_once:
                taken = await together.take(self.cloud, claims)
            for claim, what in zip(claims, taken, strict=True):
                came.append(what.upto if what is not None else await self._alone(claim))
        return came, await self._left(shops, name)

    def example(self) -> int:
        return next(self._examples)

    def _claim(self, told: Told, shops: list[Shop], name: str) -> together.Claimed:
        events = []
        for seq in range(told.first, told.last + 1):
            whose = "copy" if told.who == "copy" and seq >= FORK else "own"
            kind, body = EventKind.DEVICE, {"board": f"b{seq}-{whose}", "state": "online"}
            if told.store and seq == SPECIAL:
                kind, body = EventKind.BOOT, {}
            if told.store and seq == BROKEN:
                body = {"nonsense": "1"}
            events.append(
                Event(
                    seq=seq, id=f"{name}-{told.store}-{seq}-{whose}", at=1_790_000_000_000,
                    clock=ClockQuality.SYNCED, kind=kind, body=body,
                )
            )  # fmt: skip
        shop = shops[told.store ^ (told.who == "stranger")]
        batch = EventBatch(
            store=shop.store.id, journal=f"{name}-j{told.store}", events=tuple(events)
        )
        return together.Claimed(shop.merchant.id, batch)

    async def _alone(self, claim: together.Claimed) -> int | str:
        try:
            return (await ingest.take(self.cloud, claim.batch.store, claim.batch)).upto
        except (ingest.ForkedJournal, ValueError) as error:
            return type(error).__name__

    async def _left(self, shops: list[Shop], name: str) -> Any:
        ids = [shop.store.id for shop in shops]
        place = {store: number for number, store in enumerate(ids)}
        async with self.cloud.db.write() as session:
            events = select(StoreEvent).where(col(StoreEvent.journal).startswith(name))
            kept = {
                (one.journal.removeprefix(name), one.seq, one.id.removeprefix(name),
                 place[one.store_id], one.kind, one.body.get("board", ""))
                for one in (await session.scalars(events)).all()
            }  # fmt: skip
            cursors = select(EventCursor).where(col(EventCursor.journal).startswith(name))
            moved = {
                (one.journal.removeprefix(name), place[one.store_id], one.upto)
                for one in (await session.scalars(cursors)).all()
            }
            lines = select(FeedEntry).where(col(FeedEntry.store_id).in_(ids))
            shown: list[list[Any]] = [[], []]
            for line in (await session.scalars(lines.order_by(col(FeedEntry.id)))).all():
                shown[place[str(line.store_id)]].append((line.topic, line.body))
            failures = select(EventFailure).where(col(EventFailure.store_id).in_(ids))
            failed = {
                (place[one.store_id], one.seq, one.attempts)
                for one in (await session.scalars(failures)).all()
            }
            await session.execute(delete(FeedEntry).where(col(FeedEntry.store_id).in_(ids)))
            await session.execute(delete(EventFailure).where(col(EventFailure.store_id).in_(ids)))
        return kept, moved, shown, failed


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Settings(secrets="11" * 32)
    use_vault(made.vault)
    clock = ManualClock(NOON)
    kind = "sqlite_templates" if request.param == "sqlite" else "postgres_templates"
    with asyncio.Runner() as runner, request.getfixturevalue(kind).fresh() as url:

        async def make() -> Desk:
            db = Database(url)
            async with db.write() as session:
                first = await make_store(session, NOON)
                more = [
                    await make_store(session, NOON, merchant=first.merchant, name=f"店 {n}")
                    for n in range(3)
                ]
            http = httpx.AsyncClient(trust_env=False)
            cloud = Cloud(made, db, Clocks(clock, clock), http, Waiters("test"), holder="test")
            return Desk(runner, cloud, [first, *more])

        found = runner.run(make())
        yield found
        runner.run(found.cloud.http.aclose())
        runner.run(found.cloud.db.close())


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(said=rounds)
def test_together_and_one_by_one_leave_the_same(desk: Desk, said: list[list[Told]]) -> None:
    example = desk.example()
    with capture_logs():  # tracebacks of what fails on purpose are half of the time
        at_once = desk.runner.run(desk.play(said, at_once=True, example=example))
        alone = desk.runner.run(desk.play(said, at_once=False, example=example))
    assert at_once == alone


def test_a_round_is_as_many_statements_for_one_store_as_for_four(desk: Desk) -> None:
    """What a commit costs beside its rows does not grow with the stores in it."""
    counts = []
    for stores in (1, 4):
        claims = []
        for number, shop in enumerate(desk.shops[:stores]):
            events = tuple(
                Event(
                    seq=seq, id=f"n{stores}-{number}-{seq}", at=1_790_000_000_000,
                    clock=ClockQuality.SYNCED, kind=EventKind.DEVICE,
                    body={"board": "b", "state": "online"},
                )
                for seq in range(1, 9)
            )  # fmt: skip
            batch = EventBatch(store=shop.store.id, journal=f"n{stores}-{number}", events=events)
            claims.append(together.Claimed(shop.merchant.id, batch))
        with statements(desk.cloud.db) as sent:
            taken = desk.runner.run(together.take(desk.cloud, claims))
        assert [what and what.upto for what in taken] == [8] * stores
        counts.append(len(sent))
    assert counts[0] == counts[1]
