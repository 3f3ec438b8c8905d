"""Boards and masters that are not ours: what we mean must be what they understand.

The device is pymodbus' server, set up by hand from the maker's register table (relays are coils 0 to 7,
the address stands in holding register 0x4000, the firmware version in 0x8000), not from our profile.
The pulse is checked on a slave written byte by byte, since pymodbus knows no such value.
Source: https://www.waveshare.com/wiki/Modbus_RTU_Relay, development protocol V2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles import Catalog
from firmware_bridge.contract import Capability, OutcomeState
from firmware_bridge.virtual import VirtualBoard, VirtualLine
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import IO, RELAY, NullModem, ScriptedSlave, frame, until


class Foreign:
    """A relay board made of pymodbus. ``writes`` are (address, value) as its datastore was told."""

    def __init__(self, path: str, unit: int) -> None:
        self.writes: list[tuple[int, object]] = []
        device = SimDevice(
            id=unit,
            simdata=(
                [SimData(0, count=8, values=False, datatype=DataType.BITS)],
                [SimData(0, count=8, values=False, datatype=DataType.BITS)],
                [
                    SimData(0x4000, values=unit, datatype=DataType.REGISTERS),
                    SimData(0x8000, values=200, datatype=DataType.REGISTERS),
                ],
                [SimData(0, values=0, datatype=DataType.REGISTERS)],
            ),
            action=self._note,
        )
        self.server = ModbusSerialServer(device, port=path, baudrate=9600)

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
            self.writes.append((address, list(set_values)))


@asynccontextmanager
async def foreign_board(path: str, unit: int) -> AsyncIterator[Foreign]:
    board = Foreign(path, unit)
    await board.server.serve_forever(background=True)
    try:
        yield board
    finally:
        await board.server.shutdown()


async def test_a_board_that_is_not_ours_sees_the_right_coils_change(
    start_bridge: StartBridge,
) -> None:
    with NullModem() as wire:
        async with foreign_board(wire.right.path, 3) as board:
            bridge = await start_bridge(wire.left.path, {"a": (RELAY, 3)})
            await until(lambda: bridge.board_state("a").state == "online")
            for channel, on in ((1, True), (8, True), (1, False), (5, True)):
                outcome = await bridge.switch("a", channel, on, 5)
                assert outcome.state is OutcomeState.DONE, outcome
            assert board.writes == [(0, [True]), (7, [True]), (0, [False]), (4, [True])]
            read = [
                (await bridge.read("a", Capability.SWITCH_SET, n, 5)).value for n in range(1, 9)
            ]
            assert read == [False, False, False, False, True, False, False, True]


async def test_a_foreign_board_with_another_number_is_refused(start_bridge: StartBridge) -> None:
    with NullModem() as wire:
        async with foreign_board(wire.right.path, 4) as board:
            bridge = await start_bridge(wire.left.path, {"a": (IO, 4)})
            await until(lambda: bridge.board_state("a").state == "refused")
            detail = bridge.board_state("a").detail
            assert detail == (
                "the control mode of the outputs cannot be read (exception 2 (illegal address)):"
                " this is no Waveshare Modbus RTU IO 8CH"
            )
            outcome = await bridge.pulse("a", 1, 500, 5)
            assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "device_error")
            assert (await bridge.switch("a", 1, True, 5)).reason == "device_error"
            assert board.writes == []


async def test_the_pulse_is_the_bytes_of_the_manual(start_bridge: StartBridge) -> None:
    """Relay 0 flash on 700 ms, relay 1 flash on 800 ms: the examples of the development protocol."""
    with ScriptedSlave() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)})
        await until(lambda: bridge.board_state("a").state == "online")
        assert (await bridge.pulse("a", 1, 700, 5)).state is OutcomeState.DONE
        assert (await bridge.pulse("a", 2, 800, 5)).state is OutcomeState.DONE
        pulses = [seen.data.hex(" ") for seen in slave.seen if seen.pulse_units]
        assert pulses == ["01 05 02 00 00 07 8d b0", "01 05 02 01 00 08 9c 74"]


async def test_nothing_is_written_to_a_board_that_is_only_watched(
    start_bridge: StartBridge,
) -> None:
    """Start, identification, two rounds of polling, stop: a table in use must not be touched."""
    with ScriptedSlave() as slave:
        slave.coils = 0b1010
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)})
        await until(lambda: len(slave.seen) >= 4)
        await bridge.stop()
        assert {seen.data[1] for seen in slave.seen} <= {1, 3}
        assert bridge.reading("a", Capability.SWITCH_SET, 2).value is True


async def test_a_foreign_master_finds_our_virtual_board_as_the_manual_says() -> None:
    board = VirtualBoard("v", Catalog.built_in()[RELAY], 2)
    io = VirtualBoard("w", Catalog.built_in()[IO], 3)
    with VirtualLine([board, io]) as line:
        client = AsyncModbusSerialClient(line.path, baudrate=9600, timeout=1, retries=0)
        assert await client.connect()
        try:
            assert (await client.read_holding_registers(0x4000, device_id=2)).registers == [2]
            assert (await client.read_holding_registers(0x8000, device_id=2)).registers == [200]
            assert not (await client.write_coil(4, True, device_id=2)).isError()
            assert board.coils == [False] * 4 + [True] + [False] * 3
            bits = (await client.read_coils(0, count=8, device_id=2)).bits
            assert bits == board.coils
            both = [True, False, True, True, False, False, False, False]
            assert not (await client.write_coils(0, both, device_id=2)).isError()
            assert board.coils == both
            assert not (await client.write_coil(0xFF, False, device_id=2)).isError()
            assert board.coils == [False] * 8
            line.locked(lambda b: b.set_input(6, True), "w")
            inputs = (await client.read_discrete_inputs(0, count=8, device_id=3)).bits
            assert inputs == [False] * 5 + [True] + [False] * 2
            beyond = await client.read_coils(5, count=8, device_id=2)
            assert beyond.isError()
            assert beyond.exception_code == 2
        finally:
            client.close()


def test_our_virtual_board_times_its_pulse_itself() -> None:
    """700 ms after the order the coil is off, and nobody told it so."""
    import os

    board = VirtualBoard("v", Catalog.built_in()[RELAY], 1)
    with VirtualLine([board]) as line:
        fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, frame("01 05 02 02 00 07"))
        assert os.read(fd, 64) == frame("01 05 02 02 00 07")
        os.close(fd)
        assert board.coils[2]
        end = time.monotonic() + 30
        while board.coils[2]:
            assert time.monotonic() < end
            time.sleep(0.01)
    on, off = board.history
    assert (on.coil, on.on, on.cause, on.for_ms) == (3, True, "flash", 700)
    assert (off.coil, off.on, off.cause) == (3, False, "flash_end")
    assert 0.69 < off.at - on.at < 1.2
    assert board.pulses[2] == 1


async def test_pymodbus_cannot_send_the_pulse() -> None:
    """Why the master is our own: the stock client has no way to put 7 into function 05."""
    with ScriptedSlave() as slave:
        client = AsyncModbusSerialClient(slave.path, baudrate=9600, timeout=0.3, retries=0)
        assert await client.connect()
        await client.write_coil(0x0200, 7, device_id=1)  # type: ignore[arg-type]
        client.close()
        await asyncio.sleep(0.05)
        assert slave.pulses == [0xFF00]
