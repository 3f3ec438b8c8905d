"""From the shape of the file of an MQTT or HTTP device to a profile in use."""

from __future__ import annotations

from typing import Any

from device_profiles import expressions, spoken
from device_profiles.errors import FieldError
from device_profiles.expand import source_lines
from device_profiles.expand_spoken import Limits, Vocabulary, check_limits, expand_spoken
from device_profiles.message_schema import MessageCommandDoc, MessageDoc, MqttLocal, OneOf
from device_profiles.profile import Messages, Profile
from device_profiles.proof_schema import Simulator
from device_profiles.sections import ActionParam
from device_profiles.source import FieldPath


def expand_message(doc: MessageDoc) -> Profile:
    """The profile of ``doc``. Raises FieldError at the first rule that is broken."""
    commands = {
        name: _limits(command, ("commands", name)) for name, command in doc.commands.items()
    }
    for name, command in doc.commands.items():
        _check_command(doc, command, commands[name], ("commands", name))
    _check_reports(doc)
    _check_questions(doc)
    parts = expand_spoken(
        doc.points,
        doc.actions,
        doc.capabilities,
        frozenset(doc.events),
        doc.safety,
        Vocabulary(
            commands=commands,
            once=frozenset(name for name, command in doc.commands.items() if command.once),
            reports=frozenset(doc.reports),
            problem=lambda name, field: _field_problem(doc, name, field),
        ),
    )
    _check_tests(doc, parts.points.keys(), parts.actions.keys())
    return Profile(
        id=doc.id,
        revision=doc.revision,
        kind=doc.kind,
        vendor=doc.vendor,
        model=doc.model,
        verified=doc.verified,
        caveats=tuple(doc.caveats),
        sources=source_lines(doc.sources),
        transport=doc.transport,
        identify=(),
        points=parts.points,
        actions=parts.actions,
        services=parts.services,
        safety=parts.safety,
        simulator=Simulator(),
        tests=(),
        params=dict(doc.params),
        messages=Messages(
            transport=doc.transport,
            commands=dict(doc.commands),
            reports=dict(doc.reports),
            alive=doc.alive,
            identify=tuple(doc.identify),
            setup=tuple(doc.setup),
            events=dict(doc.events),
            clips=parts.clips,
            simulator=doc.simulator,
            tests=tuple(doc.tests),
        ),
    )


def _limits(command: MessageCommandDoc, path: FieldPath) -> Limits:
    numbers = {n: p for n, p in command.params.items() if isinstance(p, ActionParam)}
    others = {n: p for n, p in command.params.items() if isinstance(p, OneOf)}
    return {**check_limits(numbers, path), **others}


def _check_command(
    doc: MessageDoc, command: MessageCommandDoc, limits: Limits, path: FieldPath
) -> None:
    mqtt = isinstance(doc.transport, MqttLocal)
    if (command.publish is not None) != mqtt:
        raise FieldError(path, f"{doc.transport.type} takes {'publish' if mqtt else 'request'}")
    for end in ("min", "max", "default"):
        given = {
            name: limit.default if isinstance(limit, OneOf) else getattr(limit, end)
            for name, limit in limits.items()
        }
        names: dict[str, Any] = {**tried(doc), **given, **spoken.TRIED_NAMES}
        try:
            spoken.outgoing(command, names)
            rules = {**command.answer.match, **command.answer.equals} if command.answer else {}
            for wanted in rules.values():
                spoken.filled(wanted, names)
        except expressions.ExpressionError as error:
            raise FieldError(path, str(error)) from error
    answer = command.answer
    if answer is not None and (answer.topic is not None) != mqtt:
        raise FieldError((*path, "answer", "topic"), "belongs to MQTT, where it must be given")
    if answer is not None and answer.topic is not None:
        _check_topic(doc, answer.topic, (*path, "answer", "topic"))


def tried(doc: MessageDoc) -> dict[str, int | str]:
    """The install params with which a profile is tried."""
    return {name: param.tried for name, param in doc.params.items()}


def _check_topic(doc: MessageDoc, topic: str, path: FieldPath) -> None:
    try:
        text = spoken.filled_text(topic, {**tried(doc), **spoken.TRIED_NAMES})
    except expressions.ExpressionError as error:
        raise FieldError(path, str(error)) from error
    if set(text) & set("+#"):
        raise FieldError(path, "a topic is named whole, without + and #")


def _check_reports(doc: MessageDoc) -> None:
    if not isinstance(doc.transport, MqttLocal):
        if doc.reports:
            raise FieldError(("reports",), "over HTTP nothing comes unasked")
        return
    for name, report in doc.reports.items():
        _check_topic(doc, report.topic, ("reports", name, "topic"))
    if doc.transport.availability is not None:
        _check_topic(doc, doc.transport.availability.topic, ("transport", "availability", "topic"))
    for name, event in doc.events.items():
        if event.report not in doc.reports:
            raise FieldError(("events", name, "report"), f"there is no report {event.report!r}")


def _check_questions(doc: MessageDoc) -> None:
    asked: list[tuple[FieldPath, str]] = [
        (("identify", index, "command"), step.command) for index, step in enumerate(doc.identify)
    ]
    asked += [(("setup", index, "command"), step.command) for index, step in enumerate(doc.setup)]
    if doc.alive is not None:
        asked.append((("alive", "command"), doc.alive.command))
    for path, name in asked:
        command = doc.commands.get(name)
        if command is None:
            raise FieldError(path, f"there is no command {name!r}")
        if command.answer is None or command.params or command.once:
            raise FieldError(path, f"{name} must have an answer and no params, and be no once")
    for index, step in enumerate(doc.setup):
        if step.set_ is not None and step.set_ not in doc.commands:
            raise FieldError(("setup", index, "set"), f"there is no command {step.set_!r}")


def _field_problem(doc: MessageDoc, name: str, field: str) -> str | None:
    if field and not field.startswith("/"):
        return "must be a JSON pointer such as /output, or be left out"
    if name in doc.commands:
        answer = doc.commands[name].answer
        if answer is None:
            return f"{name} has no answer"
        text = answer.text
    else:
        text = doc.reports[name].text
    return "a text has no fields" if text and field else None


def _check_tests(doc: MessageDoc, points: Any, actions: Any) -> None:
    for index, test in enumerate(doc.tests):
        path: FieldPath = ("tests", index)
        for point in test.values:
            if point not in points:
                raise FieldError((*path, "values", point), f"there is no point {point!r}")
        for name in (name for event in test.events for name in event):
            if name not in doc.events:
                raise FieldError((*path, "events"), f"there is no event {name!r}")
        call = test.call
        if call is None:
            continue
        for key, target, known in (
            ("command", call.command, doc.commands),
            ("action", call.action, actions),
            ("write", call.write, points),
        ):
            if target is not None and target not in known:
                raise FieldError((*path, "call", key), f"there is no {target!r}")
