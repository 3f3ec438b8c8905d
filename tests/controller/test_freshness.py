"""How long a command may be obeyed: by a good clock, and by one that tells nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controller.freshness import UNPROVEN_MS, Freshness
from controller.timekeeper import Timekeeper
from store_link.clock import ms
from store_link.messages import ClockQuality, Command

NOON = datetime(2026, 8, 1, 4, tzinfo=UTC)
TRUE_MS = ms(NOON)


class Stopped:
    """A clock that stands at noon until somebody sets it."""

    wall = NOON

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return 100.0


def command(iat: int, exp: int) -> Command:
    return Command.model_validate(
        {"id": "c", "store": "s", "target": "d1", "action": "unlock", "iat": iat, "nonce": "n",
         "exp": exp, "by": "customer:1", "reply_to": "i"}
    )  # fmt: skip


def test_an_expired_command_is_none_though_nobody_knows_the_time() -> None:
    """A store's clock had been set by ten years, and all it knew of the time came with the command before,
    which had been some milliseconds on its way: one that had expired for less than that opened the door.
    """
    wire = Stopped()
    keeper = Timekeeper(wire, None, lambda: False, "boot")
    fresh = Freshness(wire, keeper, lambda: 0)
    assert fresh.left_ms(command(TRUE_MS - 50, TRUE_MS + 10_000), 100.0) == 10_000
    wire.wall += timedelta(days=3650)
    assert keeper.read().quality is ClockQuality.UNTRUSTED
    assert fresh.left_ms(command(TRUE_MS - 30_000, TRUE_MS - 1), 100.0) <= 0
    assert fresh.left_ms(command(TRUE_MS, TRUE_MS + 10_000), 100.0) == 10_000 - UNPROVEN_MS
