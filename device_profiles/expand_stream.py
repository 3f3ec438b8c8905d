"""From the shape of a line device's file to a profile in use: references resolved, rules checked."""

from __future__ import annotations

from device_profiles import expressions
from device_profiles.errors import FieldError
from device_profiles.expand import source_lines
from device_profiles.expand_spoken import Vocabulary, check_limits, expand_spoken
from device_profiles.patterns import BytePattern
from device_profiles.profile import Profile, Stream, StreamCommand
from device_profiles.proof_schema import Simulator
from device_profiles.source import FieldPath
from device_profiles.stream_schema import StreamDoc

_PRINTABLE = range(0x20, 0x7F)


def expand_stream(doc: StreamDoc) -> Profile:
    """The profile of ``doc``. Raises FieldError at the first rule that is broken."""
    commands = _commands(doc)
    _check_answers(doc)
    _check_questions(doc, commands)
    spoken = expand_spoken(
        doc.points,
        doc.actions,
        doc.capabilities,
        frozenset(doc.events),
        doc.safety,
        Vocabulary(
            commands={name: command.params for name, command in commands.items()},
            once=frozenset(name for name, command in commands.items() if command.once),
            reports=frozenset(),
            problem=lambda name, field: _field_problem(commands, name, field),
        ),
    )
    _check_tests(doc, commands, frozenset(spoken.points))
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
        points=spoken.points,
        actions=spoken.actions,
        services=spoken.services,
        safety=spoken.safety,
        simulator=Simulator(),
        tests=(),
        params=dict(doc.params),
        stream=Stream(
            transport=doc.transport,
            commands=commands,
            alive=doc.alive,
            identify=tuple(doc.identify),
            events=dict(doc.events),
            clips=spoken.clips,
            simulator=doc.simulator,
            tests=tuple(doc.tests),
        ),
    )


def _commands(doc: StreamDoc) -> dict[str, StreamCommand]:
    commands: dict[str, StreamCommand] = {}
    installed = {n: p.tried for n, p in doc.params.items() if isinstance(p.tried, int)}
    for name, command in doc.commands.items():
        path: FieldPath = ("commands", name)
        params = check_limits(command.params, path)
        lacking = sorted(command.tx.names - set(command.params) - set(installed))
        if lacking:
            raise FieldError((*path, "tx"), f"{lacking[0]!r} is no param of this command")
        for bound in ("min", "max"):
            try:
                limits = {n: getattr(p, bound) for n, p in command.params.items()}
                command.tx.render({**installed, **limits})
            except (ValueError, expressions.ExpressionError) as error:
                raise FieldError((*path, "tx"), str(error)) from error
        if command.refusal is not None and command.rx is None:
            raise FieldError((*path, "refusal"), "a device that refuses also says yes (rx)")
        commands[name] = StreamCommand(
            name=name,
            tx=command.tx,
            rx=command.rx,
            params=params,
            once=command.once,
            refusal=command.refusal,
        )
    return commands


def _field_problem(commands: dict[str, StreamCommand], name: str, field: str) -> str | None:
    command = commands[name]
    if command.rx is None:
        return f"{name} has no answer"
    fields = {part.name for part in command.rx.fields}
    return None if field in fields else f"the answer of {name} has no field {field!r}"


def _check_answers(doc: StreamDoc) -> None:
    """An answer must be told from a code by its first byte, which no code can have."""
    if doc.transport.type != "serial_lines":
        for name, event in doc.events.items():
            if event.frame is None:
                raise FieldError(("events", name), "among frames an event needs its own frame")
        return
    given: list[tuple[FieldPath, BytePattern | None]] = [
        (("transport", "skip", index), skip) for index, skip in enumerate(doc.transport.skip)
    ]
    for name, command in doc.commands.items():
        given += [(("commands", name, "rx"), command.rx)]
        given += [(("commands", name, "refusal"), command.refusal)]
    for path, pattern in given:
        if pattern and (pattern.parts[0] is None or pattern.parts[0] in _PRINTABLE):
            raise FieldError(path, "could be the beginning of a code")
    for name, event in doc.events.items():
        if event.frame is not None:
            raise FieldError(("events", name, "frame"), "among lines an event is a line")


def _check_questions(doc: StreamDoc, commands: dict[str, StreamCommand]) -> None:
    asked: list[tuple[FieldPath, str]] = [
        (("identify", index, "command"), step.command) for index, step in enumerate(doc.identify)
    ]
    if doc.alive is not None:
        asked.append((("alive", "command"), doc.alive.command))
    for path, name in asked:
        command = commands.get(name)
        if command is None:
            raise FieldError(path, f"there is no command {name!r}")
        if command.rx is None or command.params:
            raise FieldError(path, f"{name} must have an answer (rx) and no params")
    for index, step in enumerate(doc.identify):
        answer = commands[step.command].rx
        if answer is not None and step.at >= len(answer.parts):
            raise FieldError(("identify", index, "at"), "lies behind the end of the answer")


def _check_tests(
    doc: StreamDoc, commands: dict[str, StreamCommand], points: frozenset[str]
) -> None:
    for index, test in enumerate(doc.tests):
        if test.command is not None and test.command not in commands:
            raise FieldError(("tests", index, "command"), f"there is no command {test.command!r}")
        for point in test.values:
            if point not in points:
                raise FieldError(("tests", index, "values", point), f"there is no point {point!r}")
        for event in test.events:
            for name in event:
                if name not in doc.events:
                    raise FieldError(("tests", index, "events"), f"there is no event {name!r}")
