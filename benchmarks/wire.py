"""What signatures cost a store's small computer: envelopes and passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks.timing import line, measure
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


def lines() -> list[str]:
    """The report, one measurement a line."""
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

    return [
        line(
            "sign a command of 300 bytes",
            measure(lambda: seal(small, Purpose.COMMAND, STORE, command), 2000),
        ),
        line(
            "verify a command of 300 bytes",
            measure(lambda: open_signed(signed, Purpose.COMMAND, STORE, ring), 2000),
        ),
        line(
            "verify a batch of events of 20 kB",
            measure(lambda: open_mac(sealed, Purpose.EVENT, STORE, [mac]), 2000),
        ),
        line("verify a pass, every check", measure(enter, 2000)),
    ]
