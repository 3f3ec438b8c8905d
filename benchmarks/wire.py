"""What signatures cost a store's small computer: envelopes and passes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.results import Measured
from benchmarks.timing import measure
from store_link import passes
from store_link.messages import ClockQuality
from store_link.signing import (
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)

STORE = "01J0000000000000000000000A"
GRANT = "01J0000000000000000000000B"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def measured(count: int | None) -> Iterator[Measured]:
    """Each operation by itself."""
    command = SigningKey.generate("c1", "command")
    door = SigningKey.generate("p1", "pass")
    mac = MacKey.generate("m1")
    ring = PublicKeyRing([command.public(), door.public()])
    small = b'{"x":"' + b"a" * 300 + b'"}'
    signed = seal(small, Purpose.COMMAND, STORE, command)
    batch = b'{"x":"' + b"a" * 20_000 + b'"}'
    sealed = seal(batch, Purpose.EVENT, STORE, mac)
    text = passes.issue(
        door,
        store=STORE,
        grant=GRANT,
        rooms=[1],
        not_before=NOW,
        expires=NOW + timedelta(hours=2),
    )

    def enter() -> passes.Pass:
        return passes.verify(
            text,
            store=STORE,
            ring=ring,
            now=NOW + timedelta(minutes=1),
            clock_quality=ClockQuality.SYNCED,
            revoked=(),
            door_rooms=[1],
            uses_of_grant=lambda _: 0,
        )

    times = count or 2000
    for name, act in {
        "sign a command of 300 bytes": lambda: seal(small, Purpose.COMMAND, STORE, command),
        "verify a command of 300 bytes": lambda: open_signed(signed, Purpose.COMMAND, STORE, ring),
        "verify a batch of events of 20 kB": lambda: open_mac(sealed, Purpose.EVENT, STORE, [mac]),
        "verify a pass, every check": enter,
    }.items():
        yield Measured.of(name, "ms", measure(act, times))
