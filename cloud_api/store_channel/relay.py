"""From the outbox to the broker: in order per store, with any number of relays, never late.

A relay takes a stream's lease (4 s, one conditional statement) and its first rows, publishes them one
after the other with no transaction open, then marks them and gives the lease back. Correctness does not
hang on the lease: a command carries its expiry and its connection's nonce and acts once by its id, a
document carries its number. The lease keeps the order.

The process in which somebody taps sends that command itself where it can (``begin``): the lease came with
the row's own transaction, and where nothing else waits in the stream nothing has to be read between its
commit and the broker: that the store is there was read with the row, and is read again only where that was
more than FRESH ago. Whatever cannot leave that way is found by the relays that look (``run``), those of the
workers.

Commands are worth something now or never. One that has expired, or whose store is not there, or
that finds no broker, is not sent, and who waits for it hears so at once. One whose publication was
not confirmed counts as sent and is not repeated; one that was published by a relay that died before
it could mark it may be published twice, which the store answers with ``duplicate``.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.command_rows import There
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.keys import CloudKeys
from cloud_api.kit.models import OutboxRow
from cloud_api.kit.outbox import COMMAND, DESIRED, OUTBOX, lease
from cloud_api.kit.statements import built
from cloud_api.store_channel import outcomes
from cloud_api.store_channel.publisher import DesiredPublisher, Publisher
from cloud_api.store_channel.sent import Sent, give_back, mark, mark_one, more, pending
from store_link import topics
from store_link.clock import ms
from store_link.codec import CodecError, encode
from store_link.link import LinkError, NotConfirmed, NotConnected
from store_link.messages import Action, Command
from store_link.signing import EnvelopeTooLong, MacKey, Purpose, seal

log = structlog.get_logger(__name__)

FENCE_S = 1.5  # no command is begun on a lease older than this: CONFIRM_S is left, and a margin
LOOK_EVERY_S = 0.5  # where a wake-up was lost
BATCH = 20
LANES = 8  # streams at a time
CONFIRM_S = 2.0
FRESH = timedelta(milliseconds=50)  # a store that left since is found out by its silence
PATIENCE = timedelta(seconds=1)  # another relay may have a broker where this one has none
DESIRED_TRIES = 5
KEEP = timedelta(days=7)

STORE_OFFLINE = "store_offline"
EXPIRED = "expired"
NO_BROKER = "broker_offline"
NOT_VALID = "bad_message"


_Found = tuple[OutboxRow, DeviceCommand | None, There | None]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A command, signed and addressed."""

    seq: int
    command_id: str
    topic: str
    payload: bytes
    created_at: datetime
    expires_at: datetime
    key: MacKey | None = None  # what the store seals its answer with, where it was read


@dataclass(slots=True)
class _Batch:
    """What one transaction took of a stream, and what came of it."""

    commands: dict[int, _Ready] = field(default_factory=dict)  # by row
    order: list[tuple[int, bool]] = field(default_factory=list)  # (row, is it a command)
    sent: list[Sent] = field(default_factory=list)
    refused: list[_Ready] = field(default_factory=list)  # there was no broker
    unsent: list[tuple[int, str | None, str]] = field(default_factory=list)  # row, command, why
    done: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def one(self) -> Sent | None:
        """The command that was sent, where nothing else came of the batch."""
        if len(self.sent) != 1 or self.refused or self.unsent or self.done or self.failed:
            return None
        return self.sent[0]


class Relay:
    """One relay of one process. ``holder`` names it in leases: unique among all."""

    def __init__(
        self,
        cloud: Cloud,
        keys: CloudKeys,
        link: Publisher,
        desired: DesiredPublisher,
        holder: str,
        is_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_up = is_up
        self._cloud = cloud
        self._keys = keys
        self._link = link
        self._desired = desired
        self.holder = holder
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._express: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        cloud.db.listen(OUTBOX, lambda _stream: self._wake.set())

    def wake(self) -> None:
        """Look now: the link came up."""
        self._wake.set()

    @property
    def ready(self) -> bool:
        """Whether a command could leave now."""
        return self._is_up() and not self._cloud.astray

    def begin(self, stream: str, leased_at: datetime, found: _Found | None = None) -> None:
        """Send what was just committed to ``stream`` with its lease, in the background.

        ``found``: the one row that waits there, as it would be read.
        """
        task = asyncio.create_task(self._send_now(stream, leased_at, found))
        self._express.add(task)
        task.add_done_callback(self._express.discard)

    async def _send_now(self, stream: str, leased_at: datetime, found: _Found | None) -> None:
        settled = 0
        try:
            settled = await self.drain_stream(stream, leased_at=leased_at, found=found)
        except Exception:
            log.exception("stream_failed", stream=stream)
        finally:
            if not settled:  # others may have a broker, or say in time that there is none
                self._cloud.db.announce(OUTBOX, stream)

    async def finish(self) -> None:
        """Wait for what ``begin`` began, until nothing is left of it."""
        while self._express:
            await asyncio.gather(*self._express, return_exceptions=True)

    async def run(self, stop: asyncio.Event) -> None:
        """Drain until ``stop``."""
        while not stop.is_set():
            self._wake.clear()
            if not self._cloud.astray:
                await self.drain()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def drain(self) -> int:
        """Send what waits in all streams that nobody else drains now; how many rows were settled.

        Without a broker only streams with commands are looked at: those have to be given up in time.
        """
        query = select(col(OutboxRow.stream)).where(*pending()).distinct()
        if not self._is_up():
            query = query.where(col(OutboxRow.topic) != DESIRED)
        async with self._cloud.db.read() as session:
            waiting = list((await session.execute(query)).scalars())
        lanes = asyncio.Semaphore(LANES)

        async def one(stream: str) -> int:
            async with lanes:
                try:
                    return await self.drain_stream(stream)
                except Exception:  # one store's trouble is not all stores'
                    log.exception("stream_failed", stream=stream)
                    return 0

        return sum(await asyncio.gather(*(one(stream) for stream in waiting)))

    async def drain_stream(
        self, stream: str, *, leased_at: datetime | None = None, found: _Found | None = None
    ) -> int:
        """Send what waits in a stream, in order; how many rows were settled.

        ``leased_at``: its lease was taken with the row, and counts from then (wire time). ``found``: with
        that lease, the one row that waits.
        """
        settled = 0
        if self._locks[stream].locked():
            leased_at = None  # who holds this may give the lease back meanwhile
        async with self._locks[stream]:
            while True:
                began = self._cloud.clocks.wire.monotonic()
                if leased_at is not None:  # the commit may have taken long
                    age = (self._cloud.clocks.real - leased_at).total_seconds()
                    if 0 <= age < FENCE_S:
                        began -= age
                    else:
                        leased_at = None
                batch: _Batch | None
                if leased_at is not None and found is not None:
                    batch = await self._known(found)
                else:
                    batch = await self._take(stream, leased=leased_at is not None)
                leased_at = found = None
                if batch is None:
                    return settled
                try:
                    stuck = await self._publish(stream, batch, began)
                finally:
                    more = await asyncio.shield(self._mark_surely(stream, batch))
                settled += len(batch.done) + len(batch.sent) + len(batch.unsent)
                if stuck or not more:
                    return settled

    # ---------------------------------------------------------------------------------- the steps

    async def _take(self, stream: str, *, leased: bool) -> _Batch | None:
        """The stream's lease and its first rows; None where another has it or nothing waits."""
        now = self._cloud.clocks.real
        if leased:
            try:
                async with self._cloud.db.read() as session:
                    return self._batch(await self._rows(session, stream), now)
            except SQLAlchemyError:  # a connection broke; nobody shall wait for a lease to run out
                log.warning("stream_read_again", stream=stream, exc_info=True)
        async with self._cloud.db.write() as session:
            if not await self._lease(session, stream, now):
                return None
            rows = await self._rows(session, stream)
            if not rows:
                await self._release(session, stream)
        return self._batch(rows, now) if rows else None

    async def _known(self, found: _Found) -> _Batch:
        """What is to be done with a row that is known; but is its store still there?"""
        row, command, there = found
        now = self._cloud.clocks.real
        if there is not None and not timedelta(0) <= now - there.at < FRESH:
            async with self._cloud.db.read() as session:
                nonce = await session.scalar(_nonce(), {"store_id": row.stream})
            there = None if nonce is None else replace(there, nonce=nonce)
            now = self._cloud.clocks.real
        return self._batch([(row, command, there)], now)

    async def _lease(self, session: AsyncSession, stream: str, now: datetime) -> bool:
        return await lease(session, stream, self.holder, now, again=True) is not None

    async def _release(self, session: AsyncSession, stream: str, one: Sent | None = None) -> None:
        """Give the lease back; with the mark of the one command that was sent, where it is all."""
        if one is None:
            await give_back(session, stream, self.holder)
        else:
            await mark_one(session, stream, self.holder, one, self._cloud.clocks.real)

    async def _rows(self, session: AsyncSession, stream: str) -> Sequence[_Found]:
        """The first rows that wait, with their commands and where the store is: one round trip."""
        query = (
            select(OutboxRow, DeviceCommand, col(StoreStatus.nonce))
            .outerjoin(
                DeviceCommand,
                col(DeviceCommand.id) == col(OutboxRow.body)["command_id"].as_string(),
            )
            .outerjoin(
                StoreStatus,
                and_(
                    col(StoreStatus.store_id) == col(DeviceCommand.store_id),
                    col(StoreStatus.online),
                ),
            )
            .where(col(OutboxRow.stream) == stream, *pending())
            .order_by(col(OutboxRow.seq))
            .limit(BATCH)
        )
        now = self._cloud.clocks.real
        return [
            (row, command, None if nonce is None else There(nonce, now))
            for row, command, nonce in await session.execute(query)
        ]

    def _batch(self, rows: Sequence[_Found], now: datetime) -> _Batch:
        """What is to be done with the rows."""
        batch = _Batch()
        for row, command, there in rows:
            assert row.seq is not None
            if row.topic == DESIRED:
                batch.order.append((row.seq, False))
            elif row.topic != COMMAND:
                batch.unsent.append((row.seq, None, "unknown topic"))
            elif command is None or command.final_at is not None:
                batch.unsent.append((row.seq, None, "no such open command"))
            else:
                ready = self._prepare(row, command, there, now)
                if isinstance(ready, _Ready):
                    batch.commands[row.seq] = ready
                    batch.order.append((row.seq, True))
                else:
                    batch.unsent.append((row.seq, command.id, ready))
        return batch

    def _prepare(
        self, row: OutboxRow, command: DeviceCommand, there: There | None, now: datetime
    ) -> _Ready | str:
        """A command ready to go, or why it is not to be sent."""
        if now >= command.expires_at:
            return EXPIRED
        if there is None:
            return STORE_OFFLINE
        try:
            return self._signed(row, command, there)
        except (CodecError, EnvelopeTooLong, topics.TopicError, ValueError) as error:
            log.error("command_not_valid", command=command.id, why=type(error).__name__)
            return NOT_VALID

    def _signed(self, row: OutboxRow, command: DeviceCommand, there: There) -> _Ready:
        message = Command(
            store=command.store_id,
            id=command.id,
            target=command.target,
            action=Action(command.action),
            args=command.args,
            iat=ms(command.created_at),
            exp=ms(command.expires_at),
            nonce=there.nonce,
            by=command.by,
            why=command.why,
            reply_to=command.instance or self._cloud.waiters.instance,
        )
        payload = seal(
            encode(message), Purpose.COMMAND, command.store_id, self._keys.signing("command")
        )
        assert row.seq is not None
        key = None
        if there.mac_kid is not None and there.mac_key is not None:
            key = MacKey(there.mac_kid, bytes.fromhex(there.mac_key))
        return _Ready(
            row.seq,
            command.id,
            topics.command(command.store_id),
            payload,
            row.created_at,
            command.expires_at,
            key,
        )

    async def _publish(self, stream: str, batch: _Batch, began: float) -> bool:
        """Publish in order, no transaction open; True where something has to wait."""
        covered = False  # a document built now covers every "desired" row read so far
        stuck = False
        for seq, is_command in batch.order:
            if self._cloud.clocks.wire.monotonic() - began > FENCE_S:
                return False  # take the lease anew before going on
            if is_command:
                stuck = not await self._send(batch, batch.commands[seq]) or stuck
            elif covered:
                batch.done.append(seq)
            else:
                covered = await self._send_desired(stream, batch, seq)
                stuck = stuck or not covered
        return stuck

    async def _send(self, batch: _Batch, ready: _Ready) -> bool:
        """False where it stays for another try within its time."""
        now = self._cloud.clocks.real
        if now >= ready.expires_at:
            batch.unsent.append((ready.seq, ready.command_id, EXPIRED))
            return True
        self._cloud.waiters.sent(ready.command_id, now, ready.key)
        try:
            await self._link.publish(ready.topic, ready.payload, qos=1, timeout_s=CONFIRM_S)
        except NotConfirmed:
            log.warning("command_not_confirmed", command=ready.command_id)
        except NotConnected:
            batch.refused.append(ready)
            return False
        batch.sent.append(Sent(ready.seq, ready.command_id, now))
        return True

    async def _send_desired(self, stream: str, batch: _Batch, seq: int) -> bool:
        """Build and publish; a document that cannot be built does not hold commands up."""
        try:
            await self._desired.refresh(stream)
        except LinkError:
            return False
        except Exception as error:
            log.exception("desired_failed", store=stream)
            batch.failed[seq] = f"{type(error).__name__}: {error}"[:200]
            return False
        batch.done.append(seq)
        return True

    async def _mark_surely(self, stream: str, batch: _Batch) -> bool:
        """Mark, once more where a connection broke or a deadlock was cut: unmarked, it is sent again."""
        try:
            return await self._mark(stream, batch)
        except SQLAlchemyError:
            log.warning("stream_marked_again", stream=stream, exc_info=True)
            return await self._mark(stream, batch)

    async def _mark(self, stream: str, batch: _Batch) -> bool:
        """Write down what was done and give the lease back; True if more waits."""
        if batch.one is not None:
            async with self._cloud.db.write_each() as session:
                await self._release(session, stream, batch.one)
                return await more(session, stream)
        now = self._cloud.clocks.real
        async with self._cloud.db.write() as session:
            await mark(session, batch.done, batch.sent, now)
            while batch.refused:  # no broker: nobody shall wait for nothing
                ready = batch.refused.pop()
                if now - ready.created_at >= PATIENCE:
                    batch.unsent.append((ready.seq, ready.command_id, NO_BROKER))
            for seq, command_id, reason in batch.unsent:
                await session.execute(
                    update(OutboxRow).where(col(OutboxRow.seq) == seq).values(dropped=reason)
                )
                if command_id is not None:
                    await self._not_sent(session, stream, command_id, reason)
            for seq, error in batch.failed.items():
                row = await session.get(OutboxRow, seq)
                if row is not None:
                    row.attempts += 1
                    row.dropped = error if row.attempts >= DESIRED_TRIES else None
                    session.add(row)
            await self._release(session, stream)  # first: see give_back
            return await more(session, stream)

    async def _not_sent(
        self, session: AsyncSession, store_id: str, command_id: str, reason: str
    ) -> None:
        log.info("command_not_sent", command=command_id, why=reason)
        outcome = outcomes.Outcome(outcomes.NOT_SENT, reason)
        await outcomes.settle(session, self._cloud, store_id, command_id, outcome)


async def prune(cloud: Cloud) -> int:
    """Take out rows that were settled a week ago; how many."""
    limit = cloud.clocks.real - KEEP
    async with cloud.db.write() as session:
        result = await session.execute(
            delete(OutboxRow).where(
                col(OutboxRow.created_at) < limit,
                or_(col(OutboxRow.sent_at).is_not(None), col(OutboxRow.dropped).is_not(None)),
            )
        )
        assert isinstance(result, CursorResult)
        return int(result.rowcount)


@built
def _nonce() -> Any:
    return select(col(StoreStatus.nonce)).where(
        col(StoreStatus.store_id) == bindparam("store_id"), col(StoreStatus.online)
    )
