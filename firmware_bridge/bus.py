"""One line, one owner: a thread that alone touches the port and takes jobs by priority.

    unlock  >  switch  >  confirm  >  poll

Rules that hold for every job:

* Which job is next is decided when the line is free for it, after the gap between frames: an unlock
  waits for at most the one frame in flight.
* Before a request the line is drained, so that a late reply is never taken for the next answer.
* A job whose deadline has passed is not sent, also when it waited only for the gap between frames.
* ``once`` jobs (pulses) are written at most once, whatever happens afterwards.
* Other jobs are tried again, each time from the back of their priority, so an unlock gets in between.
* A lost port is opened again: for polls with back-off, for anything else at once.
* Looking for a board that is away costs a whole time-out: while others on the line answer, such looks
  take a quarter of its time at most.

The port is a serial device, or a gateway on the network (see ``reach``): the rules are the same.
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
from typing import Literal, Protocol

from device_profiles.profile import Settings
from firmware_bridge.contract import Priority
from firmware_bridge.port import Port, PortGone, SerialPort
from firmware_bridge.protocols.modbus_rtu import (
    BadFrame,
    DeviceException,
    NoAnswer,
    Request,
)
from firmware_bridge.strays import Strays

Result = Literal["answered", "refused", "bad_frame", "no_answer", "port_gone", "expired", "stopped"]

_REOPEN_FIRST_S, _REOPEN_MAX_S = 0.5, 3.0
_BITS_PER_CHARACTER = 11
_LOOKS_REST = 3  # times as long as a look that found nothing took, before the next
_LIVELY_S = 5.0  # a line on which something answered within this time is not to be slowed
_BUSY = 6  # Modbus' exception of a board that did nothing and may be asked again


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


class Question(Protocol):
    """A request in the bytes of one kind of line."""

    @property
    def frame(self) -> bytes:
        """What is sent."""
        ...

    @property
    def reply_length(self) -> int:
        """Length of the reply in bytes, if it is no exception."""
        ...

    def answer(self, received: bytes) -> bytes | None:
        """The reply's data; None while it is not whole. Raises DeviceException, NoAnswer."""
        ...

    def missed(self, received: bytes) -> NoAnswer | BadFrame:
        """Why there is no answer in all that was received."""
        ...


@dataclass(slots=True)
class Job:
    """A request and how it may be carried out. ``deadline`` is on the clock of the bus.

    ``looking``: nobody knows whether the board is there.
    """

    request: Request
    priority: Priority
    deadline: float
    timeout_s: float
    gap_s: float
    attempts: int = 1
    once: bool = False
    looking: bool = False
    future: Future[Exchange] = field(default_factory=Future)
    tried: int = 0


class Bus:
    """The owner of one line. ``submit`` may be called from any thread.

    ``port`` is how the line is reached, a serial device if none is given; ``phrase`` puts a request in
    the words of that line, plain RTU if none is given.
    """

    def __init__(
        self,
        path: str,
        settings: Settings,
        monotonic: Callable[[], float],
        port: Port | None = None,
        phrase: Callable[[Request], Question] | None = None,
    ) -> None:
        self.path = path
        self.settings = settings
        self.strays = Strays()
        self._monotonic = monotonic
        self._port: Port = port or SerialPort(path)
        self._phrase: Callable[[Request], Question] = phrase or _as_it_is
        self._jobs: list[tuple[int, int, Job]] = []
        self._looks: list[tuple[int, int, Job]] = []
        self._look_again_at = 0.0
        self._lively_until = 0.0
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
                self._queue(job)
        return job.future

    # -- the owner thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work(job)
        self._port.close()
        for _, _, job in (*self._jobs, *self._looks):
            self._finish(job, Exchange("stopped", "the bridge is stopping", attempts=job.tried))

    def _queue(self, job: Job) -> None:
        into = self._looks if job.looking and job.priority == Priority.POLL else self._jobs
        heapq.heappush(into, (job.priority, next(self._order), job))
        self._changed.notify()

    def _next(self) -> Job | None:
        """The first job when the line is free for it; None when the bus is to stop."""
        with self._changed:
            while not self._stopping:
                waiting = self._first()
                if waiting is None:
                    patience = self._look_again_at - time.monotonic() if self._looks else None
                    self._changed.wait(patience)
                    continue
                patience = self._rest_s(waiting[0][2])
                if patience > 0:
                    self._changed.wait(patience)
                    continue
                return heapq.heappop(waiting)[2]
        return None

    def _first(self) -> list[tuple[int, int, Job]] | None:
        """The queue whose head is next; None where all there is are looks that must wait."""
        now = time.monotonic()
        look = bool(self._looks) and (now >= self._look_again_at or now >= self._lively_until)
        if self._jobs and (not look or self._jobs[0][0] < Priority.POLL):
            return self._jobs
        return self._looks if look else None

    def _rest_s(self, job: Job) -> float:
        """How long the line must still rest before ``job``."""
        free_at = self._quiet_since + job.gap_s
        if job.once:
            # The echo of an earlier, unanswered pulse may still be under way: it would look like
            # the answer to this one.
            free_at = max(free_at, self._late_until.get(job.request.frame, 0.0))
        return free_at - time.monotonic()

    def _work(self, job: Job) -> None:
        if not job.tried and not job.future.set_running_or_notify_cancel():
            return
        exchange = self._exchange(job)
        if exchange.sent:
            job.tried += 1
        if job.looking and exchange.result == "no_answer":
            self._look_again_at = time.monotonic() + _LOOKS_REST * exchange.took_ms / 1000
        again = job.tried < job.attempts and not job.once and _may_go_better(exchange)
        if again and self._monotonic() < job.deadline:
            with self._changed:
                self._queue(job)
            return
        self._finish(job, exchange)

    def _finish(self, job: Job, exchange: Exchange) -> None:
        if job.tried or job.future.running() or job.future.set_running_or_notify_cancel():
            job.future.set_result(exchange)

    def _exchange(self, job: Job) -> Exchange:
        if self._monotonic() >= job.deadline:
            return Exchange("expired", "the deadline passed before it was sent", attempts=job.tried)
        patient = job.priority == Priority.POLL
        try:
            self._ready(patient)
        except PortGone as gone:
            return self._lost(gone, Exchange("port_gone", str(gone), attempts=job.tried))
        if self._monotonic() >= job.deadline:
            return Exchange("expired", "the deadline passed before it was sent", attempts=job.tried)
        return self._ask(job)

    def _ready(self, patient: bool) -> None:
        """Open the port if it is not, and drain it. Raises PortGone."""
        was_open = self._port.is_open
        self._open(patient=patient)
        try:
            self.strays.take(self._port.drain())
        except PortGone as gone:
            if not was_open:
                raise
            # Plugged in anew, or closed by the gateway, while nothing was asked: nothing is lost yet.
            self._lost(gone, Exchange("port_gone", str(gone)))
            self._open(patient=False)
            self._port.drain()

    def _ask(self, job: Job) -> Exchange:
        request = self._phrase(job.request)
        frame = request.frame
        self._late_until.pop(job.request.frame, None)
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
                    self._hear(job.request, received)
                    return ended("answered", data=data)
        except DeviceException as refusal:
            self._hear(job.request, received)
            return ended("refused", str(refusal), exception=refusal.code)
        except NoAnswer as silent:
            return ended("no_answer", str(silent))
        except PortGone as gone:
            return self._lost(gone, ended("port_gone", str(gone)))
        finally:
            self._quiet_since = time.monotonic()
        self._port.forget_unsent()
        if job.once:
            self._late_until = {job.request.frame: time.monotonic() + job.timeout_s}
        self.strays.miss(job.request.unit)
        missed = request.missed(received)
        return ended("bad_frame" if isinstance(missed, BadFrame) else "no_answer", str(missed))

    def _hear(self, request: Request, received: bytes) -> None:
        self._lively_until = time.monotonic() + _LIVELY_S
        self.strays.answered(request, received)

    def _wire_s(self, characters: int) -> float:
        """Seconds that so many characters take on the line; a board on the network has none."""
        return characters * _BITS_PER_CHARACTER / (self.settings.baud or 1_000_000)

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


def _as_it_is(request: Request) -> Question:
    return request


def _may_go_better(exchange: Exchange) -> bool:
    """Whether asking again can help: not after a clear refusal, and not without a port."""
    if exchange.result == "port_gone":
        return exchange.sent > 0
    return exchange.result in ("no_answer", "bad_frame") or exchange.exception == _BUSY
