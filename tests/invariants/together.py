"""A cloud, a broker, a controller and boards, together, to which anything may happen in any order.

Beside them stand the books of what is true: who paid for what, who is inside, what was asked for. Nothing
is asserted that hangs on how fast this machine is: what must never be is looked for after every step, what
must come is waited for with patience.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store_link.messages import AckState, Command, CommandAck, Desired, EventKind
from store_link.signing import SigningKey
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, TABLE_2, stay
from tests.support.nats import NatsBroker

SOON_S = 40.0  # of real time, on a busy machine
GRACE_MS = 300_000
REST_S = 0.8  # a lock that is held refuses a second pulse
LOCKS, TABLES = (LOCK_1, LOCK_2), (TABLE_1, TABLE_2)


class FireWorld(DoorWorld):
    """With a loop that is closed at rest on the second input."""

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        plain = super().document(*stays, **changes).model_dump()
        fire = {"id": "fire", "board": "io", "capability": "hazard", "channel": 2, "role": "other"}
        plain["bindings"] += ({**fire, "rooms": []},)
        return Desired.model_validate(plain)


@dataclass
class Guest:
    """Who paid for a room (0 or 1); business ms."""

    key: str
    room: int
    grant: str
    starts: int
    ends: int
    entered: bool = False

    def inside(self, now: int) -> bool:
        """Whether power is owed to them at this moment."""
        return self.entered and self.starts <= now < self.ends


@dataclass
class Together:
    """``await open()``; then any of the acts; ``check`` after each, ``settle`` at last."""

    folder: Path
    broker: NatsBroker
    guests: list[Guest] = field(default_factory=list)
    _cut_off: set[str] = field(default_factory=set)  # grants whose entry a crash cut off
    held: list[Command] = field(default_factory=list)  # commands on their way for a long time
    asked: list[int] = field(
        default_factory=lambda: [0, 0]
    )  # openings that somebody had a right to
    by_fire: list[int] = field(default_factory=lambda: [0, 0])
    dead: bool = False  # the relay board
    lied: bool = False  # the clock
    unsent: bool = False  # a document that no broker took
    _seen: int = 0
    _scans: set[int] = field(default_factory=set)
    _were_inside: tuple[str, ...] = ()
    _rested: float = 0.0

    async def open(self) -> None:
        """A store with nobody in it."""
        if not self.broker.running:
            self.broker.start()
        self.folder.mkdir(parents=True)
        self.world = FireWorld(self.folder, self.broker.host, self.broker.mqtt_port)
        await self.world.open()
        self.world.rig.set_input("io", 2, True)
        await self.start()
        await self._publish()
        await self.world.boards_up()

    async def close(self) -> None:
        await self.world.close()

    # -- the store's own fate

    async def start(self) -> None:
        if self.world.controller is not None:
            return
        await self.world.run(synced=lambda: not self.lied, alone=True)
        entered, now = self._entered(), self.world.now()
        for guest in self.guests:
            begun = guest.grant in entered
            if guest.grant in self._cut_off and not self.lied and guest.starts <= now < guest.ends:
                assert begun, f"I5: {guest.key} may have gone in, and has no stay"
            guest.entered |= begun
        self._cut_off = set()

    async def crash(self) -> None:
        """The program ends in the middle of whatever it does: nothing is finished, nothing said."""
        controller, self.world.controller = self.world.controller, None
        if controller is None:
            return
        controller._scheduler.shutdown(wait=False)
        tasks = [
            *controller.commands._tasks,
            *controller.readers._tasks,
            *controller.uplink._tasks,
            *(task for task in (controller._run, controller._feeding) if task is not None),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await controller.uplink.side.link.stop()
        for part in (
            controller.reconciler,
            controller.hazard,
            controller.voice,
            controller.comfort,
        ):
            await part.stop()
        await controller.bridge.stop()
        controller.journal._owed, controller.journal._remembered = [], {}
        await controller.journal.close()
        # A door that may have opened and a program that ended before it could write so: it is called
        # unknown, and the stay begins at the next start.
        entered = self._entered()
        for guest in self.guests:
            guest.entered &= guest.grant in entered
        under_way = """SELECT json_extract(value, '$.grant') FROM kv WHERE key LIKE 'entry.%'
            UNION SELECT "grant" FROM command WHERE state = 'executing' AND action = 'unlock'"""
        self._cut_off |= {row[0] for row in self.world.rows(under_way)}

    def _entered(self) -> set[str]:
        """The grants that somebody entered by, as the journal has them."""
        written = 'SELECT "grant" FROM stay WHERE entered IS NOT NULL'
        return {row[0] for row in self.world.rows(written)}

    async def cut_cable(self) -> None:
        """The broker dies, and all that is on its way with it."""
        if self.broker.running:
            self.broker.kill()
            await until(lambda: not self.world.cloud.side.up, SOON_S, "the cable cut")

    async def mend_cable(self) -> None:
        if not self.broker.running:
            self.broker.start()
        await until(lambda: self.world.cloud.side.up, SOON_S, "the cloud online")
        if self.unsent:
            await self._publish()

    def step_clock(self, by_s: float) -> None:
        """Somebody sets the store's clock, and no network says what is right."""
        self.lied = True
        self._ask_ntp()
        self.world.wire.stepped_s += by_s

    def right_clock(self) -> None:
        self.world.wire.stepped_s, self.lied = 0.0, False
        self._ask_ntp()

    def _ask_ntp(self) -> None:
        if self.world.controller is not None:
            self.world.controller.timekeeper._sync_read = None

    def board(self, *, dead: bool) -> None:
        self.world.rig.set_fault("relay", {"dead": dead})
        self.dead = dead

    def pass_time(self, minutes: float) -> None:
        self.world.pass_time(minutes)

    # -- guests

    async def book(self, room: int, in_minutes: int, for_minutes: int) -> None:
        """The room's next stay; the document goes out if anybody takes it."""
        free = max([self.world.now(), *(g.ends for g in self.guests if g.room == room)])
        starts = free + in_minutes * MINUTE
        ends = starts + for_minutes * MINUTE
        self.guests.append(Guest(f"s{len(self.guests)}", room, new_grant(), starts, ends))
        await self._publish()

    async def _publish(self) -> None:
        now = self.world.now()
        stays = [
            stay(g.key, f"r{g.room + 1}", g.starts, g.ends, grant=g.grant)
            for g in self.guests
            if g.ends > now - 60 * MINUTE
        ]
        self.unsent = not (self.broker.running and self.world.cloud.side.up)
        if self.unsent:
            return
        desired = self.world.document(*stays)
        await self.world.cloud.want(desired)
        controller = self.world.controller
        if controller is not None and controller.uplink.side.up:
            await until(lambda: self._applied(desired.rev), SOON_S, f"document {desired.rev}")

    def _applied(self, rev: int) -> bool:
        known = self.world.controller and self.world.controller.state.desired
        return bool(known and known.rev >= rev)

    def present(self, room: int) -> Guest | None:
        """Whose time it is."""
        now = self.world.now()
        return next((g for g in self.guests if g.room == room and g.starts <= now < g.ends), None)

    @property
    def reachable(self) -> bool:
        """Whether cloud and store are on one connection that both know of."""
        controller, cloud = self.world.controller, self.world.cloud
        return (
            controller is not None
            and self.broker.running
            and cloud.side.up
            and controller.uplink.side.up
            and cloud.presence is not None
            and cloud.presence.nonce == controller.uplink.side.nonce
        )

    @property
    def able(self) -> bool:
        """Whether a door can be opened for who has the right."""
        controller = self.world.controller
        board = controller and controller.bridge.board_state("relay").state == "online"
        return bool(board) and not self.dead and not self.lied

    async def _rest(self) -> None:
        await asyncio.sleep(max(0.0, self._rested - time.monotonic()))

    def _pulsed(self) -> None:
        self._rested = time.monotonic() + REST_S

    def _command(self, room: int, **changes: Any) -> Command | None:
        guest = self.present(room)
        if guest is None:
            return None
        args = {"grant": guest.grant}
        return self.world.cloud.command("unlock", f"d{room + 1}", args=args, **changes)

    async def tap(self, room: int, copies: int = 1) -> None:
        """A guest on the page; the broker may bring it several times."""
        command, guest = self._command(room), self.present(room)
        if command is None or guest is None or not self.reachable:
            return
        await self._rest()
        able = self.able
        self.asked[room] += 1
        for _ in range(copies):
            await self.world.cloud.send(command)
        outcome = await until(lambda: self._end_of(command), SOON_S, "the outcome of a tap")
        self._pulsed()
        if able:
            assert outcome.state is AckState.DONE, f"shut out who paid: {outcome}"
        if outcome.state is AckState.DONE:
            guest.entered = True

    def _end_of(self, command: Command) -> CommandAck | None:
        """How it ended: that a copy is one says nothing, and may be heard before."""
        for ack in self.world.cloud.acks:
            copy = ack.state is AckState.DUPLICATE and ack.reason is None
            if ack.id == command.id and ack.state is not AckState.ACCEPTED and not copy:
                return ack
        return None

    async def misuse(self, room: int, how: str) -> None:
        """A command that no store may obey."""
        now = round(time.time() * 1000)
        misuses: dict[str, dict[str, Any]] = {
            "expired": {"iat": now - 30_000, "exp": now - 1},
            "other connection": {"nonce": "of-another-connection"},
            "forged": {},
        }
        command = self._command(room, **misuses[how])
        if command is None or not self.reachable:
            return
        await self._rest()
        forger = SigningKey.generate("c1", "command") if how == "forged" else None
        await self.world.cloud.send(command, forger)
        outcome = await self.world.cloud.outcome(command, SOON_S)
        assert outcome.state is not AckState.DONE, f"obeyed what was {how}"

    def hold(self, room: int) -> None:
        """A command that is given up by who sent it, and is still somewhere."""
        command = self._command(room, exp=round(time.time() * 1000) + 3000)
        if command is not None:
            self.held.append(command)

    async def deliver(self) -> None:
        """What was held comes now; it may open only if it is still good."""
        if not self.held or not (self.broker.running and self.world.cloud.side.up):
            return
        command = self.held.pop(0)
        room = 0 if command.target == "d1" else 1
        controller = self.world.controller
        nonce = controller.uplink.side.nonce if controller is not None else None
        self.asked[room] += command.nonce == nonce and command.exp > time.time() * 1000
        await self.world.cloud.send(command)
        await self.world.cloud.send(command)
        self._pulsed()

    async def scan(self, *, stranger: bool = False) -> None:
        """At the first room's reader, with or without a network."""
        guest, controller = self.present(0), self.world.controller
        if guest is None or controller is None:
            return
        await self._rest()
        reader = controller.bridge.board_state
        # What a reader says while nobody has its port open, nobody hears: the guest shows it again.
        await until(lambda: reader("scan").state == "online", SOON_S, "the reader heard")
        begins = self.world.now() // 1000
        while begins in self._scans:  # a reader keeps quiet of a code that is still before it
            begins -= 1
        self._scans.add(begins)
        times = {"not_before": begins * 1000, "expires": guest.ends}
        told = self._entries()
        if stranger:
            self.world.show(self.world.make_pass(new_grant(), store=new_grant(), **times))
            await until(lambda: self._entries() > told, SOON_S, "the stranger's refusal")
            return
        able = self.able
        self.asked[0] += 1
        before = self.world.pulses(LOCK_1)
        self.world.show(self.world.make_pass(guest.grant, **times))
        await until(lambda: self._entries() > told, SOON_S, "the scan written down")
        self._pulsed()
        opened = self.world.pulses(LOCK_1) > before
        assert opened or not able, "shut out who paid"
        guest.entered |= opened and able

    def _entries(self) -> int:
        query = "SELECT count(*) FROM outbox WHERE kind = 'access'"
        return int(self.world.rows(query)[0][0])

    async def fire(self) -> None:
        """The loop opens for a moment: every lock is let go, whatever else is wrong but the board."""
        controller = self.world.controller
        if controller is None:
            return
        board = controller.bridge.board_state
        await self._rest()
        before = [self.world.pulses(lock) for lock in LOCKS]
        can = not self.dead and board("relay").state == board("io").state == "online"
        self.world.rig.set_input("io", 2, False)
        if can:
            await until(
                lambda: all(
                    self.world.pulses(lock) > was for lock, was in zip(LOCKS, before, strict=True)
                ),
                SOON_S,
                "every lock let go",
            )
        self.world.rig.set_input("io", 2, True)
        await until(lambda: not controller.hazard.alarm(), SOON_S, "the end of the alarm")
        await until(lambda: not controller.hazard._tasks, SOON_S, "the last pulse")
        for room, lock in enumerate(LOCKS):
            self.by_fire[room] += self.world.pulses(lock) - before[room]
        self._pulsed()

    # -- what must never be

    def check(self) -> None:
        """After every step."""
        now = self.world.now()
        inside = tuple(g.key for g in self.guests if g.inside(now))
        events = self.world.rig.events_since(self._seen)
        for event in events:
            if event.board != "relay" or event.cause != "write":
                continue
            assert event.coil not in LOCKS, "I8: a lock was held"
            for guest in self.guests:
                stays = guest.key in inside and guest.key in self._were_inside
                if event.coil == TABLES[guest.room] and not event.on:
                    assert not stays, f"I5: {guest.key} sits in the dark"
        for room, lock in enumerate(LOCKS):
            moved = self.world.pulses(lock) - self.by_fire[room]
            assert moved <= self.asked[room], f"I4: lock {room + 1} moved {moved} times"
        self._seen = events[-1].seq if events else self._seen
        self._were_inside = inside

    async def settle(self) -> None:
        """All is mended: then everything that was promised has come, and the books agree."""
        self.board(dead=False)
        self.right_clock()
        self.world.cloud.acking = True
        await self.mend_cable()
        await self.start()
        await until(lambda: self.reachable, 2 * SOON_S, "cloud and store on one connection")
        controller = self.world.controller
        assert controller is not None
        await until(
            lambda: controller.bridge.board_state("relay").state == "online", SOON_S, "the board"
        )
        await self._power()
        await until(self._all_told, 2 * SOON_S, "I6: every event told")
        self.books()
        self.check()

    async def _power(self) -> None:
        now = self.world.now()
        for room, table in enumerate(TABLES):
            if any(g.inside(now) for g in self.guests if g.room == room):
                await self.world.coil_is(table, True, SOON_S)
            elif all(g.ends + GRACE_MS + 5000 < now for g in self.guests if g.room == room):
                await self.world.coil_is(table, False, SOON_S)

    def _all_told(self) -> bool:
        controller, events = self.world.controller, self.world.cloud.events
        if controller is None or controller.commands._tasks or controller.readers._tasks:
            return False
        last = self.world.rows("SELECT max(seq) FROM outbox")[0][0]
        return bool(events and events[-1].seq == last)

    def books(self) -> None:
        """What the cloud heard, what the journal holds, what the locks did, what was paid."""
        events = self.world.cloud.events
        seqs = [event.seq for event in events]
        assert seqs == list(range(1, len(seqs) + 1)), "I6: a gap, or out of order"
        journal = self.world.rows("SELECT id FROM outbox ORDER BY seq")
        assert [event.id for event in events] == [row[0] for row in journal], (
            "I6: not what happened"
        )
        assert len({event.id for event in events}) == len(events), "I6: told twice"
        ends = self.world.rows("SELECT DISTINCT state FROM command")
        # Another pulse of that lock was running: the door was open, and this one is called a duplicate.
        final = {"done", "refused", "failed", "unknown", "expired", "duplicate"}
        assert {row[0] for row in ends} <= final, f"I4: not ended: {ends}"
        done = {f"d{room + 1}": 0 for room in range(2)}
        unknown, uses = dict(done), dict.fromkeys((g.grant for g in self.guests), 0)
        for event in events:
            body = event.body
            if event.kind is not EventKind.ACCESS or body["by"] == "hazard":
                continue
            unknown[body["door"]] += body["outcome"] == "unknown"
            if body["outcome"] != "done":
                continue
            done[body["door"]] += 1
            guest = next((g for g in self.guests if g.grant == body["grant"]), None)
            assert guest is not None, "I7: let in by nobody's right"
            assert f"d{guest.room + 1}" == body["door"], "I7: let in to another's room"
            assert guest.starts - 11 * MINUTE <= event.at <= guest.ends + GRACE_MS, (
                "I7: not their time"
            )
            uses[guest.grant] += 1
        for room, lock in enumerate(LOCKS):
            door, moved = f"d{room + 1}", self.world.pulses(lock) - self.by_fire[room]
            assert done[door] <= moved <= done[door] + unknown[door], (
                f"I4: {door} moved {moved} times"
            )
        for grant, counted in self.world.rows("SELECT grant, uses FROM grant_use"):
            assert uses[grant] <= counted <= uses[grant] + sum(unknown.values()), (
                "I3: counted wrongly"
            )
        billed = [e.body["stay"] for e in events if e.kind is EventKind.USAGE]
        assert len(set(billed)) == len(billed), "I6: billed twice"
