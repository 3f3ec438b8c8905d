"""Replays a profile's golden frames: through the master's codec, and through the virtual board."""

from __future__ import annotations

from dataclasses import dataclass

from device_profiles import Profile
from device_profiles.proof_schema import Golden
from firmware_bridge.board import Board, Value
from firmware_bridge.contract import BoardConfig
from firmware_bridge.protocols.modbus_rtu import (
    BadFrame,
    DeviceException,
    Request,
)
from firmware_bridge.virtual import VirtualBoard


@dataclass
class Heard:
    """What the master made of the bytes that came."""

    data: bytes | None = None
    error: str | None = None


def board_of(profile: Profile, unit_id: int) -> Board:
    """The profile installed as ``unit_id`` with its default parameters otherwise."""
    return Board(BoardConfig("board", profile.id, "port", {"unit_id": unit_id}), profile)


def request_of(board: Board, test: Golden) -> Request:
    """What the bridge sends for the call of ``test``."""
    call = test.call
    if call.read is not None:
        return board.group(call.read).request
    if call.write is not None:
        assert call.value is not None
        return board.level(call.write, call.value)
    if call.action is not None:
        return board.act(call.action, call.params)
    assert call.identify is not None
    return board.identify()[call.identify][1]


def hear(request: Request, test: Golden) -> Heard:
    """Feed the bytes as they came, piece by piece; nothing may be taken for an answer too early."""
    chunks = test.rx_chunks or ([test.rx] if test.rx is not None else [])
    received = b""
    for index, chunk in enumerate(chunks):
        received += chunk
        try:
            data = request.answer(received)
        except DeviceException:
            return Heard(error="device_error")
        if data is not None:
            assert index == len(chunks) - 1, "took a part for the whole"
            return Heard(data)
    missed = request.missed(received)
    return Heard(error="bad_frame" if isinstance(missed, BadFrame) else "no_answer")


def value_of(board: Board, test: Golden, data: bytes) -> Value | None:
    """The value that a read's answer holds; None for other calls."""
    if test.call.read is None:
        return None
    return board.group(test.call.read).values(data)[test.call.read]


def virtual_of(profile: Profile, test: Golden) -> VirtualBoard:
    """The profile's virtual board with ``given`` as its state."""
    board = VirtualBoard("virtual", profile, test.unit_id)
    for name, on in test.given.items():
        read = profile.points[name].read
        assert read is not None
        if not isinstance(on, bool):
            board.measure(name, on)
            continue
        switch = profile.simulator.switch_register
        if read.table == "holding" and switch is not None:
            board.coils[read.address - switch.address] = on
            continue
        assert read.table in ("coil", "discrete"), f"{name} is no coil or input"
        (board.coils if read.table == "coil" else board.inputs)[read.address] = on
    return board
