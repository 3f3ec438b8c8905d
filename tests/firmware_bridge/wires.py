"""Real lines for tests: a slave whose every byte is scripted, and a null modem of two terminals.

Written by hand from the Modbus documents, with a CRC of its own: nothing here comes from the code
under test, so a mistake made there is not made here as well.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType

from device_profiles import Catalog, Profile, load_profile
from device_profiles.loader import CATALOG

RELAY = "waveshare.modbus-rtu-relay-8ch"
IO = "waveshare.modbus-rtu-io-8ch"


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return bytes([value & 0xFF, value >> 8])


def frame(text: str) -> bytes:
    """Hex text with its CRC added."""
    data = bytes.fromhex(text)
    return data + crc(data)


def hurried(*ids: str, timeout_ms: int = 40, poll_ms: int = 60_000) -> Catalog:
    """Profiles of the catalog that wait and poll so that tests need not wait for them."""

    def hurry(profile: Profile) -> Profile:
        transport = profile.transport.model_copy(update={"response_timeout_ms": timeout_ms})
        points = {name: replace(p, poll_period_ms=poll_ms) for name, p in profile.points.items()}
        return replace(profile, transport=transport, points=points)

    return Catalog(hurry(load_profile(CATALOG / f"{id_}.yaml")) for id_ in ids)


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until ``condition`` holds; fail if it does not within ``within_s``."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"still not so after {within_s} s"
        await asyncio.sleep(0.01)


class Terminal:
    """A pseudo terminal in raw mode: ``far`` is ours, ``path`` is for the program under test."""

    def __init__(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        self.path = os.ttyname(self.near)

    def close(self) -> None:
        """Pull it out."""
        os.close(self.far)
        os.close(self.near)


@dataclass(frozen=True)
class Seen:
    """A request as the board saw it."""

    at: float
    data: bytes

    @property
    def pulse_units(self) -> int | None:
        """The value of a flash order, None for other requests."""
        is_flash = self.data[1] == 0x05 and self.data[2] == 0x02
        return int.from_bytes(self.data[4:6], "big") if is_flash else None


class ScriptedSlave:
    """A relay board as in the manual, unit 1, that does to each reply what the script says next.

    ``silent``, ``bad_crc``, ``short``, ``noise_before``, ``noise_after``, ``other_unit``, ``late``,
    ``split``, ``other_function``, ``exception``, ``twice``; ``ok`` when the script is over.
    ``late_s`` is how late a late reply comes.
    """

    def __init__(self, script: Iterable[str] = (), *, late_s: float = 0.06) -> None:
        self.script = deque(script)
        self.late_s = late_s
        self.seen: list[Seen] = []
        self.coils = 0
        self.terminal = Terminal()
        self.path = self.terminal.path
        self._wake_read, self._wake_write = os.pipe()
        self._late: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedSlave:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        self.terminal.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    @property
    def pulses(self) -> list[int]:
        """The values of all flash orders seen, in order."""
        return [units for seen in self.seen if (units := seen.pulse_units) is not None]

    def _run(self) -> None:
        buffer = b""
        while True:
            patience = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            ready = select.select([self.terminal.far, self._wake_read], [], [], patience)[0]
            if self._wake_read in ready:
                return
            while self._late and self._late[0][0] <= time.monotonic():
                os.write(self.terminal.far, self._late.pop(0)[1])
            if self.terminal.far not in ready:
                continue
            buffer += os.read(self.terminal.far, 256)
            while len(buffer) >= 8:  # every request to this board has 8 bytes
                request, buffer = buffer[:8], buffer[8:]
                assert crc(request[:6]) == request[6:], f"not a frame: {request.hex(' ')}"
                self.seen.append(Seen(time.monotonic(), request))
                self._reply(request)

    def _reply(self, request: bytes) -> None:
        body = self._serve(request)
        how = self.script.popleft() if self.script else "ok"
        whole = body + crc(body)
        out = {
            "ok": whole,
            "silent": b"",
            "bad_crc": whole[:-1] + bytes([whole[-1] ^ 0x55]),
            "short": whole[:-3],
            "noise_before": b"\x00\xff" + whole,
            "noise_after": whole + b"\xff\x00\x13",
            "other_unit": frame((bytes([9]) + body[1:]).hex()),
            "other_function": frame("01 06 00 00 00 01"),
            "exception": frame((bytes([1, request[1] | 0x80, 4])).hex()),
            "twice": whole + whole,
            "late": b"",
            "split": b"",
        }[how]
        if how == "late":
            self._late.append((time.monotonic() + self.late_s, whole))
        if how == "split":
            for byte in whole:
                os.write(self.terminal.far, bytes([byte]))
                time.sleep(0.001)
        os.write(self.terminal.far, out)

    def _serve(self, request: bytes) -> bytes:
        function, address = request[1], int.from_bytes(request[2:4], "big")
        if function == 0x01:
            return bytes([1, 1, 1, self.coils])
        if function == 0x03:
            return bytes([1, 3, 2]) + {0x4000: b"\x00\x01", 0x8000: b"\x00\xc8"}[address]
        if function == 0x05 and address < 8:
            bit = 1 << address
            self.coils = self.coils | bit if request[4] == 0xFF else self.coils & ~bit
        return request[:6]


class NullModem:
    """Two terminals wired crosswise, for a master and a slave that both want a serial device."""

    def __init__(self) -> None:
        self.left, self.right = Terminal(), Terminal()
        self.heard: list[bytes] = []  # what the left one sent, as it came
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> NullModem:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        self.left.close()
        self.right.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        fds = [self.left.far, self.right.far, self._wake_read]
        while True:
            ready = select.select(fds, [], [])[0]
            if self._wake_read in ready:
                return
            for source, sink in ((self.left.far, self.right.far), (self.right.far, self.left.far)):
                if source in ready:
                    data = os.read(source, 256)
                    if source == self.left.far:
                        self.heard.append(data)
                    os.write(sink, data)
