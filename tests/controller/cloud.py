"""A cloud small enough to see through: signs, commands, takes events exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from ulid import ULID

from store_link.cloud_side import CloudSide
from store_link.codec import decode
from store_link.link import Backoff, Endpoint, LinkError
from store_link.messages import (
    AckState,
    Command,
    CommandAck,
    Desired,
    Event,
    EventAck,
    EventBatch,
    EventKind,
    PublicKey,
)
from store_link.presence import PresenceTracker
from store_link.reports import Presence, Reported
from store_link.signing import MacKey, Purpose, SigningKey, open_mac
from store_link.topics import ParsedTopic, Plane

QUICK = Backoff(base_s=0.05, cap_s=0.2)


async def until(condition: Callable[[], Any], within_s: float = 30.0, what: str = "") -> Any:
    """Wait for real I/O to make ``condition`` true; returns its value."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or condition}")
        await asyncio.sleep(0.02)


class SmallCloud:
    """One store's cloud. ``acking = False`` swallows event acks, as a lost one would be; ``taking = False``
    takes no event, as one whose effect fails, and says so.
    """

    def __init__(self, store: str, endpoint: Endpoint) -> None:
        self.store = store
        self.mac = MacKey.generate("m1")
        self.desired_key = SigningKey.generate("d1", "desired")
        self.command_key = SigningKey.generate("c1", "command")
        self.pass_key = SigningKey.generate("p1", "pass")
        self.side = CloudSide(endpoint=endpoint, on_up=self._on_up, backoff=QUICK)
        self.acking = self.taking = True
        self.events: list[Event] = []
        self.upto: dict[str, int] = {}
        self.batches = 0
        self.gaps = 0
        self.oldest: int | None = None  # as the store said last
        self.acks: list[CommandAck] = []
        self.reported: Reported | None = None
        self.presence: Presence | None = None
        self._wanted: Desired | None = None
        self._tracker = PresenceTracker()

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        return (self.desired_key.public(), self.command_key.public(), self.pass_key.public())

    async def start(self) -> None:
        await self.side.start()
        await self.side.wait_up(30)

    async def stop(self) -> None:
        await self.side.stop()

    @property
    def report(self) -> Reported:
        """The last report; there must be one."""
        assert self.reported is not None
        return self.reported

    # -- down

    async def want(self, desired: Desired) -> None:
        self._wanted = desired
        await self.side.send_desired(desired, self.desired_key)

    def command(self, action: str, target: str, **changes: Any) -> Command:
        """A good command for now; ``changes`` replace fields."""
        now = round(time.time() * 1000)
        fields = {
            "id": str(ULID()),
            "store": self.store,
            "target": target,
            "action": action,
            "args": {},
            "iat": now,
            "exp": now + 10_000,
            "nonce": self.presence.nonce if self.presence else "none",
            "by": "customer:1",
            "reply_to": self.side.instance,
        }
        return Command.model_validate({**fields, **changes})

    async def send(self, command: Command, key: SigningKey | None = None) -> Command:
        await self.side.send_command(command, key or self.command_key)
        return command

    async def ask(self, action: str, target: str, **changes: Any) -> CommandAck:
        """Send a command and wait for how it ended."""
        command = await self.send(self.command(action, target, **changes))
        return await self.outcome(command)

    async def unlock(self, door: str, grant: str | None = None, **changes: Any) -> CommandAck:
        args = {} if grant is None else {"grant": grant}
        by = "customer:1" if grant else "staff:1"
        return await self.ask("unlock", door, args=args, **{"by": by, **changes})

    async def outcome(self, command: Command, within_s: float = 10.0) -> CommandAck:
        found: CommandAck = await until(
            lambda: next(
                (a for a in self.acks if a.id == command.id and a.state is not AckState.ACCEPTED),
                None,
            ),
            within_s,
            f"outcome of {command.action} {command.target}",
        )
        return found

    # -- up

    def of(self, kind: EventKind) -> list[dict[str, Any]]:
        return [event.body for event in self.events if event.kind is kind]

    def transitions(self, stay: str) -> list[str]:
        return [body["now"] for body in self.of(EventKind.STAY) if body["stay"] == stay]

    async def _on_up(self, topic: ParsedTopic, envelope: bytes, retained: bool) -> None:
        if topic.store != self.store:
            return

        def opened(purpose: Purpose) -> bytes:
            return open_mac(envelope, purpose, self.store, [self.mac])

        match topic.plane:
            case Plane.PRESENCE:
                said = decode(opened(Purpose.PRESENCE), Presence)
                self._tracker.observe_presence(said, retained=retained)
                self._see_presence()
            case Plane.REPORTED:
                self.reported = decode(opened(Purpose.REPORTED), Reported)
                self._tracker.observe_reported(self.reported, retained=retained)
                self._see_presence()
                await self._want_again(self.reported)
            case Plane.ACK:
                self.acks.append(decode(opened(Purpose.ACK), CommandAck))
            case Plane.EVENT:
                await self._on_events(decode(opened(Purpose.EVENT), EventBatch))

    async def _want_again(self, reported: Reported) -> None:
        """As the cloud does: a broker may lose a document that comes while the store subscribes."""
        known = self._wanted
        if known is not None and (reported.epoch, reported.rev) < (known.epoch, known.rev):
            with contextlib.suppress(LinkError):  # the next report asks again
                await self.side.send_desired(known, self.desired_key)

    def _see_presence(self) -> None:
        """As the cloud judges it: a greeting that a restarted broker lost is made good by a report."""
        known = self._tracker.get(self.store)
        if known is not None:
            fields = {"store": self.store, "boot": known.boot, "nonce": known.nonce}
            state = "online" if known.online else "lost"
            self.presence = Presence.model_validate(
                {**fields, "state": state, "sent_at": known.seen_ms}
            )

    async def _on_events(self, batch: EventBatch) -> None:
        self.batches += 1
        self.oldest = batch.oldest
        upto = self.upto.get(batch.journal, 0)
        for event in batch.events if self.taking else ():
            if event.seq == upto + 1:
                upto = event.seq
                if event.id not in {known.id for known in self.events}:  # under another journal
                    self.events.append(event)
            elif event.seq > upto + 1:
                self.gaps += 1
                break
        self.upto[batch.journal] = upto
        if self.acking:
            last = next((event.id for event in batch.events if event.seq == upto), None)
            ack = EventAck(store=self.store, journal=batch.journal, upto=upto, last=last)
            await self.side.send_event_ack(ack, self.command_key)
