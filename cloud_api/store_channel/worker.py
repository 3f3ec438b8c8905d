"""All of the channel in one process: started with the app or alone, watched, started anew when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import func, select
from sqlmodel import col

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.store_channel import ingest, outcomes, relay, shards, status, together
from cloud_api.store_channel.acks import Acks
from cloud_api.store_channel.broker_health import BrokerHealth
from cloud_api.store_channel.credentials import (
    broker_users,
    enrolled_stores,
    trusted,
    trusted_of,
)
from cloud_api.store_channel.effects import EFFECTS
from cloud_api.store_channel.link import CloudLink, endpoint_of
from cloud_api.store_channel.models import EventFailure
from cloud_api.store_channel.office import Office, office_of, renew_certificates
from cloud_api.store_channel.publisher import DesiredPublisher
from cloud_api.store_channel.twins import Twins
from store_link import topics
from store_link.codec import CodecError, decode, encode
from store_link.link import Backoff, LinkError
from store_link.messages import EventAck, EventBatch
from store_link.reports import Presence, Reported
from store_link.signing import EnvelopeError, Purpose, open_mac, seal
from store_link.topics import ParsedTopic, Plane

log = structlog.get_logger(__name__)

REBUILD_EVERY = timedelta(minutes=10)  # business time: the 48 h window moves
SWEEP_EVERY_S = 5.0
BROKER_SYNC_EVERY_S = 30.0
FINISH_S = 3.0  # at the end, for what is under way
ASK_AGAIN_S = 5.0  # a gap that stays so long is told to the store
BREATH = 32_768  # bytes of events that are read at once: then somebody at a door may be served
_PART = "store_channel.state"
_STORE_SIDE = {Plane.PRESENCE: Purpose.PRESENCE, Plane.REPORTED: Purpose.REPORTED}


@dataclass(slots=True)
class TaskState:
    """One of the worker's tasks."""

    running: bool = False
    restarts: int = 0
    last_error: str = ""


@dataclass(slots=True)
class ChannelState:
    """How the channel of this process stands; for /readyz and /metrics."""

    link_up: bool = False
    broker: str = "down"  # "ok", or what is wrong with it
    shards: int = 0
    events: int = 0  # committed since the start
    dead_events: int = 0  # in the database, not settled
    tasks: dict[str, TaskState] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """The broker is there and all tasks run."""
        return self.link_up and all(task.running for task in self.tasks.values())


def state_of(cloud: Cloud) -> ChannelState | None:
    """The state of this process's channel; None where none runs."""
    state = cloud.parts.get(_PART)
    return state if isinstance(state, ChannelState) else None


async def run(cloud: Cloud, stop: asyncio.Event) -> None:
    """Relay, ingest, acknowledgements and documents until ``stop``.

    Raises ValueError at once for settings or key files that do not fit.
    """
    await Channel(cloud, await asyncio.to_thread(office_of, cloud)).run(stop)


async def run_acks(cloud: Cloud, stop: asyncio.Event) -> None:
    """For API processes beside separate workers: sends this process's commands, hears their answers.

    Without it a worker sends them, and outcomes are learned from the database, a little later.
    """
    await Channel(cloud, await asyncio.to_thread(office_of, cloud), acks_only=True).run(stop)


class Channel:
    """The parts of the channel in one process, joined."""

    def __init__(
        self,
        cloud: Cloud,
        office: Office,
        *,
        effects: ingest.Effects = EFFECTS,
        acks_only: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self.cloud = cloud
        self.office = office
        self.holder = f"{cloud.holder or 'worker'}:{new_id()}"
        self.state = ChannelState()
        self._effects = effects
        self._acks_only = acks_only
        self._gaps: dict[str, float] = {}
        self._greeted: dict[str, tuple[str, str]] = {}  # by store: journal and connection
        self._retries: dict[str, asyncio.Task[None]] = {}  # by journal
        self.twins = Twins()
        self.acks = Acks(cloud)
        self.link = CloudLink(
            endpoint_of(cloud, office),
            cloud.waiters.instance,
            self.take,
            on_ack=self.acks.put,
            on_events=self.take_many,
            on_up=self._came_up,
            backoff=backoff,
        )
        self.health = BrokerHealth(cloud, self.link)
        self.desired = DesiredPublisher(cloud, office.keys, self.link)
        self.relay = relay.Relay(
            cloud, office.keys, self.link, self.desired, self.holder, lambda: self.link.up
        )
        self._rebuilt_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; then a clean goodbye."""
        self.cloud.parts[_PART] = self.state
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "watch": lambda: self._watch(stop),
            "acks": lambda: self.acks.run(stop),
            "health": lambda: self.health.run(stop, not self._acks_only),
        }
        if not self._acks_only:
            work |= {
                "broker_users": lambda: self._every(stop, BROKER_SYNC_EVERY_S, self.sync_broker),
                "relay": lambda: self.relay.run(stop),
                "shards": lambda: self._balance(stop),
                "desired": lambda: self._every(stop, 1.0, self.rebuild_when_due),
                "sweep": lambda: self._every(stop, SWEEP_EVERY_S, self.sweep),
                "prune": lambda: self._every(stop, 3600.0, self._prune),
            }
            with contextlib.suppress(Exception):  # tried again below, and logged there
                await self.sync_broker()
                await self.renew_shards()  # so that the first connection subscribes at once
        await self.link.start()
        self.cloud.db.express = self.relay
        tasks = [asyncio.create_task(self._keep(name, act, stop)) for name, act in work.items()]
        try:
            await stop.wait()
        finally:
            self.cloud.db.express = None
            self.relay.wake()  # those two wait for something else than the end
            self.cloud.db.wake(shards.SHARDS_MOVED, "")
            tasks.append(asyncio.create_task(self.relay.finish()))
            await asyncio.wait(tasks, timeout=FINISH_S)  # what was published is marked as such
            retries = list(self._retries.values())
            for task in (*tasks, *retries):
                task.cancel()
            await asyncio.gather(*tasks, *retries, return_exceptions=True)
            if not self._acks_only:
                with contextlib.suppress(Exception):  # the leases run out by themselves
                    await shards.leave(self.cloud, self.holder)
            await self.link.stop()
            self.cloud.parts.pop(_PART, None)

    # ------------------------------------------------------------------------------ what stores say

    async def take(self, topic: ParsedTopic, raw: bytes, retained: bool) -> None:
        """One message of a store, of any plane but that of acknowledgements."""
        if topic.plane is Plane.EVENT:
            await self.take_events(topic, raw)
        elif topic.plane in _STORE_SIDE:
            await self._take_status(topic, raw, retained)

    async def take_events(self, topic: ParsedTopic, raw: bytes) -> None:
        """Verify a batch, commit it, and only then acknowledge it."""
        opened = await self._open(topic, raw, Purpose.EVENT)
        if opened is None:
            return
        try:
            batch = decode(opened[1], EventBatch)
            if batch.store != topic.store:
                raise ValueError("names another store")
            taken = await ingest.take(self.cloud, topic.store, batch, self._effects)
        except (CodecError, ValueError, ingest.ForkedJournal) as error:
            log.error("events_refused", store=topic.store, why=str(error))
            return
        self.state.events += taken.fresh
        if taken.gap and taken.fresh == 0 and not self._ask_again(batch.journal):
            log.info("events_gap", store=topic.store, journal=batch.journal, upto=taken.upto)
            return
        if not taken.gap:
            self._gaps.pop(batch.journal, None)
        self._acknowledge(topic.store, batch.journal, taken.upto, taken.last)
        waiting = self._retries.get(batch.journal)
        if taken.retry_at is not None and waiting in (None, asyncio.current_task()):
            wait = (taken.retry_at - self.cloud.clocks.real).total_seconds()
            task = asyncio.create_task(self._later(max(wait, 0.05), topic, raw))
            self._retries[batch.journal] = task
            task.add_done_callback(partial(self._retried, batch.journal))

    async def take_many(self, messages: list[tuple[ParsedTopic, bytes]]) -> list[int]:
        """Batches in the order they came: in one commit where nothing is special about them.

        The places of those that were not taken: they go the way of a single batch, in their order.
        """
        if self._effects is not EFFECTS:
            return list(range(len(messages)))
        opened = await self._open_many(messages)
        taken = await together.take(self.cloud, list(opened.values()))
        done: set[int] = set()
        said: dict[str, tuple[str, int, str | None]] = {}
        for (index, one), what in zip(opened.items(), taken, strict=True):
            if what is not None:
                done.add(index)
                said[one.batch.journal] = (one.batch.store, what.upto, what.last)
                self.state.events += what.fresh
                self._gaps.pop(one.batch.journal, None)
        for journal, (store, upto, last) in said.items():
            self._acknowledge(store, journal, upto, last)
        return [index for index in range(len(messages)) if index not in done]

    async def _open_many(
        self, messages: list[tuple[ParsedTopic, bytes]]
    ) -> dict[int, together.Claimed]:
        """The batches that are believed, by their place; the others are refused one by one later."""
        async with self.cloud.db.read() as session:
            trust = await trusted_of(session, {topic.store for topic, _ in messages})
        found = {}
        opened = 0
        for index, (topic, raw) in enumerate(messages):
            known = trust.get(topic.store)
            if known is None:
                continue
            with contextlib.suppress(EnvelopeError, CodecError):
                payload = open_mac(raw, Purpose.EVENT, topic.store, [known.mac])
                batch = decode(payload, EventBatch)
                if batch.store == topic.store:
                    found[index] = together.Claimed(known.merchant_id, batch)
            opened += len(raw)
            if opened > BREATH:
                opened = 0
                await asyncio.sleep(0)
        return found

    async def _take_status(self, topic: ParsedTopic, raw: bytes, retained: bool) -> None:
        opened = await self._open(topic, raw, _STORE_SIDE[topic.plane])
        if opened is None:
            return
        merchant_id, payload = opened
        try:
            message: Presence | Reported = (
                decode(payload, Presence)
                if topic.plane is Plane.PRESENCE
                else decode(payload, Reported)
            )
        except CodecError as error:
            log.warning("message_refused", store=topic.store, why=str(error))
            return
        if message.store != topic.store:
            log.warning("message_refused", store=topic.store, why="names another store")
        elif isinstance(message, Presence):
            await status.take_presence(self.cloud, merchant_id, message, retained=retained)
        else:
            await status.take_reported(self.cloud, merchant_id, message, retained=retained)
            await self._greet(message)
            with contextlib.suppress(LinkError):  # the next report brings it up again
                await self.desired.compare(topic.store, message.epoch, message.rev)
        if message.store == topic.store and not retained:
            await self.twins.take(self.cloud, merchant_id, message)

    async def _greet(self, report: Reported) -> None:
        """Tell a store, once per connection, how far its journal was taken.

        A cloud that was put back from a backup has less than the store believes; one that has nothing
        to say at the moment would not hear of it until its next event.
        """
        heard = (report.journal, report.nonce)
        if self._greeted.get(report.store) == heard:
            return
        upto, last = await ingest.taken_upto(self.cloud, report.store, report.journal)
        try:
            await self.link.publish(
                *self._ack(report.store, report.journal, upto, last), timeout_s=2.0
            )
        except LinkError as error:
            log.info("event_ack_not_sent", store=report.store, why=str(error))
        else:
            self._greeted[report.store] = heard

    async def _open(
        self, topic: ParsedTopic, raw: bytes, purpose: Purpose
    ) -> tuple[str, bytes] | None:
        """Merchant and payload of what a store sealed; None where it is not believed."""
        async with self.cloud.db.read() as session:
            trust = await trusted(session, topic.store)
        if trust is None:
            log.warning("message_refused", store=topic.store, why="no live credential")
            return None
        try:
            return trust.merchant_id, open_mac(raw, purpose, topic.store, [trust.mac])
        except EnvelopeError as error:
            log.warning("message_refused", store=topic.store, why=error.reason.value)
            return None

    def _ask_again(self, journal: str) -> bool:
        """Whether a gap has stayed so long that the store should hear where we are.

        A batch that overtook another needs no answer; a cloud that was restored does.
        """
        now = self.cloud.clocks.wire.monotonic()
        since = self._gaps.setdefault(journal, now)
        if now - since < ASK_AGAIN_S:
            return False
        self._gaps[journal] = now
        return True

    def _acknowledge(self, store_id: str, journal: str, upto: int, last: str | None) -> None:
        """Say how far a journal was taken. Nobody waits: a store that does not hear it sends again."""
        try:
            self.link.hand_over(*self._ack(store_id, journal, upto, last))
        except LinkError as error:
            log.info("event_ack_not_sent", store=store_id, why=str(error))

    def _ack(self, store_id: str, journal: str, upto: int, last: str | None) -> tuple[str, bytes]:
        """Topic and envelope."""
        message = EventAck(store=store_id, journal=journal, upto=upto, last=last)
        key = self.office.keys.signing("command")
        sealed = seal(encode(message), Purpose.EVENT_ACK, store_id, key)
        return topics.event_ack(store_id), sealed

    def _retried(self, journal: str, task: asyncio.Task[None]) -> None:
        if self._retries.get(journal) is task:  # else it failed again, and the next one waits
            del self._retries[journal]

    async def _later(self, wait_s: float, topic: ParsedTopic, raw: bytes) -> None:
        await asyncio.sleep(wait_s)
        try:
            await self.take_events(topic, raw)
        except Exception:
            log.exception("message_failed", store=topic.store, plane=topic.plane.value)

    # ------------------------------------------------------------------------------- what runs later

    async def sync_broker(self) -> None:
        """Make the broker's users those of the database, and certificates anew that end soon."""
        await self.office.admin.sync(self._broker_users)
        renewed = await asyncio.to_thread(
            renew_certificates, self.cloud.settings, self.office.authority, self.cloud.clocks.real
        )
        for folder in renewed:
            log.info("broker_certificate_renewed", folder=str(folder))

    async def _broker_users(self) -> list[tuple[str, str]]:
        async with self.cloud.db.read() as session:
            return await broker_users(session)

    async def renew_shards(self) -> None:
        """Keep the leases, and hear the stores of what is held; without a broker, or the right time, others."""
        astray = self.cloud.astray
        if self.health.away or astray:
            if self.state.shards:
                log.warning("shards_handed_over", why="the clock jumped" if astray else "no link")
                if not astray:  # else they run out by themselves
                    await shards.leave(self.cloud, self.holder)
            self.state.shards = 0
            await self.link.listen_to(frozenset())
            return
        held = await shards.renew(self.cloud, self.holder)
        self.state.shards = len(held)
        await self.link.listen_to(held)

    async def _balance(self, stop: asyncio.Event) -> None:
        """Renew the leases by timer, and at once where another worker came or gave shards up."""
        moved = asyncio.Event()
        hear: Callable[[str], None] = lambda _holder: moved.set()  # noqa: E731
        self.cloud.db.listen(shards.SHARDS_MOVED, hear)
        try:
            while not stop.is_set():
                moved.clear()
                await self.renew_shards()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(shards.RENEW_EVERY_S):
                        await moved.wait()
        finally:
            self.cloud.db.forget(shards.SHARDS_MOVED, hear)

    async def rebuild_when_due(self) -> None:
        """Every ten minutes of business time: stays come into the window of 48 h."""
        await self.desired.send_due()
        now = self.cloud.clocks.now
        if self._rebuilt_at is not None and now - self._rebuilt_at < REBUILD_EVERY:
            return
        if not self.link.up or not self.state.shards:
            return
        held = await shards.held(self.cloud, self.holder)
        async with self.cloud.db.read() as session:
            stores = await enrolled_stores(session)
        for store_id in stores:
            if topics.shard_of(store_id) in held:
                try:
                    await self.desired.refresh(store_id)
                except LinkError:
                    return  # from the start when the broker is back
                except Exception:
                    log.exception("desired_failed", store=store_id)
        self._rebuilt_at = now

    async def sweep(self) -> None:
        """Silent stores go offline, unanswered commands become unknown, dead events are counted."""
        await status.sweep_silent(self.cloud)
        await outcomes.give_up(self.cloud)
        dead = select(func.count()).where(
            col(EventFailure.dead_at).is_not(None), col(EventFailure.settled_at).is_(None)
        )
        async with self.cloud.db.read() as session:
            self.state.dead_events = (await session.execute(dead)).scalar_one()

    async def _prune(self) -> None:
        await relay.prune(self.cloud)

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.state.link_up, self.state.broker = self.link.up, self.health.words
            await _pause(stop, 0.2)

    def _came_up(self) -> None:
        self.state.link_up, self.state.broker = True, "ok"
        self.health.came_up()
        self.relay.wake()
        self.cloud.db.wake(shards.SHARDS_MOVED, "")

    async def _every(
        self, stop: asyncio.Event, seconds: float, act: Callable[[], Awaitable[None]]
    ) -> None:
        while not stop.is_set():
            if not self.cloud.astray:
                await act()
            await _pause(stop, seconds)

    async def _keep(
        self, name: str, act: Callable[[], Awaitable[None]], stop: asyncio.Event
    ) -> None:
        """Run a task until ``stop``, anew with back-off whenever it fails."""
        task = self.state.tasks.setdefault(name, TaskState())
        delay = 0.5
        while not stop.is_set():
            began = self.cloud.clocks.wire.monotonic()
            task.running = True
            try:
                await act()
            except Exception as error:
                log.exception("channel_task_failed", task=name)
                task.last_error = f"{type(error).__name__}: {error}"[:200]
            if stop.is_set():
                return
            task.running = False
            task.restarts += 1
            if self.cloud.clocks.wire.monotonic() - began > 60:
                delay = 0.5
            await _pause(stop, delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, 30.0)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not beyond ``stop``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
