"""Boards behind gateways on the network: Modbus TCP and transparent serial servers, over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from device_profiles import Catalog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Capability, OutcomeState, Reading
from firmware_bridge.port import PortGone
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.protocols.modbus_tcp import TcpRequest, conversation, frames
from firmware_bridge.reach import address, bus_to
from firmware_bridge.tcp_port import TcpPort
from firmware_bridge.virtual import VirtualBoard
from firmware_bridge.virtual.gateway import GatewayLine, Mode
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import RELAY, hurried, until

MODES: list[Mode] = ["modbus_tcp", "rtu_tcp"]


@pytest.fixture(scope="module")
def relays() -> Catalog:
    return hurried(RELAY, timeout_ms=100)


@pytest.fixture(params=MODES)
def gateway(request: pytest.FixtureRequest, relays: Catalog) -> Iterator[GatewayLine]:
    boards = [VirtualBoard(f"v{unit}", relays[RELAY], unit) for unit in (1, 2)]
    line = GatewayLine(boards, request.param)
    with line:
        yield line


def online(bridge: FirmwareBridge, board: str = "a") -> Callable[[], bool]:
    return lambda: bridge.board_state(board).state == "online"


async def test_a_door_behind_a_gateway_opens_once(
    start_bridge: StartBridge, relays: Catalog, gateway: GatewayLine
) -> None:
    bridge = await start_bridge(gateway.path, {"a": (RELAY, 1), "b": (RELAY, 2)}, relays)
    await until(lambda: online(bridge)() and online(bridge, "b")())
    outcome = await bridge.pulse("b", 3, 700, 5)
    assert outcome.state is OutcomeState.DONE, outcome
    assert (await bridge.switch("a", 1, True, 5)).state is OutcomeState.DONE
    assert gateway.boards["v2"].pulses == [0, 0, 1, 0, 0, 0, 0, 0]
    assert gateway.boards["v1"].coils[0]
    assert (await bridge.read("b", Capability.SWITCH_SET, 3, 5)).value is True


async def test_a_dead_board_behind_a_living_gateway_is_away_and_not_refused(
    start_bridge: StartBridge, relays: Catalog, gateway: GatewayLine
) -> None:
    """A gateway answers for a silent board with an exception: that says nothing about its model."""
    gateway.boards["v2"].fault.dead = True
    bridge = await start_bridge(gateway.path, {"a": (RELAY, 1), "b": (RELAY, 2)}, relays)
    await until(online(bridge))
    await until(lambda: bridge.board_state("b").state == "offline")
    outcome = await bridge.pulse("b", 1, 700, 5)
    assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "device_offline")
    assert gateway.boards["v2"].pulses == [0] * 8
    gateway.boards["v2"].fault.dead = False
    await until(online(bridge, "b"))


async def test_a_gateway_that_hung_up_while_idle_costs_no_pulse(
    start_bridge: StartBridge, relays: Catalog, gateway: GatewayLine
) -> None:
    """Serial servers drop idle connections. The first unlock after that ended as unknown."""
    bridge = await start_bridge(gateway.path, {"a": (RELAY, 1)}, relays)
    await until(online(bridge))
    await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "ok")
    gateway.drop()
    await asyncio.sleep(0.1)
    outcome = await bridge.pulse("a", 1, 700, 5)
    assert outcome.state is OutcomeState.DONE, outcome
    assert gateway.boards["v1"].pulses[0] == 1
    assert gateway.connections == 2


async def test_port_vanishes_and_a_gateway_that_was_off_comes_back(
    start_bridge: StartBridge, relays: Catalog, gateway: GatewayLine
) -> None:
    bridge = await start_bridge(gateway.path, {"a": (RELAY, 1)}, relays)
    await until(online(bridge))
    gateway.close()
    outcome = await bridge.pulse("a", 1, 700, 5)
    assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "device_offline")
    assert "refuses: the gateway is there" in outcome.detail
    gateway.open()
    await until(online(bridge), 20)
    assert gateway.boards["v1"].pulses == [0] * 8


async def test_bad_crc_behind_a_gateway_is_no_off(
    start_bridge: StartBridge, relays: Catalog, gateway: GatewayLine
) -> None:
    bridge = await start_bridge(gateway.path, {"a": (RELAY, 1)}, relays)
    await until(online(bridge))
    assert (await bridge.switch("a", 1, True, 5)).state is OutcomeState.DONE
    gateway.boards["v1"].fault.bad_crc = True
    reading: Reading = await bridge.read("a", Capability.SWITCH_SET, 1, 1.0)
    assert reading.quality in ("stale", "fault")
    assert reading.value is True


def received_until_reset(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def test_bytes_that_were_not_delivered_are_never_delivered_later() -> None:
    """The cable to the gateway was out; the system kept the pulse and sent it when it was back."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    port = TcpPort(*listener.getsockname())
    port.open(hurried(RELAY)[RELAY].settings({}))
    peer = listener.accept()[0]
    wake, wake_write = socket.socketpair()
    with listener, peer, wake, wake_write:
        fill = b"\x00" * 65536
        port._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # type: ignore[union-attr]
        given_up = False
        for _ in range(400):
            try:
                port.write(fill)  # nobody reads: it piles up here
            except PortGone:
                given_up = True
                break
        assert given_up
        port.forget_unsent()
        assert not port.is_open
        with pytest.raises(ConnectionResetError):
            received_until_reset(peer)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6))
def test_fuzz_whatever_a_gateway_says_is_no_answer_to_what_was_not_asked(
    pieces: list[bytes],
) -> None:
    asked = TcpRequest(rtu.write_coil_raw(1, 0x0200, 7), 0x4242)
    noise = b"".join(pieces)
    if b"\x42\x42" not in noise:
        assert asked.answer(noise) is None
        assert isinstance(asked.missed(noise), rtu.ModbusError)


@given(st.binary(max_size=30), st.integers(0, 0xFFFF), st.integers(1, 8))
def test_fuzz_the_answer_is_found_in_pieces_and_behind_the_late_reply_of_another(
    noise: bytes, transaction: int, cut: int
) -> None:
    asked = TcpRequest(rtu.read(1, "coil", 0, 8), transaction)
    other = struct.pack(">HHHB", (transaction + 1) & 0xFFFF, 0, 4, 1) + b"\x01\x01\xff"
    answer = struct.pack(">HHHB", transaction, 0, 4, 1) + b"\x01\x01\x05"
    assert asked.answer(other + answer[:cut]) is None
    assert asked.answer(other + answer) == b"\x05"
    list(frames(noise + answer))  # never raises, whatever came before


def test_requests_are_those_of_another_implementation(relays: Catalog) -> None:
    """pymodbus as a client of our virtual gateway: a mistake in our frames would show."""
    board = VirtualBoard("v", relays[RELAY], 1)
    with GatewayLine([board], "modbus_tcp") as line:
        host, port = address(line.path)
        client = ModbusTcpClient(host, port=port, timeout=3)
        assert client.connect()
        try:
            assert client.read_holding_registers(0x8000, count=1, device_id=1).registers == [200]
            assert not client.write_coil(2, value=True, device_id=1).isError()
            assert client.read_coils(0, count=8, device_id=1).bits[2]
            assert client.read_coils(0, count=8, device_id=9).exception_code == 11
        finally:
            client.close()
    assert conversation()(rtu.read(1, "coil", 0, 8)).frame.hex() == "000100000006010100000008"


def test_an_unlock_waits_for_one_frame_on_a_gateway_too(relays: Catalog) -> None:
    from firmware_bridge.bus import Job
    from firmware_bridge.contract import Priority

    board = VirtualBoard("v", relays[RELAY], 1)
    with GatewayLine([board], "rtu_tcp") as line:
        bus = bus_to(line.path, relays[RELAY].settings({}), time.monotonic)
        late = time.monotonic() + 30

        def job(request: rtu.Request, priority: Priority, *, once: bool = False) -> Job:
            return Job(request, priority, late, timeout_s=0.5, gap_s=0.001, once=once)

        polls = [bus.submit(job(rtu.read(1, "coil", 0, 8), Priority.POLL)) for _ in range(100)]
        bus.start()
        polls[10].result(30)
        before = len(board.frames)
        unlock = bus.submit(job(rtu.write_coil_raw(1, 0x0200, 7), Priority.UNLOCK, once=True))
        assert unlock.result(30).result == "answered"
        place = next(n for n, frame in enumerate(board.frames) if frame[1] == 5)
        assert place <= before + 3
        bus.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("bus ")]


@pytest.mark.parametrize("where", ["tcp://", "rtu+tcp://host", "ftp://h:1", "rtu+tcp://h:x"])
async def test_an_address_that_is_none_fails_alone_and_says_its_form(where: str) -> None:
    bridge = FirmwareBridge({"line": where})
    await bridge.configure([BoardConfig("a", RELAY, "line", {"unit_id": 1})])
    state = bridge.board_state("a")
    assert state.state == "offline"
    assert re.search(r"^port line: .* write .*://HOST:PORT", state.detail)
