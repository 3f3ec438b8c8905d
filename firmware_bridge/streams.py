"""Devices that stand alone on their line: is it there, is it set up right, what does it say.

A code that was said again within the event's ``dedup_ms`` of the last time is the same one: a phone
that rests before the reader is one scan, however long it rests there. Codes are never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from device_profiles.profile import Profile, ProfileError, Settings, Stream
from firmware_bridge.bus import Exchange
from firmware_bridge.contract import BoardConfig, BoardEvent, BoardState, Capability
from firmware_bridge.stream_port import Question, StreamPort

_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.5, 4.0
_REFUSED_AGAIN_S = 5.0
_ASK_WITHIN_S = 5.0
_STOP_WITHIN_S = 1.5


@dataclass(frozen=True, slots=True)
class StreamDevice:
    """An installed line device: its configuration with the profile it names."""

    config: BoardConfig
    profile: Profile
    stream: Stream
    settings: Settings


def device(config: BoardConfig, profile: Profile) -> StreamDevice | None:
    """``config`` as a line device; None where the profile is of a board on a bus.

    Raises ProfileError for bad parameters.
    """
    if profile.stream is None:
        return None
    return StreamDevice(config, profile, profile.stream, profile.settings(config.params))


class StreamWatch:
    """State and events of one line device. All methods run on the event loop."""

    def __init__(
        self,
        installed: StreamDevice,
        path: str | None,
        monotonic: Callable[[], float],
        changed: Callable[[str], None],
        emit: Callable[[BoardEvent], None],
    ) -> None:
        self.device = installed
        self.state = BoardState("starting", "not asked yet")
        self._monotonic = monotonic
        self._changed = changed
        self._emit = emit
        self._serves = {
            service.action: Capability(capability)
            for (capability, _), service in installed.profile.services.items()
        }
        self._said: dict[tuple[str, str], float] = {}
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.port: StreamPort | None = None
        if path is None:
            name = installed.config.port
            self.state = BoardState("offline", f"this controller has no port named {name!r}")
        else:
            self.port = StreamPort(
                path,
                installed.settings,
                installed.stream,
                monotonic,
                lambda text: self._from_thread(self._heard, text),
                lambda there, why: self._from_thread(self._port_told, there, why),
            )

    def start(self) -> None:
        """Open the port and look after the device."""
        if self.port is not None and self._task is None:
            self.port.start()
            self._task = asyncio.create_task(self._run(), name=f"watch {self.device.config.id}")

    async def stop(self) -> None:
        """End; sends nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.port is not None:
            await asyncio.to_thread(self.port.stop, _STOP_WITHIN_S)

    async def ask(
        self, command: str, params: Mapping[str, int], deadline: float, *, retries: int = 0
    ) -> Exchange:
        """Send a command of the profile; one marked ``once`` is never sent again."""
        if self.port is None:
            return Exchange("port_gone", self.state.detail)
        spec = self.device.stream.commands[command]
        question = Question(
            spec.tx.render(params), spec.rx, deadline, 1 if spec.once else 1 + retries, spec.once
        )
        return await asyncio.wrap_future(self.port.submit(question))

    # -- what comes from the owner thread ---------------------------------------------------------

    def _from_thread(self, act: Callable[..., None], *values: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act, *values)

    def _heard(self, text: str) -> None:
        if self.state.state == "refused":
            return  # not the device it should be, or not set up as it must be
        for name, event in self.device.stream.events.items():
            now = self._monotonic()
            window = event.dedup_ms / 1000
            self._said = {key: at for key, at in self._said.items() if now - at < window}
            again = (name, text) in self._said
            self._said[(name, text)] = now
            if not again:
                self._emit(BoardEvent(self.device.config.id, name, self._serves.get(name), text))

    def _port_told(self, there: bool, why: str) -> None:
        if there:
            self._came.set()
        else:
            self._become(BoardState("offline", why))

    # -- keeping watch ----------------------------------------------------------------------------

    async def _run(self) -> None:
        wait_s = _BACKOFF_FIRST_S
        while True:
            state = await self._look()
            self._become(state)
            if state.state == "online":
                wait_s = _BACKOFF_FIRST_S
                alive = self.device.stream.alive
                await self._sleep(alive.every_ms / 1000 if alive else _REFUSED_AGAIN_S)
            elif state.state == "refused":
                await self._sleep(_REFUSED_AGAIN_S)
            else:
                await self._sleep(wait_s)
                wait_s = min(_BACKOFF_MAX_S, wait_s * 2)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return
        self._came.clear()

    async def _look(self) -> BoardState:
        """Ask what shows that it is there and right; a device that answers nothing is believed
        when its port opens.
        """
        stream = self.device.stream
        questions = {step.command: b"" for step in stream.identify}
        if stream.alive is not None:
            questions.setdefault(stream.alive.command, b"")
        for command in questions:
            exchange = await self.ask(
                command,
                {},
                self._monotonic() + _ASK_WITHIN_S,
                retries=stream.transport.read_retries,
            )
            if exchange.result != "answered":
                return BoardState("offline", exchange.detail)
            questions[command] = exchange.data
        for step in stream.identify:
            value = questions[step.command][step.at] & step.mask
            if value not in step.among:
                wanted = " or ".join(map(str, step.among))
                return BoardState(
                    "refused", f"the {step.what} is {value}, not {wanted}: {step.otherwise}"
                )
        return BoardState("online")

    def _become(self, state: BoardState) -> None:
        if state != self.state:
            self.state = state
            self._changed(self.device.config.id)


class Streams:
    """All line devices of a store, by board id."""

    def __init__(
        self,
        ports: Mapping[str, str],
        monotonic: Callable[[], float],
        changed: Callable[[str], None],
        emit: Callable[[BoardEvent], None],
    ) -> None:
        self._ports = ports
        self._monotonic = monotonic
        self._changed = changed
        self._emit = emit
        self._running = False
        self.watches: dict[str, StreamWatch] = {}

    def start(self) -> None:
        """Open all ports; missing ones are retried."""
        self._running = True
        for watch in self.watches.values():
            watch.start()

    async def stop(self) -> None:
        """End all owner threads."""
        self._running = False
        await asyncio.gather(*(watch.stop() for watch in self.watches.values()))

    async def configure(self, wanted: Mapping[str, StreamDevice]) -> None:
        """Make the set of devices be ``wanted``; unchanged ones go on."""
        gone = [
            key
            for key, watch in self.watches.items()
            if key not in wanted or wanted[key].config != watch.device.config
        ]
        await asyncio.gather(*(self.watches.pop(key).stop() for key in gone))
        for key, installed in wanted.items():
            if key not in self.watches:
                path = self._ports.get(installed.config.port)
                watch = StreamWatch(installed, path, self._monotonic, self._changed, self._emit)
                self.watches[key] = watch
                if self._running:
                    watch.start()


def check_alone(devices: Mapping[str, StreamDevice], configs: list[BoardConfig]) -> None:
    """Raises ProfileError where a device that must be alone on its line is not."""
    for installed in devices.values():
        for other in configs:
            if other.port == installed.config.port and other.id != installed.config.id:
                raise ProfileError(
                    f"{installed.config.id} must be alone on {other.port}, but {other.id} is there too"
                )
