"""A whole store for tests: virtual boards on ptys, a controller (here, or as a process), a cloud."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ulid import ULID

from controller.app import Controller
from controller.identity import Broker, Identity, write_private
from firmware_bridge.contract import Bridge
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.clock import BusinessClock, WireClock
from store_link.link import Endpoint
from store_link.messages import Desired
from tests.controller.cloud import QUICK, SmallCloud, until
from tests.support.guard import GuardedProcess

RELAY = "waveshare.modbus-rtu-relay-8ch"
IO = "waveshare.modbus-rtu-io-8ch"
MINUTE = 60_000
# Coils as numbered on the board.
LOCK_1, LOCK_2, TABLE_1, TABLE_2, LIGHT_1, AC_SHARED = 1, 2, 3, 4, 5, 6


class SteppableWire:
    """Real time whose wall can be stepped, as NTP or a dead battery does it."""

    def __init__(self) -> None:
        self._real = WireClock()
        self.stepped_s = 0.0

    def now(self) -> datetime:
        return self._real.now() + timedelta(seconds=self.stepped_s)

    def monotonic(self) -> float:
        return self._real.monotonic()


def stay(key: str, room: str, starts: int, ends: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "id": key,
        "room": room,
        "starts": starts,
        "ends": ends,
        "opens": starts - 10 * MINUTE,
        "grace_s": 300,
        "grant": f"g-{key}",
    }
    return {**fields, **changes}


class World:
    """Two rooms with a shared air conditioner, one relay board, one input board."""

    def __init__(
        self, directory: Path, host: str, port: int, cloud: Endpoint | None = None
    ) -> None:
        """``cloud``: the cloud's own way to the broker, where it has one."""
        self.store = str(ULID())
        self.state_dir = directory / "state"
        self.state_dir.mkdir(mode=0o700)
        self.clock_file = directory / "clock.json"
        self.clock_file.write_text(json.dumps({"offset_s": 0}))
        self.endpoint = Endpoint(host=host, port=port)
        self.clock = BusinessClock(self.clock_file)
        self.cloud = SmallCloud(self.store, cloud or self.endpoint)
        self.wire = SteppableWire()
        self.rig = Rig(
            RigFile.model_validate(
                {
                    "lines": {
                        "rs485-1": {"boards": [{"id": "relay", "profile": RELAY, "unit_id": 1}]},
                        "rs485-2": {"boards": [{"id": "io", "profile": IO, "unit_id": 1}]},
                    }
                }
            ),
            links=directory / "dev",
        )
        self.identity = Identity(
            store=self.store,
            cloud="",
            mac_kid=self.cloud.mac.kid,
            mac_key=self.cloud.mac.secret.hex(),
            keys=self.cloud.keys,
            mqtt=Broker(host=host, port=port, tls=False),
        )
        self.rev = 0
        self.memory: Path | None = None  # where the journal goes when the disk takes nothing
        self.boot = "1"  # the kernel's; another one after a power cut
        self.controller: Controller | None = None
        self.process: GuardedProcess | None = None

    # -- life

    async def open(self) -> World:
        self.rig.open()
        await self.cloud.start()
        return self

    async def close(self) -> None:
        if self.process is not None:
            self.process.kill()
        if self.controller is not None:
            await self.controller.stop()
        await self.cloud.stop()
        self.rig.close()

    @property
    def ports(self) -> dict[str, str]:
        return {name: str(line.link or line.path) for name, line in self.rig.lines.items()}

    async def run(
        self,
        bridge: Bridge | None = None,
        synced: Callable[[], bool] = lambda: True,
        *,
        alone: bool = False,
    ) -> Controller:
        """Start a controller in this process and wait for its link, unless it is ``alone``."""
        before = self.cloud.presence.nonce if self.cloud.presence else None
        self.controller = Controller(
            self.identity,
            self.state_dir,
            self.ports,
            wire=self.wire,
            clock_file=self.clock_file,
            synced=synced,
            boot=lambda: self.boot,
            bridge=bridge,
            memory=self.memory,
            backoff=QUICK,
        )
        await self.controller.start()
        if alone:
            return self.controller
        await self.controller.uplink.side.wait_up(30)
        await self._online(before)
        return self.controller

    async def stop(self) -> None:
        assert self.controller is not None
        controller, self.controller = self.controller, None
        await controller.stop()

    async def spawn(self, *, wait: bool = True, points: Path | None = None) -> GuardedProcess:
        """Start `kaimen-edge run` as a process of its own. ``points``: a folder where steps at which it
        stands still may be armed (tests/faults/mortal.py).
        """
        before = self.cloud.presence.nonce if self.cloud.presence else None
        write_private(self.state_dir / "identity.json", self.identity.model_dump_json().encode())
        lines = [f"{name}: {device}\n" for name, device in self.ports.items()]
        (self.state_dir / "ports.yaml").write_text("".join(lines))
        os.environ["KAIMEN_CLOCK_FILE"] = str(self.clock_file)
        program = ["controller.cli"]
        if points is not None:
            os.environ["KAIMEN_TEST_POINTS"] = str(points)
            program = ["tests.faults.mortal", "controller"]
        try:
            self.process = GuardedProcess(
                [sys.executable, "-m", *program, "run", "--state", self.state_dir],
                log=self.state_dir / "edge.log",
                cwd=Path(__file__).resolve().parents[2],
            )
        finally:
            del os.environ["KAIMEN_CLOCK_FILE"]
            os.environ.pop("KAIMEN_TEST_POINTS", None)
        if wait:
            await self._online(before)
        return self.process

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process = None

    def terminate(self) -> int:
        assert self.process is not None
        process, self.process = self.process, None
        process.stop(signal.SIGTERM)
        return int(process.process.returncode)

    async def _online(self, before: str | None) -> None:
        await until(
            lambda: (
                self.cloud.presence is not None
                and self.cloud.presence.state == "online"
                and self.cloud.presence.nonce != before
                and self.cloud.reported is not None
                and self.cloud.reported.nonce == self.cloud.presence.nonce
            ),
            20,
            "the store online",
        )

    # -- time and documents

    def now(self) -> int:
        """Business ms."""
        return round(self.clock.now().timestamp() * 1000)

    def pass_time(self, minutes: float) -> None:
        self.clock.advance(minutes * 60)

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        self.rev += 1

        def bind(key: str, role: str, channel: int, *rooms: str, **more: Any) -> dict[str, Any]:
            fields = {
                "id": key,
                "board": "relay",
                "capability": "switch.set",
                "channel": channel,
                "role": role,
                "rooms": rooms,
            }
            return {**fields, **more}

        fields: dict[str, Any] = {
            "store": self.store,
            "epoch": 1,
            "rev": self.rev,
            "sent_at": round(time.time() * 1000),
            "tz": "Asia/Shanghai",
            "rooms": [
                {"id": "r1", "index": 0, "lead_s": 600, "grace_s": 300},
                {"id": "r2", "index": 1, "lead_s": 600, "grace_s": 300},
            ],
            "doors": [
                {"id": "d1", "lock": "lock1", "rooms": ["r1"], "pulse_ms": 700},
                {"id": "d2", "lock": "lock2", "rooms": ["r2"], "pulse_ms": 700},
            ],
            "boards": [
                {"id": "relay", "profile": RELAY, "port": "rs485-1", "params": {"unit_id": 1}},
                {"id": "io", "profile": IO, "port": "rs485-2", "params": {"unit_id": 1}},
            ],
            "bindings": [
                bind("lock1", "lock", LOCK_1, "r1", capability="lock.pulse"),
                bind("lock2", "lock", LOCK_2, "r2", capability="lock.pulse"),
                bind("table1", "table", TABLE_1, "r1"),
                bind("table2", "table", TABLE_2, "r2"),
                bind("light1", "light", LIGHT_1, "r1"),
                bind("ac", "ac", AC_SHARED, "r1", "r2"),
                bind("seen1", "presence", 1, "r1", board="io", capability="presence"),
            ],
            "stays": stays,
            "scenes": {
                "in_use": [{"role": role, "on": True} for role in ("table", "light", "ac")],
                "grace": [{"role": role, "on": True} for role in ("table", "light")],
            },
        }
        return Desired.model_validate({**fields, **changes})

    async def want(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        """Publish a document and wait until the store reports it as applied and its boards as up."""
        desired = self.document(*stays, **changes)
        await self.cloud.want(desired)
        await until(
            lambda: self.cloud.reported is not None and self.cloud.reported.rev == desired.rev,
            10,
            f"desired {desired.rev} applied",
        )
        return desired

    async def boards_up(self) -> None:
        await until(
            lambda: (
                self.cloud.reported is not None
                and self.cloud.reported.boards
                and all(board.state == "online" for board in self.cloud.reported.boards)
            ),
            10,
            "boards online",
        )

    # -- looking

    def coil(self, number: int) -> bool:
        return bool(self.rig.board_state("relay")["coils"][number - 1]["on"])

    def pulses(self, number: int) -> int:
        return int(self.rig.board_state("relay")["coils"][number - 1]["pulses"])

    async def coil_is(self, number: int, on: bool, within_s: float = 10.0) -> None:
        await until(lambda: self.coil(number) == on, within_s, f"coil {number} {on}")

    async def measuring(self, key: str) -> None:
        """Wait until the controller has seen the power of a stay's table: time may pass then."""
        query = "SELECT power_since FROM stay WHERE id = ?"
        await until(lambda: self.rows(query, key)[0][0] is not None, 30, "power measured")

    def switched(self, number: int) -> list[bool]:
        """Every change of a coil since the start, pulses left out."""
        return [
            event.on
            for event in self.rig.events_since(0)
            if event.board == "relay" and event.coil == number and event.cause != "flash"
        ]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the journal from outside."""
        db = sqlite3.connect(f"file:{self.state_dir / 'journal.db'}?mode=ro", uri=True, timeout=5)
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()
