"""The power goes at every write of the journal, and in the middle of it: whole or not at all, always in order."""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.journal.store import Journal
from controller.stay import StayRecord, advance, new, unlocked
from controller.timekeeper import Now
from store_link.messages import ClockQuality, EventKind, Stay, StayState

FILES = ("journal.db", "journal.db-wal")


def at(second: float) -> Now:
    return Now(second, 1_800_000_000_000 + round(second * 1000), ClockQuality.SYNCED)


class Cuts:
    """Keeps the disk as it was before and after each commit, as a power cut would leave it."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self.taken: list[Path] = []
        self._source = journal.path.parent
        connection = journal._db._connection
        assert connection is not None
        self._commit: Callable[[], Awaitable[None]] = connection.commit
        connection.commit = self._cut  # type: ignore[method-assign]

    async def _cut(self) -> None:
        self._keep()
        await self._commit()
        self._keep()

    def _keep(self) -> None:
        place = self.folder / f"cut-{len(self.taken):03d}"
        place.mkdir(parents=True)
        for name in FILES:
            if (self._source / name).exists():
                shutil.copy(self._source / name, place / name)
        self.taken.append(place)


async def live(journal: Journal) -> int:
    """A stay from its booking to its end, written as the loop and a command write it; how many commits."""
    start = at(0).ms
    paid = Stay(
        id="s", room="r", grant="g", starts=start, ends=start + 60_000, opens=start, grace_s=10
    )
    stay, writes = new(paid, 7200, at(0)), 0
    for second in (0, 1, 30, 61, 75, 80):
        step = unlocked(stay, at(1)) if second == 1 else advance(stay, paid, at(second))
        stay = step.stay
        async with journal.write(at(second)) as tx:
            await tx.put_stay(stay)
            for transition in step.transitions:
                await tx.event(EventKind.STAY, transition)
            if step.usage is not None:
                await tx.event(EventKind.USAGE, step.usage)
            if second == 1:
                await tx.use_grant("g")
                await tx.put("entry.x", {"door": "d"})
        writes += 1
    return writes


async def sound(place: Path) -> tuple[int, StayState | None]:
    """Open what is left and look: seq without a gap, each stay as its last event says, nothing set aside."""
    journal = await Journal.open(place / "journal.db")
    try:
        assert not list(place.glob("*.bad-*"))
        events = await journal.events(0, 200)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        stays: list[StayRecord] = await journal.stays()
        told = [event.body for event in events if event.kind is EventKind.STAY]
        states = {stay.id: stay.state.value for stay in stays}
        if told:
            assert states["s"] == told[-1]["now"]
        usages = [event for event in events if event.kind is EventKind.USAGE]
        assert len(usages) == (states.get("s") == StayState.ENDED)
        entered = any(body["now"] == "in_use" for body in told)
        assert bool(await journal.entries()) == entered == bool((await journal.uses("g"))[0])
        async with journal.write(at(100)) as tx:  # and it goes on
            await tx.event(EventKind.BOOT, {})
        return len(events), stays[0].state if stays else None
    finally:
        await journal.close()


async def test_a_cut_at_any_write_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "live" / "journal.db")
    cuts = Cuts(tmp_path / "cuts", journal)
    writes = await live(journal)
    await journal.close()
    assert len(cuts.taken) >= 2 * writes
    # Torn: the log of writes ends in the middle of a page, or in what was never written there.
    rng, number_torn = random.Random(4), 0
    for number, place in enumerate(cuts.taken[1::3]):
        wal = place / "journal.db-wal"
        source = tmp_path / "live-torn" / str(number)
        source.mkdir(parents=True)
        shutil.copy(place / "journal.db", source / "journal.db")
        if not wal.exists() or not wal.stat().st_size:
            continue
        data = wal.read_bytes()
        length = rng.randrange(len(data))
        torn = data[:length] + (rng.randbytes(500) if number % 2 else b"")
        (source / "journal.db-wal").write_bytes(torn)
        await sound(source)
        number_torn += 1
    assert number_torn >= 3
    # Whole: as it stood before and after each commit.
    seen = [await sound(place) for place in cuts.taken]
    assert seen == sorted(seen, key=lambda one: one[0])  # never less than before
    assert seen[-1][1] is StayState.ENDED


async def test_control_an_event_outside_the_transaction_is_seen(tmp_path: Path) -> None:
    """The look can fail: state and event apart, as two transactions, and a cut between them."""
    journal = await Journal.open(tmp_path / "live" / "journal.db")
    start = at(0).ms
    paid = Stay(
        id="s", room="r", grant="g", starts=start, ends=start + 60_000, opens=start, grace_s=10
    )
    step = advance(new(paid, 7200, at(0)), paid, at(1))
    async with journal.write(at(1)) as tx:
        for transition in step.transitions:
            await tx.event(EventKind.STAY, transition)
    await journal.close()
    try:
        await sound(tmp_path / "live")
    except (AssertionError, KeyError):
        return
    raise AssertionError("the difference was not seen")
