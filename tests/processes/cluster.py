"""A production in small: PostgreSQL, a broker with the real rules, 3 API processes, 2 workers, 3 stores.

Everything is a real process on ports of its own; the stores' controllers drive virtual boards, whose
relays count their pulses.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import yaml
from sqlalchemy.engine import make_url
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.service import log_in
from cloud_api.devices.models import Binding, Board
from cloud_api.devices.service import make_enrolment_code
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id, new_token
from cloud_api.merchants.models import Merchant
from cloud_api.settings import Settings
from cloud_api.staff.models import StaffMember
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import nats_config, no_users_yet
from cloud_api.stores.models import Door, Room, Store
from demo.processes import Child, answers, listens, local_http
from store_link.topics import shard_of
from tests.support.nats import find_nats_server
from tests.support.ports import free_port

APIS = ("api-a", "api-b", "api-c")
WORKERS = ("worker-a", "worker-b")
DOORS = 6  # per store, one relay each
STAFF = 48  # each may tap 20 times a minute
BOARD = "waveshare.modbus-rtu-relay-8ch"
_HALVES = (range(32), range(32, 64), range(32))  # shards: two workers hold one half each
_BIN = Path(sys.executable).parent
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Shop:
    """One store as the tests see it. ``doors[i]`` hangs at relay ``i + 1``."""

    id: str
    line: str
    doors: tuple[str, ...]


@dataclass
class Cluster:
    """All of it in one folder; as many processes and stores as are named."""

    folder: Path
    database_url: str
    apis: tuple[str, ...] = APIS
    workers: tuple[str, ...] = WORKERS
    halves: tuple[range, ...] = _HALVES  # of the shards: a store in each
    ports: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    shops: list[Shop] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)  # of staff who may open every door
    env: dict[str, str] = field(default_factory=dict)

    # ------------------------------------------------------------------------------- up and down

    def up(self) -> None:
        """Start everything; about 15 s on two busy cores."""
        for name in (*self.apis, *self.workers, "boards", "mqtt"):
            self.ports[name] = free_port()
        self.env = self._environment()
        self.tool("kaimen-cloud", "migrate")
        codes = asyncio.run(self._seed())
        self._commands()
        self._write_boards()
        self._write_broker()
        self.start("boards", lambda: answers(f"http://127.0.0.1:{self.ports['boards']}/state"))
        self.start("broker", lambda: listens(self.ports["mqtt"]))
        for name in (*self.apis, *self.workers):
            self.children[name].start()
        for name in (*self.apis, *self.workers):
            self.wait_ready(name)
        with ThreadPoolExecutor() as pool:
            for done in [
                pool.submit(
                    self.tool, "kaimen-edge", "enroll", "--cloud", self.url(self.apis[0]),
                    "--code", code, "--state", str(self.state_of(shop)),
                )
                for shop, code in zip(self.shops, codes, strict=True)
            ]:  # fmt: skip
                done.result()
        for shop in self.shops:
            self.children[shop.line].start()
        for shop in self.shops:
            self._wait_online(shop)

    def _wait_online(self, shop: Shop) -> None:
        self.children[shop.line].wait_until(lambda: self.online(shop), "it was online")

    def down(self) -> None:
        """Stop everything, stores first."""
        names = [*(shop.line for shop in self.shops), *self.apis, *self.workers, "broker", "boards"]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self.children[name].stop(), names))

    def start(self, name: str, ready: Callable[[], bool]) -> None:
        """Start a program and wait until it is ready."""
        self.children[name].start()
        self.children[name].wait_until(ready, "it was ready")

    def wait_ready(self, name: str) -> None:
        """Wait for an API or a worker to be ready."""
        looked = 0.0

        def ready() -> bool:
            nonlocal looked
            if time.monotonic() - looked < 0.3:  # it reads the database each time it is asked
                return False
            looked = time.monotonic()
            return listens(self.ports[name]) and answers(f"{self.url(name)}/readyz")

        self.children[name].wait_until(ready, "it was ready")

    def restart(self, name: str) -> None:
        """The polite way, as an upgrade does it; back when it is ready again."""
        self.children[name].stop()
        self.children[name].start()
        self.wait_ready(name)

    def mend(self) -> None:
        """Whatever a test killed is started again."""
        for name in (*self.apis, *self.workers):
            self.children[name].start()
        for name in (*self.apis, *self.workers):
            self.wait_ready(name)

    def tool(self, program: str, *words: str) -> None:
        """Run one of our commands to its end."""
        done = subprocess.run(
            [str(_BIN / program), *words],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{program} {words[0]}:\n{done.stdout}{done.stderr}"

    # ------------------------------------------------------------------------------------- look

    def url(self, name: str) -> str:
        """The address of an API or a worker."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def state_of(self, shop: Shop) -> Path:
        """A controller's state folder."""
        return self.folder / shop.line

    def pulses(self) -> dict[str, int]:
        """How often each door's lock was pulsed, by door id: counted by the boards."""
        state = local_http().get(f"http://127.0.0.1:{self.ports['boards']}/state", timeout=5).json()
        counted: dict[str, int] = {}
        for shop in self.shops:
            (line,) = [one for one in state["lines"] if one["name"] == shop.line]
            coils = {coil["n"]: coil["pulses"] for coil in line["boards"][0]["coils"]}
            counted |= {door: coils[at + 1] for at, door in enumerate(shop.doors)}
        return counted

    def online(self, shop: Shop) -> bool:
        """Whether the cloud sees the store, and the store has its document."""
        rows = self.sql("SELECT online AND rev > 0 FROM store_status WHERE store_id = $1", shop.id)
        return bool(rows and rows[0][0])

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a statement, by a connection of its own."""

        async def act(connection: asyncpg.Connection) -> list[Any]:
            return list(await connection.fetch(statement, *values))

        return self._connected(act)

    def _connected(self, act: Callable[[asyncpg.Connection], Awaitable[_Found]]) -> _Found:
        url = make_url(self.database_url)

        async def whole() -> _Found:
            connection = await asyncpg.connect(
                host=str(url.query["host"]), user=url.username, database=url.database
            )
            try:
                return await act(connection)
            finally:
                await connection.close()

        return asyncio.run(whole())

    # --------------------------------------------------------------------------------- set up

    def _environment(self) -> dict[str, str]:
        return {
            "KAIMEN_DATABASE_URL": self.database_url,
            "KAIMEN_SECRETS": secrets.token_hex(32),
            "KAIMEN_PUBLIC_URL": "http://kaimen.test",
            "KAIMEN_DATA_DIR": str(self.folder / "cloud"),
            "KAIMEN_RUN_WORKER": "false",
            "KAIMEN_MQTT_PORT": str(self.ports["mqtt"]),
            "KAIMEN_BROKER_ADMIN": "nats",
            "KAIMEN_NATS_USERS_FILE": str(self.folder / "broker" / "users.conf"),
            "KAIMEN_NATS_PID_FILE": str(self.folder / "broker" / "nats.pid"),
        }

    def _commands(self) -> None:
        cloud, edge, bridge = (str(_BIN / f"kaimen-{name}") for name in ("cloud", "edge", "bridge"))
        commands = {
            "boards": [
                bridge, "virtual", "--config", str(self.folder / "boards.yaml"),
                "--links", str(self.folder / "ports"),
                "--http", f"127.0.0.1:{self.ports['boards']}",
            ],
            "broker": [str(find_nats_server()), "-c", str(self.folder / "broker" / "nats.conf")],
            **{name: [cloud, "serve", "--port", str(self.ports[name])] for name in self.apis},
            **{
                name: [cloud, "worker", "--health-port", str(self.ports[name])] for name in self.workers
            },
            **{
                shop.line: [
                    edge, "run", "--state", str(self.state_of(shop)),
                    "--port", f"{shop.line}={self.folder / 'ports' / shop.line}",
                ]
                for shop in self.shops
            },
        }  # fmt: skip
        self.children = {
            name: Child(name, command, self.env, self.folder / "logs" / f"{name}.log")
            for name, command in commands.items()
        }

    def _write_boards(self) -> None:
        lines = {
            shop.line: {"boards": [{"id": f"relay-{shop.line}", "profile": BOARD, "unit_id": 1}]}
            for shop in self.shops
        }
        (self.folder / "boards.yaml").write_text(yaml.safe_dump({"lines": lines}))

    def _write_broker(self) -> None:
        folder = self.folder / "broker"
        folder.mkdir()
        now = Clocks.of(None).real
        authority = load_authority(self.folder / "cloud", now)
        files = authority.issue_broker(folder, ["kaimen-broker", "localhost", "127.0.0.1"], now)
        no_users_yet(folder / "users.conf")
        config = nats_config(folder, files=files, mqtt_port=self.ports["mqtt"])
        (folder / "nats.conf").write_text(config)

    async def _seed(self) -> list[str]:
        """Merchant, staff and stores; an enrolment code for each store."""
        names = {key.removeprefix("KAIMEN_").lower(): value for key, value in self.env.items()}
        settings = Settings.model_validate(names)
        use_vault(settings.vault)
        db = Database(settings.database_url)
        clocks = Clocks.of(None)
        try:
            async with db.write() as session:
                merchant = Merchant(name="雀友会", created_at=clocks.now)
                session.add(merchant)
                await session.flush()
                for number in range(STAFF):
                    await self._employ(session, merchant, f"+861390000{number:04d}", clocks)
                self.shops = [
                    await self._shop(session, merchant, number, clocks)
                    for number in range(len(self.halves))
                ]
                return [
                    await make_enrolment_code(session, System(), store_id=shop.id, clocks=clocks)
                    for shop in self.shops
                ]
        finally:
            await db.close()

    async def _employ(
        self, session: AsyncSession, merchant: Merchant, phone: str, clocks: Clocks
    ) -> None:
        login = await log_in(session, phone, "", "test", "zh_Hans", clocks)
        session.add(
            StaffMember(
                merchant_id=merchant.id,
                account_id=login.account.id,
                name="店员",
                role="owner",
                created_at=clocks.now,
            )
        )
        self.tokens.append(login.token)

    async def _shop(
        self, session: AsyncSession, merchant: Merchant, number: int, clocks: Clocks
    ) -> Shop:
        line = f"store-{number + 1}"
        store_id = new_id()
        while shard_of(store_id) not in self.halves[number]:
            store_id = new_id()
        own: dict[str, Any] = {"merchant_id": merchant.id, "created_at": clocks.now}
        session.add(
            Store(
                id=store_id, name=line, address="静安区南京西路 1 号", phone="021-62580000", **own
            )
        )
        await session.flush()
        own["store_id"] = store_id
        board = Board(name="继电器板", profile=BOARD, port=line, params={"unit_id": 1}, **own)
        session.add(board)
        await session.flush()
        doors = []
        for index in range(DOORS):
            room = Room(index=index, name=f"房间 {index + 1}", sort=index, **own)
            session.add(room)
            await session.flush()
            lock = Binding(
                board_id=board.id,
                name="门锁",
                capability="lock.pulse",
                channel=index + 1,
                role="lock",
                rooms=[room.id],
                **own,
            )
            session.add(lock)
            await session.flush()
            door = Door(
                name=f"门 {index + 1}",
                token=new_token(128),
                rooms=[room.id],
                lock_binding_id=lock.id,
                pulse_ms=500,
                **own,
            )
            session.add(door)
            doors.append(door.id)
        await session.flush()
        return Shop(store_id, line, tuple(doors))


def eventually(look: Callable[[], _Found], seconds: float, what: str) -> _Found:
    """What ``look`` gives once it is true. Raises AssertionError with what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; saw {seen!r}"
        time.sleep(0.05)
