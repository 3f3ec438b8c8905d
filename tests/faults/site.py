"""An installation to be broken: PostgreSQL, broker, API, worker, cashier, SMS, a store behind a wire.

Every program is a real process; API, worker and controller stand still at a step when asked
(mortal.py). Business time only moves forward, and whoever breaks something mends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import make_url

from cloud_api.kit.clocks import Clocks
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import nats_config, no_users_yet
from demo.people import Person
from demo.processes import Child, Failed, answers, listens, local_http
from demo.seed import OWNER_PHONE, ROLES, ROOMS
from demo.stage import Stage
from store_link.clock import BusinessClock
from tests.faults.points import BY_NAME
from tests.faults.wires import Wire, make_wire
from tests.support.nats import find_nats_server
from tests.support.ports import free_port

VICTIMS = ("api", "worker", "broker", "controller")
CHANNEL = {role: channel for role, _, channel in ROLES}
UP_S = 60.0  # two cores are shared with browsers, databases and other tests
_Found = TypeVar("_Found")


@dataclass(slots=True)
class Site(Stage):
    """The demonstration's stage with API and worker apart, and the store behind ``wire``."""

    database_url: str = ""
    with_past: bool = False
    wire: Wire = field(default_factory=make_wire)
    sides: tuple[str, ...] = ("boards", "broker", "sms", "cashier", "api", "worker", "controller")
    clock: BusinessClock = field(init=False)
    guest: Person = field(init=False)
    owner: Person = field(init=False)
    rooms: dict[str, str] = field(default_factory=dict)
    door_ids: dict[str, str] = field(default_factory=dict)
    _turn: int = 0

    # ------------------------------------------------------------------------------- up and down

    def open(self) -> Site:
        """Start everything, log in; about 12 s on two quiet cores."""
        self.points.mkdir(parents=True)
        self.prepare()
        self._write_boards()
        for name in ("boards", "sms", "cashier"):
            self.children[name].start()
        asyncio.run(self._migrate())
        self._write_broker()
        self._start("broker", lambda: listens(self.ports["mqtt"]))
        self._ready("boards", f"{self.url('boards', local=True)}/state")
        for name, path in (("sms", "messages"), ("cashier", "healthz")):
            self._ready(name, f"{self.url(name, local=True)}/{path}")
        code = asyncio.run(self._seed())
        for name in ("api", "worker"):
            self.children[name].start()
        self.ready("api")
        self.ready("worker")
        assert code is not None
        web = f"http://{self.wire.host}:{self.wire.through(self.ports['web'])}"
        self._tool(
            "kaimen-edge", "enroll", "--cloud", web, "--code", code, "--state", str(self.state)
        )
        self.children["controller"].start()
        self.clock = BusinessClock(self.clock_file)
        self.guest = Person(self, "+8613900000001")
        self.owner = Person(self, OWNER_PHONE)
        self.guest.log_in()
        self.rooms = {row["name"]: row["id"] for row in self.sql("SELECT id, name FROM room")}
        self.door_ids = {row["name"]: row["id"] for row in self.sql("SELECT id, name FROM door")}
        self.ready("controller")
        return self

    def close(self) -> None:
        """Stop everything, the store first."""
        for person in (getattr(self, "guest", None), getattr(self, "owner", None)):
            if person is not None:
                person.close()
        self.down()
        self.wire.close()

    @property
    def points(self) -> Path:
        """Where mortal.py looks for what is armed."""
        return self.folder / "points"

    def _environment(self) -> dict[str, str]:
        self.ports["health"] = free_port()
        return {
            **Stage._environment(self),
            "KAIMEN_DATABASE_URL": self.database_url,
            "KAIMEN_RUN_WORKER": "false",
            "KAIMEN_STORE_MQTT_HOST": self.wire.host,
            "KAIMEN_STORE_MQTT_PORT": str(self.wire.through(self.ports["mqtt"])),
            "KAIMEN_TEST_POINTS": str(self.points),
        }

    def _children(self, env: dict[str, str]) -> None:
        Stage._children(self, env)
        mortal = [sys.executable, "-m", "tests.faults.mortal"]
        controller = self.children["controller"].command[1:]
        web, health = str(self.ports["web"]), str(self.ports["health"])
        commands = {
            # On all addresses: the store's side of the wire is another.
            "api": [*mortal, "api", "serve", "--host", "0.0.0.0", "--port", web],
            "worker": [*mortal, "worker", "worker", "--health-port", health],
            "controller": [*self.wire.prefix, *mortal, "controller", *controller],
            "broker": [str(find_nats_server()), "-c", str(self.folder / "broker" / "nats.conf")],
        }
        del self.children["cloud"]
        for name, command in commands.items():
            self.children[name] = Child(name, command, env, self.folder / "logs" / f"{name}.log")

    def _write_broker(self) -> None:
        folder = self.folder / "broker"
        folder.mkdir(exist_ok=True)
        now = Clocks.of(None).real
        authority = load_authority(self.folder / "cloud", now)
        names = ["kaimen-broker", "localhost", "127.0.0.1", self.wire.host]
        files = authority.issue_broker(folder, names, now)
        no_users_yet(folder / "users.conf")
        port = self.ports["mqtt"]
        config = nats_config(folder, files=files, mqtt_port=port, mqtt_host="0.0.0.0")
        (folder / "nats.conf").write_text(config)

    # --------------------------------------------------------------------------- killed and mended

    def kill(self, name: str) -> None:
        """``kill -9``."""
        self.children[name].kill()

    def start(self, name: str) -> None:
        """Start it; ``ready`` waits until it is."""
        self.children[name].start()

    def ready(self, name: str) -> None:
        """Wait until a part does its work again. Raises Failed with the part's own words."""
        if name == "api":
            self._ready(name, f"{self.url('web', local=True)}/readyz")
        elif name == "worker":
            self._ready(name, f"http://127.0.0.1:{self.ports['health']}/readyz")
        elif name == "broker":
            self.children[name].wait_until(lambda: listens(self.ports["mqtt"]), "it listened", UP_S)
        elif name == "controller":
            self.children[name].wait_until(lambda: self.online, "it was online", UP_S, 0.2)

    def _ready(self, name: str, url: str) -> None:
        looked = 0.0

        def ready() -> bool:
            nonlocal looked
            if time.monotonic() - looked < 0.2:
                return False
            looked = time.monotonic()
            return answers(url)

        self.children[name].wait_until(ready, "it was ready", UP_S)

    def mend(self) -> None:
        """Nothing is armed, the wire is whole, everything runs and the store is online."""
        for file in self.points.iterdir():
            file.unlink()
        self.wire.mend()
        for name in self.sides:
            self.start(name)
        for name in VICTIMS:
            self.ready(name)

    @property
    def online(self) -> bool:
        """Whether the cloud sees the store on its present connection, with all boards there."""
        (row,) = self.sql("SELECT online, rev, reported FROM store_status") or [None]
        if row is None or not row["online"] or row["rev"] < 1 or row["reported"] is None:
            return False
        boards = _json(row["reported"])["boards"]
        return bool(boards) and all(board["state"] == "online" for board in boards)

    # ------------------------------------------------------------------------------------- points

    def arm(self, name: str) -> None:
        """The next who comes to this step stands still."""
        assert name in BY_NAME, name
        (self.points / f"{name}.armed").touch()

    def wait_reached(
        self,
        name: str,
        seconds: float = UP_S,
        *,
        unless: Callable[[], BaseException | None] = lambda: None,
    ) -> None:
        """Wait until somebody stands at a step. ``unless``: what went wrong on the way there is raised."""
        reached = (self.points / f"{name}.reached").exists

        def look() -> bool:
            wrong = unless()
            if wrong is not None:
                raise AssertionError(f"nobody came to {name}") from wrong
            return reached()

        eventually(look, seconds, f"the step {name}")

    def go(self, name: str) -> None:
        """Whoever stands at the step goes on, if it still lives."""
        (self.points / f"{name}.go").touch()

    # ------------------------------------------------------------------------------------- looking

    def next_room(self) -> str:
        """Another room than those of the last two jobs: they may have to be cleaned."""
        self._turn += 1
        return ROOMS[self._turn % len(ROOMS)].name

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows of the cloud's database, by a connection of its own."""

        async def act() -> list[Any]:
            url = make_url(self.database_url)
            connection = await asyncpg.connect(
                host=str(url.query["host"]), user=url.username, database=url.database
            )
            try:
                return list(await connection.fetch(statement, *values))
            finally:
                await connection.close()

        return asyncio.run(act())

    def journal(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the store's journal."""
        path = f"file:{self.state / 'journal.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=5)) as book:
            return book.execute(query, values).fetchall()

    def cashier(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the cashier's own books: what money really moved."""
        (book,) = (self.folder / "cashier").glob("*.db")
        with contextlib.closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as opened:
            return opened.execute(query, values).fetchall()

    def history(self, since: int = 0) -> list[dict[str, Any]]:
        """What the coils did, oldest first."""
        return list(self._boards(f"/history?since={since}"))

    def pulses(self, room: str) -> int:
        """How often a room's lock was pulsed, as its board counted."""
        return int(self.coil(room, "lock")["pulses"])

    def coil(self, room: str, role: str) -> dict[str, Any]:
        """A coil of a room's board, as it is now."""
        lines, wanted = self._boards("/state")["lines"], self.board_of(room)
        board = next(b for line in lines for b in line["boards"] if b["id"] == wanted)
        found: dict[str, Any] = board["coils"][CHANNEL[role] - 1]
        return found

    @staticmethod
    def board_of(room: str) -> str:
        """The name of a room's relay board."""
        return f"relay-{next(plan.unit for plan in ROOMS if plan.name == room)}"

    def scan(self, reader: str, text: str) -> None:
        """Hold a code before a reader."""
        local_http().post(
            f"{self.url('boards', local=True)}/boards/{reader}/scan",
            json={"text": text}, timeout=5.0,
        ).raise_for_status()  # fmt: skip

    def _boards(self, path: str) -> Any:
        return local_http().get(f"{self.url('boards', local=True)}{path}", timeout=5.0).json()

    def advance_to(self, when: datetime) -> None:
        """Advance business time to an instant; fine if it is past already."""
        self.clock.advance(max(0.0, (when - self.clock.now()).total_seconds()))

    def said(self, name: str, word: str) -> int:
        """How often a part has said something in its log."""
        log = self.children[name].log
        return log.read_text(errors="replace").count(word) if log.exists() else 0

    def logs(self) -> str:
        """The ends of all logs, for a failure's report."""
        return "\n".join(f"--- {name}\n{child.tail(12)}" for name, child in self.children.items())


@contextlib.contextmanager
def running(folder: Path, database_url: str) -> Iterator[Site]:
    """A site in ``folder``, ended with the block."""
    site = Site(folder, host="127.0.0.1", fixed_ports=False, database_url=database_url)
    try:
        yield site.open()
    except Failed as failed:
        raise AssertionError(f"{failed}\n{site.logs()}") from failed
    finally:
        site.close()


def eventually(look: Callable[[], _Found], seconds: float, what: str) -> _Found:
    """What ``look`` gives once it is true. Raises AssertionError with what was seen last.

    What lasts is looked at less often: each look is work for those who are waited for.
    """
    deadline, pause_s = time.monotonic() + seconds, 0.05
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; saw {seen!r}"
        time.sleep(pause_s)
        pause_s = min(0.25, pause_s * 1.2)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
