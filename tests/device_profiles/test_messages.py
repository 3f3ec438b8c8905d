"""MQTT and HTTP devices: their golden messages both ways, and each against its own virtual device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from device_profiles import Catalog, Profile, ProfileError, load_profile, spoken
from device_profiles.loader import CATALOG
from device_profiles.message_schema import AnswerDoc, Message, MessageGolden, MqttLocal
from device_profiles.profile import Messages
from firmware_bridge.virtual.message import VirtualMessageDevice

PROFILES = [p for p in Catalog.built_in().profiles.values() if p.messages is not None]
GOLDEN = [
    pytest.param(profile, test, id=f"{profile.id}: {test.name}")
    for profile in PROFILES
    for test in (profile.messages.tests if profile.messages else ())
]
each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)


def messages_of(profile: Profile) -> Messages:
    assert profile.messages is not None
    return profile.messages


def call_of(profile: Profile, test: MessageGolden, installed: dict[str, Any]) -> spoken.Call:
    call = test.call
    assert call is not None
    if call.write is not None:
        assert call.value is not None
        return spoken.call_of_write(profile, call.write, call.value, call.known, installed)
    if call.action is not None:
        numbers = {name: int(value) for name, value in call.params.items()}
        return spoken.call_of_action(profile, profile.actions[call.action], numbers)
    return spoken.call_of(profile, call.command or "", call.params)


def payload_of(message: Message) -> bytes:
    return (
        (message.text or "").encode()
        if message.json_ is None
        else json.dumps(message.json_).encode()
    )


def judged(answer: AnswerDoc, came: Message, names: dict[str, Any]) -> str:
    """What the master makes of one message that comes while it waits for the answer."""
    if answer.topic is not None and spoken.filled_text(answer.topic, names) != came.topic:
        return "other"
    try:
        document = spoken.parsed(payload_of(came), text=answer.text)
    except spoken.ValueFault:
        return "other"
    verdict, _ = spoken.judge(answer, document, names)
    return "refused" if verdict == "done" and (came.status or 200) >= 400 else verdict


@pytest.mark.parametrize(("profile", "test"), GOLDEN)
def test_golden_messages(profile: Profile, test: MessageGolden) -> None:
    messages = messages_of(profile)
    installed = dict(profile.settings({**profile.tried(), **test.params}).params)
    source, names = "", {**installed, **spoken.TRIED_NAMES}
    if test.call is not None:
        call = call_of(profile, test, installed)
        source, names = call.command, names | dict(call.params)
        sent = spoken.outgoing(messages.commands[source], names)
        _same(sent, test.sends)
        answer = messages.commands[source].answer
        verdicts = [judged(answer, came, names) for came in test.comes] if answer else []
        outcome = next((verdict for verdict in verdicts if verdict != "other"), "no_answer")
        assert outcome == test.outcome
    values: dict[str, Any] = {}
    for came in test.comes:
        values |= _heard(profile, came, source, installed)
    assert {name: values.get(name) for name in test.values} == test.values


def _same(sent: spoken.Outgoing, wanted: Message | None) -> None:
    assert wanted is not None
    assert (sent.topic, sent.method) == (wanted.topic, wanted.method)
    if wanted.json_ is not None:
        assert json.loads(sent.payload) == wanted.json_
    elif wanted.text is not None:
        assert sent.payload.decode() == wanted.text
    if sent.path is not None:
        parts = urlsplit(sent.path)
        assert parts.path == wanted.path
        assert dict(parse_qsl(parts.query)) == wanted.query
        assert dict(parse_qsl(sent.payload.decode())) == wanted.form or not wanted.form


def _heard(
    profile: Profile, came: Message, source: str, installed: dict[str, Any]
) -> dict[str, Any]:
    """The points that a message tells, as the master reads them."""
    messages = messages_of(profile)
    values: dict[str, Any] = {}
    for point in profile.points.values():
        if point.taken is None:
            continue
        report = messages.reports.get(point.taken.source) if point.taken.is_report else None
        if report is not None and spoken.filled_text(report.topic, installed) != came.topic:
            continue
        if report is None and point.taken.source != source:
            continue
        try:
            document = spoken.parsed(payload_of(came), text=report.text if report else False)
            values[point.name] = spoken.value_of(point, document)
        except spoken.ValueFault:
            values[point.name] = None
    return values


def converse(profile: Profile, device: VirtualMessageDevice, call: spoken.Call) -> tuple[str, Any]:
    """Say ``call`` to the virtual device; the verdict on its answer, and the answer."""
    command = messages_of(profile).commands[call.command]
    names = {**device.installed, **spoken.TRIED_NAMES, **call.params}
    sent = spoken.outgoing(command, names)
    answer = command.answer
    assert answer is not None
    if sent.topic is not None:
        wanted = spoken.filled_text(answer.topic or "", names)
        said = device.hear(sent.topic, sent.payload)
        payloads = [message.payload for message in said if message.topic == wanted]
    else:
        status, body = device.serve(sent.method or "", sent.path or "", sent.payload)
        assert status == 200, (call, body)
        payloads = [body]
    for payload in payloads:
        document = spoken.parsed(payload, text=answer.text)
        verdict, _ = spoken.judge(answer, document, names)
        if verdict != "other":
            return verdict, document
    return "no_answer", None


@each_profile
def test_each_device_answers_its_own_questions(profile: Profile) -> None:
    """Against its own virtual device: there, the right one, set up as it should be, every point told."""
    messages = messages_of(profile)
    device = VirtualMessageDevice(profile)
    for step in messages.identify:
        verdict, document = converse(profile, device, spoken.Call(step.command, {}))
        assert verdict == "done", step
        assert spoken.point_at(document, step.field) in step.among
    for setup in messages.setup:
        _, document = converse(profile, device, spoken.Call(setup.command, {}))
        assert spoken.point_at(document, setup.field) == setup.equals
        if setup.set_ is not None:
            assert converse(profile, device, spoken.Call(setup.set_, {}))[0] == "done"
    if messages.alive is not None:
        assert converse(profile, device, spoken.Call(messages.alive.command, {}))[0] == "done"
    told = {message.topic: message.payload for message in device.set()}
    for point in profile.points.values():
        if point.taken is None:
            continue
        if point.taken.is_report:
            report = messages.reports[point.taken.source]
            topic = spoken.filled_text(report.topic, device.installed)
            document = spoken.parsed(told[topic], text=report.text)
        else:
            call = spoken.Call(point.taken.source, point.taken.params)
            document = converse(profile, device, call)[1]
        value = spoken.value_of(point, document)
        assert isinstance(
            value, {"bool": bool, "int": int, "float": float, "text": str}[point.type]
        )


@each_profile
def test_each_level_is_taken_and_told(profile: Profile) -> None:
    device = VirtualMessageDevice(profile)
    for point in profile.points.values():
        if point.told is None:
            continue
        said: tuple[spoken.Scalar, ...] = (True, False) if point.type == "bool" else (21,)
        if point.type == "text":
            chosen = [
                c for s in profile.services.values() for c in (s.mode, s.fan) if c is not None
            ]
            held = [c.values for c in chosen if c.point == point.name]
            said = tuple(one for values in held for words in values.values() for one in words)
            assert said, f"nothing says what {point.name} can be"
        for value in said:
            call = spoken.call_of_write(profile, point.name, value, {}, device.installed)
            assert converse(profile, device, call)[0] == "done", (point.name, value)
            if point.taken is None:
                continue
            report = messages_of(profile).reports.get(point.taken.source)
            if report is not None:
                topic = spoken.filled_text(report.topic, device.installed)
                payload = next(m.payload for m in device.set() if m.topic == topic)
                document = spoken.parsed(payload, text=report.text)
            else:
                source = spoken.Call(point.taken.source, point.taken.params)
                document = converse(profile, device, source)[1]
            assert spoken.value_of(point, document) == value, point.name


@each_profile
def test_each_action_is_taken_at_both_ends_of_its_limits_and_ends_by_itself(
    profile: Profile,
) -> None:
    for action in profile.actions.values():
        for bound in ("min", "max", "default"):
            now = [100.0]
            device = VirtualMessageDevice(profile, monotonic=lambda now=now: now[0])  # type: ignore[misc]
            before = dict(device.state)
            given = {name: getattr(limits, bound) for name, limits in action.params.items()}
            call = spoken.call_of_action(profile, action, given)
            assert converse(profile, device, call)[0] == "done", (action.name, given)
            if action.effect == "pulse":
                assert device.state != before
                now[0] += 3600
                device.tick()
                assert device.state == before, "the device itself must end a pulse"


@each_profile
def test_nothing_is_retained_and_secrets_are_not_shown(profile: Profile) -> None:
    for name, param in profile.params.items():
        if param.secret:
            assert str(param.tried) not in repr(profile.settings(profile.tried()))
            with pytest.raises(ProfileError) as caught:
                profile.settings({**profile.tried(), name: "!" * 8})
            assert "!" * 8 not in str(caught.value)
    if isinstance(profile.transport, MqttLocal):
        assert profile.transport.qos == 1
    silent = [t for t in messages_of(profile).tests if t.outcome == "no_answer"]
    nothing = [t for t in messages_of(profile).tests if None in t.values.values()]
    assert silent or nothing, "no test of what must tell nothing"


def test_a_parameter_out_of_its_limits_is_named() -> None:
    profile = Catalog.built_in()["tasmota.irhvac"]
    with pytest.raises(ProfileError) as caught:
        spoken.call_of(profile, "send", {"temp": 99})
    assert str(caught.value) == "tasmota.irhvac: send: temp must be 16 to 30 in steps of 1, not 99"
    with pytest.raises(
        ProfileError, match="mode must be one of Cool, Heat, Dry, Fan, Auto, not 'Snow'"
    ):
        spoken.call_of(profile, "send", {"mode": "Snow"})
    with pytest.raises(ProfileError, match="vendor must match"):
        profile.settings({"topic": "x", "vendor": "gree; drop"})
    with pytest.raises(ProfileError, match="parameter 'topic' must be given"):
        profile.settings({"vendor": "GREE"})
    with pytest.raises(ProfileError, match="must be a topic without"):
        profile.settings({"topic": "a/#", "vendor": "GREE"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "field: /output",
            "field: output",
            "points.outlet.from.field: must be a JSON pointer such as",
        ),
        (
            "report: state",
            "report: status",
            "points.outlet.from.report: there is no report 'status'",
        ),
        (
            "{report: state, field: /output}",
            "{field: /output}",
            "points.outlet.from: give either a command or a report",
        ),
        ("value: value, values", "value: v, values", "points.outlet.to: set takes no 'v'"),
        (
            'topic: "{prefix}/rpc"',
            'topic: "{prefiks}/rpc"',
            "commands.set: 'prefiks' is not declared here",
        ),
        ('"{prefix}/online"', '"+/online"', "a topic is named whole, without + and #"),
        (
            "publish:",
            "request: {method: GET, path: /}\n    publish:",
            "commands.set: give either publish or request",
        ),
        ("type: mqtt_local", "type: http_local", "transport.qos: is not a key that is known here"),
        (
            "command: config",
            "command: set",
            "setup[0].command: set must have an answer and no params",
        ),
        (
            "min: 0, max: 3, what",
            "min: 9, max: 3, what",
            "params.channel: the default or example must be a whole number from 9",
        ),
        (
            "one_of: [true, false]",
            "one_of: [1, 2]",
            "commands.set.params.value: the default False is not one of them",
        ),
        ("effect: x", "", "good"),
    ],
)
def test_a_broken_file_is_told_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (CATALOG / "shelly.gen2-switch.yaml").read_text(encoding="utf-8")
    assert (old in text) or message == "good"
    file = tmp_path / "shelly.gen2-switch.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    if message == "good":
        load_profile(file)
        return
    with pytest.raises(ProfileError) as caught:
        load_profile(file)
    assert message in str(caught.value)
