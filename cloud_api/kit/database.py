"""One door to the database on both engines: ``write()`` and ``read()``.

PostgreSQL takes transactions as they come. SQLite has one writer, so writes of this process queue
on a lock and begin with BEGIN IMMEDIATE (a deferred BEGIN that turns into a write ignores the busy
timeout); reads use their own connections. Inside ``write()`` nothing outside the database is
awaited: no provider, no broker. Services never commit; whoever opened ``write()`` does, by leaving it.

On PostgreSQL a person at a door waits for each round trip, so none is wasted: a ``read()`` has no BEGIN
and no ROLLBACK around its statements (each sees what was committed before it, as it would anyway at READ
COMMITTED), and a pooled connection is not asked whether it still stands unless it rested for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as PlainAsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session as SQLModelSession
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.straight import Straight, straight

_AFTER_COMMIT = "kaimen.after_commit"
_KEPT = "kaimen.kept"
_BEFORE_COMMIT = "kaimen.before_commit"
_DATABASE = "kaimen.database"
_RESTED = "kaimen.rested"
IDLE_S = 30  # a transaction whose owner says nothing for so long is ended: it died, or stands still
CONNECT_S = 10.0
PROBE_AFTER_S = 30.0  # a connection that rested so long is asked whether it still stands


@dataclass
class Commits:
    """What a request has committed so far: before it is done again, it must be nothing."""

    count: int = 0
    repeated: bool = False  # part of it was done again already


_commits: ContextVar[Commits | None] = ContextVar("kaimen.commits", default=None)


@contextmanager
def counting_commits() -> Iterator[Commits]:
    """Count what is committed by ``write()`` in this block, and in tasks that it begins."""
    mark = _commits.set(commits := Commits())
    try:
        yield commits
    finally:
        _commits.reset(mark)


def counted_commits() -> Commits | None:
    """The count of the block that this runs in; None outside of any."""
    return _commits.get()


class Express(Protocol):
    """Sends what waits in a stream of the outbox, right now and from this process."""

    holder: str  # its name in leases

    @property
    def ready(self) -> bool:
        """Whether it could send now."""
        ...

    def begin(self, stream: str, leased_at: datetime, found: Any = None) -> None:
        """Send in the background what was just committed; the stream's lease came with it.

        ``leased_at``: wire time from which the lease counts. ``found``: all that waits, where it is known.
        """
        ...


class Watch(Protocol):
    """Keeps a process from writing whose clock jumped."""

    @property
    def astray(self) -> bool:
        """Whether it jumped, and nobody has said that this was right."""
        ...

    def refuse(self) -> None:
        """Raises KaimenError ``clock`` while it is astray."""
        ...


class Database:
    """The cloud's database. ``url`` is ``postgresql+asyncpg://…`` or ``sqlite+aiosqlite:///…``."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._writer = asyncio.Lock()
        self._straight: dict[Any, Straight | None] = {}
        self._listeners: dict[str, list[Callable[[str], None]]] = {}
        # How announcements reach other processes; kit/wakeups.py sets it while it is connected.
        self.tell_others: Callable[[str, str], None] | None = None
        # Who sends this process's commands at once; the channel sets it (see kit/outbox.py).
        self.express: Express | None = None
        # Who knows whether this process's clock may be written down; see kit/clock_watch.py.
        self.clock: Watch | None = None
        if self.is_sqlite:
            self._write_engine = _sqlite(url, "BEGIN IMMEDIATE", 1)
            self._read_engine = _sqlite(url, "BEGIN", pool_size)
            self._snapshot_engine = self._read_engine  # a transaction of SQLite's is one already
        else:
            self._write_engine = _postgres(url, pool_size)
            self._read_engine = self._write_engine.execution_options(isolation_level="AUTOCOMMIT")
            self._snapshot_engine = self._write_engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @property
    def engine(self) -> AsyncEngine:
        """The engine that may write; for migrations and checks."""
        return self._write_engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits on leaving and rolls back on an exception.

        What was given to ``before_commit`` runs last inside it, what was given to ``after_commit``
        after the commit; both in order. Raises KaimenError ``clock`` where this machine's clock jumped.
        """
        if self.clock is not None:
            self.clock.refuse()
        try:
            if self.is_sqlite:
                async with self._writer, self._transaction() as session:
                    yield session
            else:
                async with self._transaction() as session:
                    yield session
        except KaimenError as refused:
            if refused.unexplained:
                async with self.read() as looking:
                    await refused.explain(looking)
            raise
        if (commits := _commits.get()) is not None:
            commits.count += 1
        for act in session.info.pop(_AFTER_COMMIT, []):
            act()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        async with _Asked(
            self._write_engine, sync_session_class=_Writing, expire_on_commit=False
        ) as session:
            session.info[_DATABASE] = self
            async with session.begin():
                yield session
                while acts := session.info.pop(_BEFORE_COMMIT, []):
                    for _, act in acts:
                        await act()

    @asynccontextmanager
    async def write_each(self) -> AsyncIterator[AsyncSession]:
        """A session of which each statement is a transaction of its own, on PostgreSQL.

        For a statement that needs no other: BEGIN and COMMIT are a round trip each. Nothing is given to
        ``before_commit`` or ``after_commit`` here. SQLite's is one transaction as ever.
        """
        if self.is_sqlite:
            async with self.write() as session:
                yield session
        else:
            async with AsyncSession(self._read_engine, expire_on_commit=False) as session:
                yield session

    async def one(self, statement: Any, values: dict[str, Any]) -> Any:
        """The row of a statement that is a transaction of its own; None: it found nothing to do. PostgreSQL.

        A row says that something was committed. Raises KaimenError ``clock`` as ``write`` does, and what
        ``straight`` does.
        """
        if self.clock is not None:
            self.clock.refuse()
        found = await self.straight(statement, values)
        if not found:
            return None
        if (commits := _commits.get()) is not None:
            commits.count += 1
        (row,) = found
        return row

    async def straight(self, statement: Any, values: dict[str, Any]) -> list[Any]:
        """All rows of a ``built`` statement of its own transaction, past a session (kit/straight.py). PostgreSQL.

        One that cannot be sent so goes the ordinary way, and gives columns only. Raises
        IntegrityError and DBAPIError as a session does.
        """
        import asyncpg  # not where SQLite serves

        if statement not in self._straight:
            self._straight[statement] = straight(statement, self._read_engine.dialect)
        known = self._straight[statement]
        if known is None:
            async with self._read_engine.connect() as connection:
                return list(await connection.execute(statement, values))
        args = known.args(values)
        async with self._read_engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                return known.rows(await driver.fetch(known.text, *args))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                broken = isinstance(error, asyncpg.IntegrityConstraintViolationError)
                raise (IntegrityError if broken else DBAPIError)(
                    known.text,
                    None,
                    error,
                    hide_parameters=True,
                    connection_invalidated=driver.is_closed(),
                ) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading: changed objects are never written, a statement that writes raises."""
        async with _Asked(
            self._read_engine, sync_session_class=_Reading, expire_on_commit=False, autoflush=False
        ) as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """As ``read``, and all that is read is as it stood at the first statement: for looks that compare
        one table with another while everybody goes on.
        """
        async with AsyncSession(
            self._snapshot_engine,
            sync_session_class=_Reading,
            expire_on_commit=False,
            autoflush=False,
        ) as session:
            yield session

    def listen(self, topic: str, listener: Callable[[str], None]) -> None:
        """Call ``listener(key)`` after commits that announced ``topic``, in whichever process.

        A wake-up, not a message: one may be lost with a process or a connection, so a listener
        looks by itself as well, only less often.
        """
        listeners = self._listeners.setdefault(topic, [])
        if listener not in listeners:
            listeners.append(listener)

    def forget(self, topic: str, listener: Callable[[str], None]) -> None:
        """Call ``listener`` no more."""
        if listener in self._listeners.get(topic, []):
            self._listeners[topic].remove(listener)

    def announce(self, topic: str, key: str) -> None:
        """Wake the listeners of ``topic`` in this process and in all that share the database."""
        self.wake(topic, key)
        if self.tell_others is not None:
            self.tell_others(topic, key)

    def wake(self, topic: str, key: str) -> None:
        """Wake the listeners of this process alone."""
        for listener in list(self._listeners.get(topic, [])):
            listener(key)

    def wake_all(self) -> None:
        """Wake every listener of this process, with an empty key: something may have been missed."""
        for topic in list(self._listeners):
            self.wake(topic, "")

    async def close(self) -> None:
        """Give all connections back."""
        await self._write_engine.dispose()
        await self._read_engine.dispose()  # PostgreSQL's are one pool


def database_of(session: AsyncSession) -> Database | None:
    """The database whose ``write()`` gave ``session``."""
    database: Database | None = session.info.get(_DATABASE)
    return database


def keep(session: AsyncSession, *rows: object) -> None:
    """Hold rows as long as ``session`` lives: it forgets what nobody holds, and would read it again."""
    session.info.setdefault(_KEPT, []).extend(rows)


def before_commit(
    session: AsyncSession, act: Callable[[], Awaitable[None]], *, first: bool = False
) -> None:
    """Run ``act`` as the last thing of the transaction of ``session``, in the transaction.

    For what takes a lock that many want: it is held for the commit alone, and always taken last. Not
    run if the transaction, or the savepoint in which this was called, rolls back. ``first``: before
    those without it, so that two kinds of such locks are always taken in the same order.
    """
    inside: list[SessionTransaction] = []
    nested = session.sync_session.get_nested_transaction()
    while nested is not None:
        inside.append(nested)
        nested = nested.parent if nested.parent is not None and nested.parent.nested else None
    waiting = session.info.setdefault(_BEFORE_COMMIT, [])
    waiting.insert(0 if first else len(waiting), (inside, act))


@event.listens_for(Session, "after_soft_rollback")
def _savepoint_rolled_back(session: Session, rolled_back: SessionTransaction) -> None:
    waiting = session.info.get(_BEFORE_COMMIT)
    if waiting:
        waiting[:] = [(inside, act) for inside, act in waiting if rolled_back not in inside]


def after_commit(session: AsyncSession, act: Callable[[], None]) -> None:
    """Run ``act`` once the transaction of ``session`` has committed; never if it rolls back."""
    session.info.setdefault(_AFTER_COMMIT, []).append(act)


def announce_after_commit(session: AsyncSession, topic: str, key: str) -> None:
    """Wake the listeners of ``topic`` in all processes once the transaction has committed."""
    database = database_of(session)
    if database is not None:
        after_commit(session, lambda: database.announce(topic, key))


class _Asked(AsyncSession):
    """SQLModel's session, whose ``execute`` differs from SQLAlchemy's by a warning, worked out each time."""

    execute = PlainAsyncSession.execute


class _Writing(SQLModelSession):
    """What ``write()`` gives."""

    execute = Session.execute


class _Reading(SQLModelSession):
    """What ``read()`` gives."""

    execute = Session.execute


@event.listens_for(_Reading, "do_orm_execute")
def _only_read(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError("read() is for reading: write in write()")


@event.listens_for(_Reading, "before_flush")
def _never_flush(*_: Any) -> None:
    raise RuntimeError("read() is for reading: write in write()")


def _postgres(url: str, pool_size: int) -> AsyncEngine:
    import asyncpg  # not where SQLite serves

    async def connect(*args: Any, **options: Any) -> Any:
        """A server that is away, starts, or has no place left: told as every other trouble with it.

        asyncpg's own errors, and the system's, come through SQLAlchemy unwrapped where there is no
        connection yet, and nobody expects them.
        """
        try:
            return await asyncpg.connect(*args, **options)
        except (OSError, asyncpg.PostgresError) as error:
            raise OperationalError("connect", None, error, hide_parameters=True) from error

    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,  # an error's text goes into logs and tables
        connect_args={"timeout": CONNECT_S, "async_creator_fn": connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _bound(connection: Any, _entry: ConnectionPoolEntry) -> None:
        """A machine that lost its power in a transaction would hold its rows for hours, until TCP noticed."""
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'")
        cursor.close()
        connection.commit()

    @event.listens_for(engine.sync_engine, "checkin")
    def _rest(_connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info[_RESTED] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _still_there(connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        """A server that went has said so, and costs nothing to notice; a silent end has to be asked."""
        gone = connection.driver_connection.is_closed()
        now = time.monotonic()
        if not gone and now - entry.info.get(_RESTED, now) > PROBE_AFTER_S:
            try:
                engine.sync_engine.dialect.do_ping(connection)
            except engine.sync_engine.dialect.loaded_dbapi.Error:
                gone = True
        if gone:
            raise DisconnectionError("the server closed it")  # the pool takes another

    return engine


def _sqlite(url: str, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_timeout=30, hide_parameters=True
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=5000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
