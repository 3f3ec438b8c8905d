"""The journal: contiguous, whole or not at all, sound at start."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.journal import store
from controller.journal.reserve import PLENTY, RESERVE, TIGHT, Reserve
from controller.journal.store import Journal
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import ClockQuality, EventKind, StayState

NOW = Now(1.0, 1_800_000_000_000, ClockQuality.SYNCED)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


async def test_every_commit_is_on_the_disk(journal: Journal) -> None:
    row = await journal._db.execute_query_dict("PRAGMA synchronous")
    assert row == [{"synchronous": 2}]
    assert (await journal._db.execute_query_dict("PRAGMA journal_mode"))[0] == {
        "journal_mode": "wal"
    }
    assert journal.path.stat().st_mode & 0o777 == 0o600


async def test_an_event_and_what_caused_it_are_written_together_or_not_at_all(
    journal: Journal,
) -> None:
    async def fail_in_the_middle() -> None:
        async with journal.write(NOW) as tx:
            await tx.event(EventKind.BOOT, {"n": 1})
            await tx.put("acked", 7)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await fail_in_the_middle()
    assert await journal.events(0, 10) == []
    assert await journal.get("acked") is None


async def test_seq_has_no_gap_after_a_rollback(journal: Journal) -> None:
    for n in range(6):
        try:
            async with journal.write(NOW) as tx:
                await tx.event(EventKind.BOOT, {"n": n})
                if n % 2:
                    raise ValueError
        except ValueError:
            pass
    assert [event.seq for event in await journal.events(0, 10)] == [1, 2, 3]
    assert [event.body["n"] for event in await journal.events(0, 10)] == [0, 2, 4]


async def test_seq_never_restarts_when_all_was_pruned(journal: Journal) -> None:
    for _ in range(3):
        async with journal.write(NOW) as tx:
            await tx.event(EventKind.BOOT, {})
    later = Now(1.0, NOW.ms + 8 * 86_400_000, ClockQuality.SYNCED)
    await journal.prune(3, NOW)
    await journal.prune(3, later)
    async with journal.write(NOW) as tx:
        await tx.event(EventKind.BOOT, {})
    assert [event.seq for event in await journal.events(2, 10)][-1] == 4


async def test_what_is_not_acknowledged_is_never_pruned(journal: Journal) -> None:
    for _ in range(3):
        async with journal.write(NOW) as tx:
            await tx.event(EventKind.BOOT, {})
    later = Now(1.0, NOW.ms + 365 * 86_400_000, ClockQuality.SYNCED)
    await journal.prune(1, NOW)
    await journal.prune(1, later)
    assert [event.seq for event in await journal.events(0, 10)] == [2, 3]


async def test_one_journal_in_a_process(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="open already"):
        await Journal.open(tmp_path / "other.db")


async def test_a_corrupt_file_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = await Journal.open(path)
    await first.close()
    path.write_bytes(b"SQLite format 3\x00" + b"\x55" * 8000)
    second = await Journal.open(path)
    try:
        assert second.id != first.id
        assert len(list(tmp_path.glob("journal.db.bad-*"))) == 1
    finally:
        await second.close()


async def test_the_same_file_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = await Journal.open(path)
    await first.close()
    second = await Journal.open(path)
    await second.close()
    assert first.id == second.id
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_what_was_acknowledged_is_kept_for_seven_days_after_that(journal: Journal) -> None:
    """Bug: the seven days counted from the event, so those of a long outage went the hour they were
    acknowledged, and a cloud put back from yesterday's backup could not ask for them.
    """
    for _ in range(5):
        async with journal.write(NOW) as tx:
            await tx.event(EventKind.BOOT, {})

    def day(number: float, quality: ClockQuality = ClockQuality.SYNCED) -> Now:
        return Now(1.0, NOW.ms + round(number * 86_400_000), quality)

    async def kept() -> list[int]:
        return [event.seq for event in await journal.events(0, 10)]

    await journal.prune(3, day(10))
    await journal.prune(4, day(12))
    await journal.prune(4, day(16.9))
    assert await kept() == [1, 2, 3, 4, 5]
    await journal.prune(4, day(99, ClockQuality.UNTRUSTED))
    assert await kept() == [1, 2, 3, 4, 5]
    await journal.prune(4, day(17.1))
    assert await kept() == [4, 5]
    await journal.prune(4, day(19.1))
    assert await kept() == [5]
    assert await journal.oldest() == 5


async def test_uses_of_grants_are_forgotten_when_no_pass_of_them_can_be_good(
    journal: Journal,
) -> None:
    """Nothing ever took them out: a row for every guest a store has had, for as long as it stands."""
    running = StayRecord("s", "r1", "long", 0, 0, 0, 300, 7200, state=StayState.IN_USE)
    async with journal.write(NOW) as tx:
        await tx.use_grant("old")
        await tx.use_grant("long")
        await tx.put_stay(running)
    month = Now(1.0, NOW.ms + 30 * 86_400_000, ClockQuality.SYNCED)
    async with journal.write(month) as tx:
        await tx.use_grant("returned")
        await tx.return_grant("returned")
    await journal.prune(0, replace(month, ms=NOW.ms + 89 * 86_400_000))
    assert [(await journal.uses(grant))[0] for grant in ("old", "long")] == [1, 1]
    await journal.prune(0, replace(month, ms=NOW.ms + 91 * 86_400_000))
    assert [(await journal.uses(grant))[0] for grant in ("old", "long")] == [0, 1]
    rows = await journal._db.execute_query_dict('SELECT "grant" FROM grant_use ORDER BY 1')
    assert [row["grant"] for row in rows] == ["long", "returned"]


async def test_a_year_of_events_takes_the_room_of_a_week(journal: Journal) -> None:
    """Acknowledged day by day: the file stops growing, and so does what is remembered of the acks."""
    sizes = []
    for number in range(40):
        now = Now(1.0, NOW.ms + number * 86_400_000, ClockQuality.SYNCED)
        async with journal.write(now) as tx:
            for _ in range(30):
                await tx.event(EventKind.STAY, {"room": "r" * 300})
        await journal.prune(30 * (number + 1), now)
        pages = await journal._db.execute_query_dict("PRAGMA page_count")
        sizes.append(pages[0]["page_count"])
    assert len(await journal.events(0, 10_000)) <= 30 * 9
    assert len(await journal.get("acked_marks")) <= 9
    assert sizes[39] <= sizes[12] * 1.1


def test_the_reserve_is_given_up_and_laid_down_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = PLENTY + RESERVE
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        "controller.journal.reserve.shutil.disk_usage", lambda _: usage._replace(free=free)
    )
    reserve = Reserve(tmp_path / "journal.reserve")
    reserve.open()
    assert reserve.path.stat().st_blocks * 512 >= RESERVE
    assert not reserve.look()
    free = TIGHT - 1
    assert reserve.look()
    assert not reserve.path.exists()
    free = PLENTY
    assert reserve.look(), "a little room is soon gone again"
    free = PLENTY + RESERVE
    assert not reserve.look()
    assert reserve.path.exists()


async def test_what_was_added_later_may_be_missing(journal: Journal) -> None:
    """Seen: a column that must not be null was added without a default. SQLite refuses that on a table
    with rows, so the update of a store in use would have failed; and the version before, which knows
    nothing of the column, could no longer write a stay after a rollback.
    """
    first = (Path(store.__file__).parent / "migrations/0001_initial.py").read_text()
    for table in ("stay", "grant_use", "command", "override"):
        columns = journal_columns(journal, table)
        later = {name: must for name, must in columns.items() if f'"{name}"' not in first}
        assert not [name for name, must in later.items() if must]


def journal_columns(journal: Journal, table: str) -> dict[str, bool]:
    """Column -> whether it must not be null."""
    with contextlib.closing(sqlite3.connect(journal.path)) as db:
        rows = db.execute(f"PRAGMA table_info({table})").fetchall()
    assert rows
    return {row[1]: bool(row[3]) for row in rows}
