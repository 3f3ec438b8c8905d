"""One line, one owner: a thread that alone touches the port and takes jobs by priority.

    unlock  >  switch  >  confirm  >  poll

Rules that hold for every job:

* Before a request the line is drained, so that a late reply is never taken for the next answer.
* A job whose deadline has passed is not sent, also when it waited only for the gap between frames.
* ``once`` jobs (pulses) are written at most once, whatever happens afterwards.
* Other jobs are tried again, each time from the back of their priority, so an unlock gets in between.
* A lost port is opened again: for polls with back-off, for anything else at once.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from device_profiles.profile import Settings
from firmware_bridge.contract import Priority
from firmware_bridge.port import PortGone, SerialPort
from firmware_bridge.protocols.modbus_rtu import (
    BadFrame,
    DeviceException,
    Request,
)

Result = Literal["answered", "refused", "bad_frame", "no_answer", "port_gone", "expired", "stopped"]

_REOPEN_FIRST_S, _REOPEN_MAX_S = 0.5, 3.0
_BITS_PER_CHARACTER = 11


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of a job. ``sent`` counts bytes that left: 0 means that nothing can have happened.

    ``data`` is the reply's value bytes, ``exception`` Modbus' code when the board refused,
    ``took_ms`` the time from the last write to the end.
    """

    result: Result
    detail: str = ""
    data: bytes = b""
    exception: int | None = None
    tx: bytes = b""
    rx: bytes = b""
    sent: int = 0
    attempts: int = 0
    took_ms: float = 0.0


@dataclass(slots=True)
class Job:
    """A request and how it may be carried out. ``deadline`` is on the clock of the bus."""

    request: Request
    priority: Priority
    deadline: float
    timeout_s: float
    gap_s: float
    attempts: int = 1
    once: bool = False
    future: Future[Exchange] = field(default_factory=Future)
    tried: int = 0


class Bus:
    """The owner of one serial line. ``submit`` may be called from any thread."""

    def __init__(self, path: str, settings: Settings, monotonic: Callable[[], float]) -> None:
        self.path = path
        self.settings = settings
        self._monotonic = monotonic
        self._port = SerialPort(path)
        self._jobs: list[tuple[int, int, Job]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._quiet_since = 0.0
        self._reopen_at = 0.0
        self._reopen_wait_s = _REOPEN_FIRST_S
        self._late_until: dict[bytes, float] = {}
        self.trouble = ""

    def start(self) -> None:
        """Start the owner thread; the port is opened by the first job."""
        name = f"bus {Path(self.path).name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread, sending nothing more; jobs that wait end as ``stopped``."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            self._changed.notify()
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def submit(self, job: Job) -> Future[Exchange]:
        """Queue ``job``; its future ends in an Exchange, never in an exception."""
        with self._changed:
            if self._stopping:
                job.future.set_result(Exchange("stopped", "the bridge is stopping"))
            else:
                heapq.heappush(self._jobs, (job.priority, next(self._order), job))
                self._changed.notify()
        return job.future

    # -- the owner thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work(job)
        self._port.close()
        for _, _, job in self._jobs:
            self._finish(job, Exchange("stopped", "the bridge is stopping", attempts=job.tried))

    def _next(self) -> Job | None:
        with self._changed:
            while not self._jobs and not self._stopping:
                self._changed.wait()
            return None if self._stopping else heapq.heappop(self._jobs)[2]

    def _work(self, job: Job) -> None:
        if not job.tried and not job.future.set_running_or_notify_cancel():
            return
        exchange = self._exchange(job)
        if exchange.sent:
            job.tried += 1
        again = exchange.result in ("no_answer", "bad_frame") and not job.once
        if again and job.tried < job.attempts and self._monotonic() < job.deadline:
            with self._changed:
                heapq.heappush(self._jobs, (job.priority, next(self._order), job))
            return
        self._finish(job, exchange)

    def _finish(self, job: Job, exchange: Exchange) -> None:
        if job.tried or job.future.running() or job.future.set_running_or_notify_cancel():
            job.future.set_result(exchange)

    def _exchange(self, job: Job) -> Exchange:
        if self._monotonic() >= job.deadline:
            return Exchange("expired", "the deadline passed before it was sent", attempts=job.tried)
        try:
            self._open(patient=job.priority == Priority.POLL)
            self._settle(job)
        except PortGone as gone:
            return self._lost(gone, Exchange("port_gone", str(gone), attempts=job.tried))
        if self._monotonic() >= job.deadline:
            return Exchange("expired", "the deadline passed before it was sent", attempts=job.tried)
        return self._ask(job)

    def _settle(self, job: Job) -> None:
        frame = job.request.frame
        wait = self._quiet_since + job.gap_s - time.monotonic()
        if job.once:
            # The echo of an earlier, unanswered pulse may still be under way: it would look like
            # the answer to this one.
            wait = max(wait, self._late_until.pop(frame, 0.0) - time.monotonic())
        if wait > 0:
            time.sleep(wait)
        self._port.drain()

    def _ask(self, job: Job) -> Exchange:
        request, frame = job.request, job.request.frame
        begun = time.monotonic()
        received = b""

        def ended(result: Result, detail: str = "", **more: bytes | int) -> Exchange:
            took_ms = round((time.monotonic() - begun) * 1000, 2)
            return Exchange(
                result,
                detail,
                tx=frame,
                rx=received,
                attempts=job.tried + 1,
                took_ms=took_ms,
                **{"sent": len(frame), **more},  # type: ignore[arg-type]
            )

        try:
            self._port.write(frame)
        except PortGone as gone:
            return self._lost(gone, ended("port_gone", str(gone), sent=gone.written))
        until = begun + job.timeout_s + self._wire_s(len(frame) + request.reply_length)
        try:
            while (left := until - time.monotonic()) > 0 and not self._stopping:
                received += self._port.read(left, self._wake_read)
                data = request.answer(received)
                if data is not None:
                    return ended("answered", data=data)
        except DeviceException as refusal:
            return ended("refused", str(refusal), exception=refusal.code)
        except PortGone as gone:
            return self._lost(gone, ended("port_gone", str(gone)))
        finally:
            self._quiet_since = time.monotonic()
        self._port.forget_unsent()
        if job.once:
            self._late_until = {frame: time.monotonic() + job.timeout_s}
        missed = request.missed(received)
        return ended("bad_frame" if isinstance(missed, BadFrame) else "no_answer", str(missed))

    def _wire_s(self, characters: int) -> float:
        return characters * _BITS_PER_CHARACTER / self.settings.baud

    # -- the port ---------------------------------------------------------------------------------

    def _open(self, *, patient: bool) -> None:
        if self._port.is_open:
            return
        if patient and time.monotonic() < self._reopen_at:
            raise PortGone(self.trouble)
        self._port.open(self.settings)
        self._reopen_wait_s = _REOPEN_FIRST_S
        self.trouble = ""

    def _lost(self, gone: PortGone, exchange: Exchange) -> Exchange:
        was_open = self._port.is_open
        self._port.close()
        self.trouble = str(gone)
        if was_open:
            self._reopen_wait_s = _REOPEN_FIRST_S
        if time.monotonic() >= self._reopen_at:
            self._reopen_at = time.monotonic() + self._reopen_wait_s
            self._reopen_wait_s = min(_REOPEN_MAX_S, self._reopen_wait_s * 2)
        return exchange
