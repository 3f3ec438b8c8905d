"""What the bus makes of a wire: 32 boards on one line at 9600 baud, and a door that opens in between.

The virtual boards take the time that a wire takes (request, 3.5 characters until a board may answer, the
reply), on a real pseudo terminal, and count requests that come too soon after a reply. What the wire
allows is computed from the bytes: each exchange with the silence that the standard wants between frames,
or that the board's profile wants where that is more. What counts against the bus is the rest between a
reply and the next request as the wire sees it; a virtual board that is woken late, which no wire is, does
not, and is told in the note.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.results import Measured, busy, percentile
from device_profiles import Catalog, Profile
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.bus import Bus, Job
from firmware_bridge.contract import BoardConfig, OutcomeState, Priority
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.virtual import VirtualBoard, VirtualLine
from firmware_bridge.virtual.line import BITS_PER_CHARACTER, SILENCE_CHARACTERS

BOARD = "waveshare.modbus-rtu-relay-8ch"
BOARDS, BAUD = 32, 9600
EXCHANGES, UNLOCKS = 1500, 150
LINES, PER_LINE = 4, 16
REST_S = 30.0
MEMORY_MB, CPU_PERCENT = 70.0, 10.0


def measured(count: int | None) -> Iterable[Measured]:
    """``count`` unlocks, and ten times as many exchanges."""
    unlocks = count or UNLOCKS
    yield use_of_the_line(count * 10 if count else EXCHANGES)
    yield unlock_under_polling(unlocks)
    yield from cost_of_64(REST_S if unlocks >= UNLOCKS else 5.0)


def _wire_s(characters: float) -> float:
    return characters * BITS_PER_CHARACTER / BAUD


def _exchange_s(request: rtu.Request, gap_s: float) -> float:
    """What one exchange costs the wire, the rest before the next one included."""
    return _wire_s(len(request.frame) + SILENCE_CHARACTERS + request.reply_length) + gap_s


def _line(profile: Profile, units: int, baud: int | None) -> VirtualLine:
    boards = [VirtualBoard(f"v{unit}", profile, unit) for unit in range(1, units + 1)]
    return VirtualLine(boards, baud=baud)


def use_of_the_line(count: int) -> Measured:
    """Share of the time the wire was in use while all boards are asked one after the other."""
    profile = Catalog.built_in()[BOARD]
    gap_s = max(profile.modbus.min_gap_ms / 1000, _wire_s(SILENCE_CHARACTERS))
    requests = [rtu.read(unit, "coil", 0, 8) for unit in range(1, BOARDS + 1)]
    rounds = max(1, count // BOARDS)
    with _line(profile, BOARDS, BAUD) as line:
        said = _in_child(lambda: _ask_all(line.path, profile, requests, gap_s, rounds))
        rests = list(line.rests)[-rounds * BOARDS :]
        crowded = line.crowded
    wire_s = sum(_exchange_s(request, 0.0) for request in requests)
    floor_s = wire_s + BOARDS * gap_s
    shares = [
        100 * floor_s / (wire_s + sum(rests[at : at + BOARDS]))
        for at in range(0, rounds * BOARDS, BOARDS)
    ]
    wholes = [100 * floor_s / float(took) for took in said.split()]
    return Measured.of(
        f"bus, {BOARDS} boards at {BAUD} baud, use of the wire",
        "%",
        shares,
        [100.0] * len(shares),
        aim=0.95,
        against="what the wire allows",
        low_is_good=False,
        note=f"{percentile(wholes, 50):.1f} % with the virtual boards' own lateness;"
        f" {crowded} requests came sooner than the standard allows; {busy()}",
    )


def _ask_all(
    path: str, profile: Profile, requests: list[rtu.Request], gap_s: float, rounds: int
) -> str:
    """Ask all of ``requests`` so often, one round after the other; the seconds that each took."""
    bus = Bus(path, profile.settings({"baud": BAUD}), time.monotonic)
    bus.start()
    late = time.monotonic() + 3600
    bus.submit(Job(requests[0], Priority.POLL, late, 0.2, gap_s)).result(10)
    took = []
    for round_ in range(rounds):
        jobs = [Job(request, Priority.POLL, late, 0.2, gap_s) for request in requests]
        random.Random(round_).shuffle(jobs)
        begun = time.monotonic()
        answers = [future.result(60) for future in [bus.submit(job) for job in jobs]]
        took.append(time.monotonic() - begun)
        assert all(answer.result == "answered" for answer in answers)
    bus.stop()
    return " ".join(map(str, took))


def _in_child(work: Callable[[], str]) -> str:
    """What ``work`` says in a process of its own, so that the virtual boards here cost it nothing."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read_end)
            os.write(write_end, work().encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the measured process failed; its error stands above")
    return said.decode()


@contextlib.asynccontextmanager
async def _polling(
    lines: list[VirtualLine], profile: Profile, per_line: int, baud: int
) -> AsyncIterator[FirmwareBridge]:
    bridge = FirmwareBridge(
        {f"line-{n}": line.path for n, line in enumerate(lines)}, catalog=Catalog([profile])
    )
    configs = [
        BoardConfig(f"b{n}-{unit}", BOARD, f"line-{n}", {"unit_id": unit, "baud": baud})
        for n in range(len(lines))
        for unit in range(1, per_line + 1)
    ]
    await bridge.configure(configs)
    await bridge.start()
    try:
        end = time.monotonic() + 120
        while any(bridge.board_state(config.id).state != "online" for config in configs):
            assert time.monotonic() < end, "not all boards were found"
            await asyncio.sleep(0.05)
        yield bridge
    finally:
        await bridge.stop()


def unlock_under_polling(count: int) -> Measured:
    """From the wish to the board's answer while the line has always something to be polled."""
    catalog = Catalog.built_in()[BOARD]
    points = {n: replace(p, poll_period_ms=100) for n, p in catalog.points.items()}
    profile = replace(catalog, points=points)
    gap_s = profile.modbus.min_gap_ms / 1000
    poll = rtu.read(1, "coil", 0, 8)
    unlock = rtu.write_coil_raw(1, 0x0200, 5)
    # The frame in flight, the rest after it, our own frame and its answer.
    floor_ms = 1000 * (_exchange_s(poll, gap_s) + _exchange_s(unlock, 0.0))
    with _line(profile, BOARDS, BAUD) as line:
        said = _in_child(lambda: asyncio.run(_unlocks(line, profile, count)))
    samples = [float(took) for took in said.split()]
    p99 = percentile(samples, 99)
    return Measured(
        name=f"bus, unlock while {BOARDS} boards are polled at {BAUD} baud, p99",
        unit="ms",
        p50=percentile(samples, 50),
        p99=p99,
        floor_p50=floor_ms,
        floor_p99=floor_ms,
        ratio=p99 / floor_ms,
        aim=1.2,
        n=len(samples),
        against="one frame in flight and its own",
        note=f"the ratio is of p99, against the worst that the wire itself makes of it; {busy()}",
    )


async def _unlocks(line: VirtualLine, profile: Profile, count: int) -> str:
    """Milliseconds of each unlock until its board's answer is read, in a process apart from the boards."""
    samples: list[float] = []
    chance = random.Random(7)
    async with _polling([line], profile, BOARDS, BAUD) as bridge:
        for number in range(count):
            await asyncio.sleep(chance.uniform(0.1, 0.2))
            answered: list[float] = []
            begun = time.monotonic()
            outcome = await bridge.pulse(
                f"b0-{number % BOARDS + 1}",
                number // BOARDS % 8 + 1,
                500,
                10,
                lambda _, into=answered: into.append(time.monotonic()),  # type: ignore[misc]
            )
            assert outcome.state is OutcomeState.DONE, outcome
            samples.append(1000 * (answered[0] - begun))
    return " ".join(map(str, samples))


def cost_of_64(rest_s: float) -> list[Measured]:
    """Memory and processor time of a bridge with 64 boards, apart from the virtual boards' own."""
    profile = Catalog.built_in()[BOARD]
    lines = [_line(profile, PER_LINE, None).open() for _ in range(LINES)]
    try:
        said = _in_child(lambda: asyncio.run(_alone(lines, profile, rest_s)))
    finally:
        for line in lines:
            line.close()
    memory, busy = map(float, said.split())
    boards = LINES * PER_LINE
    return [
        Measured.of(
            f"bridge, resident memory with {boards} boards",
            "MB",
            [memory],
            [MEMORY_MB],
            aim=1.0,
            against=f"at most {MEMORY_MB:g} MB",
        ),
        Measured.of(
            f"bridge, processor time with {boards} boards polled every second",
            "%",
            [busy],
            [CPU_PERCENT],
            aim=1.0,
            against=f"at most {CPU_PERCENT:g} % of one core",
        ),
    ]


async def _alone(lines: list[VirtualLine], profile: Profile, rest_s: float) -> str:
    async with _polling(lines, profile, PER_LINE, BAUD):
        await asyncio.sleep(3)
        before, begun = time.process_time(), time.monotonic()
        await asyncio.sleep(rest_s)
        busy = 100 * (time.process_time() - before) / (time.monotonic() - begun)
    status = Path("/proc/self/status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return f"{int(rss.split()[1]) / 1024} {busy}"
