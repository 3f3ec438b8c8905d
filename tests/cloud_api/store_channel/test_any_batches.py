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
from hypothesis import HealthCheck, example, given, settings
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
from tests.store_link.strategies import JSON, TEXT
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

    async def words(self, store_id: str, journal: str) -> Any:
        """What a journal's events and the lines about its store say; the lines are taken away."""
        async with self.cloud.db.write() as session:
            events = select(StoreEvent).where(col(StoreEvent.journal) == journal)
            lines = select(FeedEntry).where(col(FeedEntry.store_id) == store_id)
            kept = [
                (one.seq, one.at, one.clock, one.kind, one.body, one.historical)
                for one in (await session.scalars(events.order_by(col(StoreEvent.seq)))).all()
            ]
            shown = [
                (one.topic, one.body, one.account_id)
                for one in (await session.scalars(lines.order_by(col(FeedEntry.id)))).all()
            ]
            await session.execute(delete(FeedEntry).where(col(FeedEntry.store_id) == store_id))
        return kept, shown


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
    number = desk.example()
    with capture_logs():  # tracebacks of what fails on purpose are half of the time
        at_once = desk.runner.run(desk.play(said, at_once=True, example=number))
        alone = desk.runner.run(desk.play(said, at_once=False, example=number))
    assert at_once == alone


whatever = st.dictionaries(TEXT, JSON, max_size=3)
bodies = st.one_of(
    st.builds(
        lambda more, detail, why: (
            EventKind.DEVICE,
            more | {"board": "b", "state": "offline", "detail": detail, "why": why},
        ),
        whatever, TEXT, TEXT,
    ),
    st.builds(
        lambda more, on, why: (
            EventKind.POWER,
            more | {"binding": "b", "on": on, "outcome": "done", "why": why},
        ),
        whatever, st.sampled_from([True, False, 1, "no"]), TEXT,
    ),
    st.builds(
        lambda more, fan: (
            EventKind.CLIMATE,
            more | {"binding": "b", "setpoint": 24, "outcome": "failed", "why": "over:c"} | fan,
        ),
        whatever, st.sampled_from([{}, {"fan": None}, {"fan": "low", "mode": "cool"}]),
    ),
    st.builds(
        lambda more: (
            EventKind.ACCESS, more | {"door": "d", "by": "pin", "outcome": "refused", "code": "0f"}
        ),
        whatever,
    ),
)  # fmt: skip
facts = st.lists(
    st.tuples(
        bodies, st.integers(0, 4_102_444_800_000), st.sampled_from(ClockQuality), st.booleans()
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=facts)
@example([((EventKind.DEVICE, {"board": "b", "state": "online", "detail": "\\N\t\\.\n\r\\"}),
           1_790_000_000_001, ClockQuality.SYNCED, True)])  # fmt: skip
def test_whatever_an_event_says_is_kept_and_shown_as_if_it_had_come_alone(
    desk: Desk, told: list[Any]
) -> None:
    """What is written as text for COPY is what goes in value by value: tabs, backslashes, unknown fields."""
    number, left = desk.example(), []
    for shop, at_once in ((desk.shops[0], True), (desk.shops[2], False)):
        events = tuple(
            Event(
                seq=seq, id=f"w{number}-{at_once}-{seq}", at=at, clock=clock, kind=kind, body=body,
                # a door's answer that is no history does more than be shown
                historical=historical or kind is EventKind.ACCESS,
            )
            for seq, ((kind, body), at, clock, historical) in enumerate(told, 1)
        )  # fmt: skip
        name = f"w{number}-{at_once}"
        batch = EventBatch(store=shop.store.id, journal=name, events=events)
        claim = together.Claimed(shop.merchant.id, batch)
        if at_once:
            assert all(desk.runner.run(together.take(desk.cloud, [claim])))
        else:
            desk.runner.run(ingest.take(desk.cloud, shop.store.id, batch))
        left.append(desk.runner.run(desk.words(shop.store.id, name)))
    assert left[0] == left[1]
    assert len(left[0][0]) == len(left[0][1]) == len(told)


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
