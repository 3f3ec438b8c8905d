"""A store's card was copied and both computers run: the owner hears it, no door moves twice, no record forks unseen.

Two real controllers with the same files, each at boards of its own, on the brokers as we set them up.
NATS lets both in at once; Mosquitto lets one in and throws the other off, in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import AlarmSignal
from cloud_api.settings import Settings
from cloud_api.store_channel.ingest import FORK
from cloud_api.store_channel.models import StoreEvent
from cloud_api.store_channel.twins import KIND
from cloud_api.store_channel.worker import Channel
from controller.identity import Broker, Identity, write_private
from firmware_bridge.virtual.rig import Rig, RigFile
from tests.brokers.parties import DEADLINE_S
from tests.brokers.sites import MosquittoSite, NatsSite
from tests.brokers.test_healing import db_url, settings  # noqa: F401  fixtures
from tests.cloud_api.conftest import (  # noqa: F401  fixtures
    _vault,
    business,
    cloud,
    db,
    now,
    shop,
    sqlite_templates,
    sqlite_url,
)
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.conftest import clocks, run_channel  # noqa: F401  fixtures
from tests.cloud_api.store_channel.store_side import StoreSide
from tests.cloud_api.store_channel.test_end_to_end import unlock
from tests.support.guard import GuardedProcess

RELAY = "waveshare.modbus-rtu-relay-8ch"
LOCK = 1
TAPS = 4


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.soak)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsSite | MosquittoSite]:
    """As test_healing.py's; the one that throws off takes a quarter of a minute."""
    site = (NatsSite if request.param == "nats" else MosquittoSite)(tmp_path)
    site.start()
    yield site
    site.stop()


OFTEN = """
from controller import uplink
from controller.cli import app

uplink.REPORT_EVERY_S = 0.5  # and not every half a minute
app()
"""


class Computer:
    """A controller's process with a card of its own, at three relay boards of its own."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.state_dir = folder / "state"
        boards = [{"id": f"relay-{n}", "profile": RELAY, "unit_id": n} for n in (1, 2, 3)]
        lines = {"lines": {"rs485-1": {"boards": boards}}}
        self.rig = Rig(RigFile.model_validate(lines), links=folder / "dev")
        self.rig.open()
        self._identity = identity
        self._process: GuardedProcess | None = None

    def start(self) -> None:
        write_private(self.state_dir / "identity.json", self._identity.model_dump_json().encode())
        ports = {name: str(line.link or line.path) for name, line in self.rig.lines.items()}
        (self.state_dir / "ports.yaml").write_text(
            "".join(f"{name}: {device}\n" for name, device in ports.items())
        )
        self._process = GuardedProcess(
            [sys.executable, "-c", OFTEN, "run", "--state", self.state_dir],
            log=self.state_dir / "edge.log",
            cwd=Path(__file__).resolve().parents[2],
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
            self._process = None

    @property
    def pulses(self) -> int:
        boards = [self.rig.board_state(f"relay-{n}") for n in (1, 2, 3)]
        return sum(board["coils"][LOCK - 1]["pulses"] for board in boards)

    def events(self) -> dict[int, str]:
        """Its journal: number and id of each event."""
        return dict(self._rows("SELECT seq, id FROM outbox"))

    @property
    def acked(self) -> int:
        """What it believes that the cloud has."""
        rows = self._rows("SELECT value FROM kv WHERE key = 'acked'")
        return int(json.loads(rows[0][0])) if rows else 0

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        path = f"file:{self.state_dir / 'journal.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=5)) as book:
            return book.execute(query).fetchall()


@pytest.fixture
async def computers(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    tmp_path: Path,
    settings: Settings,  # noqa: F811
    run_channel: Callable[..., Awaitable[Channel]],  # noqa: F811
) -> AsyncIterator[tuple[Computer, Computer]]:
    """The right one, which has worked for a while, and its copy; both run."""
    await run_channel(cloud)
    port = settings.store_mqtt_port
    assert port is not None
    side = await StoreSide.enrol(cloud, shop.store.id, tmp_path / "stores", port)
    identity = Identity(
        store=shop.store.id,
        cloud="",
        mac_kid=side.enrolled.mac.kid,
        mac_key=side.enrolled.mac.secret.hex(),
        keys=side.enrolled.keys,
        mqtt=Broker(host="127.0.0.1", port=port),
    )
    first, copy = (Computer(tmp_path / name, identity) for name in ("first", "copy"))
    first.state_dir.mkdir(parents=True)
    for name, path in (("ca", "ca"), ("client", "cert")):
        shutil.copy(side.folder / f"{path}.pem", first.state_dir / f"{name}.pem")
    shutil.copy(side.folder / "key.pem", first.state_dir / "client.key")
    try:
        first.start()
        async with asyncio.timeout(DEADLINE_S):
            while not await _online(cloud, shop) or not await _taken(cloud):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(first.stop)
        shutil.copytree(first.state_dir, copy.state_dir)
        first.start()
        copy.start()
        yield first, copy
    finally:
        for computer in (first, copy):
            await asyncio.to_thread(computer.stop)
            computer.rig.close()


async def alarms(cloud: Cloud) -> set[tuple[str, str]]:  # noqa: F811
    """Kind and reason of those that stand."""
    async with cloud.db.read() as session:
        rows = await session.exec(select(AlarmSignal).where(AlarmSignal.active))
        return {(row.kind, str(row.data.get("why"))) for row in rows}


async def test_the_owner_hears_of_a_copied_card_and_no_door_moves_twice(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    computers: tuple[Computer, Computer],
) -> None:
    """Bug: the records of both were told apart, and which computer runs was not: doors opened here or there
    as it happened, the console showed one's boards and then the other's, and nobody said why.
    """
    loop = asyncio.get_running_loop()
    began, wanted = loop.time(), {(KIND, "two_computers"), ("event.poison", FORK)}
    while not wanted <= (standing := await alarms(cloud)):
        assert loop.time() < began + DEADLINE_S, standing
        await asyncio.sleep(0.1)
    print(f"\ntold after {loop.time() - began:.1f} s")

    first, copy = computers
    done = 0
    for _ in range(TAPS):
        before = first.pulses + copy.pulses
        async with asyncio.timeout(DEADLINE_S):
            while not await _online(cloud, shop):
                await asyncio.sleep(0.02)
        command = await unlock(cloud, shop)
        end = cloud.clocks.real + timedelta(seconds=5)
        answer = await devices.wait_for(cloud, command.id, end)
        done += answer["state"] == "done"
        await asyncio.sleep(0.6)  # a second pulse, were there one, would have come
        moved = first.pulses + copy.pulses - before
        assert moved <= 1, f"one command moved {moved} locks: {answer}"
        assert moved == 1 or answer["state"] != "done", answer
        async with asyncio.timeout(DEADLINE_S):  # the other one's refusal may have come first
            while moved and await _state_of(cloud, command.id) == "refused":
                await asyncio.sleep(0.02)
    print(f"{done} of {TAPS} taps were answered with an open door")

    # What the cloud took is one computer's journal whole; the other's is still there, in its own.
    taken = await _taken(cloud)
    assert sorted(taken) == list(range(1, len(taken) + 1))
    journals = [computer.events() for computer in computers]
    whose = [taken.items() <= book.items() for book in journals]
    assert whose.count(True) == 1, "events of both under one name"
    assert journals[0] != journals[1]
    for computer, believed in zip(computers, whose, strict=True):
        if not believed:
            own = {seq for seq, key in computer.events().items() if taken.get(seq) != key}
            assert own, "it recorded nothing"
            assert min(own) > computer.acked, "it let go of what nobody took"


async def _state_of(cloud: Cloud, command: str) -> str:  # noqa: F811
    async with cloud.db.read() as session:
        row = await session.get(DeviceCommand, command)
    assert row is not None
    return row.state


async def _taken(cloud: Cloud) -> dict[int, str]:  # noqa: F811
    """Number and id of each event in the database."""
    async with cloud.db.read() as session:
        return {row.seq: row.id for row in await session.exec(select(StoreEvent))}


async def _online(cloud: Cloud, shop: Shop) -> bool:  # noqa: F811
    async with cloud.db.read() as session:
        row = await session.get(StoreStatus, shop.store.id)
    return row is not None and row.online and row.nonce is not None and row.rev > 0
