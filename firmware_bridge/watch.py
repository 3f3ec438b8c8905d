"""Keeps watch over one board: is it there, is it the right one, what do its points say.

A board is identified before anything else is asked of it, and again when it comes back after having
been away. Its poll groups are then read in their periods. A silent board is asked rarely and only
once each time, so that it does not slow the others on its line; never so rarely that it is missed for
long, since power must be cut within seconds of a board being back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from firmware_bridge.board import Board, Group, Value
from firmware_bridge.bus import Bus, Exchange, Job
from firmware_bridge.contract import AWAY_BY, Away, BoardState, Priority, Reading
from firmware_bridge.protocols.modbus_rtu import Request

_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.5, 4.0
_REFUSED_AGAIN_S = 5.0
_POLL_DEADLINE_S = 30.0
_MISSES_UNTIL_OFFLINE = 2
_SILENT_UNTIL_OFFLINE_S = 1.0

State = Literal["online", "offline", "refused", "starting"]


class Watch:
    """State and last values of one board. All methods run on the event loop."""

    def __init__(
        self,
        board: Board,
        bus: Bus | None,
        monotonic: Callable[[], float],
        changed: Callable[[str], None],
    ) -> None:
        self.board = board
        self.bus = bus
        self.known = False  # identified at least once since the start
        self._monotonic = monotonic
        self._changed = changed
        self._state = BoardState("starting", "not asked yet")
        self._values: dict[str, tuple[Value, float]] = {}
        self._faults: dict[str, str] = {}
        self._misses = 0
        self._answered_at: float | None = None
        self._wait_s = _BACKOFF_FIRST_S
        self._hurry = asyncio.Event()
        self._seen: object = None
        if bus is None:
            name = board.config.port
            self._state = BoardState(
                "offline", f"this controller has no port named {name!r}", "no_port"
            )

    def lack(self, why: str) -> None:
        """Say why there is no line to it."""
        self._state = BoardState("offline", why, "no_port")

    # -- what others see --------------------------------------------------------------------------

    @property
    def state(self) -> BoardState:
        """Whether the board answers, and is what it should be."""
        return self._state

    @property
    def doubled(self) -> bool:
        """Whether it is refused for nothing but that a second board obeys its number as well."""
        return self._state.why == "two_boards"

    def reading(self, point: str, *, invert: bool = False) -> Reading:
        """The last good value of ``point`` and whether it may be believed now."""
        value, read_at = self._values.get(point, (None, None))
        if invert and value is not None:
            value = not value
        return Reading(value, self._quality(point, read_at), read_at)

    def _quality(
        self, point: str, read_at: float | None
    ) -> Literal["ok", "stale", "fault", "never"]:
        if self._state.state == "refused" or self.board.group(point).name in self._faults:
            return "fault"
        if read_at is None:
            return "never"
        limit_s = self.board.profile.points[point].stale_after_ms / 1000
        if self._state.state == "offline" or self._monotonic() - read_at > limit_s:
            return "stale"
        return "ok"

    def hurry(self) -> None:
        """Look at the board now instead of at the next period: something about it is unclear."""
        self._hurry.set()

    # -- asking -----------------------------------------------------------------------------------

    async def ask(
        self,
        request: Request,
        priority: Priority,
        deadline: float,
        *,
        attempts: int = 1,
        once: bool = False,
    ) -> Exchange:
        """One exchange with the board, tried up to ``attempts`` times before ``deadline``."""
        if self.bus is None:
            return Exchange("port_gone", self._state.detail)
        pace = self.board.profile.modbus
        job = Job(
            request=request,
            priority=priority,
            deadline=deadline,
            timeout_s=pace.response_timeout_ms / 1000,
            gap_s=pace.min_gap_ms / 1000,
            attempts=attempts,
            once=once,
            looking=self._state.state in ("offline", "starting") and priority == Priority.POLL,
        )
        return await asyncio.wrap_future(self.bus.submit(job))

    async def refresh(
        self, group: Group, priority: Priority, deadline: float, *, attempts: int
    ) -> Exchange:
        """Read ``group`` now and keep what it says."""
        exchange = await self.ask(group.request, priority, deadline, attempts=attempts)
        if exchange.result == "answered":
            read_at = self._monotonic()
            for name, value in group.values(exchange.data).items():
                self._values[name] = (value, read_at)
            self._faults.pop(group.name, None)
        elif exchange.result in ("refused", "bad_frame"):
            self._faults[group.name] = exchange.detail
        self._count(exchange)
        self._notify()
        return exchange

    async def identify(self, priority: Priority, deadline: float, *, attempts: int) -> BoardState:
        """Read what tells the model and number of the board; its new state."""
        for step, request in self.board.identify():
            exchange = await self.ask(request, priority, deadline, attempts=attempts)
            self._count(exchange)
            if exchange.result in ("expired", "stopped"):
                return self._state  # nothing was asked, so nothing was learnt
            if exchange.result == "refused":
                model = f"{self.board.profile.vendor} {self.board.profile.model}"
                detail = f"the {step.what} cannot be read ({exchange.detail}): this is no {model}"
                return self._become("refused", detail, "wrong_board")
            if exchange.result != "answered":
                return self._become(
                    "offline", self._why_away(exchange), AWAY_BY.get(exchange.result, "")
                )
            wrong = self.board.mismatch(step, exchange.data)
            if wrong is not None:
                return self._become("refused", wrong, "wrong_board")
        if self._answers_twice():
            return self._become("refused", self._two_boards(), "two_boards")
        self.known = True
        self._wait_s = _BACKOFF_FIRST_S
        return self._become("online", "")

    def _count(self, exchange: Exchange) -> None:
        if exchange.result in ("answered", "refused"):
            self._misses = 0
            self._answered_at = self._monotonic()
        elif exchange.result in ("no_answer", "bad_frame"):
            self._misses += 1
        elif exchange.result == "port_gone" and self._state.state != "starting":
            self._become("offline", exchange.detail, "no_port")

    def _answers_twice(self) -> bool:
        return self.bus is not None and self.bus.strays.doubled(self.board.unit)

    def _two_boards(self) -> str:
        return (
            f"two boards answer as unit {self.board.unit} on {self.board.config.port}, and both would"
            f" obey: give one of them another number"
        )

    def _why_away(self, exchange: Exchange) -> str:
        unit = self.board.unit
        if exchange.result == "bad_frame" and self.bus and self.bus.strays.others_answer(unit):
            return (
                f"{exchange.detail}; the others on this line answer well, so two boards may have"
                f" number {unit}, or its own wires are loose"
            )
        return exchange.detail

    def _is_gone(self) -> bool:
        silent_s = self._monotonic() - (self._answered_at or 0.0)
        return self._misses >= _MISSES_UNTIL_OFFLINE and silent_s >= _SILENT_UNTIL_OFFLINE_S

    # -- keeping watch ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Identify and poll until cancelled. Never writes to the board."""
        if self.bus is None:
            return
        while True:
            if self._state.state != "online":
                await self._look_for_it()
            else:
                await self._poll()

    async def _look_for_it(self) -> None:
        deadline = self._monotonic() + _POLL_DEADLINE_S
        attempts = 2 if self._state.state == "starting" else 1
        state = await self.identify(Priority.POLL, deadline, attempts=attempts)
        if state.state == "refused":
            await self._sleep(_REFUSED_AGAIN_S)
        elif state.state == "offline":
            await self._sleep(self._wait_s)
            self._wait_s = min(_BACKOFF_MAX_S, self._wait_s * 2)

    async def _poll(self) -> None:
        groups = [group for group in self.board.groups if group.period_ms is not None]
        due = {group.name: self._monotonic() for group in groups}
        attempts = 1 + self.board.profile.modbus.read_retries
        while self._state.state == "online":
            for group in groups:
                if self._monotonic() < due[group.name] - 0.001:
                    continue
                due[group.name] = self._monotonic() + (group.period_ms or 0) / 1000
                deadline = self._monotonic() + _POLL_DEADLINE_S
                exchange = await self.refresh(group, Priority.POLL, deadline, attempts=attempts)
                if self._is_gone():
                    self._become(
                        "offline", self._why_away(exchange), AWAY_BY.get(exchange.result, "")
                    )
                    return
                if self._answers_twice():
                    self._become("refused", self._two_boards(), "two_boards")
                    return
            if await self._sleep(
                min(due.values(), default=self._monotonic() + 1) - self._monotonic()
            ):
                due = dict.fromkeys(due, self._monotonic())

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True if woken by ``hurry``."""
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that meets the event's setting.
            async with asyncio.timeout(max(0.0, seconds)):
                await self._hurry.wait()
        except TimeoutError:
            return False
        self._hurry.clear()
        self._wait_s = _BACKOFF_FIRST_S
        return True

    def _become(self, state: State, detail: str, why: Away = "") -> BoardState:
        self._state = BoardState(state, detail, why)
        if state == "online":
            self._faults.clear()
        self._notify()
        return self._state

    def _notify(self) -> None:
        points = {
            name: self.reading(name) for name, p in self.board.profile.points.items() if p.read
        }
        now = (self._state, {name: (r.value, r.quality) for name, r in points.items()})
        if now != self._seen:
            self._seen = now
            self._changed(self.board.config.id)
