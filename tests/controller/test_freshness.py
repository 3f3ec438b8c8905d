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


def test_a_cloud_process_whose_clock_jumped_shuts_no_door_for_the_others() -> None:
    """One of two APIs had its clock set an hour ahead for a minute. Each command after its first one had
    expired "as signed messages prove", at every door that it had opened, until the controller was restarted.
    """
    wire = Stopped()
    jumped = command(TRUE_MS + 3_600_000, TRUE_MS + 3_610_000)
    for synced in (True, False):
        keeper = Timekeeper(wire, None, lambda synced=synced: synced, "boot")  # type: ignore[misc]
        assert (keeper.read().quality is ClockQuality.SYNCED) is synced
        fresh = Freshness(wire, keeper, lambda: 0)
        assert fresh.left_ms(jumped, 100.0) == 10_000, "its own age bounds it"
        assert fresh.left_ms(command(TRUE_MS, TRUE_MS + 10_000), 100.0) == 10_000
        assert fresh.left_ms(command(TRUE_MS - 11_000, TRUE_MS - 1_000), 100.0) <= 0
        # What is less than that ahead may be right, and this clock behind: then it counts as proof.
        assert fresh.left_ms(command(TRUE_MS + 9_000, TRUE_MS + 19_000), 100.0) == 10_000
        left = fresh.left_ms(command(TRUE_MS - 2_000, TRUE_MS + 8_000), 100.0)
        assert left == (8_000 if synced else -1_000)


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
