"""All virtual lines of one store: read from a file, looked at and meddled with by board id."""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from device_profiles import Catalog, ProfileError
from firmware_bridge.virtual.board import CoilEvent, Counter, VirtualBoard
from firmware_bridge.virtual.gateway import GatewayLine
from firmware_bridge.virtual.line import VirtualLine
from firmware_bridge.virtual.messengers import (
    DeviceEntry,
    Messenger,
    change,
    described,
    meddle,
    messenger,
)
from firmware_bridge.virtual.stream import StreamLine, VirtualStream

_KEPT_EVENTS = 5000


class RigError(ValueError):
    """The file of virtual boards cannot be used, or a board is asked for what it has not."""


@dataclass(frozen=True, slots=True)
class Meddled:
    """Somebody changed a board from outside: a fault, an input, its power. ``state`` is its new one."""

    state: dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BoardEntry(_Strict):
    """A board of the file: ``{id, profile, unit_id, labels: {1: "101 door"}}``."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    profile: str
    unit_id: int = 1
    labels: dict[int, str] = {}


class LineEntry(_Strict):
    """A line of the file and the boards on it.

    ``over``: a serial line (a pseudo terminal), or a gateway on the network, at ``tcp_port`` or a free
    one. ``baud``: take the time that bytes take on a wire of this speed.
    """

    boards: list[BoardEntry] = Field(min_length=1)
    over: Literal["serial", "modbus_tcp", "rtu_tcp"] = "serial"
    tcp_port: int = Field(default=0, ge=0, le=65535)
    baud: int | None = Field(default=None, ge=1200, le=921_600)


class RigFile(_Strict):
    """``lines: {rs485-1: {boards: […]}}``; the line's name is the name of its link.

    ``devices`` are those on a broker or on HTTP.
    """

    lines: dict[str, LineEntry] = {}
    devices: list[DeviceEntry] = []

    @model_validator(mode="after")
    def _something(self) -> RigFile:
        if not self.lines and not self.devices:
            raise ValueError("give lines, devices, or both")
        return self


class Rig:
    """Virtual lines by name, with one sequence of coil events over all of them."""

    def __init__(
        self, file: RigFile, links: Path | None = None, catalog: Catalog | None = None
    ) -> None:
        """Raises RigError for an unknown profile, an id given twice, or units that clash."""
        self._catalog = catalog or Catalog.built_in()
        self._listeners: list[Callable[[CoilEvent | Meddled], None]] = []
        self._events: deque[CoilEvent] = deque(maxlen=_KEPT_EVENTS)
        self._guard = threading.Lock()
        self._counter = Counter()
        self._line_of: dict[str, VirtualLine] = {}
        self.lines: dict[str, VirtualLine] = {}
        for name, line in file.lines.items():
            boards = [self._board(entry) for entry in line.boards]
            built = _line(name, line, boards, links / name if links else None)
            self.lines[name] = built
            for board in boards:
                if board.id in self._line_of:
                    raise RigError(f"board id {board.id!r} is given twice")
                self._line_of[board.id] = built
        self.devices: dict[str, Messenger] = {}
        for device in file.devices:
            if device.id in self._line_of or device.id in self.devices:
                raise RigError(f"board id {device.id!r} is given twice")
            try:
                self.devices[device.id] = messenger(device, self._catalog)
            except ProfileError as error:
                raise RigError(f"device {device.id}: {error}") from error

    @classmethod
    def from_file(cls, file: Path, links: Path | None = None) -> Rig:
        """The rig of a YAML file. Raises RigError saying what is wrong with it."""
        try:
            return cls(
                RigFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))), links
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RigError(f"{file.name}: {where}: {first['msg']}") from error
        except (OSError, yaml.YAMLError) as error:
            raise RigError(f"{file.name}: {error}") from error

    def _board(self, entry: BoardEntry) -> VirtualBoard:
        try:
            profile = self._catalog[entry.profile]
            if profile.messages is not None:
                raise RigError(f"board {entry.id} hangs on no line; put it under devices")
            params = profile.tried() | ({} if profile.stream else {"unit_id": entry.unit_id})
            unit_id = profile.settings(params).unit_id
        except ProfileError as error:
            raise RigError(f"board {entry.id}: {error}") from error
        make = VirtualStream if profile.stream else VirtualBoard
        return make(
            entry.id,
            profile,
            unit_id,
            labels=dict(entry.labels),
            on_event=self._record,
            counter=self._counter,
        )

    def open(self) -> Rig:
        """Open all lines and devices. Raises RigError where a broker is not there."""
        for line in self.lines.values():
            if line.link is not None:
                line.link.parent.mkdir(parents=True, exist_ok=True)
            line.open()
        for device in self.devices.values():
            try:
                device.open()
            except (OSError, TimeoutError) as error:
                raise RigError(f"device {device.id}: {error}") from error
        return self

    def close(self) -> None:
        """Close all lines and devices, and remove the lines' links."""
        for device in self.devices.values():
            device.close()
        for line in self.lines.values():
            line.close()

    # -- events -----------------------------------------------------------------------------------

    def on_event(self, listener: Callable[[CoilEvent | Meddled], None]) -> Callable[[], None]:
        """Call ``listener`` from whatever thread at each event; returns how to stop that."""
        with self._guard:
            self._listeners.append(listener)

        def stop() -> None:
            with self._guard:
                self._listeners.remove(listener)

        return stop

    def events_since(self, seq: int) -> list[CoilEvent]:
        """Kept events after ``seq``, oldest first."""
        with self._guard:
            return [event for event in self._events if event.seq > seq]

    def _record(self, event: CoilEvent) -> None:
        with self._guard:
            self._events.append(event)
        self._publish(event)

    def _publish(self, news: CoilEvent | Meddled) -> None:
        with self._guard:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(news)

    # -- looking and meddling ---------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything a page needs, as JSON: lines, boards, coils, inputs, faults."""
        return {
            "lines": [
                {
                    "name": name,
                    "path": line.path,
                    "link": str(line.link) if line.link else None,
                    "boards": [self.board_state(board_id) for board_id in line.boards],
                }
                for name, line in self.lines.items()
            ],
            "devices": [described(device) for device in self.devices.values()],
            "seq": self._counter.value,
        }

    def board_state(self, board_id: str) -> dict[str, Any]:
        """One board's part of ``state``. Raises RigError for an unknown one."""
        return self._locked(board_id, _describe)

    def set_fault(self, board_id: str, changes: dict[str, bool | int]) -> dict[str, Any]:
        """Change some of dead, bad_crc, slow_ms, wrong_unit; the board's new state."""
        if board_id in self.devices:
            return self._with_device(board_id, lambda device: meddle(device, dict(changes)))

        def change(board: VirtualBoard) -> dict[str, Any]:
            known = asdict(board.fault)
            for key, value in changes.items():
                if key not in known:
                    raise RigError(f"there is no fault {key!r}; there are {', '.join(known)}")
                if key == "slow_ms" and (type(value) is not int or not 0 <= value <= 60_000):
                    raise RigError("slow_ms must be a whole number from 0 to 60000")
                if key != "slow_ms" and type(value) is not bool:
                    raise RigError(f"{key} must be true or false")
            board.fault = replace(board.fault, **changes)  # type: ignore[arg-type]
            return _describe(board)

        return self._on(board_id, change)

    def set_state(self, device_id: str, state: dict[str, Any]) -> dict[str, Any]:
        """Change the state of a device on a broker or on HTTP; its new one."""
        return self._with_device(device_id, lambda device: change(device, state))

    def _with_device(
        self, device_id: str, act: Callable[[Messenger], dict[str, Any]]
    ) -> dict[str, Any]:
        device = self.devices.get(device_id)
        if device is None:
            known = ", ".join(self.devices) or "none"
            raise RigError(f"there is no device {device_id!r}; there are {known}")
        try:
            state = act(device)
        except ValueError as error:
            raise RigError(str(error)) from error
        self._publish(Meddled(state))
        return state

    def set_input(self, board_id: str, number: int, on: bool) -> dict[str, Any]:
        """Set an input (from 1); the board's new state. Raises RigError if there is none such."""

        def change(board: VirtualBoard) -> dict[str, Any]:
            try:
                board.set_input(number, on)
            except IndexError as error:
                raise RigError(str(error)) from error
            return _describe(board)

        return self._on(board_id, change)

    def scan(self, board_id: str, text: str) -> dict[str, Any]:
        """Hold a code before a scanner; its new state. Raises RigError for what is no scanner."""
        line = self._line_of.get(board_id)
        if not isinstance(line, StreamLine):
            self._locked(board_id, _describe)  # an unknown board is said to be unknown
            raise RigError(f"{board_id} is no scanner")
        try:
            line.scan(text)
        except ValueError as error:
            raise RigError(str(error)) from error
        return self._on(board_id, _describe)

    def measure(self, board_id: str, point: str, value: float) -> dict[str, Any]:
        """Make a point of a board measure ``value``, in the profile's unit; the board's new state.

        Raises RigError where the board has no such number.
        """

        def change(board: VirtualBoard) -> dict[str, Any]:
            try:
                board.measure(point, value)
            except (KeyError, ValueError, OverflowError, struct.error) as error:
                raise RigError(f"{board_id} cannot measure {point} = {value}") from error
            return _describe(board)

        return self._on(board_id, change)

    def register(self, board_id: str, address: int) -> int:
        """The word that a board's holding register has now; 0 where it has no such register."""
        held = self._locked(board_id, lambda board: {"word": board.register(address)})
        return int(held["word"])

    def power_cycle(self, board_id: str) -> dict[str, Any]:
        """Take a board's power away and give it back; its new state."""

        def cycle(board: VirtualBoard) -> dict[str, Any]:
            board.power_cycle()
            return _describe(board)

        return self._on(board_id, cycle)

    def _on(self, board_id: str, act: Callable[[VirtualBoard], dict[str, Any]]) -> dict[str, Any]:
        state = self._locked(board_id, act)
        self._publish(Meddled(state))
        return state

    def _locked(
        self, board_id: str, act: Callable[[VirtualBoard], dict[str, Any]]
    ) -> dict[str, Any]:
        line = self._line_of.get(board_id)
        if line is None:
            raise RigError(f"there is no board {board_id!r}; there are {', '.join(self._line_of)}")
        return line.locked(act, board_id)


def _line(
    name: str, entry: LineEntry, boards: list[VirtualBoard], link: Path | None
) -> VirtualLine:
    alone = [board for board in boards if isinstance(board, VirtualStream)]
    if alone:
        if len(boards) > 1:
            raise RigError(f"line {name}: {alone[0].id} must be alone on its line")
        if entry.over != "serial":
            raise RigError(f"line {name}: {alone[0].id} hangs on a serial line only")
        return StreamLine(alone[0], link)
    units = [board.unit_id for board in boards]
    if len(set(units)) < len(units):
        raise RigError(f"line {name}: two boards have the same unit_id")
    if entry.over != "serial":
        return GatewayLine(boards, entry.over, entry.tcp_port, baud=entry.baud)
    return VirtualLine(boards, link, entry.baud)


def _describe(board: VirtualBoard) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if isinstance(board, VirtualStream):
        own = {"takes_codes": board.takes_codes, "scanned": board.scanned}
        own["played"] = list(board.played)
    return {
        **own,
        "id": board.id,
        "profile": board.profile.id,
        "model": f"{board.profile.vendor} {board.profile.model}",
        "unit_id": board.unit_id,
        "fault": asdict(board.fault),
        "coils": [
            {
                "n": number,
                "label": board.labels.get(number, ""),
                "on": on,
                "flash_left_ms": board.flash_left_ms(number),
                "pulses": board.pulses[number - 1],
            }
            for number, on in enumerate(board.coils, 1)
        ],
        "inputs": [{"n": number, "on": on} for number, on in enumerate(board.inputs, 1)],
    }
