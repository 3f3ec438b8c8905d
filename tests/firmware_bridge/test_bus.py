"""One line, many wishes: who is heard first, and what one thread does for all of them."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import wait

import pytest

from device_profiles import Catalog
from device_profiles.profile import Settings
from firmware_bridge.bus import Bus, Job
from firmware_bridge.contract import Priority
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.virtual import VirtualBoard, VirtualLine
from tests.firmware_bridge.wires import RELAY, ScriptedSlave

LINE = Settings(unit_id=1, baud=115200, parity="N", stop_bits=1)


def job(request: rtu.Request, priority: Priority, *, within_s: float = 30, **more: object) -> Job:
    deadline = time.monotonic() + within_s
    return Job(request, priority, deadline, timeout_s=0.2, gap_s=0.001, **more)  # type: ignore[arg-type]


POLL = rtu.read(1, "coil", 0, 8)
UNLOCK = rtu.write_coil_raw(1, 0x0200, 7)


def test_an_unlock_jumps_ahead_of_two_hundred_polls() -> None:
    with ScriptedSlave() as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        polls = [bus.submit(job(POLL, Priority.POLL)) for _ in range(200)]
        switch = bus.submit(job(rtu.write_coil_raw(1, 3, 0xFF00), Priority.SWITCH))
        unlock = bus.submit(job(UNLOCK, Priority.UNLOCK, once=True))
        bus.start()
        assert unlock.result(30).result == "answered"
        assert switch.result(30).result == "answered"
        wait(polls, 60)
        bus.stop()
        order = [seen.data[1:3].hex() for seen in slave.seen]
        assert order[:2] == ["0502", "0500"]
        assert len(order) == 202


def test_an_unlock_overtakes_a_running_queue() -> None:
    with ScriptedSlave() as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        polls = [bus.submit(job(POLL, Priority.POLL)) for _ in range(200)]
        bus.start()
        polls[20].result(30)
        asked = len(slave.seen)
        assert bus.submit(job(UNLOCK, Priority.UNLOCK, once=True)).result(30).result == "answered"
        place = next(i for i, seen in enumerate(slave.seen) if seen.pulse_units)
        assert place <= asked + 3
        wait(polls, 60)
        bus.stop()


def test_an_unlock_gets_in_between_the_attempts_of_a_read() -> None:
    with ScriptedSlave(["silent"] * 2) as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        bus.start()
        asked = job(POLL, Priority.POLL, attempts=3)
        asked.timeout_s = 1  # time to come in between, also on a busy machine
        read = bus.submit(asked)
        end = time.monotonic() + 30
        while not slave.seen:
            assert time.monotonic() < end
            time.sleep(0.005)
        unlock = bus.submit(job(UNLOCK, Priority.UNLOCK, once=True))
        assert read.result(30).result == "answered"
        assert unlock.result(30).result in ("answered", "no_answer")
        bus.stop()
        assert [seen.data[1] for seen in slave.seen][:2] == [1, 5]


def test_frames_keep_their_distance() -> None:
    with ScriptedSlave() as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        jobs = [job(POLL, Priority.POLL) for _ in range(10)]
        for each in jobs:
            each.gap_s = 0.02
        done = [bus.submit(each) for each in jobs]
        bus.start()
        wait(done, 30)
        bus.stop()
        times = [seen.at for seen in slave.seen]
        assert min(b - a for a, b in itertools.pairwise(times)) > 0.015


def test_jobs_that_wait_end_when_the_bus_is_stopped() -> None:
    with ScriptedSlave(["silent"] * 50) as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        bus.start()
        jobs = [bus.submit(job(POLL, Priority.POLL)) for _ in range(20)]
        unlock = bus.submit(job(UNLOCK, Priority.UNLOCK, once=True))
        unlock.result(30)
        begun = time.monotonic()
        bus.stop()
        assert time.monotonic() - begun < 2  # to wait for all of them would take four seconds
        results = [each.result(30).result for each in jobs]
        assert results.count("stopped") >= 10
        late = bus.submit(job(UNLOCK, Priority.UNLOCK, once=True))
        assert late.result(30).result == "stopped"
        time.sleep(0.05)
        assert slave.pulses == [7]
    assert not [t for t in threading.enumerate() if t.name.startswith("bus ")]


def test_a_cancelled_unlock_is_not_sent() -> None:
    with ScriptedSlave(["silent"]) as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        bus.start()
        bus.submit(job(POLL, Priority.POLL))
        time.sleep(0.05)
        unlock = bus.submit(job(UNLOCK, Priority.UNLOCK, once=True))
        assert unlock.cancel()
        bus.submit(job(POLL, Priority.POLL)).result(30)
        bus.stop()
        assert slave.pulses == []


def test_a_taken_port_is_named(tmp_path: object) -> None:
    board = VirtualBoard("v", Catalog.built_in()[RELAY], 1)
    with VirtualLine([board]) as line:
        first, second = Bus(line.path, LINE, time.monotonic), Bus(line.path, LINE, time.monotonic)
        first.start()
        second.start()
        assert first.submit(job(POLL, Priority.POLL)).result(30).result == "answered"
        refused = second.submit(job(UNLOCK, Priority.UNLOCK, once=True)).result(30)
        assert refused.result == "port_gone"
        assert refused.sent == 0
        assert refused.detail == f"{line.path} is used by another program; stop that one first"
        first.stop()
        assert (
            second.submit(job(UNLOCK, Priority.UNLOCK, once=True)).result(30).result == "answered"
        )
        second.stop()


@pytest.mark.parametrize("within_s", [0.0, -5.0])
def test_what_is_late_is_not_sent(within_s: float) -> None:
    with ScriptedSlave() as slave:
        bus = Bus(slave.path, LINE, time.monotonic)
        bus.start()
        late = bus.submit(job(UNLOCK, Priority.UNLOCK, within_s=within_s, once=True))
        assert late.result(30).result == "expired"
        bus.stop()
        assert slave.seen == []
