"""The store's part of an unlock: a signed command arrives, the board gets its frame, the answer leaves.

The real controller process, with a virtual board on a pseudo terminal, takes turns with the floor
(benchmarks/floor_store.py) and with Node-RED (benchmarks/node_red.py) on boards of their own. All three
hang on one broker and are asked by one bare client, over plain TCP.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import node_red
from benchmarks.floor_store import DOWN, UP
from benchmarks.one_store import CHANNELS, PULSE_MS, ROOT, Asker, OneStore
from benchmarks.results import Measured
from firmware_bridge.protocols.modbus_rtu import with_crc
from tests.support.guard import GuardedProcess

UNLOCKS = 1000
WARM_UP = 40
REST_S = PULSE_MS / 1000 + 0.1  # a lock that is held refuses a second pulse
OUR_LINES = 2
_MISSING = "Node-RED is missing here ({why}): not compared with it"


def measured(count: int | None) -> list[Measured]:
    """``count`` unlocks of each, in turn."""
    n = count or UNLOCKS
    folder = Path(tempfile.mkdtemp(prefix="kaimen-bench-"))
    peer, why = None, ""
    try:
        with OneStore(folder, ours=OUR_LINES, others=2) as site:
            floor_line, peer_line = site.names[OUR_LINES:]
            floor = GuardedProcess(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.floor_store",
                    str(site.broker.mqtt_port),
                    str(site.device(floor_line)),
                ],
                log=folder / "floor.log",
                cwd=ROOT,
            )
            try:
                peer = node_red.start(folder, site.broker.mqtt_port, site.device(peer_line))
            except node_red.Missing as missing:
                why = str(missing)
            try:
                site.start()
                return _rows(*_turns(site, n, peer is not None), why)
            finally:
                floor.stop()
                if peer is not None:
                    peer.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _turns(site: OneStore, n: int, with_peer: bool) -> tuple[list[float], list[float], list[float]]:
    bare = Asker(site.broker.mqtt_port, [(UP, 1)])
    plain = Asker(site.broker.mqtt_port, [(node_red.UP, 0)])
    doors = itertools.cycle(
        (line, channel) for channel in range(1, CHANNELS + 1) for line in site.ours
    )
    free_at: dict[tuple[str, int], float] = {}
    samples: tuple[list[float], list[float], list[float]] = ([], [], [])
    site.settle(2.0)
    _first_answer(bare, DOWN, 1)
    if with_peer:
        _first_answer(plain, node_red.DOWN, 0)
    try:
        for number in range(-WARM_UP, n):
            door = next(doors)
            site.settle(max(0.02, free_at.get(door, 0.0) - time.monotonic()))
            sealed = site.command(*door)
            took = [_time(lambda: site.unlock(*sealed))]  # noqa: B023  (called here)
            free_at[door] = time.monotonic() + REST_S
            frame = pulse_frame(door[1])
            took.append(_time(lambda: _exchange(bare, DOWN, frame, 1)))  # noqa: B023
            if with_peer:
                took.append(_time(lambda: _exchange(plain, node_red.DOWN, frame, 0)))  # noqa: B023
            if number >= 0:
                for kept, one in zip(samples, took, strict=False):
                    kept.append(one * 1000)
    finally:
        bare.close()
        plain.close()
    return samples


def _rows(ours: list[float], floor: list[float], peer: list[float], why: str) -> list[Measured]:
    name = "unlock, store part: command arrives, frame, answer leaves"
    found = [
        Measured.of(
            name,
            "ms",
            ours,
            floor,
            aim=4.0,
            against="bare paho and the same frame, unsigned, unjournaled",
            note="" if peer else _MISSING.format(why=why),
        )
    ]
    if peer:
        found.append(
            Measured.of(
                f"{name}, beside Node-RED",
                "ms",
                ours,
                peer,
                aim=1.0,
                against=f"Node-RED {node_red.VERSION} doing the same unsigned, unjournaled, QoS 0",
                note="at QoS 1 it takes 44 ms, which is Nagle's algorithm in its client, not its work",
            )
        )
    return found


def pulse_frame(channel: int) -> bytes:
    """Board 1, function 5: let ``channel`` (from 1) go after ``PULSE_MS``."""
    return with_crc(bytes([1, 5, 2, channel - 1, 0, PULSE_MS // 100]))


def _time(act: object) -> float:
    began = time.perf_counter()
    act()  # type: ignore[operator]
    return time.perf_counter() - began


def _exchange(asker: Asker, topic: str, frame: bytes, qos: int) -> None:
    asker.say(topic, frame, qos)
    answer = asker.hear()[1]
    if answer != frame:
        raise AssertionError(f"{topic}: sent {frame.hex(' ')}, got {answer.hex(' ')}")


def _first_answer(asker: Asker, topic: str, qos: int) -> None:
    """Ask until somebody is there: the floor and the peer say nothing when they are ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asker.say(topic, pulse_frame(1), qos)
        time.sleep(0.5)
        if not asker.heard.empty():
            time.sleep(1.5)
            while not asker.heard.empty():
                asker.hear()
            return
    raise TimeoutError(f"nobody answers on {topic}")
