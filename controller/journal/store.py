"""Opens and keeps the journal: one file, one writer, changes and their events in one transaction."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext, get_current_context, set_global_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.migrations.executor import MigrationExecutor
from ulid import ULID

from controller.journal.models import (
    CommandEntry,
    DesiredEntry,
    GrantUse,
    KeyValue,
    OutboxEntry,
    OverrideEntry,
    StayEntry,
)
from controller.plan import OverrideRecord
from controller.stay import StayRecord
from controller.timekeeper import Mark, Now
from store_link.messages import (
    AckState,
    ClockQuality,
    Command,
    Event,
    EventKind,
    Reason,
    StayState,
)

log = structlog.get_logger(__name__)

ENTRY = "entry."  # + ULID: an entry by pass or PIN that is under way
KEEP_MS = 7 * 86_400_000
DISK_MARGIN = 64 * 1024 * 1024  # bytes free below which ``reported`` says that the outbox is full

JournalError = OperationalError  # the disk is full or gone; nothing was written


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command as far as it came: ``state`` is ``received``, ``executing`` or an AckState."""

    id: str
    action: str
    target: str
    grant: str | None
    by: str
    state: str
    reason: Reason | None
    reply_to: str
    received_at: int
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """The applied document: the signed envelope as it was received."""

    epoch: int
    rev: int
    payload: bytes


class Tx:
    """What can be written in one transaction. Nothing outside is awaited inside one."""

    def __init__(self, db: BaseDBAsyncClient, now: Now, historical: bool) -> None:
        self._db = db
        self._now = now
        self._historical = historical

    async def event(self, kind: EventKind, body: BaseModel | dict[str, Any]) -> None:
        """Put an event behind all others."""
        plain = body if isinstance(body, dict) else body.model_dump(mode="json")
        _ = await OutboxEntry.create(
            using_db=self._db,
            id=str(ULID()),
            at=self._now.ms,
            clock=self._now.quality.value,
            kind=kind.value,
            body=plain,
            historical=self._historical,
        )

    async def put_stay(self, stay: StayRecord) -> None:
        """Write a stay as it is now."""
        values = asdict(stay)
        key = values.pop("id")
        await StayEntry.update_or_create(defaults=values, using_db=self._db, id=key)

    async def drop_stays(self, ids: Iterable[str]) -> None:
        """Forget ended stays."""
        await StayEntry.filter(id__in=list(ids)).using_db(self._db).delete()

    async def take_command(self, command: Command, grant: str | None, at_ms: int) -> bool:
        """Write a command down as received; False if its id was seen before."""
        try:
            _ = await CommandEntry.create(
                using_db=self._db,
                id=command.id,
                action=command.action.value,
                target=command.target,
                grant=grant,
                by=command.by,
                state="received",
                reply_to=command.reply_to,
                received_at=at_ms,
            )
        except IntegrityError:
            return False
        return True

    async def command_executing(self, command: str) -> None:
        """The last word before the act."""
        await CommandEntry.filter(id=command).using_db(self._db).update(state="executing")

    async def command_final(
        self, command: str, state: AckState, reason: Reason | None, evidence: dict[str, Any]
    ) -> None:
        """How it ended."""
        await (
            CommandEntry.filter(id=command)
            .using_db(self._db)
            .update(state=state.value, reason=reason and reason.value, evidence=evidence)
        )

    async def use_grant(self, grant: str) -> None:
        """Count one entry by ``grant``."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        if use is None:
            _ = await GrantUse.create(using_db=self._db, grant=grant, uses=1, first_at=self._now.ms)
        else:
            await GrantUse.filter(grant=grant).using_db(self._db).update(uses=use.uses + 1)

    async def return_grant(self, grant: str) -> None:
        """Take back a use that certainly opened nothing."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        if use is not None and use.uses > 0:
            await GrantUse.filter(grant=grant).using_db(self._db).update(uses=use.uses - 1)

    async def put_override(self, override: OverrideRecord) -> None:
        """Write an override, in the place of one of the same binding."""
        values = asdict(override)
        key = values.pop("binding")
        await OverrideEntry.update_or_create(defaults=values, using_db=self._db, binding=key)

    async def drop_override(self, binding: str) -> None:
        """End an override."""
        await OverrideEntry.filter(binding=binding).using_db(self._db).delete()

    async def put_desired(self, epoch: int, rev: int, payload: bytes) -> None:
        """Keep the document that is applied from now on."""
        await DesiredEntry.update_or_create(
            defaults={"epoch": epoch, "rev": rev, "payload": payload}, using_db=self._db, id=1
        )

    async def put(self, key: str, value: Any) -> None:
        """Keep a small fact."""
        await KeyValue.update_or_create(
            defaults={"value": json.dumps(value)}, using_db=self._db, key=key
        )

    async def drop(self, key: str) -> None:
        """Forget a small fact."""
        await KeyValue.filter(key=key).using_db(self._db).delete()


class Journal:
    """The open journal. Make it with ``Journal.open``; ``close`` it."""

    def __init__(
        self, path: Path, context: TortoiseContext, db: BaseDBAsyncClient, journal_id: str
    ) -> None:
        self.path = path
        self.id = journal_id
        self.link_down: Callable[[], bool] = lambda: True  # events written then are historical
        self._context = context
        self._db = db  # named in every query: Tortoise's own lookup depends on the task
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    async def open(cls, path: Path) -> Journal:
        """Open or create the file. A corrupt one is kept aside and a new journal begun."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        set_aside(path)
        if get_current_context() is not None:
            raise RuntimeError("this process has a journal open already: close it first")
        context = TortoiseContext()
        set_global_context(context)
        try:
            await context.init(config=_config(path))
            db = context.connections.get("default")
            await MigrationExecutor(db, _config(path)["apps"]).migrate()
            row, _ = await KeyValue.get_or_create(
                key="journal", defaults={"value": json.dumps(f"j{ULID()}".lower())}, using_db=db
            )
        except BaseException:
            await context.close_connections()
            raise
        path.chmod(0o600)
        return cls(path, context, db, str(json.loads(row.value)))

    async def close(self) -> None:
        """Close the file."""
        await self._db.close()
        await self._context.close_connections()

    def on_event(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every committed transaction."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def write(self, now: Now) -> AsyncIterator[Tx]:
        """One transaction; all of it or nothing. Raises JournalError when the disk refuses."""
        async with self._db._in_transaction() as db:
            yield Tx(db, now, self.link_down())
        for listener in self._listeners:
            listener()

    async def get(self, key: str, default: Any = None) -> Any:
        """A small fact kept by ``Tx.put``."""
        row = await KeyValue.get_or_none(key=key, using_db=self._db)
        return default if row is None else json.loads(row.value)

    async def uses(self, grant: str) -> int:
        """How often a grant opened a door."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        return 0 if use is None else use.uses

    async def entries(self) -> dict[str, dict[str, Any]]:
        """Entries by pass or PIN whose pulse was ordered and whose end was not written."""
        rows = await KeyValue.filter(key__startswith=ENTRY).using_db(self._db)
        return {row.key: json.loads(row.value) for row in rows}

    async def desired(self) -> DesiredRecord | None:
        """The document that was applied last."""
        row = await DesiredEntry.get_or_none(id=1, using_db=self._db)
        return None if row is None else DesiredRecord(row.epoch, row.rev, bytes(row.payload))

    async def stays(self) -> list[StayRecord]:
        """All stays known."""
        rows = await StayEntry.all(using_db=self._db)
        return [_stay(row) for row in rows]

    async def overrides(self) -> list[OverrideRecord]:
        """Overrides that were not ended yet."""
        rows = await OverrideEntry.all(using_db=self._db)
        names = [field.name for field in fields(OverrideRecord)]
        return [OverrideRecord(**{name: getattr(row, name) for name in names}) for row in rows]

    async def command(self, command: str) -> CommandRecord | None:
        """A command by its id."""
        row = await CommandEntry.get_or_none(id=command, using_db=self._db)
        return None if row is None else _command(row)

    async def unfinished(self) -> list[CommandRecord]:
        """Commands that were under way when the program ended."""
        rows = await CommandEntry.filter(state__in=["received", "executing"]).using_db(self._db)
        return [_command(row) for row in rows]

    async def events(self, after: int, limit: int) -> list[Event]:
        """Events with ``seq`` above ``after``, in order."""
        rows = (
            await OutboxEntry.filter(seq__gt=after).using_db(self._db).order_by("seq").limit(limit)
        )
        return [
            Event(
                seq=row.seq,
                id=row.id,
                at=row.at,
                clock=ClockQuality(row.clock),
                kind=EventKind(row.kind),
                body=row.body,
                historical=row.historical,
            )
            for row in rows
        ]

    async def waiting(self, acked: int) -> tuple[int, int | None, int]:
        """Depth of the outbox, business ms of its oldest event, and the highest seq."""
        first = await OutboxEntry.filter(seq__gt=acked).using_db(self._db).order_by("seq").first()
        last = await OutboxEntry.all(using_db=self._db).order_by("-seq").first()
        if last is None or first is None:
            return 0, None, last.seq if last else acked
        return last.seq - first.seq + 1, first.at, last.seq

    async def prune(self, acked: int, now: Now, listed: Iterable[str] = ()) -> None:
        """Let go of what nobody can ask for any more: 7 days after it was acknowledged or final.

        Stays that the cloud still lists (``listed``) are kept: they must not begin anew.
        """
        before = now.ms - KEEP_MS
        last = await OutboxEntry.all(using_db=self._db).order_by("-seq").first()
        if last is not None:  # the last row stays: the next seq is counted from it
            await (
                OutboxEntry.filter(seq__lte=min(acked, last.seq - 1), at__lt=before)
                .using_db(self._db)
                .delete()
            )
        await CommandEntry.filter(received_at__lt=before).using_db(self._db).delete()
        old = StayEntry.filter(state=StayState.ENDED.value, ended_at__lt=before)
        await old.exclude(id__in=list(listed)).using_db(self._db).delete()

    def full(self) -> bool:
        """Whether the disk is nearly full."""
        return shutil.disk_usage(self.path.parent).free < DISK_MARGIN


def set_aside(path: Path) -> Path | None:
    """Move a journal that SQLite cannot vouch for out of the way; returns where it went."""
    if not path.exists() or _sound(path):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.bad-{stamp}")
    log.error("journal_corrupt", kept_as=str(aside))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _sound(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as db:
            return bool(db.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _config(path: Path) -> dict[str, Any]:
    return {
        "connections": {
            "default": {
                "engine": "tortoise.backends.sqlite",
                "credentials": {
                    "file_path": str(path),
                    "journal_mode": "WAL",
                    "synchronous": "FULL",
                    "busy_timeout": 5000,
                },
            }
        },
        "apps": {
            "journal": {
                "models": ["controller.journal.models"],
                "default_connection": "default",
                "migrations": "controller.journal.migrations",
            }
        },
    }


# For Tortoise's own command line: tortoise -c controller.journal.store.MAKE_MIGRATIONS …
MAKE_MIGRATIONS = _config(Path(":memory:"))


def mark_from(value: dict[str, Any] | None) -> Mark | None:
    """The clock's mark as kept under ``clock``."""
    return None if value is None else Mark(**value)


def _stay(row: StayEntry) -> StayRecord:
    values = {field.name: getattr(row, field.name) for field in fields(StayRecord)}
    values["state"] = StayState(row.state)
    values["anchor"] = row.anchor and ClockQuality(row.anchor)
    return StayRecord(**values)


def _command(row: CommandEntry) -> CommandRecord:
    values = {field.name: getattr(row, field.name) for field in fields(CommandRecord)}
    values["reason"] = row.reason and Reason(row.reason)
    return CommandRecord(**values)
