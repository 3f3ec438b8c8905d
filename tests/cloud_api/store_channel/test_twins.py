"""Who speaks for a store: one computer that is started again and again, or two that take turns."""

from __future__ import annotations

from itertools import count
from typing import Literal

from sqlmodel import select

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import AlarmSignal
from cloud_api.store_channel.twins import KIND, RETURNS, WITHIN_S, Twins
from store_link.presence import LATE_MS
from store_link.reports import Presence
from tests.cloud_api.factories import Shop

AT = 1_800_000_000_000
SECOND = 1000


def said(
    boot: str, at_s: float, *, store: str = "s1", state: Literal["online", "lost"] = "online"
) -> Presence:
    """A word of the run ``boot``, ``at_s`` seconds after the beginning by its own clock."""
    sent = AT + round(at_s * SECOND)
    return Presence(store=store, state=state, boot=boot, nonce=f"n{at_s}", sent_at=sent)


def test_two_that_take_turns_are_seen_at_the_third_return() -> None:
    twins, found = Twins(), []
    for at, boot in enumerate("ababab"):
        found.append(twins.hear(said(boot, at * 30.0), at * 30.0))
    assert found == [None, None, None, None, True, None]
    assert found.index(True) == RETURNS + 1


def test_two_are_seen_whose_clocks_differ_by_an_hour() -> None:
    """What claims to be so old is not late: its clock is wrong."""
    twins, ahead = Twins(), {"a": 3600.0, "b": 0.0}
    found = [
        twins.hear(said(boot, at * 30.0 + ahead[boot]), at * 30.0)
        for at, boot in enumerate("ababa")
    ]
    assert found[-1] is True


def test_one_that_starts_again_and_again_is_one() -> None:
    """Its words of before come late, its wills later still: after the next run has begun."""
    twins, told = Twins(), []
    for run in range(20):
        at = run * 20.0
        told.append(twins.hear(said(f"r{run}", at), at))
        if run:
            before = f"r{run - 1}"
            told.append(twins.hear(said(before, at - 0.5), at + 0.1))  # was under way
            told.append(twins.hear(said(before, at - 20, state="lost"), at + 15))  # its will
    assert set(told) == {None}


def test_late_words_would_be_taken_for_a_second_one() -> None:
    """The negative control: the same words, as if they had been said when they came."""
    twins = Twins()
    told = [
        twins.hear(said(boot, at), at)
        for run in range(20)
        for boot, at in ((f"r{run}", run * 20.0), (f"r{max(0, run - 1)}", run * 20.0 + 0.1))
    ]
    assert True in told


def test_turns_that_are_far_apart_are_no_turns() -> None:
    """A computer that was put aside and taken out again, now and then."""
    twins = Twins()
    told = [
        twins.hear(said(boot, at * WITHIN_S), at * WITHIN_S) for at, boot in enumerate("ababab")
    ]
    assert True not in told


def test_it_is_over_when_one_was_alone_for_ten_minutes() -> None:
    twins, at = Twins(), 150.0
    turns = [twins.hear(said(boot, n * 30.0), n * 30.0) for n, boot in enumerate("ababa", 1)]
    assert turns[-1] is True
    ended = [twins.hear(said("a", at + more), at + more) for more in range(30, 700, 30)]
    assert [what for what in ended if what is not None] == [False]
    assert ended.index(False) == WITHIN_S / 30 - 1
    assert LATE_MS < WITHIN_S * SECOND


async def test_the_alarm_stands_until_it_is_over_also_for_a_worker_that_began_later(
    cloud: Cloud, shop: Shop
) -> None:
    seen = count()

    async def told(twins: Twins, boots: str, apart_s: float = 30.0) -> list[tuple[bool, int]]:
        for boot in boots:
            at = next(seen) * apart_s
            twice = twins.hear(said(boot, at, store=shop.store.id), at)
            await twins.tell(cloud, shop.merchant.id, shop.store.id, twice)
        async with cloud.db.read() as session:
            rows = await session.exec(select(AlarmSignal).where(AlarmSignal.kind == KIND))
            return [(row.active, row.version) for row in rows]

    first, later = Twins(), Twins()
    assert await told(first, "abab") == []
    assert await told(first, "abab") == [(True, 1)]
    assert await told(later, "aaaa") == [(True, 1)]
    assert await told(later, "a" * 25) == [(False, 2)]
    assert await told(Twins(), "a" * 25) == [(False, 2)]
