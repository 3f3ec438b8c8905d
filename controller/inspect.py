"""Looks at a state directory from outside, without disturbing the controller that works in it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.identity import Identity, NotEnrolled, load
from controller.journal.refuge import takes_writes
from controller.timekeeper import kernel_synced

_EVENT = ("seq", "at", "kind", "body", "historical")
_COMMAND = ("id", "action", "target", "by", "state", "reason", "received_at")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: good or not, and in words what is so and what to do."""

    good: bool
    text: str


def status(state_dir: Path) -> dict[str, Any]:
    """What the journal says: for people and scripts. Raises NotEnrolled."""
    identity = load(state_dir)
    found: dict[str, Any] = {"store": identity.store, "cloud": identity.cloud}
    path = state_dir / "journal.db"
    if not path.exists():
        return {**found, "journal": None}
    with _read_only(path) as db:
        kept = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM kv")}
        acked = int(kept.get("acked", 0))
        found["journal"] = kept.get("journal")
        found["boots"] = kept.get("boots", 0)
        found["acked"] = acked
        found["waiting"] = db.execute(
            "SELECT count(*) FROM outbox WHERE seq > ?", (acked,)
        ).fetchone()[0]
        version = db.execute("SELECT epoch, rev FROM desired").fetchone()
        found["desired"] = None if version is None else {"epoch": version[0], "rev": version[1]}
        found["stays"] = dict(db.execute("SELECT state, count(*) FROM stay GROUP BY state"))
    return found


def tail(state_dir: Path, events: int, commands: int) -> dict[str, Any]:
    """The newest events and commands of the journal, the newest first, with how much it holds."""
    path = state_dir / "journal.db"
    if not path.exists():
        return {"journal": None, "events": [], "commands": []}
    with _read_only(path) as db:
        kinds = dict(db.execute("SELECT kind, count(*) FROM outbox GROUP BY kind"))
        stays = dict(db.execute("SELECT state, count(*) FROM stay GROUP BY state"))
        told = db.execute(
            "SELECT seq, at, kind, body, historical FROM outbox ORDER BY seq DESC LIMIT ?",
            (events,),
        )
        asked = db.execute(
            "SELECT id, action, target, by, state, reason, received_at FROM command"
            " ORDER BY received_at DESC LIMIT ?",
            (commands,),
        )
        found = [dict(zip(_EVENT, row, strict=True)) for row in told]
        for event in found:
            event["body"] = json.loads(event["body"])
        return {
            "journal": {"bytes": path.stat().st_size, "events": kinds, "stays": stays},
            "events": found,
            "commands": [dict(zip(_COMMAND, row, strict=True)) for row in asked],
        }


def doctor(state_dir: Path, ports: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """Everything that a store needs, one finding each. ``now`` is wire time."""
    try:
        identity = load(state_dir)
    except NotEnrolled as error:
        yield Finding(False, str(error))
        return
    yield Finding(True, f"enrolled as store {identity.store} at {identity.cloud}")
    yield _private(state_dir)
    yield from _certificate(state_dir, identity, now)
    yield from _journal(state_dir)
    yield from _ports(ports)
    if kernel_synced():
        yield Finding(True, "the clock is synchronised")
    else:
        yield Finding(
            False,
            "the clock is not synchronised: switch on NTP (timedatectl set-ntp true), "
            "and fit a clock with a battery",
        )


def _private(state_dir: Path) -> Finding:
    loose = [
        name
        for name in ("identity.json", "client.key")
        if (state_dir / name).exists() and (state_dir / name).stat().st_mode & 0o077
    ]
    if loose:
        return Finding(False, f"others may read {', '.join(loose)}: chmod 600")
    return Finding(True, "credentials are readable by this user alone")


def _certificate(state_dir: Path, identity: Identity, now: datetime) -> Iterator[Finding]:
    if not identity.mqtt.tls:
        yield Finding(False, "the link to the broker is not encrypted: right for a demonstration")
        return
    from cryptography import x509  # megabytes that a controller at work has no use for

    try:
        pem = (state_dir / "client.pem").read_bytes()
        ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except (OSError, ValueError):
        yield Finding(False, "client.pem cannot be read: enroll this store again")
        return
    days = (ends - now.astimezone(UTC)).days
    if days < 0:
        yield Finding(
            False,
            "the certificate is over, so the store runs on alone: make a code in the console, "
            "enroll with it and start again; nothing that happened is lost",
        )
        return
    good = days > 14
    soon = "" if good else ": enroll with a new code before it is over"
    yield Finding(good, f"the certificate is valid for {days} days{soon}")


def _journal(state_dir: Path) -> Iterator[Finding]:
    path = state_dir / "journal.db"
    if not takes_writes(state_dir):
        yield Finding(
            False, "the disk takes no writes: replace the card, then enroll this store again"
        )
    if path.exists():
        try:
            with _read_only(path) as db:
                verdict = db.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        good = verdict == "ok"
        yield Finding(good, "the journal is sound" if good else f"the journal is not: {verdict}")
    for bad in sorted(state_dir.glob("journal.db.bad-*")):
        if not bad.name.endswith(("-wal", "-shm")):
            yield Finding(False, f"{bad.name} was set aside: the disk lost data, replace the card")


def _ports(ports: Mapping[str, str]) -> Iterator[Finding]:
    if not ports:
        yield Finding(False, "no ports: name them in ports.yaml, as in `rs485-1: /dev/serial/…`")
    for name, device in ports.items():
        there = Path(device).exists()
        yield Finding(there, f"port {name}: {device}" + ("" if there else " is not there"))


@contextlib.contextmanager
def _read_only(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        yield db
    finally:
        db.close()
