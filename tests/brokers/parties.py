"""Both ends of the wire on a broker: a controller that obeys and journals, a cloud that commits.

Small models on store_link alone: what they count is what the broker did to their messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cloud_api.kit.ids import new_id
from store_link.clock import WireClock, ms
from store_link.cloud_side import CloudSide
from store_link.codec import decode, encode
from store_link.link import Backoff, LinkError, LinkState, NotConfirmed, NotConnected
from store_link.messages import (
    AckState,
    Action,
    ClockQuality,
    Command,
    CommandAck,
    Desired,
    Event,
    EventAck,
    EventBatch,
    EventKind,
    Reason,
)
from store_link.presence import PresenceTracker
from store_link.reports import OutboxReport, Presence, Reported
from store_link.signing import (
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)
from store_link.store_side import StoreSide
from store_link.topics import ParsedTopic, Plane
from tests.brokers.sites import Credential, Site

QUICK = Backoff(base_s=0.05, cap_s=0.3)
DEADLINE_S = 120.0  # a cluster elects leaders on a busy machine
REPORT_EVERY_S = 1.0
DESIRED_KEY = SigningKey.generate("d1", "desired")
COMMAND_KEY = SigningKey.generate("c1", "command")
RING = PublicKeyRing([DESIRED_KEY.public(), COMMAND_KEY.public()])
MAC = MacKey.generate("m1")


def now_ms() -> int:
    return ms(datetime.now(UTC))


async def until(what: Callable[[], Any], why: str, within_s: float = DEADLINE_S) -> Any:
    """Wait for real I/O, with a deadline."""
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {why}"
        await asyncio.sleep(0.005)
    return found


class Controller:
    """A store: obeys a command once, on its own connection only; sends its journal until acked."""

    def __init__(
        self, site: Site, who: Credential, *, client_id: str | None = None, boot: str = "b"
    ) -> None:
        self.store = who.store
        self.journal = f"j{new_id()}"
        self.heard: list[tuple[Plane, bytes, bool]] = []
        self.commands: list[Command] = []  # as they arrived, whatever became of them
        self.pulses: Counter[str] = Counter()  # by command: how often the lock was pulsed
        self.documents: list[tuple[int, bool]] = []  # rev, retained
        self.acked = 0
        self.states: list[LinkState] = []
        self.side = StoreSide(
            store=who.store,
            mac_key=MAC,
            endpoint=site.store_endpoint(who),
            clock=WireClock(),
            on_down=self._down,
            on_state=self.states.append,
            backoff=QUICK,
            client_id=client_id,
            boot=boot,
        )

    async def up(self) -> Controller:
        await self.side.start()
        await self.side.wait_up(DEADLINE_S)
        self._reporting = asyncio.create_task(self._report())
        return self

    async def down(self) -> None:
        self._reporting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reporting
        await self.side.stop()

    async def _report(self) -> None:
        """As a real one does every 30 s, only more often."""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            nonce = self.side.nonce
            if nonce is not None:
                with contextlib.suppress(LinkError):
                    await self.side.publish_reported(self._now(nonce))

    def _now(self, nonce: str) -> Reported:
        return Reported(
            store=self.store,
            boot=self.side.boot,
            nonce=nonce,
            sent_at=now_ms(),
            epoch=0,
            rev=0,
            journal=self.journal,
            version="test",
            clock=ClockQuality.SYNCED,
            outbox=OutboxReport(depth=0, oldest_at=None),
        )

    async def _down(self, plane: Plane, raw: bytes, retained: bool) -> None:
        self.heard.append((plane, raw, retained))
        if not raw:
            return
        if plane is Plane.DESIRED:
            document = decode(open_signed(raw, Purpose.DESIRED, self.store, RING), Desired)
            self.documents.append((document.rev, retained))
        elif plane is Plane.EVENT_ACK:
            said = decode(open_signed(raw, Purpose.EVENT_ACK, self.store, RING), EventAck)
            if said.journal == self.journal:
                self.acked = max(self.acked, said.upto)
        elif plane is Plane.COMMAND:
            await self._obey(
                decode(open_signed(raw, Purpose.COMMAND, self.store, RING), Command), retained
            )

    async def _obey(self, command: Command, retained: bool) -> None:
        self.commands.append(command)
        state, reason = AckState.DONE, None
        if retained:
            state, reason = AckState.REFUSED, Reason.RETAINED
        elif command.exp <= now_ms():
            state, reason = AckState.EXPIRED, Reason.EXPIRED
        elif command.id in self.pulses:
            state = AckState.DUPLICATE
        elif command.nonce != self.side.nonce:
            state, reason = AckState.REFUSED, Reason.OTHER_CONNECTION
        else:
            self.pulses[command.id] += 1
        ack = CommandAck(store=self.store, id=command.id, state=state, reason=reason, at=now_ms())
        with contextlib.suppress(LinkError):
            await self.side.publish_ack(command.reply_to, ack)

    async def send_journal(self, count: int, batch: int = 20) -> None:
        """Send events 1 to ``count`` from the first that is not acknowledged, until all are."""
        while self.acked < count:
            before = self.acked
            first = before + 1
            last = min(first + batch - 1, count)
            with contextlib.suppress(LinkError):
                await self.side.publish_events(self.batch(first, last), timeout_s=2)
                deadline = time.monotonic() + 2
                while self.acked == before and time.monotonic() < deadline:
                    await asyncio.sleep(0.002)
            if self.acked == before:
                await asyncio.sleep(0.05)  # no connection, or no answer: again in a moment

    def batch(self, first: int, last: int) -> EventBatch:
        events = tuple(
            Event(
                seq=seq,
                id=f"e{seq}",
                at=now_ms(),
                clock=ClockQuality.SYNCED,
                kind=EventKind.BOOT,
                body={},
            )
            for seq in range(first, last + 1)
        )
        return EventBatch(store=self.store, journal=self.journal, events=events)


class Cloud:
    """A cloud process: follows presence, commits contiguous events, asks doors to open."""

    def __init__(self, site: Site) -> None:
        self.presence = PresenceTracker()
        self.said: list[Presence] = []  # as it came, retained ones included
        self.committed: dict[str, list[int]] = {}  # by journal
        self.arrived: dict[str, list[int]] = {}  # first seq of each batch, by journal
        self.acks: dict[str, list[CommandAck]] = {}
        self.unsealed: list[ParsedTopic] = []  # what no store of ours said
        self._expected: dict[str, asyncio.Future[CommandAck]] = {}
        self.side = CloudSide(endpoint=site.cloud_endpoint(), on_up=self._up, backoff=QUICK)

    async def up(self) -> Cloud:
        await self.side.start()
        await self.side.wait_up(DEADLINE_S)
        return self

    def expect(self, command: str, answered: asyncio.Future[CommandAck]) -> None:
        """Resolve ``answered`` with the first answer to ``command``."""
        self._expected[command] = answered

    async def _up(self, topic: ParsedTopic, raw: bytes, retained: bool) -> None:
        if not raw:
            return
        try:
            await self._take(topic, raw, retained)
        except ValueError:
            self.unsealed.append(topic)

    async def _take(self, topic: ParsedTopic, raw: bytes, retained: bool) -> None:
        if topic.plane is Plane.REPORTED:  # presence that a broker forgot is put right by it
            report = decode(open_mac(raw, Purpose.REPORTED, topic.store, [MAC]), Reported)
            self.presence.observe_reported(report, retained=retained)
        elif topic.plane is Plane.PRESENCE:
            said = decode(open_mac(raw, Purpose.PRESENCE, topic.store, [MAC]), Presence)
            self.said.append(said)
            self.presence.observe_presence(said, retained=retained)
        elif topic.plane is Plane.ACK:
            ack = decode(open_mac(raw, Purpose.ACK, topic.store, [MAC]), CommandAck)
            self.acks.setdefault(ack.id, []).append(ack)
            waiting = self._expected.pop(ack.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(ack)
        elif topic.plane is Plane.EVENT:
            batch = decode(open_mac(raw, Purpose.EVENT, topic.store, [MAC]), EventBatch)
            self.arrived.setdefault(batch.journal, []).append(batch.events[0].seq)
            rows = self.committed.setdefault(batch.journal, [])
            for event in batch.events:
                if event.seq == len(rows) + 1:
                    rows.append(event.seq)
            with contextlib.suppress(LinkError):  # it will be asked for again
                said_so = EventAck(store=topic.store, journal=batch.journal, upto=len(rows))
                await self.side.send_event_ack(said_so, COMMAND_KEY, timeout_s=2)

    def command(self, store: str, nonce: str, valid_s: float = 10) -> Command:
        return Command(
            store=store,
            id=new_id(),
            target="door",
            action=Action.UNLOCK,
            iat=now_ms(),
            exp=now_ms() + int(valid_s * 1000),
            nonce=nonce,
            by="system",
            reply_to=self.side.instance,
        )

    async def unlock(self, store: str, patience_s: float = 2.0) -> tuple[str, str]:
        """One try, as the door page makes it: (command id, done | refused | not_sent | unknown)."""
        nonce = self.presence.nonce(store)
        if nonce is None:
            return "", "not_sent"
        command = self.command(store, nonce)
        answered: asyncio.Future[CommandAck] = asyncio.get_running_loop().create_future()
        self.expect(command.id, answered)
        try:
            await self.side.send_command(command, COMMAND_KEY, timeout_s=patience_s)
            return command.id, (await asyncio.wait_for(answered, patience_s)).state.value
        except NotConnected:
            return command.id, "not_sent"
        except (NotConfirmed, TimeoutError):
            return command.id, "unknown"

    async def say(self, store: str, rev: int) -> None:
        """Publish a document of this number."""
        document = Desired(store=store, epoch=1, rev=rev, sent_at=now_ms(), tz="Asia/Shanghai")
        await self.side.send_desired(document, DESIRED_KEY)


def sealed_command(command: Command) -> bytes:
    return seal(encode(command), Purpose.COMMAND, command.store, COMMAND_KEY)
