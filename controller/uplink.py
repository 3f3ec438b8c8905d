"""Ties the store to the cloud: hears desired, commands and acks; sends events and reports.

Nothing here is needed for the store to run. Events leave the outbox in order, one window at a time,
and are sent again until the cloud says that it has committed them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from controller.cloud_http import CloudRefused, CloudUnreachable, fetch_desired
from controller.commands import Commands
from controller.desired import DesiredKeeper
from controller.journal.store import Journal, JournalError
from controller.report import Reporter
from controller.timekeeper import Timekeeper
from store_link.clock import Clock, ms
from store_link.codec import CodecError, decode
from store_link.link import Backoff, Endpoint, LinkError, LinkState
from store_link.messages import CommandAck, Event, EventAck, EventBatch
from store_link.signing import (
    EnvelopeError,
    EnvelopeTooLong,
    MacKey,
    PublicKeyRing,
    Purpose,
    open_signed,
)
from store_link.store_side import StoreSide
from store_link.topics import Plane, TopicError

log = structlog.get_logger(__name__)

BATCH = 200
ACK_WITHIN_S = 5.0
ACK_WITHIN_MAX_S = 30.0
REPORT_EVERY_S = 30.0
REPORT_PAUSE_S = 0.2
FETCH_AFTER_S = 5.0
FETCH_EVERY_S = 60.0
AGAIN_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where the cloud is and how it knows us."""

    store: str
    url: str
    endpoint: Endpoint
    mac_key: MacKey


class Uplink:
    """The store's end of the wire at work. ``start``, then ``stop``."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        boot: str,
        wire: Clock,
        journal: Journal,
        keeper: DesiredKeeper,
        commands: Commands,
        reporter: Reporter,
        timekeeper: Timekeeper,
        keys: Callable[[], PublicKeyRing],
        acked: int,
        left_over: list[tuple[str, CommandAck]],
        backoff: Backoff | None = None,
    ) -> None:
        self._cloud = cloud
        self._wire = wire
        self._journal = journal
        self._keeper = keeper
        self._commands = commands
        self._reporter = reporter
        self._time = timekeeper
        self._keys = keys
        self.acked = acked
        self._left_over = left_over
        self._have_events = asyncio.Event()
        self._ack_came = asyncio.Event()
        self._changed = asyncio.Event()
        self._desired_heard = False
        self._tasks: list[asyncio.Task[None]] = []
        self.side = StoreSide(
            store=cloud.store,
            mac_key=cloud.mac_key,
            endpoint=cloud.endpoint,
            clock=wire,
            on_down=self._on_down,
            on_state=self._on_state,
            backoff=backoff,
            boot=boot,
        )

    @property
    def nonce(self) -> str | None:
        """Of the present connection."""
        return self.side.nonce

    async def start(self) -> None:
        """Begin; returns at once."""
        self._journal.link_down = lambda: not self.side.up
        self._journal.on_event(self._have_events.set)
        self._journal.on_moved(self._count_anew)
        self._have_events.set()
        jobs = (self._send_events, self._send_reports, self._fetch)
        self._tasks = [asyncio.create_task(_keep(job), name=job.__name__) for job in jobs]
        await self.side.start()

    async def stop(self) -> None:
        """Say goodbye and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.side.stop()

    def _count_anew(self) -> None:
        """The journal has another name now; of this one the cloud has heard nothing yet."""
        self.acked = 0
        self.changed()

    def changed(self) -> None:
        """Something that is reported changed."""
        self._changed.set()

    async def send_ack(self, instance: str, ack: CommandAck) -> None:
        """Answer the process that waits. Lost if the link is: the outcome is an event as well."""
        try:
            await self.side.publish_ack(instance, ack)
        except (LinkError, CodecError, EnvelopeTooLong, TopicError) as error:
            log.warning("ack_lost", id=ack.id, state=ack.state.value, error=str(error))

    # ------------------------------------------------------------------------------------- hearing

    def _on_state(self, state: LinkState) -> None:
        self._desired_heard = False
        if state is LinkState.UP:
            self._changed.set()
            self._have_events.set()
            left, self._left_over = self._left_over, []
            if left:
                self._tasks.append(asyncio.create_task(self._send_left_over(left)))

    async def _send_left_over(self, left: list[tuple[str, CommandAck]]) -> None:
        for instance, ack in left:
            await self.send_ack(instance, ack)

    async def _on_down(self, plane: Plane, envelope: bytes, retained: bool) -> None:
        try:
            match plane:
                case Plane.COMMAND:
                    self._commands.receive(envelope, retained)
                case Plane.DESIRED:
                    self._desired_heard = True
                    if await self._keeper.take(envelope):
                        self._changed.set()
                case Plane.EVENT_ACK:
                    await self._on_event_ack(envelope)
        except (EnvelopeError, CodecError) as error:
            log.warning("refused", plane=plane.value, error=str(error))
        except JournalError as error:
            log.warning("not_taken", plane=plane.value, why=str(error))

    async def _on_event_ack(self, envelope: bytes) -> None:
        payload = open_signed(envelope, Purpose.EVENT_ACK, self._cloud.store, self._keys())
        ack = decode(payload, EventAck)
        if ack.store != self._cloud.store or ack.journal != self._journal.id:
            return
        _, _, last = await self._journal.waiting(self.acked)
        if ack.upto > last:
            log.error("cloud_ahead_of_journal", upto=ack.upto, last=last)
            return
        if ack.last is not None and await self._journal.id_of(ack.upto) not in (None, ack.last):
            # Another computer writes a journal of this name: what it told is not what stands here.
            log.error("ack_of_other_events", upto=ack.upto)
            return
        if ack.upto != self.acked:
            if ack.upto < self.acked:  # the cloud was restored and asks for what it lost
                self._have_events.set()
            # Written with what is written next: a store that forgets it only sends events again.
            self.acked = ack.upto
            self._journal.depth = last - ack.upto
            self._journal.remember("acked", ack.upto)
        self._ack_came.set()

    # ------------------------------------------------------------------------------------- sending

    async def _send_events(self) -> None:
        patience = ACK_WITHIN_S
        while True:
            await self._have_events.wait()
            self._have_events.clear()
            while self.side.up:
                events = await self._journal.events(self.acked, BATCH)
                if not events:
                    break
                if await self._send_window(events, patience):
                    patience = ACK_WITHIN_S
                else:
                    patience = min(patience * 2, ACK_WITHIN_MAX_S)
            if not self.side.up:
                patience = ACK_WITHIN_S

    async def _send_window(self, events: list[Event], patience: float) -> bool:
        """Send one window and wait until the cloud has taken some of it, or asks for earlier ones.

        Returns whether it did. An ack of what was known is no answer: the effect of an event failed,
        and the cloud tries it again by itself.
        """
        before = self.acked
        try:
            self._ack_came.clear()
            await self._publish(events)
            async with asyncio.timeout(patience):
                while self.acked == before:
                    await self._ack_came.wait()
                    self._ack_came.clear()
        except TimeoutError:
            log.warning("events_not_acked", first=events[0].seq, waited_s=patience)
            return False
        except LinkError as error:
            log.warning("events_not_sent", error=str(error))
            await asyncio.sleep(0.5)
            return False
        return True

    async def _publish(self, events: list[Event]) -> None:
        oldest = await self._journal.oldest()
        while True:
            batch = EventBatch(
                store=self._cloud.store,
                journal=self._journal.id,
                events=tuple(events),
                oldest=oldest,
            )
            try:
                await self.side.publish_events(batch)
                return
            except EnvelopeTooLong:
                if len(events) == 1:
                    raise
                events = events[: len(events) // 2]

    async def _send_reports(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_EVERY_S):
                    await self._changed.wait()
            await asyncio.sleep(REPORT_PAUSE_S)  # what changes together is reported together
            self._changed.clear()
            nonce = self.side.nonce
            if not self.side.up or nonce is None:
                continue
            try:
                report = await self._reporter.build(nonce, self.side.boot, self.acked)
                await self.side.publish_reported(report)
            except (LinkError, CodecError, EnvelopeTooLong, JournalError) as error:
                log.warning("report_not_sent", error=str(error))

    # ------------------------------------------------------------------------------------ fetching

    async def _fetch(self) -> None:
        """Where MQTT does not bring desired, HTTPS may: another way around a broken broker."""
        pause = FETCH_AFTER_S
        while True:
            await asyncio.sleep(pause)
            pause = FETCH_EVERY_S
            if self._desired_heard or not self._cloud.url:
                continue
            try:
                envelope = await asyncio.to_thread(
                    fetch_desired,
                    self._cloud.url,
                    self._cloud.store,
                    self._cloud.mac_key.secret,
                    ms(self._wire.now()),
                    10.0,
                )
                if await self._keeper.take(envelope):
                    self._changed.set()
            except (CloudRefused, CloudUnreachable, EnvelopeError, CodecError) as error:
                log.warning("desired_not_fetched", error=str(error))
            except JournalError:
                log.exception("journal_refused")


async def _keep(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job for ever: one that falls over is begun again, or a store would fall silent."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("uplink_job_failed", job=getattr(job, "__name__", "job"))
        await asyncio.sleep(AGAIN_AFTER_S)
