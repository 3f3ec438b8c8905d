"""A store's days with guests, outages and restarts, in advanced business time; and the books after them.

What the guests did is kept in a table of its own, beside the store's journal and what a cloud heard of it;
``broken`` compares the three in SQL.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from store_link.messages import AckState
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, TABLE_2, stay
from tests.support.nats import NatsBroker

GRACE_S = 300
SOON_S = 30.0  # of real time: how long a loaded machine may take to do what it should do at once
PULSE_REST_S = 0.8  # a lock that is held refuses a second pulse

CHECKS = {
    "I3 a right was counted as often as it opened": """
        SELECT g.grant, g.uses, count(h.seq) FROM journal.grant_use g LEFT JOIN heard h
            ON h.kind = 'access' AND json_extract(h.body, '$.grant') = g.grant
            AND json_extract(h.body, '$.outcome') = 'done'
        GROUP BY g.grant HAVING g.uses <> count(h.seq)""",
    "I4 every command has one end": """
        SELECT id, state FROM journal.command
        WHERE state NOT IN ('done', 'refused', 'failed', 'unknown')""",
    "I4 a lock moved once for each entry and never otherwise": """
        SELECT door, pulses FROM lock WHERE pulses <> (SELECT count(*) FROM heard
            WHERE kind = 'access' AND json_extract(body, '$.door') = lock.door
            AND json_extract(body, '$.outcome') = 'done')""",
    "I5 no table was cut under a stay": """
        SELECT v.stay, h.at - v.due FROM visit v JOIN heard h
            ON h.kind = 'power' AND json_extract(h.body, '$.binding') = v.tbl
            AND NOT json_extract(h.body, '$.on')
        WHERE v.entered IS NOT NULL AND h.at > v.entered AND h.at < v.due""",
    "I5 every table went off after its stay": """
        SELECT v.stay FROM visit v WHERE v.entered IS NOT NULL AND NOT EXISTS (SELECT 1 FROM heard h
            WHERE h.kind = 'power' AND json_extract(h.body, '$.binding') = v.tbl
            AND NOT json_extract(h.body, '$.on') AND h.at BETWEEN v.due AND v.seen_off)""",
    "I6 the cloud has all of the journal": """
        SELECT seq FROM journal.outbox EXCEPT SELECT seq FROM heard""",
    "I6 each once, in order, without a gap": """
        SELECT a.seq FROM heard a LEFT JOIN heard b ON b.place = a.place - 1
        WHERE a.seq <> coalesce(b.seq, 0) + 1
        UNION ALL SELECT min(seq) FROM heard GROUP BY id HAVING count(*) > 1""",
    "I6 each visit was told of once, and in full": """
        SELECT v.stay, count(h.seq), sum(json_extract(h.body, '$.used_s')) FROM visit v
        LEFT JOIN heard h ON h.kind = 'usage' AND json_extract(h.body, '$.stay') = v.stay
        WHERE v.entered IS NOT NULL GROUP BY v.stay
        HAVING count(h.seq) <> 1 OR abs(sum(json_extract(h.body, '$.used_s'))
            - (v.due - v.entered) / 1000.0 + :grace) > :slack""",
    "I7 nobody got in by what is not theirs": """
        SELECT h.seq FROM heard h WHERE h.kind = 'access'
            AND json_extract(h.body, '$.outcome') = 'done' AND NOT EXISTS (SELECT 1 FROM visit v
            WHERE v.grant = json_extract(h.body, '$.grant') AND h.at BETWEEN v.opens AND v.due)""",
    "I8 no lock was ever held": "SELECT door FROM lock WHERE levels > 0",
}
"""Each finds what must not be."""


@dataclass
class Visit:
    """One booking and what became of it; ms of business time."""

    stay: str
    room: int
    grant: str
    starts: int
    ends: int
    comes: bool
    entered: int | None = None
    due: int = 0
    seen_off: int = 0


@dataclass
class Week:
    """``await live(days)`` at the store ``world``; everything by ``rng``."""

    world: DoorWorld
    broker: NatsBroker
    rng: random.Random
    visits: list[Visit] = field(default_factory=list)
    outages: int = 0
    restarts: int = 0
    strangers: int = 0
    extended: int = 0
    left_early: int = 0

    async def live(self, days: float) -> None:
        """Rounds of two or three visits until so much business time is over."""
        await self.world.run()
        begun = self.world.now()
        while self.world.now() < begun + days * 86_400_000:
            await self._round()
        if not self.broker.running:
            self.broker.start()
        await self._told_all()

    async def _round(self) -> None:
        """Bookings that the store hears of while it is online; then maybe the cable is out."""
        outage = self.outages == 0 or self.rng.random() < 0.4
        at = self.world.now()
        planned: list[Visit] = []
        for _ in range(self.rng.randint(2, 3)):
            at += self.rng.randint(20, 240) * MINUTE
            length = self.rng.randint(4, 18) * 10 * MINUTE
            # While the cable is out a guest of the second room has no reader to show a pass to.
            room = 1 if outage else self.rng.randint(1, 2)
            key = f"v{len(self.visits) + len(planned)}"
            comes = not planned or self.rng.random() < 0.8
            planned.append(Visit(key, room, new_grant(), at, at + length, comes))
            at += length + (GRACE_S + 60) * 1000
        await self._want(planned)
        await self.world.boards_up()
        if outage:
            self.broker.kill()
            self.outages += 1
            await until(lambda: not self.world.cloud.side.up, SOON_S, "the cable out")
        restart_at = self.rng.randrange(len(planned)) if self.rng.random() < 0.5 else None
        if self.restarts == 0:
            restart_at = 0
        for number, visit in enumerate(planned):
            await self._visit(visit, planned, online=not outage, restart=number == restart_at)
            self.visits.append(visit)
        if outage:
            self.broker.start()
            await self._told_all()

    async def _want(self, planned: list[Visit], finished: str = "") -> None:
        await self.world.want(
            *(
                stay(v.stay, f"r{v.room}", v.starts, v.ends, grant=v.grant)
                | ({"finished": True} if v.stay == finished else {})
                for v in planned
            )
        )

    async def _visit(
        self, visit: Visit, planned: list[Visit], *, online: bool, restart: bool
    ) -> None:
        table = (TABLE_1, TABLE_2)[visit.room - 1]
        self._pass_until(visit.starts + self.rng.randint(0, 15) * MINUTE)
        if visit.comes:
            await self._enter(visit, online)
            visit.entered = self.world.now()
            await self.world.coil_is(table, True, SOON_S)
            await self.world.measuring(visit.stay)
            if self.strangers == 0 or self.rng.random() < 0.3:
                await self._stranger()
            if restart:
                await self._restart(online)
            if online and self.rng.random() < 0.3:
                visit.ends += 10 * MINUTE  # the next booking is farther off than that
                self.extended += 1
                await self._want(planned)
            if online and self.rng.random() < 0.3:
                self._pass_until((self.world.now() + visit.ends) // 2)
                await self._enter(visit, online)  # sees the time, and that the guest is still in
                await self._want(planned, finished=visit.stay)
                visit.ends = self.world.now()
                self.left_early += 1
            else:
                self._pass_until(visit.ends - 2 * MINUTE)
                await self._enter(visit, online)
                assert self.world.coil(table), f"{visit.stay} sits in the dark"
        visit.due = visit.ends + GRACE_S * 1000
        if not visit.comes or self.world.now() >= visit.ends:
            # Whoever left early has the grace from then on by the store's clock: seconds later than ours.
            self._pass_until(visit.due + 5000)
        else:
            self._pass_until(visit.due)
        await self.world.coil_is(table, False, SOON_S)
        query = "SELECT state FROM stay WHERE id = ?"
        await until(
            lambda: self.world.rows(query, visit.stay)[0][0] == "ended", SOON_S, "the stay's end"
        )
        if visit.entered is not None:
            off = (
                "SELECT seq FROM outbox WHERE kind = 'power' AND at >= ? AND"
                " json_extract(body, '$.binding') = ? AND NOT json_extract(body, '$.on')"
            )
            names = (visit.due, f"table{visit.room}")
            await until(lambda: self.world.rows(off, *names), SOON_S, "its table written as off")
        visit.seen_off = self.world.now() + 1000

    async def _enter(self, visit: Visit, online: bool) -> None:
        """By pass at the reader, or by a command where there is a cloud; returns when it is written."""
        lock = (LOCK_1, LOCK_2)[visit.room - 1]
        begun = "SELECT id FROM stay WHERE id = ? AND state IN ('open', 'in_use')"
        await until(lambda: self.world.rows(begun, visit.stay), SOON_S, f"{visit.stay} begun")
        before, told = self.world.pulses(lock), self._entries()
        await asyncio.sleep(PULSE_REST_S)
        if visit.room == 1 and (not online or self.rng.random() < 0.5):
            # Never the same text twice: a reader keeps quiet of a code that is still before it.
            until_then = self.world.now() + 60 * MINUTE
            times = {"not_before": visit.starts - 10 * MINUTE, "expires": until_then}
            self.world.show(self.world.make_pass(visit.grant, **times))
        else:
            done = await self.world.cloud.unlock(f"d{visit.room}", visit.grant)
            assert done.state is AckState.DONE, done
        await until(lambda: self._entries() > told, SOON_S, f"{visit.stay} let in")
        assert self.world.pulses(lock) == before + 1

    async def _stranger(self) -> None:
        """A pass of a store like this one, for a right that nobody bought here."""
        before, told = self.world.pulses(LOCK_1), self._entries()
        wrong = self.world.make_pass(new_grant(), store=new_grant(), rotating=False)
        self.world.show(wrong)
        await until(lambda: self._entries() > told, SOON_S, "the stranger's refusal")
        assert self.world.pulses(LOCK_1) == before
        self.strangers += 1

    async def _restart(self, online: bool) -> None:
        await self.world.stop()
        self.restarts += 1
        await self.world.run(alone=not online)

    def _entries(self) -> int:
        return int(self.world.rows("SELECT count(*) FROM outbox WHERE kind = 'access'")[0][0])

    def _pass_until(self, at: int) -> None:
        self.world.pass_time(max(0.0, (at - self.world.now()) / MINUTE))

    async def _told_all(self) -> None:
        """Online, nothing waits."""
        # A restarted broker may lose a greeting; the next report, within 30 s, makes it good.
        await until(self._linked, 2 * SOON_S, "cloud and store on one connection")
        query = "SELECT max(seq) FROM outbox"
        await until(
            lambda: (
                self.world.cloud.events
                and self.world.cloud.events[-1].seq == self.world.rows(query)[0][0]
            ),
            60,
            "all events told",
        )

    def _linked(self) -> bool:
        """Whether the cloud knows the connection that the store has now: commands name it."""
        cloud, controller = self.world.cloud, self.world.controller
        if controller is None or cloud.presence is None or cloud.reported is None:
            return False
        nonce = controller.uplink.side.nonce
        known = cloud.presence.nonce == cloud.reported.nonce == nonce
        return cloud.side.up and controller.uplink.side.up and known

    # -- the books

    def broken(self) -> dict[str, list[tuple[object, ...]]]:
        """By promise, what was found against it."""
        books = self.books()
        try:
            values = {"grace": GRACE_S, "slack": 60}
            found = {
                name: books.execute(query, values).fetchall() for name, query in CHECKS.items()
            }
        finally:
            books.close()
        return {name: rows for name, rows in found.items() if rows}

    def books(self) -> sqlite3.Connection:
        """``visit``, ``heard``, ``lock``, and the journal, attached."""
        books = sqlite3.connect(":memory:", uri=True)
        journal: Path = self.world.state_dir / "journal.db"
        books.execute("ATTACH ? AS journal", (f"file:{journal}?mode=ro",))
        books.execute(
            "CREATE TABLE visit (stay, room, tbl, grant, opens, starts, ends, entered, due, seen_off)"
        )
        books.execute("CREATE TABLE heard (place INTEGER PRIMARY KEY, seq, id, at, kind, body)")
        books.execute("CREATE TABLE lock (door, pulses, levels)")
        books.executemany(
            "INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (v.stay, v.room, f"table{v.room}", v.grant, v.starts - 10 * MINUTE, v.starts, v.ends,
                 v.entered, v.due, v.seen_off)
                for v in self.visits
            ],
        )  # fmt: skip
        books.executemany(
            "INSERT INTO heard VALUES (?, ?, ?, ?, ?, ?)",
            [
                (place, e.seq, e.id, e.at, e.kind.value, json.dumps(e.body))
                for place, e in enumerate(self.world.cloud.events, 1)
            ],
        )
        books.executemany(
            "INSERT INTO lock VALUES (?, ?, ?)",
            [
                (
                    door,
                    self.world.pulses(coil),
                    sum(
                        event.coil == coil and event.board == "relay" and event.cause == "write"
                        for event in self.world.rig.events_since(0)
                    ),
                )
                for door, coil in (("d1", LOCK_1), ("d2", LOCK_2))
            ],
        )
        return books

    def report(self) -> str:
        """What the days were like, and each promise."""
        came = sum(v.entered is not None for v in self.visits)
        broken = self.broken()
        lines = [
            f"{len(self.visits)} bookings, {came} came, {self.extended} extended, {self.left_early}"
            f" left early; {self.strangers} strangers; {self.outages} outages, {self.restarts} restarts;"
            f" {len(self.world.cloud.events)} events",
        ]
        lines += [f"{'BROKEN' if name in broken else 'kept'}: {name}" for name in CHECKS]
        return "\n".join(lines)
