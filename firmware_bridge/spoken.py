"""Keeps watch over one spoken device: is it there, is it set up right, what does it say.

The counterpart of ``watch`` for devices alone on their line, on the store's broker, or on HTTP. What a
device says unasked is an event; the same within the event's ``dedup_ms`` of the last time is the same one:
a phone that rests before a reader is one scan, however long it rests there. Codes are never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from device_profiles.profile import Point
from device_profiles.spoken import Call, Scalar, ValueFault, point_at, value_of
from firmware_bridge.bus import Exchange
from firmware_bridge.carrier import Carrier, SpokenDevice, Told
from firmware_bridge.contract import AWAY_BY, BoardEvent, BoardState, Capability, Priority, Reading
from firmware_bridge.protocols.said import Hearing
from firmware_bridge.protocols.stream import Answer, Line

_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.5, 4.0
_REFUSED_AGAIN_S = 5.0
_ASK_WITHIN_S = 5.0
_MISSES_UNTIL_OFFLINE = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A question that tells points, or (``points`` empty) shows that the device is there."""

    call: Call
    points: tuple[Point, ...]
    period_s: float | None


class SpokenWatch:
    """State, values and events of one device. All methods run on the event loop."""

    def __init__(
        self,
        device: SpokenDevice,
        carrier: Carrier | None,
        why: str,
        monotonic: Callable[[], float],
        changed: Callable[[str], None],
        emit: Callable[[BoardEvent], None],
    ) -> None:
        self.device = device
        self.known = False  # found to be the right one at least once
        self.carrier = carrier
        self.state = (
            BoardState("offline", why, "no_port")
            if carrier is None
            else BoardState("starting", "not asked yet")
        )
        self._monotonic = monotonic
        self._changed = changed
        self._emit = emit
        self._values: dict[str, tuple[Scalar, float]] = {}
        self._faults: dict[str, str] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._news = asyncio.Event()
        self._came = asyncio.Event()
        self._open = True
        self._misses = 0
        self._task: asyncio.Task[None] | None = None
        self._seen: object = None
        profile = device.profile
        self._serves = {
            service.action: Capability(capability)
            for (capability, _), service in profile.services.items()
            if service.point is None
        }
        self._hearing = Hearing(profile.stream) if profile.stream else None
        self.sources = _sources(profile.points, self._alive())

    # -- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the way and look after the device."""
        if self.carrier is not None and self._task is None:
            await self.carrier.start(self)
            self._task = asyncio.create_task(self._run(), name=f"watch {self.device.config.id}")

    async def stop(self) -> None:
        """End; sends nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.carrier is not None:
            await self.carrier.stop()

    # -- what others see --------------------------------------------------------------------------

    def reading(self, point: str, *, invert: bool = False) -> Reading:
        """The last good value of ``point`` and whether it may be believed now."""
        value, read_at = self._values.get(point, (None, None))
        if invert and value is not None:
            value = not value
        return Reading(value, self._quality(point, read_at), read_at)

    def _quality(
        self, point: str, read_at: float | None
    ) -> Literal["ok", "stale", "fault", "never"]:
        if self.state.state == "refused" or point in self._faults:
            return "fault"
        if read_at is None:
            return "never"
        spec = self.device.profile.points[point]
        too_old = not spec.assumed and self._monotonic() - read_at > spec.stale_after_ms / 1000
        return "stale" if too_old or self.state.state == "offline" else "ok"

    @property
    def values(self) -> dict[str, Scalar]:
        """The last good values of all points."""
        return {name: value for name, (value, _) in self._values.items()}

    def assume(self, point: str, value: Scalar) -> None:
        """What was set is what an ``assumed`` point is from now on."""
        self._values[point] = (value, self._monotonic())
        self._tell()

    # -- asking -----------------------------------------------------------------------------------

    async def ask(
        self, call: Call, priority: Priority, deadline: float, *, attempts: int = 1
    ) -> Told:
        """Send a command, and learn whether the device is there by what comes of it."""
        if self.carrier is None:
            return Told(Exchange("port_gone", self.state.detail))
        return await self.carrier.ask(
            call.command, call.params, priority, deadline, attempts=attempts
        )

    async def refresh(
        self, source: Source, priority: Priority, deadline: float, *, attempts: int
    ) -> Told:
        """Ask a source now and keep what it says."""
        told = await self.ask(source.call, priority, deadline, attempts=attempts)
        if told.exchange.result == "answered":
            self._misses = 0
            self._keep(source.points, told.fields)
        elif told.exchange.result in ("no_answer", "bad_frame", "port_gone"):
            self._misses += 1
        elif told.exchange.result == "refused":
            self._misses = 0
            self._faults |= {point.name: told.exchange.detail for point in source.points}
        self._tell()
        return told

    def source_of(self, point: str) -> Source | None:
        """The question that tells ``point``; None where the device says it by itself, or never."""
        return next((s for s in self.sources if any(p.name == point for p in s.points)), None)

    async def hears(self, point: str, value: Scalar, since: float, within_s: float) -> bool:
        """Whether ``point`` is said to be ``value``, after ``since``, within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    known, at = self._values.get(point, (None, 0.0))
                    if at > since and known == value:
                        return True
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False

    def _keep(self, points: tuple[Point, ...], fields: Any) -> None:
        for point in points:
            try:
                self._values[point.name] = (value_of(point, fields), self._monotonic())
                self._faults.pop(point.name, None)
            except ValueFault as fault:
                self._faults[point.name] = str(fault)
        self._news.set()

    # -- what the carrier hears --------------------------------------------------------------------

    def there(self, is_there: bool, why: str) -> None:
        """The way is open, or not."""
        self._open = is_there
        if is_there:
            self._came.set()
        else:
            self._become(BoardState("offline", why, "no_port"))

    def said(self, report: str, document: Any, *, retained: bool) -> None:
        """A report of a message device: values, and events unless it is an old one."""
        profile = self.device.profile
        if self.state.state == "refused" or profile.messages is None:
            return
        points = tuple(
            point
            for point in profile.points.values()
            if point.taken is not None and point.taken.is_report and point.taken.source == report
        )
        self._keep(points, document)
        if not retained:
            for name, event in profile.messages.events.items():
                if event.report == report and _holds(document, event.when):
                    text = _text_at(document, event.field)
                    if text:
                        self._event(name, text, event.dedup_ms)
        self._tell()

    def line(self, text: str) -> None:
        """A line of a scanner."""
        self._heard(Line(text))

    def frame(self, data: bytes) -> None:
        """A frame that answers nothing: a card, a key."""
        self._heard(Answer(data))

    def _heard(self, item: Line | Answer) -> None:
        stream = self.device.profile.stream
        if self.state.state == "refused" or stream is None or self._hearing is None:
            return  # not the device it should be, or not set up as it must be
        for name, value in self._hearing.feed(item, self._monotonic()):
            self._event(name, value, stream.events[name].dedup_ms)

    def _event(self, name: str, text: str, dedup_ms: int) -> None:
        now = self._monotonic()
        window = dedup_ms / 1000
        self._said = {key: at for key, at in self._said.items() if now - at < 60}
        last = self._said.get((name, text))
        self._said[(name, text)] = now
        if last is None or now - last >= window:
            self._emit(BoardEvent(self.device.config.id, name, self._serves.get(name), text))

    # -- keeping watch ----------------------------------------------------------------------------

    async def _run(self) -> None:
        wait_s = _BACKOFF_FIRST_S
        while True:
            if not self._open:
                await self._sleep(_BACKOFF_MAX_S)
                continue
            state = await self.look(Priority.POLL, self._monotonic() + _ASK_WITHIN_S)
            if state.state == "online":
                wait_s = _BACKOFF_FIRST_S
                await self._poll()
            elif state.state == "refused":
                await self._sleep(_REFUSED_AGAIN_S)
            else:
                await self._sleep(wait_s)
                wait_s = min(_BACKOFF_MAX_S, wait_s * 2)

    async def _poll(self) -> None:
        due = {index: self._monotonic() for index, s in enumerate(self.sources) if s.period_s}
        self._came.clear()
        attempts = 1 + self.device.profile.transport.read_retries
        while self.state.state == "online":
            for index, at in list(due.items()):
                source = self.sources[index]
                if self._monotonic() < at - 0.001 or source.period_s is None:
                    continue
                due[index] = self._monotonic() + source.period_s
                deadline = self._monotonic() + _ASK_WITHIN_S
                told = await self.refresh(source, Priority.POLL, deadline, attempts=attempts)
                if self._misses >= _MISSES_UNTIL_OFFLINE:
                    self._become(_away(told))
                    return
            pause_s = (
                min(due.values(), default=self._monotonic() + _ASK_WITHIN_S) - self._monotonic()
            )
            if await self._sleep(pause_s):
                return  # the way was opened anew: look whether it is still the right one

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True if the way to the device was opened meanwhile."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._came.wait()
        except TimeoutError:
            return False
        self._came.clear()
        return True

    async def look(self, priority: Priority, deadline: float) -> BoardState:
        """Ask what shows that it is there and right; a device that answers nothing is believed when
        the way to it is open.
        """
        if not self._open:
            return self.state
        alive = self._alive()
        heard: dict[str, Told] = {}
        for command in dict.fromkeys([*self._identified_by(), *([alive[0]] if alive else [])]):
            told = await self.ask(
                Call(command, {}),
                priority,
                deadline,
                attempts=1 + self.device.profile.transport.read_retries,
            )
            heard[command] = told
            if told.exchange.result == "expired":
                return self.state
            if told.exchange.result == "refused" and command in self._identified_by():
                return self._become(BoardState("refused", told.exchange.detail, "wrong_board"))
            if told.exchange.result not in ("answered", "refused"):
                return self._become(_away(told))
        wrong = self._mismatch(heard)
        if wrong is not None:
            return self._become(BoardState("refused", wrong, "wrong_board"))
        if self._closed():
            return self.state  # it went away while it was asked
        self.known, self._misses = True, 0
        return self._become(BoardState("online"))

    def _closed(self) -> bool:
        return not self._open

    def _identified_by(self) -> list[str]:
        profile = self.device.profile
        spoken = profile.stream or profile.messages
        return [step.command for step in spoken.identify] if spoken else []

    def _alive(self) -> tuple[str, float] | None:
        spoken = self.device.profile.stream or self.device.profile.messages
        if spoken is None or spoken.alive is None:
            return None
        return spoken.alive.command, spoken.alive.every_ms / 1000

    def _mismatch(self, heard: Mapping[str, Told]) -> str | None:
        profile = self.device.profile
        for step in profile.stream.identify if profile.stream else ():
            value = heard[step.command].exchange.data[step.at] & step.mask
            if value not in step.among:
                wanted = " or ".join(map(str, step.among))
                return f"the {step.what} is {value}, not {wanted}: {step.otherwise}"
        for message in profile.messages.identify if profile.messages else ():
            try:
                found = point_at(heard[message.command].fields, message.field)
            except ValueFault as fault:
                return f"the {message.what} cannot be read ({fault}): {message.otherwise}"
            if found not in message.among:
                wanted = " or ".join(map(str, message.among))
                return f"the {message.what} is {str(found)[:40]}, not {wanted}: {message.otherwise}"
        return None

    def _become(self, state: BoardState) -> BoardState:
        if state != self.state:
            self.state = state
            self._tell()
        return self.state

    def _tell(self) -> None:
        now = (
            self.state,
            {
                name: (self.reading(name).value, self.reading(name).quality)
                for name in self.device.profile.points
            },
        )
        if now != self._seen:
            self._seen = now
            self._changed(self.device.config.id)


def _away(told: Told) -> BoardState:
    exchange = told.exchange
    return BoardState("offline", exchange.detail, AWAY_BY.get(exchange.result, ""))


def _sources(points: Mapping[str, Point], alive: tuple[str, float] | None) -> tuple[Source, ...]:
    asked: dict[tuple[str, tuple[tuple[str, int], ...]], list[Point]] = {}
    for point in points.values():
        if point.taken is not None and not point.taken.is_report:
            key = (point.taken.source, tuple(sorted(point.taken.params.items())))
            asked.setdefault(key, []).append(point)
    found = [
        Source(
            Call(command, dict(params)),
            tuple(told),
            min((p.poll_period_ms / 1000 for p in told if p.poll_period_ms), default=None),
        )
        for (command, params), told in asked.items()
    ]
    if alive is not None and not any(source.call.command == alive[0] for source in found):
        found.append(Source(Call(alive[0], {}), (), alive[1]))
    return tuple(found)


def _holds(document: Any, when: Mapping[str, Scalar]) -> bool:
    for pointer, wanted in when.items():
        try:
            if point_at(document, pointer) != wanted:
                return False
        except ValueFault:
            return False
    return True


def _text_at(document: Any, pointer: str) -> str:
    try:
        found = point_at(document, pointer)
    except ValueFault:
        return ""
    return found if isinstance(found, str) and found.isprintable() and len(found) <= 1024 else ""
