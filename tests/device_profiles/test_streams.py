"""Line devices: their golden bytes through the splitter and the virtual device; broken files named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Catalog, Profile, ProfileError, load_profile, spoken
from device_profiles.loader import CATALOG
from device_profiles.patterns import BytePattern, FrameTemplate
from device_profiles.profile import Stream
from device_profiles.stream_schema import LineFrame, StreamGolden
from firmware_bridge.protocols.said import Hearing
from firmware_bridge.protocols.stream import Answer, Line, Splitter
from firmware_bridge.virtual import VirtualStream

PROFILES = [p for p in Catalog.built_in().profiles.values() if p.stream is not None]
GOLDEN = [
    pytest.param(profile, test, id=f"{profile.id}: {test.name}")
    for profile in PROFILES
    for test in (profile.stream.tests if profile.stream else ())
]
FRAME = LineFrame.model_validate({"terminator": "0D", "max_bytes": 512, "idle_flush_ms": 120})
ACK = BytePattern((0x02, 0x00, 0x00, 0x01, 0x00, 0x33, 0x31))


def stream_of(profile: Profile) -> Stream:
    assert profile.stream is not None
    return profile.stream


def codes(found: list[Line | Answer]) -> list[str]:
    return [item.text for item in found if isinstance(item, Line)]


@pytest.mark.parametrize(("profile", "test"), GOLDEN)
def test_golden_bytes(profile: Profile, test: StreamGolden) -> None:
    stream = stream_of(profile)
    splitter, hearing = Splitter(stream.transport.frame, stream.answers), Hearing(stream)
    found = [item for chunk in test.chunks for item in splitter.feed(chunk)]
    heard = [{name: value} for item in found for name, value in hearing.feed(item, 1.0)]
    assert heard == test.events
    if test.command is None:
        return
    call = spoken.call_of(profile, test.command, test.params)
    names = numbers_of(profile, call)
    command = stream.commands[call.command]
    assert command.tx.render(names).hex(" ") == (test.tx or b"").hex(" ")
    answer = command.rx and command.rx.bound(names)
    answers = [i.data for i in found if isinstance(i, Answer) and answer and answer.matches(i.data)]
    assert bool(answers) is bool(test.answered)
    for name, value in test.values.items():
        assert command.rx is not None
        assert spoken.value_of(profile.points[name], command.rx.read(answers[0])) == value, name


def numbers_of(profile: Profile, call: spoken.Call) -> dict[str, int]:
    """All that a frame of ``call`` can hold, with the install params tried."""
    names = {**profile.settings(profile.tried()).params, **call.params}
    return {name: value for name, value in names.items() if isinstance(value, int)}


@pytest.mark.parametrize(("profile", "test"), GOLDEN)
def test_golden_bytes_as_the_virtual_device_speaks_them(
    profile: Profile, test: StreamGolden
) -> None:
    device = VirtualStream("virtual", profile, 0)
    for number in test.given:
        device.set_input(number, on=True)
    if test.tx is not None:
        rest, replies = device.hear(test.tx)
        assert rest == b""
        assert len(device.frames) == 1
        if test.answered and test.values:
            assert replies[0].hex(" ") in b"".join(test.chunks).hex(" ")
    if device.takes_codes and len(test.events) == 1:
        said = b"".join(device.pieces(next(iter(test.events[0].values()))))
        stream = stream_of(profile)
        splitter, hearing = Splitter(stream.transport.frame, stream.answers), Hearing(stream)
        heard = [e for i in splitter.feed(said) for e in hearing.feed(i, 1.0)]
        assert [{name: value} for name, value in heard] == test.events


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_each_device_is_what_it_says_and_answers_its_own_questions(profile: Profile) -> None:
    stream = stream_of(profile)
    for command in stream.commands.values():
        device = VirtualStream("virtual", profile, 0)
        names = numbers_of(profile, spoken.call_of(profile, command.name, {}))
        rest, replies = device.hear(command.tx.render(names))
        assert rest == b"", command.name
        assert len(device.frames) == 1, command.name
        if command.rx is None:
            assert replies == []
            continue
        assert len(replies) == 1, command.name
        assert command.rx.bound(names).matches(replies[0]), command.name
        for step in stream.identify:
            if step.command == command.name:
                assert replies[0][step.at] & step.mask in step.among


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_each_point_is_told_and_each_action_ends_by_itself(profile: Profile) -> None:
    stream = stream_of(profile)
    now = [50.0]
    device = VirtualStream("virtual", profile, 0, monotonic=lambda: now[0])
    for point in profile.points.values():
        if point.taken is None:
            continue
        command = stream.commands[point.taken.source]
        names = numbers_of(profile, spoken.Call(command.name, point.taken.params))
        _, replies = device.hear(command.tx.render(names))
        assert command.rx is not None
        assert command.rx.bound(names).matches(replies[0]), point.name
        assert isinstance(spoken.value_of(point, command.rx.read(replies[0])), bool)
    for channel, action in enumerate(profile.actions.values(), 1):
        call = spoken.call_of_action(profile, action, {})
        device.hear(stream.commands[call.command].tx.render(numbers_of(profile, call)))
        assert device.pulses[channel - 1] == 1, action.name
        assert device.coils[channel - 1], action.name
    assert not any(shut(profile, device))  # each lock is let go now
    now[0] += 30
    device.tick()
    assert not any(device.coils)
    assert all(shut(profile, device))
    assert len(shut(profile, device)) == len(profile.actions)


def shut(profile: Profile, device: VirtualStream) -> list[bool]:
    """Whether each lock of a lock board says that it is shut, all doors being in their frames."""
    device.inputs = [True] * len(device.inputs)
    stream, told = stream_of(profile), []
    for (capability, _), service in profile.services.items():
        if capability == "lock.state":
            point = profile.points[service.point or ""]
            assert point.taken is not None
            command = stream.commands[point.taken.source]
            names = numbers_of(profile, spoken.Call(command.name, point.taken.params))
            _, replies = device.hear(command.tx.render(names))
            assert command.rx is not None
            told.append(spoken.value_of(point, command.rx.read(replies[0])) is True)
    return told


@pytest.mark.parametrize(
    "profile", [p for p in PROFILES if p.points], ids=lambda profile: profile.id
)
def test_the_answer_about_another_lock_is_no_answer(profile: Profile) -> None:
    stream = stream_of(profile)
    for command in stream.commands.values():
        if command.rx is None or not command.params:
            continue
        device = VirtualStream("virtual", profile, 0)
        first = numbers_of(profile, spoken.call_of(profile, command.name, {}))
        name = next(iter(command.params))
        _, replies = device.hear(command.tx.render({**first, name: first[name] + 1}))
        assert replies
        if name in {part.name for part in command.rx.fields}:
            assert not command.rx.bound(first).matches(replies[0])


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_each_capability_is_served(profile: Profile) -> None:
    stream = stream_of(profile)
    for service in profile.services.values():
        known = {*stream.commands, *stream.events, *profile.points, *profile.actions}
        assert (service.action or service.point) in known


def test_a_code_is_whole_or_nothing() -> None:
    splitter = Splitter(FRAME, [ACK])
    assert codes(splitter.feed(b"K1:HALF")) == []
    assert splitter.waits
    splitter.give_up()
    assert codes(splitter.feed(b"OTHER\r")) == ["OTHER"]
    assert codes(splitter.feed(b"A" * 600)) == []
    assert codes(splitter.feed(b"TAIL\rNEXT\r")) == ["NEXT"]  # the tail is no code
    assert codes(splitter.feed(b"A" * 513 + b"\rB\r")) == ["B"]
    assert codes(splitter.feed(b"\r\r\n\r12\n\r")) == ["12"]
    assert not splitter.waits


@given(
    text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200),
    cuts=st.lists(st.integers(1, 199), max_size=6),
    noise=st.binary(max_size=20).filter(lambda b: b"\r" not in b),
    answers=st.dictionaries(
        st.integers(0, 200), st.just(bytes(p or 0 for p in ACK.parts)), max_size=2
    ),
)
def test_a_code_in_any_pieces_is_one_code(
    text: str, cuts: list[int], noise: bytes, answers: dict[int, bytes]
) -> None:
    """Neither the pieces, nor what was on the line before, nor an answer in its midst change it.

    Seen: a guest's pass at a reader that had just come back was not heard. The bridge asks a scanner every
    ten seconds whether it is there, and at once when it comes back; the answer lay between the pieces of
    the code, which was dropped as a line with bytes that are no text.
    """
    data = text.encode() + b"\r"
    for at, answer in sorted(answers.items(), reverse=True):
        at = min(at, len(text))
        data = data[:at] + answer + data[at:]
    splitter = Splitter(FRAME, [ACK])
    splitter.feed(noise)
    splitter.give_up()
    found: list[Line | Answer] = []
    cuts = sorted(cuts)
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += splitter.feed(data[begin:end])
    assert codes(found) == [text]
    assert [item.data for item in found if isinstance(item, Answer)] == [*answers.values()]


def test_a_code_is_never_shown() -> None:
    assert "K1:SECRET" not in repr(Line("K1:SECRET"))


def test_templates_count_their_sum_and_hold_their_width() -> None:
    template = FrameTemplate("AA 07 02 {track:04x} {sum8}")
    assert template.names == {"track"}
    assert template.render({"track": 8}).hex(" ") == "aa 07 02 00 08 bb"
    with pytest.raises(ValueError, match="65536 does not fit 2 bytes"):
        template.render({"track": 65536})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"02 00 00 01 ?? ?? ??"', '"4B 00"', "commands.mode.rx: could be the beginning of a code"),
        ("alive: {command: mode", "alive: {command: x", "alive.command: there is no command 'x'"),
        ("alive: {command: mode", "alive: {command: trigger", "good"),
        (
            "{event: code}",
            "{event: card}",
            "capabilities.input.code.event: there is no event 'card'",
        ),
        ("input.code: {event", "power.w: {event", "this capability needs a read number"),
        ("at: 4", "at: 7", "identify[0].at: lies behind the end of the answer"),
        ('"7E 00 07', '"7E 0 07', "commands.mode.tx: '0' is neither a hex byte"),
        ("frame: {", "frames: {", "transport.frames: is not a key that is known here"),
    ],
)
def test_a_broken_file_is_told_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (CATALOG / "hzgrow.gm65.yaml").read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "hzgrow.gm65.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    if message == "good":
        load_profile(file)
        return
    with pytest.raises(ProfileError) as caught:
        load_profile(file)
    assert message in str(caught.value)
