"""Opens and keeps the journal: one file, one writer, changes and their events in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper
from tortoise.context import TortoiseContext, get_current_context, set_global_context
from tortoise.exceptions import OperationalError
from tortoise.migrations.executor import MigrationExecutor

from controller.holds import OverrideRecord
from controller.journal import refuge
from controller.journal.file import config, set_aside
from controller.journal.models import (
    CommandEntry,
    DesiredEntry,
    GrantUse,
    KeyValue,
    OutboxEntry,
    OverrideEntry,
    StayEntry,
)
from controller.journal.records import CommandRecord, DesiredRecord, command_of, stay_of
from controller.journal.reserve import Reserve
from controller.journal.tx import Tx
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import (
    ClockQuality,
    Command,
    Event,
    EventKind,
)

log = structlog.get_logger(__name__)

ENTRY = "entry."  # + ULID: an entry by pass or PIN that is under way
KEEP_MS = 7 * 86_400_000
KEEP_USES_MS = 90 * 86_400_000  # no pass is good for so long: forgotten uses let nobody in again
TIGHT_KEEP_MS = 86_400_000  # of acknowledged events, while the disk is full
TELL_AGAIN_S = 60.0
OWED_MAX = 5000
LESSER_WAITING = 20_000  # events not acknowledged, above which lesser ones are left out: some 10 MB
JournalError = OperationalError  # the disk is full or gone; nothing was written
Write = Callable[[Tx], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Debt:
    """Something that happened and could not be written yet, with the time it happened at."""

    now: Now
    historical: bool
    write: Write


class Journal:
    """The open journal. Make it with ``Journal.open``; ``close`` it."""

    def __init__(
        self, path: Path, context: TortoiseContext, db: SqliteClient, journal_id: str
    ) -> None:
        self.path = path
        self.id = journal_id
        self.link_down: Callable[[], bool] = lambda: True  # events written then are historical
        self.left_out = 0  # lesser events that found no room since the start
        self.depth = 0  # events that the cloud has not acknowledged, as far as known
        self.reserve = Reserve(path.with_name("journal.reserve"))
        self._owed: list[Debt] = []
        self._remembered: dict[str, Any] = {}
        self._told_at = 0.0
        self._context = context
        self._db = db  # named in every query: Tortoise's own lookup depends on the task
        self._listeners: list[Callable[[], None]] = []
        self._home = path
        self._memory: Path | None = None
        self._moving: asyncio.Task[None] | None = None
        self._moved: list[Callable[[], None]] = []

    @classmethod
    async def open(cls, path: Path, memory: Path | None = None) -> Journal:
        """Open or create the file. A corrupt one is kept aside and a new journal begun.

        ``memory``: a folder that lives in memory, for a disk that takes no writes.
        """
        home = path
        path = refuge.settle(home, memory)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        reserve = Reserve(path.with_name("journal.reserve"))
        if reserve.path.exists():
            reserve.look()  # a disk that is full at the start needs the room for opening
        set_aside(path)
        if get_current_context() is not None:
            raise RuntimeError("this process has a journal open already: close it first")
        context = TortoiseContext()
        set_global_context(context)
        try:
            await context.init(config=config(path))
            db = context.connections.get("default")
            assert isinstance(db, SqliteClient)
            await MigrationExecutor(db, config(path)["apps"]).migrate()
            row, _ = await KeyValue.get_or_create(
                key="journal", defaults={"value": refuge.new_id()}, using_db=db
            )
        except BaseException:
            await context.close_connections()
            raise
        path.chmod(0o600)
        opened = cls(path, context, db, str(json.loads(row.value)))
        opened._home, opened._memory = home, memory
        opened.depth = (await opened.waiting(int(await opened.get("acked", 0))))[0]
        opened.reserve.open()
        return opened

    async def close(self) -> None:
        """Close the file; what is owed is written if there is room by now."""
        if self._moving is not None:
            await self._moving
        if self._owed or self._remembered:
            with contextlib.suppress(JournalError):
                async with self.write(Now(0.0, 0, ClockQuality.UNTRUSTED)):
                    pass
        await self._db.close()
        await self._context.close_connections()

    def on_event(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every committed transaction."""
        self._listeners.append(listener)

    def on_moved(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the journal has moved into memory: it has another ``id`` from then on."""
        self._moved.append(listener)

    @property
    def in_memory(self) -> bool:
        """Whether the disk takes nothing, so that a power cut costs what was not sent."""
        return self.path != self._home

    @asynccontextmanager
    async def write(self, now: Now) -> AsyncIterator[Tx]:
        """One transaction; all of it or nothing. Raises JournalError when the disk refuses.

        What is owed from before is written first, so that the journal stays in the order in which
        things happened.
        """
        tight = self.reserve.look() or self.depth >= LESSER_WAITING
        owed: list[Debt] = []
        remembered: dict[str, Any] = {}
        committing = False
        try:
            async with self._transaction() as db:
                owed, self._owed = self._owed, []
                for debt in owed:
                    await self._pay(debt, db)
                remembered, self._remembered = self._remembered, {}
                tx = Tx(db, now, self.link_down(), tight=tight)
                for key, value in remembered.items():
                    await tx.put(key, value)
                yield tx
                committing = True
        except BaseException as error:
            # A commit that was only not waited for is carried out.
            if not (committing and isinstance(error, asyncio.CancelledError)):
                self._owed = owed + self._owed
                self._remembered = {**remembered, **self._remembered}
            if isinstance(error, sqlite3.OperationalError):
                error = JournalError(error)
            if isinstance(error, JournalError):
                self._complain(error)
                self._look_at_disk()
                raise error from None
            raise
        self.left_out += tx.left_out
        self.depth += tx.events
        for listener in self._listeners:
            listener()

    async def take(
        self, now: Now, command: Command, grant: str | None, at_ms: int, state: str
    ) -> bool:
        """``Tx.take_command`` in a transaction of its own. Raises JournalError when the disk refuses.

        One statement is a transaction by itself: somebody waits at a door for each turn of the writer.
        Where something is owed it comes first, as in ``write``.
        """
        if self._owed or self.reserve.look():
            async with self.write(now) as tx:
                return await tx.take_command(command, grant, at_ms, state)
        try:
            return await Tx(self._db, now, False).take_command(command, grant, at_ms, state)
        except JournalError as error:
            self._complain(error)
            self._look_at_disk()
            raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[BaseDBAsyncClient]:
        """A transaction that is over when it is left, however it ended.

        Tortoise's own leaves one open whose commit the disk refused, and the next one carries it out.
        """
        async with self._db._lock:  # every other query takes it as well
            assert self._db._connection is not None
            await self._db._connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransactionWrapper(self._db)
                await self._db._connection.commit()
            except BaseException:
                await self._db._connection.rollback()
                raise

    def _look_at_disk(self) -> None:
        """A disk that is full is waited for; one that takes nothing at all is left."""
        if self._memory is not None and not self.in_memory and self._moving is None:
            self._moving = asyncio.create_task(self._move(self._memory), name="journal moves")

    async def _move(self, memory: Path) -> None:
        try:
            if await asyncio.to_thread(refuge.takes_writes, self._home.parent):
                return
            async with self._db._lock:
                path = memory / refuge.NAME
                await self._db.close()
                try:
                    await asyncio.to_thread(refuge.flee, self._home, path)
                    if path.exists():
                        self.path, self._db.filename = path, str(path)
                finally:
                    await self._db.create_connection(with_db=True)
            if self.in_memory:
                self.id = str(await self.get("journal"))
                self.reserve = Reserve(path.with_name("journal.reserve"))
                self._remembered.pop("acked", None)  # of the other journal
                for listener in (*self._moved, *self._listeners):
                    listener()
        except Exception:
            log.exception("journal_not_moved")
        finally:
            self._moving = None

    async def keep(self, now: Now, write: Write) -> bool:
        """Write what has happened already, whether or not there is room: now, or owed until there is.

        Returns whether it is on the disk. For what must never be lost nor stop anybody; an act that
        must not be done uncounted is written with ``write``, before it.
        """
        try:
            async with self.write(now) as tx:
                await write(tx)
        except JournalError:
            self.owe(now, write)
            return False
        return True

    def owe(self, now: Now, write: Write) -> None:
        """Write with the next transaction that succeeds."""
        if len(self._owed) >= OWED_MAX:
            log.error("journal_debt_dropped", owed=len(self._owed))
            return
        self._owed.append(Debt(now, self.link_down(), write))

    def remember(self, key: str, value: Any) -> None:
        """Put a small fact with the next transaction: one that may be lost costs none of its own."""
        self._remembered[key] = value

    @property
    def in_debt(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._owed)

    async def _pay(self, debt: Debt, db: BaseDBAsyncClient) -> None:
        try:
            await debt.write(Tx(db, debt.now, debt.historical))
        except (JournalError, sqlite3.OperationalError):
            raise
        except Exception:  # one that can never be written must not hold up all others
            log.exception("journal_debt_lost")

    def _complain(self, error: JournalError) -> None:
        """Once a minute at most: a log that fills a full disk helps nobody."""
        if self._told_at and time.monotonic() - self._told_at < TELL_AGAIN_S:
            return
        self._told_at = time.monotonic()
        log.error("journal_refused", why=str(error), owed=len(self._owed))

    async def get(self, key: str, default: Any = None) -> Any:
        """A small fact kept by ``Tx.put``."""
        row = await KeyValue.get_or_none(key=key, using_db=self._db)
        return default if row is None else json.loads(row.value)

    async def uses(self, grant: str) -> tuple[int, int | None]:
        """How often a grant opened a door, and when last (business ms)."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        return (0, None) if use is None else (use.uses, use.last_at)

    async def entries(self) -> dict[str, dict[str, Any]]:
        """Entries at readers whose pulse was ordered and whose end was not written."""
        rows = await KeyValue.filter(key__startswith=ENTRY).using_db(self._db)
        return {row.key: json.loads(row.value) for row in rows}

    async def desired(self) -> DesiredRecord | None:
        """The document that was applied last."""
        row = await DesiredEntry.get_or_none(id=1, using_db=self._db)
        return None if row is None else DesiredRecord(row.epoch, row.rev, bytes(row.payload))

    async def stays(self) -> list[StayRecord]:
        """All stays known."""
        rows = await StayEntry.all(using_db=self._db)
        return [stay_of(row) for row in rows]

    async def overrides(self) -> list[OverrideRecord]:
        """Overrides that were not ended yet."""
        rows = await OverrideEntry.all(using_db=self._db)
        names = [field.name for field in fields(OverrideRecord)]
        return [OverrideRecord(**{name: getattr(row, name) for name in names}) for row in rows]

    async def command(self, command: str) -> CommandRecord | None:
        """A command by its id."""
        row = await CommandEntry.get_or_none(id=command, using_db=self._db)
        return None if row is None else command_of(row)

    async def unfinished(self) -> list[CommandRecord]:
        """Commands that were under way when the program ended."""
        rows = await CommandEntry.filter(state__in=["received", "executing", "opened"]).using_db(
            self._db
        )
        return [command_of(row) for row in rows]

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

    async def id_of(self, seq: int) -> str | None:
        """The id of an event; None for one that is not here (any more)."""
        row = await OutboxEntry.filter(seq=seq).using_db(self._db).first()
        return None if row is None else row.id

    async def oldest(self) -> int | None:
        """The lowest seq that is still here; None before the first event."""
        first = await OutboxEntry.all(using_db=self._db).order_by("seq").first()
        return None if first is None else first.seq

    async def prune(self, acked: int, now: Now, listed: Iterable[str] = ()) -> None:
        """Let go of what nobody can ask for any more: 7 days after it was acknowledged or final; how
        often a grant was used, 90 days after it was.

        While the disk is full a day must do. Stays that the cloud still lists (``listed``) are kept:
        they must not begin anew. While the clock cannot be trusted nothing goes.
        """
        if now.quality is ClockQuality.UNTRUSTED:
            return
        before = now.ms - KEEP_MS
        marks = [mark for mark in await self.get("acked_marks", []) if mark[1] <= acked]
        if not marks or marks[-1][1] < acked:
            marks.append([now.ms, acked])
        kept_since = now.ms - TIGHT_KEEP_MS if self.reserve.given_up else before
        due = [mark for mark in marks if mark[0] <= kept_since]
        last = await OutboxEntry.all(using_db=self._db).order_by("-seq").first()
        async with self.write(now) as tx:
            await tx.put("acked_marks", marks[max(0, len(due) - 1) :])
            if due and last is not None:  # the last row stays: the next seq is counted from it
                await tx.drop_events(min(due[-1][1], last.seq - 1))
            await tx.drop_old(before, listed)
            await tx.drop_uses(now.ms - KEEP_USES_MS)

    def full(self) -> bool:
        """Whether the disk is full, so that the reserve is in use or the journal in debt."""
        return self.reserve.look() or self.in_debt
