"""The controller's view of all boards of a store: capabilities in, outcomes out.

It commands nothing by itself: not at the start, not when a board comes back, not at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from device_profiles import Catalog
from device_profiles.profile import Action, ProfileError, Service
from firmware_bridge import airs, spoken_acts
from firmware_bridge.board import BadRequest, Board, Value
from firmware_bridge.bus import Bus, Exchange
from firmware_bridge.carrier import SpokenDevice
from firmware_bridge.contract import (
    Aim,
    Air,
    BoardConfig,
    BoardEvent,
    BoardState,
    Capability,
    Outcome,
    OutcomeState,
    Priority,
    Reading,
)
from firmware_bridge.outcomes import after_level, after_pulse, evidence, together
from firmware_bridge.reach import bus_to, usable
from firmware_bridge.spoken import SpokenWatch
from firmware_bridge.spoken_devices import SpokenDevices, check_alone, device
from firmware_bridge.ticks import SinceBoot, Ticks
from firmware_bridge.watch import Watch

_STOP_WITHIN_S = 1.5


class FirmwareBridge:
    """Implements ``contract.Bridge``. ``ports`` maps a port's name to its device path.

    ``clock`` is the controller's wire clock, by which readings are dated (seconds since boot if none
    is given). A stopped bridge is not started again: make another.
    Two boards on one port share its owner thread; their line settings must agree.
    """

    def __init__(
        self,
        ports: Mapping[str, str],
        clock: Ticks | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self._ports, self._unusable = usable(ports)
        self._monotonic = (clock or SinceBoot()).monotonic
        self._catalog = catalog or Catalog.built_in()
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._buses: dict[str, Bus] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._hearers: list[Callable[[BoardEvent], None]] = []
        self._spoken = SpokenDevices(
            self._ports, self._unusable, self._monotonic, self._tell, self._emit
        )
        self._running = False

    # -- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin identifying and polling. Missing ports are retried, not raised."""
        self._running = True
        for bus in self._buses.values():
            bus.start()
        for board_id, watch in self._watches.items():
            self._tasks[board_id] = asyncio.create_task(watch.run(), name=f"watch {board_id}")
        await self._spoken.start()

    async def stop(self) -> None:
        """Stop owner threads within 2 s; sends nothing to any board."""
        self._running = False
        await asyncio.gather(self._end(list(self._tasks), list(self._buses)), self._spoken.stop())

    async def configure(self, boards: list[BoardConfig]) -> None:
        """Make the set of boards be ``boards``; unchanged ones keep their state.

        Raises ProfileError for an unknown profile, bad params, or boards that cannot share a line,
        and then changes nothing.
        """
        alone = self._alone(boards)
        wanted = self._checked([board for board in boards if board.id not in alone])
        await self._spoken.configure(alone)
        keep = {
            board_id
            for board_id, watch in self._watches.items()
            if board_id in wanted and watch.board.config == wanted[board_id].config
        }
        lines = {b.config.port: b for b in wanted.values() if b.config.port in self._ports}
        old_buses = [
            name
            for name, bus in self._buses.items()
            if name not in lines or bus.settings.line != lines[name].settings.line
        ]
        keep = {i for i in keep if self._watches[i].board.config.port not in old_buses}
        gone = [board_id for board_id in self._watches if board_id not in keep]
        await self._end(gone, old_buses)
        for name, board in lines.items():
            if name not in self._buses:
                self._buses[name] = bus_to(
                    self._ports[name], board.settings, self._monotonic, board.profile
                )
                if self._running:
                    self._buses[name].start()
        for board_id, board in wanted.items():
            if board_id not in keep:
                self._add(board)

    def _add(self, board: Board) -> None:
        board_id = board.config.id
        bus = self._buses.get(board.config.port)
        watch = self._watches[board_id] = Watch(board, bus, self._monotonic, self._tell)
        if bus is None and board.config.port in self._unusable:
            watch.lack(self._unusable[board.config.port])
        if self._running:
            self._tasks[board_id] = asyncio.create_task(watch.run(), name=f"watch {board_id}")

    def _alone(self, configs: list[BoardConfig]) -> dict[str, SpokenDevice]:
        """The devices that are spoken to in commands."""
        found: dict[str, SpokenDevice] = {}
        for config in configs:
            installed = device(config, self._catalog[config.profile])
            if installed is None:
                continue
            if config.id in found:
                raise ProfileError(f"board {config.id!r} is given twice")
            found[config.id] = installed
        check_alone(found, configs)
        return found

    def _checked(self, configs: list[BoardConfig]) -> dict[str, Board]:
        boards: dict[str, Board] = {}
        units: dict[tuple[str, int], Board] = {}
        lines: dict[str, Board] = {}
        for config in configs:
            board = Board(config, self._catalog[config.profile])
            if config.id in boards:
                raise ProfileError(f"board {config.id!r} is given twice")
            boards[config.id] = board
            other = units.setdefault((config.port, board.unit), board)
            if other is not board:
                raise ProfileError(
                    f"{config.id} and {other.config.id} are both unit {board.unit} on {config.port}"
                )
            first = lines.setdefault(config.port, board)
            if first.settings.line != board.settings.line:
                raise ProfileError(
                    f"{config.id} and {first.config.id} share {config.port} with different line settings"
                )
        return boards

    async def _end(self, board_ids: list[str], bus_names: list[str]) -> None:
        tasks = [self._tasks.pop(board_id) for board_id in board_ids if board_id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        buses = [self._buses.pop(name) for name in bus_names]
        await asyncio.gather(*(asyncio.to_thread(bus.stop, _STOP_WITHIN_S) for bus in buses))
        if self._running:
            for board_id in board_ids:
                del self._watches[board_id]

    # -- acting -----------------------------------------------------------------------------------

    async def pulse(
        self,
        board: str,
        channel: int | None,
        duration_ms: int,
        deadline_s: float,
        answered: Callable[[Outcome], None] | None = None,
        *,
        release: bool = False,
    ) -> Outcome:
        """One ``lock.pulse``. At most one frame is ever sent, and none after ``deadline_s`` from now.

        A board that was away is tried all the same, once and at once. A board that has not yet been
        identified since the start is identified first, within the deadline. ``release``: one that
        shares its number with another is pulsed all the same; a wrong model is not.
        """
        deadline = self._monotonic() + deadline_s
        spoken = self._spoken.watches.get(board)
        if spoken is not None:
            return await spoken_acts.pulse(
                spoken, channel, duration_ms, deadline, self._monotonic, answered
            )
        try:
            watch = self._watch(board)
            service = watch.board.service(Capability.LOCK_PULSE, channel)
            action_name = service.action or ""
            request = watch.board.act(action_name, {"duration_ms": duration_ms})
        except BadRequest as error:
            return Outcome(OutcomeState.FAILED, "bad_request", str(error))
        unfit = await self._unfit(watch, Priority.UNLOCK, deadline, release=release)
        if unfit is not None:
            return unfit
        exchange = await watch.ask(request, Priority.UNLOCK, deadline, once=True)
        confirmed: dict[str, Any] = {}
        if exchange.result == "answered":
            if answered is not None:
                answered(after_pulse(exchange, confirmed))
            action = watch.board.profile.actions[action_name]
            confirmed = await self._confirm_pulse(watch, action)
        else:
            watch.hurry()
        return after_pulse(exchange, confirmed)

    async def _confirm_pulse(self, watch: Watch, action: Action) -> dict[str, Any]:
        if action.confirm is None:
            return {}
        group = watch.board.group(action.confirm.point)
        deadline = self._monotonic() + action.confirm.within_ms / 1000
        exchange = await watch.refresh(group, Priority.CONFIRM, deadline, attempts=1)
        confirm: dict[str, Any] = {"point": action.confirm.point, "wanted": action.confirm.equals}
        if exchange.result == "answered":
            confirm["read"] = group.values(exchange.data)[action.confirm.point]
        else:
            confirm["missed"] = exchange.detail
        return {"confirm": {**confirm, **evidence(exchange)}}

    async def switch(self, board: str, channel: int | None, on: bool, deadline_s: float) -> Outcome:
        """Assert a level (``switch.set``) and confirm it by reading back. May be asserted again."""
        deadline = self._monotonic() + deadline_s
        spoken = self._spoken.watches.get(board)
        if spoken is not None:
            return await spoken_acts.level(
                spoken, Capability.SWITCH_SET, channel, on, deadline, self._monotonic
            )
        try:
            watch = self._watch(board)
            service = watch.board.service(Capability.SWITCH_SET, channel)
        except BadRequest as error:
            return Outcome(OutcomeState.FAILED, "bad_request", str(error))
        return await self._assert(watch, airs.Part(service.point or "", on, (on,)), deadline)

    async def climate(
        self, board: str, channel: int | None, aim: Aim, deadline_s: float
    ) -> Outcome:
        """Set an air conditioner (``climate.set``), part by part, and confirm it by reading back."""
        deadline = self._monotonic() + deadline_s
        spoken = self._spoken.watches.get(board)
        if spoken is not None:
            return await spoken_acts.climate(spoken, channel, aim, deadline, self._monotonic)
        try:
            watch = self._watch(board)
            parts = airs.parts(watch.board.service(Capability.CLIMATE_SET, channel), aim)
        except BadRequest as error:
            return Outcome(OutcomeState.FAILED, "bad_request", str(error))
        done: list[tuple[str, Outcome]] = []
        for part in parts:
            done.append((part.point, await self._assert(watch, part, deadline)))
            if done[-1][1].state is not OutcomeState.DONE:
                break
        return together(done)

    async def _assert(self, watch: Watch, part: airs.Part, deadline: float) -> Outcome:
        point, on = part.point, part.value
        assert not isinstance(on, str)  # a register holds numbers
        try:
            request = watch.board.level(point, on)
        except BadRequest as error:
            return Outcome(OutcomeState.FAILED, "bad_request", str(error))
        unfit = await self._unfit(watch, Priority.SWITCH, deadline)
        if unfit is not None:
            return unfit
        pace = watch.board.profile.modbus
        rounds = 0
        while True:
            rounds += 1
            set_ = await watch.ask(
                request, Priority.SWITCH, deadline, attempts=1 + pace.level_retries
            )
            back, value = await self._read_back(watch, point, set_, deadline)
            value = on if value in part.same else value
            contrary = value is not None and value != on
            if contrary and rounds <= pace.level_retries and self._monotonic() < deadline:
                continue
            if value != on:
                watch.hurry()
            return after_level(set_, back, value, on, rounds)

    async def _read_back(
        self, watch: Watch, point: str, set_: Exchange, deadline: float
    ) -> tuple[Exchange | None, Value | None]:
        if not set_.sent or set_.result == "port_gone":
            return None, None
        group = watch.board.group(point)
        attempts = 1 + watch.board.profile.modbus.read_retries
        back = await watch.refresh(group, Priority.CONFIRM, deadline, attempts=attempts)
        if back.result != "answered":
            return back, None
        return back, group.values(back.data)[point]

    async def _unfit(
        self, watch: Watch, priority: Priority, deadline: float, *, release: bool = False
    ) -> Outcome | None:
        """Why nothing may be sent to this board, or None if something may."""
        if (watch.known and watch.state.state != "refused") or (release and watch.doubled):
            return None
        if self._monotonic() >= deadline:
            return Outcome(
                OutcomeState.EXPIRED, "deadline", "the deadline passed before it was sent"
            )
        state = await watch.identify(priority, deadline, attempts=1)
        if state.state == "online" or (release and watch.doubled):
            return None
        if self._monotonic() >= deadline:
            return Outcome(
                OutcomeState.EXPIRED, "deadline", "the deadline passed before it was sent"
            )
        detail = f"nothing was sent: {state.detail}"
        if state.state == "refused":
            return Outcome(OutcomeState.FAILED, "device_error", detail)
        return Outcome(OutcomeState.FAILED, "device_offline", detail)

    # -- reading ----------------------------------------------------------------------------------

    async def read(
        self, board: str, capability: Capability, channel: int | None, deadline_s: float
    ) -> Reading:
        """Read now from the device (retried within the deadline); never served from the cache.

        If it cannot be read the last good value comes back with the quality ``stale`` or ``fault``.
        """
        deadline = self._monotonic() + deadline_s
        found = self._point(board, capability, channel)
        if found is None:
            return Reading(None, "fault", None)
        return await self._read(*found, deadline)

    async def _read(
        self, watch: Watch | SpokenWatch, point: str, invert: bool, deadline: float
    ) -> Reading:
        if isinstance(watch, SpokenWatch):
            return await spoken_acts.read(watch, point, invert, deadline)
        attempts = 1 + watch.board.profile.modbus.read_retries
        group = watch.board.group(point)
        if watch.state.state != "refused":
            exchange = await watch.refresh(group, Priority.CONFIRM, deadline, attempts=attempts)
            if exchange.result == "answered":
                value, read_at = group.values(exchange.data)[point], self._monotonic()
                return Reading(not value if invert else value, "ok", read_at)
        kept = watch.reading(point, invert=invert)
        return Reading(kept.value, "stale" if kept.quality == "ok" else kept.quality, kept.read_at)

    def air(self, board: str, channel: int | None) -> Air:
        """What an air conditioner says and can be told, as last read; no I/O."""
        found = self._service(board, Capability.CLIMATE_SET, channel)
        if found is None:
            return Air(airs.NEVER, airs.NEVER, airs.NEVER)
        watch, service = found
        return airs.air_of(service, watch.reading)

    async def read_air(self, board: str, channel: int | None, deadline_s: float) -> Air:
        """The same, read now from the device as by ``read``."""
        deadline = self._monotonic() + deadline_s
        found = self._service(board, Capability.CLIMATE_SET, channel)
        if found is None:
            return self.air(board, channel)
        watch, service = found
        now = {p: await self._read(watch, p, False, deadline) for p in airs.points_of(service)}
        return airs.air_of(service, now.__getitem__)

    async def read_points(self, board: str, deadline_s: float) -> dict[str, Reading]:
        """Read every point of the board's profile now: for installers, who think in terminals.

        Raises BadRequest for an unknown board.
        """
        deadline = self._monotonic() + deadline_s
        spoken = self._spoken.watches.get(board)
        if spoken is not None:
            names = list(spoken.device.profile.points)
            return {n: await spoken_acts.read(spoken, n, False, deadline) for n in names}
        watch = self._watch(board)
        attempts = 1 + watch.board.profile.modbus.read_retries
        for group in watch.board.groups:
            await watch.refresh(group, Priority.CONFIRM, deadline, attempts=attempts)
        return {p.name: watch.reading(p.name) for g in watch.board.groups for p in g.points}

    def reading(self, board: str, capability: Capability, channel: int | None) -> Reading:
        """The polled value; no I/O. ``never`` for what the board does not have."""
        found = self._point(board, capability, channel)
        if found is None:
            return Reading(None, "never", None)
        watch, point, invert = found
        return watch.reading(point, invert=invert)

    def configs(self) -> list[BoardConfig]:
        """The boards as they are configured now."""
        alone = [watch.device.config for watch in self._spoken.watches.values()]
        return [*(watch.board.config for watch in self._watches.values()), *alone]

    def board_state(self, board: str) -> BoardState:
        """State of a board; no I/O."""
        watch = self._watches.get(board) or self._spoken.watches.get(board)
        return (
            watch.state
            if watch
            else BoardState("offline", f"there is no board {board!r}", "no_port")
        )

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(board_id)`` on the event loop when a state or a polled value changed."""
        self._listeners.append(listener)

    def on_event(self, listener: Callable[[BoardEvent], None]) -> None:
        """Call ``listener(event)`` on the event loop when a device said something unasked."""
        self._hearers.append(listener)

    async def say(self, board: str, clip: str, deadline_s: float) -> Outcome:
        """Play a clip of the profile's closed list (``speaker.say``). Sent at most once."""
        deadline = self._monotonic() + deadline_s
        watch = self._spoken.watches.get(board)
        if watch is None:
            detail = f"{board!r} is no speaker of this store"
            return Outcome(OutcomeState.FAILED, "bad_request", detail)
        return await spoken_acts.say(watch, clip, deadline)

    def _emit(self, event: BoardEvent) -> None:
        for listener in self._hearers:
            asyncio.get_running_loop().call_soon(listener, event)

    def _tell(self, board_id: str) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().call_soon(listener, board_id)

    def _watch(self, board_id: str) -> Watch:
        watch = self._watches.get(board_id)
        if watch is None:
            known = ", ".join(self._watches) or "none"
            raise BadRequest(f"there is no board {board_id!r}; there are {known}")
        return watch

    def _point(
        self, board_id: str, capability: Capability, channel: int | None
    ) -> tuple[Watch | SpokenWatch, str, bool] | None:
        found = self._service(board_id, capability, channel)
        if found is None or found[1].point is None:
            return None
        return found[0], found[1].point, found[1].invert

    def _service(
        self, board_id: str, capability: Capability, channel: int | None
    ) -> tuple[Watch | SpokenWatch, Service] | None:
        watch = self._watches.get(board_id) or self._spoken.watches.get(board_id)
        if watch is None:
            return None
        profile = watch.device.profile if isinstance(watch, SpokenWatch) else watch.board.profile
        service = profile.services.get((capability.value, channel))
        return None if service is None else (watch, service)
