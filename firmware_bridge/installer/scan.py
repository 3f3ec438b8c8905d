"""Finds the boards on a line: every speed they can be set to, every number, told by ``identify``.

Only questions are asked. A board is there when it answers the first question of any known model, even by
a refusal; then the other questions tell which model it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from device_profiles.profile import Profile, Settings
from device_profiles.schema import ModbusRtu
from firmware_bridge.board import Board
from firmware_bridge.bus import Exchange
from firmware_bridge.contract import BoardConfig
from firmware_bridge.installer.lines import Line, line
from firmware_bridge.port import PortGone
from firmware_bridge.protocols.modbus_rtu import Request
from firmware_bridge.reach import scheme

_ANSWER_WITHIN_S = 0.08  # known boards turn round in far less; slow gateways get more
_BEHIND_GATEWAY_S = 0.6
_LOOKS = 4  # questions by which a second board of the same number shows


@dataclass(frozen=True, slots=True)
class Setting:
    """How a line is set."""

    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}{self.stop_bits}"


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody at a number. ``profiles``: the models that it may be, the most certain first."""

    setting: Setting
    unit: int
    profiles: tuple[Profile, ...] = ()
    doubled: bool = False
    garbled: bool = False
    took_ms: float = 0.0


@dataclass(slots=True)
class Scan:
    """What is tried. ``profiles``: Modbus boards only."""

    where: str
    profiles: list[Profile]
    units: list[int]
    bauds: list[int] = field(default_factory=list)  # empty: all that a profile knows

    def settings(self) -> list[Setting]:
        """The line settings to be tried, the most common first; one behind a gateway."""
        wanted: dict[Setting, int] = {}
        for profile in self.profiles:
            for setting in _settings_of(profile):
                if not self.bauds or setting.baud in self.bauds:
                    wanted[setting] = wanted.get(setting, 0) + 1
        ordered = sorted(wanted, key=lambda each: (-wanted[each], -each.baud))
        if scheme(self.where):
            return ordered[:1]  # the gateway is set to one speed, and that is its own affair
        return ordered

    def steps(self) -> int:
        """How many numbers are looked at in all."""
        return len(self.settings()) * len(self.units)

    def run(self) -> Iterator[tuple[Setting, int, Found | None]]:
        """Each number as it is looked at. Raises PortGone where the line cannot be used."""
        for setting in self.settings():
            with line(self.where, _line_settings(setting)) as asked:
                for unit in self.units:
                    yield setting, unit, self._look(asked, setting, unit)

    def _look(self, asked: Line, setting: Setting, unit: int) -> Found | None:
        first = {_question(profile, unit): profile for profile in self._of(setting)}
        said = None
        for request in first:
            exchange = asked.ask(request, self._patience())
            if exchange.result == "port_gone":
                raise PortGone(exchange.detail)
            if exchange.result == "bad_frame":
                exchange = asked.ask(request, self._patience(), attempts=2)
            if exchange.result != "no_answer":
                said = exchange
                break
        if said is None:
            return None
        if said.result == "bad_frame":
            return Found(setting, unit, garbled=True)
        times = [said.took_ms]
        for _ in range(_LOOKS):
            times.append(asked.ask(next(iter(first)), self._patience()).took_ms)
            time.sleep(0.01)  # room for the answer of a second board
        doubled = asked.bus.strays.doubled(unit)
        fit = [p for p in self._of(setting) if _fits(asked, p, unit, self._patience())]
        fit.sort(key=lambda profile: -len(profile.identify))
        return Found(setting, unit, tuple(fit), doubled, took_ms=median(times))

    def _of(self, setting: Setting) -> list[Profile]:
        if scheme(self.where):
            return self.profiles
        return [profile for profile in self.profiles if setting in _settings_of(profile)]

    def _patience(self) -> float:
        return _BEHIND_GATEWAY_S if scheme(self.where) else _ANSWER_WITHIN_S


def scannable(profiles: Iterable[Profile]) -> list[Profile]:
    """Those that are found by asking: boards that share a Modbus line. What is wired to a board's
    relay (kind ``lock``) answers nothing itself.
    """
    return [p for p in profiles if p.transport.type == "modbus_rtu" and p.kind != "lock"]


def _settings_of(profile: Profile) -> list[Setting]:
    default = profile.settings({})
    transport = profile.transport
    assert isinstance(transport, ModbusRtu)
    bauds = {default.baud, *transport.serial.baud_choices}
    return [Setting(baud, default.parity, default.stop_bits) for baud in sorted(bauds)]


def _line_settings(setting: Setting) -> Settings:
    parity = {"N": "N", "E": "E", "O": "O"}[setting.parity]
    base = Settings(1, setting.baud, "N", 1)
    return replace(base, parity=parity, stop_bits=setting.stop_bits)  # type: ignore[arg-type]


def _board(profile: Profile, unit: int) -> Board:
    return Board(
        BoardConfig("scan", profile.id, "line", {**tried(profile), "unit_id": unit}), profile
    )


def tried(profile: Profile) -> dict[str, int | float | str | bool]:
    """Parameters with which a board can be asked who it is."""
    return profile.tried()


def _question(profile: Profile, unit: int) -> Request:
    return _board(profile, unit).identify()[0][1]


def _fits(asked: Line, profile: Profile, unit: int, patience_s: float) -> bool:
    board = _board(profile, unit)
    for step, request in board.identify():
        exchange: Exchange = asked.ask(request, patience_s, attempts=2)
        if exchange.result != "answered" or board.mismatch(step, exchange.data) is not None:
            return False
    return True
