"""Every Modbus board of the catalogue against pymodbus: what we mean is what somebody else understands.

One line, one foreign server, a device of its own for each model that shares a line. What it holds are the
registers that the makers' frames of the profile show; what the frames do not show (who the board is) is put
in by hand from the same documents. Frames are also read by pymodbus' own decoder, since no stock device knows
the pulses of the makers.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles import Catalog, Profile
from device_profiles.proof_schema import Golden
from firmware_bridge.board import Board
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig
from firmware_bridge.protocols.modbus_rtu import Request
from tests.firmware_bridge.wires import NullModem, until

PROFILES = [p for p in Catalog.built_in().profiles.values() if p.transport.type == "modbus_rtu"]
MODBUS = [p for p in Catalog.built_in().profiles.values() if p.transport.type.startswith("modbus")]


def words(*numbers: float) -> list[int]:
    """Floats as registers, high word first."""
    packed = b"".join(struct.pack(">f", number) for number in numbers)
    return [int.from_bytes(packed[i : i + 2], "big") for i in range(0, len(packed), 2)]


def identity(profile: Profile, unit: int) -> dict[str, dict[int, int]]:
    """What the makers' documents say of the registers by which a board is known."""
    vendor = profile.id.split(".")[0]
    holding: dict[int, int] = {}
    inputs: dict[int, int] = {}
    if "waveshare" in profile.id:
        holding = {0x4000: unit, 0x8000: 200, **dict.fromkeys(range(0x1000, 0x1008), 0)}
    elif vendor == "eastron":
        holding = dict(enumerate(words(unit), 0x14))
        inputs = dict(enumerate(words(50.0), 0x46))
    elif vendor == "chint":
        holding = dict(enumerate(words(50.0), 0x200E))
    elif vendor in ("juying", "lctech"):
        holding = dict.fromkeys(range(3, 43), 0)
    elif vendor == "haier":
        inputs = {2: 1}
    return {"holding": holding, "input": inputs}


def came(test: Golden) -> bytes:
    """The bytes of an answer, whole."""
    return test.rx or b"".join(test.rx_chunks or [])


def shown_by_frames(profile: Profile) -> dict[str, dict[int, int]]:
    """Bits and registers as the golden answers of the profile show them, by table."""
    tables: dict[str, dict[int, int]] = defaultdict(dict)
    names = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
    for test in profile.tests:
        rx = came(test)
        if test.error is not None or test.tx[1] not in names:
            continue
        first, count = struct.unpack(">HH", test.tx[2:6])
        data = rx[3 : 3 + rx[2]]
        table = tables[names[test.tx[1]]]
        for offset in range(count):
            if test.tx[1] in (1, 2):
                table[first + offset] = data[offset // 8] >> offset % 8 & 1
            else:
                table[first + offset] = int.from_bytes(data[2 * offset : 2 * offset + 2], "big")
    return tables


class Foreign:
    """A board made of pymodbus. ``writes``: what its datastore was told."""

    def __init__(self, profile: Profile, unit: int) -> None:
        self.writes: list[tuple[int, int, list[int] | list[bool]]] = []
        known = shown_by_frames(profile)
        for table, more in identity(profile, unit).items():
            known[table] = {**known.get(table, {}), **more}
        self.tables = known
        coils = {
            p.read.address for p in profile.points.values() if p.read and p.read.table == "coil"
        }
        bits = max([7, *coils, *known.get("coil", {})]) + 1
        self.device = SimDevice(
            id=unit,
            simdata=(
                [SimData(0, values=_bits(known.get("coil", {}), bits), datatype=DataType.BITS)],
                [SimData(0, values=_bits(known.get("discrete", {}), 32), datatype=DataType.BITS)],
                _registers(known.get("holding", {})),
                _registers(known.get("input", {})),
            ),
            action=self._note,
        )

    async def _note(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> None:
        if set_values is not None:
            self.writes.append((function_code, address, list(set_values)))


def _bits(known: Mapping[int, int], count: int) -> list[bool]:
    size = -(-count // 16) * 16
    return [bool(known.get(address, 0)) for address in range(size)]


def _registers(known: Mapping[int, int]) -> list[SimData]:
    return [
        SimData(address, values=word, datatype=DataType.REGISTERS)
        for address, word in sorted((known or {0xFFF0: 0}).items())
    ]


@asynccontextmanager
async def foreign_line(path: str, boards: list[Foreign]) -> AsyncIterator[None]:
    server = ModbusSerialServer([board.device for board in boards], port=path, baudrate=9600)
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


async def test_every_model_finds_itself_and_reads_and_sets_a_foreign_board() -> None:
    """Identified, every point read as the makers' frames say, every level written where it belongs."""
    boards = {p.id: Foreign(p, unit) for unit, p in enumerate(PROFILES, 1)}
    with NullModem() as wire:
        async with foreign_line(wire.right.path, list(boards.values())):
            bridge = FirmwareBridge({"line": wire.left.path})
            await bridge.configure(
                [
                    BoardConfig(p.id, p.id, "line", {"unit_id": unit, "baud": 9600})
                    for unit, p in enumerate(PROFILES, 1)
                ]
            )
            await bridge.start()
            try:
                await until(
                    lambda: all(bridge.board_state(i).state == "online" for i in boards), 30
                )
                compared = 0
                for profile in PROFILES:
                    compared += await _reads_what_the_frames_say(bridge, profile)
                    await _writes_where_it_belongs(bridge, profile, boards[profile.id])
                assert compared >= 50, "the frames were hardly looked at"
            finally:
                await bridge.stop()


async def _reads_what_the_frames_say(bridge: FirmwareBridge, profile: Profile) -> int:
    """How many values were compared."""
    compared = 0
    read = await bridge.read_points(profile.id, 10)
    for test in profile.tests:
        if test.call.read is None or test.value is None:
            continue
        last = [t for t in profile.tests if t.tx == test.tx and t.error is None][-1]
        if came(last) != came(test):
            continue  # another frame showed the same registers later
        assert read[test.call.read].value == test.value, (profile.id, test.name)
        compared += 1
    return compared


async def _writes_where_it_belongs(
    bridge: FirmwareBridge, profile: Profile, board: Foreign
) -> None:
    channels = [channel for name, channel in profile.services if name == "switch.set"]
    for channel in channels[-1:]:
        point = profile.points[profile.services[("switch.set", channel)].point or ""]
        assert point.write is not None
        board.writes.clear()
        await bridge.switch(profile.id, channel, True, 5)
        function = 5 if point.write.table == "coil" else 16 if point.write.multiple else 6
        value = True if function == 5 else point.write.on
        assert board.writes[0] == (function, point.write.address, [value]), profile.id


def decoded(frame: bytes, *, request: bool) -> ModbusPDU:
    """What pymodbus reads in a frame."""
    pdu = DecodePDU(request).decode(frame[1:-2])
    assert pdu is not None
    return pdu


@pytest.mark.parametrize("profile", MODBUS, ids=lambda profile: profile.id)
def test_another_decoder_reads_the_same_in_all_that_we_send(profile: Profile) -> None:
    board = Board(BoardConfig("b", profile.id, "p", {}), profile)
    unit = profile.modbus.unit_id
    frames: list[tuple[int, int | None, Request]]
    frames = [(step.address, step.count, request) for step, request in board.identify()]
    frames += [(g.start, None, g.request) for g in board.groups]
    for address, count, request in frames:
        pdu = decoded(request.frame, request=True)
        assert FramerRTU.check_CRC(request.frame[:-2], int.from_bytes(request.frame[-2:], "big"))
        assert (request.frame[0], pdu.address) == (unit, address)
        assert count is None or pdu.count == count
    for action in profile.actions.values():
        for bound in ("min", "max"):
            given = {name: getattr(limits, bound) for name, limits in action.params.items()}
            frame = board.act(action.name, given).frame
            assert FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))
            if action.frame.kind != "raw_fc05":  # which pymodbus does not know
                assert decoded(frame, request=True).address == action.frame.address, action.name
