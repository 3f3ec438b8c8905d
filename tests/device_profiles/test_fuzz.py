"""Random and mutated frames, messages and files: nothing crashes, nothing acts.

One attack serves both: a few thousand blows in the suite, a million in the soak. The random numbers are
seeded, so a failure can be struck again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Catalog, Profile, ProfileError, load_profile, spoken
from device_profiles.loader import CATALOG
from firmware_bridge.board import Board
from firmware_bridge.contract import BoardConfig
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.protocols.said import Hearing
from firmware_bridge.protocols.stream import Answer, Splitter
from firmware_bridge.virtual import VirtualBoard, VirtualStream
from firmware_bridge.virtual.message import VirtualMessageDevice

PROFILES = Catalog.built_in().profiles
MODBUS = [p for p in PROFILES.values() if p.transport.type.startswith("modbus")]
STREAMS = [p for p in PROFILES.values() if p.stream is not None]
MESSAGES = [p for p in PROFILES.values() if p.messages is not None]


def mutated(rng: random.Random, frame: bytes) -> bytes:
    """The frame with bits flipped, bytes lost, doubled or swapped; or something else altogether."""
    data = bytearray(frame)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                del data[at % len(data)]
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 3 if data:
                data[at % len(data)] = rng.randrange(256)
            case 4:
                data = data[:at]
            case _:
                data = bytearray(rng.randbytes(rng.randint(0, 24)))
    return bytes(data)


def strike_modbus(rng: random.Random, count: int) -> None:
    """Both ends of Modbus: our master takes no wrong frame for an answer, no board acts on one."""
    for _ in range(count):
        profile = rng.choice(MODBUS)
        test = rng.choice(profile.tests)
        board = BOARDS.setdefault(profile.id, Board(BoardConfig("b", profile.id, "p", {}), profile))
        request = rng.choice([group.request for group in board.groups])
        came = mutated(rng, test.rx or b"".join(test.rx_chunks or []))
        try:
            data = request.answer(came)
        except rtu.DeviceException:
            data = None
        if data is not None:
            assert any(
                rtu.has_good_crc(came[a:b])
                for a in range(len(came))
                for b in range(a + 4, len(came) + 1)
            ), came.hex(" ")
            for group in board.groups:
                if group.request == request:
                    group.values(data)
        request.missed(came)
        virtual = TWINS.setdefault(profile.id, VirtualBoard("v", profile, 1))
        before = (list(virtual.coils), list(virtual.pulses))
        sent = mutated(rng, test.tx)
        virtual.answer(sent)
        if not rtu.has_good_crc(sent):
            assert (virtual.coils, virtual.pulses) == before, sent.hex(" ")


BOARDS: dict[str, Board] = {}
TWINS: dict[str, VirtualBoard] = {}


def strike_streams(rng: random.Random, count: int) -> None:
    """Lines and frames: what comes out is a known frame, whole and with a good check, or a line."""
    for _ in range(count):
        profile = rng.choice(STREAMS)
        stream = profile.stream
        assert stream is not None
        test = rng.choice(stream.tests)
        splitter, hearing = Splitter(stream.transport.frame, stream.answers), Hearing(stream)
        came = mutated(rng, b"".join(test.chunks))
        cut = rng.randint(0, len(came))
        for at, piece in ((1.0, came[:cut]), (1.0 + rng.random() / 4, came[cut:])):
            if rng.random() < 0.5:
                splitter.give_up()
            for item in splitter.feed(piece):
                if isinstance(item, Answer):
                    assert any(pattern.matches(item.data) for pattern in stream.answers)
                for _, value in hearing.feed(item, at):
                    assert value.isascii()
                    assert value.isprintable()
        device = STREAM_TWINS.setdefault(profile.id, VirtualStream("v", profile, 0))
        checked = [a for a in stream.simulator.answers if a.pulse is not None and a.to.checks]
        before = list(device.pulses)
        sent = mutated(rng, test.tx or b"")
        device.hear(sent)
        if checked and device.pulses != before:
            wanted = [a.to for a in checked]
            width = {len(pattern.parts) for pattern in wanted}
            assert any(
                pattern.matches(sent[a : a + n])
                for pattern in wanted
                for a in range(len(sent))
                for n in width
            ), sent.hex(" ")


STREAM_TWINS: dict[str, VirtualStream] = {}


def strike_messages(rng: random.Random, count: int) -> None:
    """Messages: broken ones are faults by name, and never an answer that says that it was done."""
    for _ in range(count):
        profile = rng.choice(MESSAGES)
        messages = profile.messages
        assert messages is not None
        test = rng.choice(messages.tests)
        for came in test.comes:
            whole = (came.text or json.dumps(came.json_)).encode()
            payload = mutated(rng, whole)
            command = (
                messages.commands[rng.choice(list(messages.commands) or [""])]
                if messages.commands
                else None
            )
            _read(profile, payload, command)
        device = MESSAGE_TWINS.setdefault(profile.id, VirtualMessageDevice(profile))
        for topic in device.topics() or [""]:
            device.hear(topic, mutated(rng, b'{"id":1,"state":"ON"}'))
        device.serve("POST", "/" + mutated(rng, b"rpc/x").hex(), mutated(rng, b"{}"))


MESSAGE_TWINS: dict[str, VirtualMessageDevice] = {}


def _read(profile: Profile, payload: bytes, command: Any) -> None:
    try:
        document = spoken.parsed(payload, text=False)
    except spoken.ValueFault:
        return
    names = {**profile.settings(profile.tried()).params, **spoken.TRIED_NAMES}
    if command is not None and command.answer is not None:
        names |= {name: param.default for name, param in command.params.items()}
        spoken.judge(command.answer, document, names)
    for point in profile.points.values():
        if point.taken is not None:
            with suppress(spoken.ValueFault):
                spoken.value_of(point, document)


STRIKES: list[Callable[[random.Random, int], None]] = [
    strike_modbus,
    strike_streams,
    strike_messages,
]
each_strike = pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)


@each_strike
def test_nothing_crashes_and_nothing_acts(strike: Callable[[random.Random, int], None]) -> None:
    strike(random.Random(2026), 1500)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@each_strike
def test_a_million_blows(strike: Callable[[random.Random, int], None]) -> None:
    rng = random.Random(7)
    for _ in range(100):
        strike(rng, 3_400)  # three strikes: 1,020,000 in all
        for twins in (BOARDS, TWINS, STREAM_TWINS, MESSAGE_TWINS):
            twins.clear()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(document=json_values, data=st.data())
def test_any_document_is_a_value_or_a_fault(document: Any, data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(MESSAGES))
    point = data.draw(st.sampled_from(list(profile.points.values())))
    pointer = data.draw(
        st.sampled_from(["", "/", "/a", "/0/x", point.taken.field if point.taken else "/x"])
    )
    for act in (
        lambda: spoken.point_at(document, pointer),
        lambda: spoken.value_of(point, document),
    ):
        with suppress(spoken.ValueFault):
            act()


FILES = sorted(CATALOG.glob("*.yaml"))


def test_a_spoilt_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Lines lost, doubled, indented or cut: a profile that still loads, or one sentence with a place."""
    rng = random.Random(11)
    for file in rng.sample(FILES, 24):
        lines = file.read_text("utf-8").split("\n")
        for _ in range(6):
            spoilt = list(lines)
            at = rng.randrange(len(spoilt))
            match rng.randrange(4):
                case 0:
                    del spoilt[at]
                case 1:
                    spoilt.insert(at, spoilt[at])
                case 2:
                    spoilt[at] = "  " + spoilt[at]
                case _:
                    spoilt[at] = mutated(rng, spoilt[at].encode()).decode("latin-1")
            target = tmp_path / file.name
            target.write_text("\n".join(spoilt), encoding="utf-8")
            said = ""
            try:
                load_profile(target)
            except ProfileError as error:
                said = str(error)
            placed = said.startswith(f"{tmp_path.name}/") and ".yaml:" in said
            assert not said or (placed and "\n" not in said), said
