"""A line with one device that talks by itself: one owner thread that listens, and asks in between.

The counterpart of ``bus`` for scanners, lock boards and voice modules. The most urgent question is asked
first, so an unlock waits for at most the one that is under way. A lost port is opened again with
back-off, and at once for a job. Jobs marked ``once`` are written at most once, whatever happens
afterwards.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from device_profiles.patterns import BytePattern
from device_profiles.profile import Settings, Stream
from firmware_bridge.bus import Exchange, Result
from firmware_bridge.contract import Priority
from firmware_bridge.port import PortGone
from firmware_bridge.protocols.stream import Answer, Line, Splitter
from firmware_bridge.reach import port_to

_REOPEN_FIRST_S, _REOPEN_MAX_S = 0.5, 3.0
_LISTEN_S = 5.0
_BITS_PER_CHARACTER = 11


@dataclass(slots=True)
class Question:
    """A frame to the device and the answer that is awaited; None: it gives none.

    ``refusal`` is the answer by which it says no; of ``echoes`` an answer must hold what was sent, where
    it has a field of that name, else it answers another question.
    """

    frame: bytes
    answer: BytePattern | None
    deadline: float
    attempts: int = 1
    once: bool = False
    refusal: BytePattern | None = None
    echoes: Mapping[str, object] = field(default_factory=dict)
    priority: Priority = Priority.CONFIRM
    future: Future[Exchange] = field(default_factory=Future)
    tried: int = 0
    begun: float = 0.0
    until: float = 0.0

    def verdict(self, data: bytes) -> Result | None:
        """What ``data`` answers to this; None if it is no answer to it."""
        for pattern, result in ((self.answer, "answered"), (self.refusal, "refused")):
            if pattern is not None and pattern.matches(data):
                said = pattern.read(data)
                if all(said.get(name, value) == value for name, value in self.echoes.items()):
                    return result  # type: ignore[return-value]
        return None


class StreamPort:
    """The owner of one such line. ``hear`` gets each line, ``hear_frame`` each frame that answers
    nothing, ``told`` whether the port is there; they are called on the owner thread.
    """

    def __init__(
        self,
        path: str,
        settings: Settings,
        stream: Stream,
        monotonic: Callable[[], float],
        hear: Callable[[str], None],
        told: Callable[[bool, str], None],
        hear_frame: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.path = path
        self.settings = settings
        self._stream = stream
        self._monotonic = monotonic
        self._hear = hear
        self._hear_frame = hear_frame
        self._told = told
        self._port = port_to(path)
        self._splitter = Splitter(stream.transport.frame, stream.answers)
        self._waiting: list[tuple[int, int, Question]] = []
        self._order = itertools.count()
        self._asked: Question | None = None
        self._guard = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._reopen_at = 0.0
        self._reopen_wait_s = _REOPEN_FIRST_S
        self._quiet_since = 0.0
        self._heard_at = 0.0

    def start(self) -> None:
        """Start the owner thread, which opens the port."""
        name = f"stream {Path(self.path).name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread, sending nothing more; questions that wait end as ``stopped``."""
        with self._guard:
            if self._stopping:
                return
            self._stopping = True
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def submit(self, question: Question) -> Future[Exchange]:
        """Queue ``question``; its future ends in an Exchange, never in an exception."""
        with self._guard:
            if self._stopping:
                question.future.set_result(Exchange("stopped", "the bridge is stopping"))
                return question.future
            self._queue(question)
            os.write(self._wake_write, b"q")
        return question.future

    def _queue(self, question: Question) -> None:
        heapq.heappush(self._waiting, (question.priority, next(self._order), question))

    # -- the owner thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                if self._opened():
                    self._listen()
            except PortGone as gone:
                self._lose(gone)
        self._port.close()
        left = [self._asked] if self._asked else []
        for question in (*left, *(waiting for _, _, waiting in self._waiting)):
            self._finish(question, "stopped", "the bridge is stopping")

    def _opened(self) -> bool:
        """Whether the port is open; waits a little where it is not."""
        if self._port.is_open:
            return True
        wait = self._reopen_at - time.monotonic()
        if wait > 0 and not self._waiting:
            select.select([self._wake_read], [], [], wait)
            self._drain_wake()
            return False
        self._port.open(self.settings)
        self._reopen_wait_s = _REOPEN_FIRST_S
        self._splitter = Splitter(self._stream.transport.frame, self._stream.answers)
        self._told(True, "")
        return True

    def _listen(self) -> None:
        self._ask_next()
        patience = _LISTEN_S
        if self._asked is not None:
            patience = self._asked.until - time.monotonic()
        elif self._waiting:
            patience = self._gap_s()
        begun = time.monotonic()
        silent_at = self._heard_at + self._splitter.idle_s
        if self._splitter.waits:
            patience = min(patience, silent_at - begun)
        data = self._port.read(max(0.0, patience), self._wake_read)
        self._drain_wake()
        if data:
            self._heard_at = time.monotonic()
            for item in self._splitter.feed(data):
                self._take(item)
        elif begun >= silent_at:
            # Nothing waited there when it was looked for, so nothing had come: the line was silent, and
            # not this computer busy.
            self._splitter.give_up()
        asked = self._asked
        if asked is not None and time.monotonic() >= asked.until:
            self._asked = None
            self._missed(asked)

    def _take(self, item: Line | Answer) -> None:
        asked = self._asked
        if isinstance(item, Line):
            self._hear(item.text)
            return
        verdict = None if asked is None else asked.verdict(item.data)
        if asked is None or verdict is None:
            self._hear_frame(item.data)
            return
        self._asked = None
        self._finish(asked, verdict, "" if verdict == "answered" else "it says no", item.data)

    def _gap_s(self) -> float:
        return self._quiet_since + self._stream.transport.min_gap_ms / 1000 - time.monotonic()

    def _ask_next(self) -> None:
        if self._asked is not None or not self._waiting or self._gap_s() > 0:
            return
        with self._guard:
            question = heapq.heappop(self._waiting)[2]
        if not question.tried and not question.future.set_running_or_notify_cancel():
            return
        if self._monotonic() >= question.deadline:
            self._finish(question, "expired", "the deadline passed before it was sent")
            return
        question.begun = time.monotonic()
        question.tried += 1
        try:
            self._port.write(question.frame)
        except PortGone as gone:
            self._finish(question, "port_gone", str(gone), sent=gone.written)
            raise
        awaited = 0 if question.answer is None else len(question.answer.parts)
        wire_s = _BITS_PER_CHARACTER * (len(question.frame) + awaited) / self.settings.baud
        if question.answer is None:
            self._finish(question, "answered", "sent; it gives no answer")
            self._quiet_since = time.monotonic() + wire_s
            return
        wait_s = self._stream.transport.response_timeout_ms / 1000
        question.until = question.begun + wait_s + wire_s
        self._asked = question

    def _missed(self, question: Question) -> None:
        again = question.tried < question.attempts and not question.once
        if again and self._monotonic() < question.deadline:
            with self._guard:
                self._queue(question)
            return
        self._finish(question, "no_answer", "no answer")

    def _finish(
        self,
        question: Question,
        result: Result,
        detail: str,
        data: bytes = b"",
        sent: int | None = None,
    ) -> None:
        self._quiet_since = time.monotonic()
        new = not question.tried and not question.future.running()
        if new and not question.future.set_running_or_notify_cancel():
            return
        exchange = Exchange(
            result,
            detail,
            data=data,
            tx=question.frame if question.tried else b"",
            rx=data,
            sent=(len(question.frame) if question.tried else 0) if sent is None else sent,
            attempts=question.tried,
            took_ms=round((time.monotonic() - question.begun) * 1000, 2) if question.tried else 0.0,
        )
        question.future.set_result(exchange)

    def _lose(self, gone: PortGone) -> None:
        self._port.close()
        asked, self._asked = self._asked, None
        with self._guard:
            waiting = [question for _, _, question in self._waiting]
            self._waiting.clear()
        for question in (*([asked] if asked else []), *waiting):
            self._finish(question, "port_gone", str(gone))
        self._told(False, str(gone))
        self._reopen_at = time.monotonic() + self._reopen_wait_s
        self._reopen_wait_s = min(_REOPEN_MAX_S, self._reopen_wait_s * 2)

    def _drain_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 64)
