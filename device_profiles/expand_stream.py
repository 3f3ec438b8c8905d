"""From the shape of a line device's file to a profile in use: references resolved, rules checked."""

from __future__ import annotations

from device_profiles import capabilities, expressions
from device_profiles.errors import FieldError
from device_profiles.profile import ParamLimits as Limits
from device_profiles.profile import Profile, Service, Stream, StreamCommand
from device_profiles.schema import Safety, Simulator
from device_profiles.source import FieldPath
from device_profiles.stream_schema import StreamCapability, StreamDoc

_PRINTABLE = range(0x20, 0x7F)
# A line device opens and cuts nothing; what the other devices must say of themselves holds by nature.
_SAFETY = Safety(on_start="leave", on_bus_lost="alarm", on_power_up="off", egress="hardware")


def expand_stream(doc: StreamDoc) -> Profile:
    """The profile of ``doc``. Raises FieldError at the first rule that is broken."""
    commands = _commands(doc)
    _check_answers(doc)
    _check_questions(doc, commands)
    services: dict[tuple[str, int | None], Service] = {}
    clips: dict[str, dict[str, int]] = {}
    for name, capability in doc.capabilities.items():
        _check_capability(doc, commands, name, capability)
        services[(name, None)] = Service(None, capability.command or capability.event, False)
        clips |= {clip: dict(params) for clip, params in capability.clips.items()}
    _check_tests(doc, commands)
    return Profile(
        id=doc.id,
        revision=doc.revision,
        kind=doc.kind,
        vendor=doc.vendor,
        model=doc.model,
        verified=doc.verified,
        caveats=tuple(caveat.text for caveat in doc.caveats),
        sources=tuple(" ".join(filter(None, (s.title, s.url, s.note))) for s in doc.sources),
        transport=doc.transport,
        identify=(),
        points={},
        actions={},
        services=services,
        safety=_SAFETY,
        simulator=Simulator(),
        tests=(),
        stream=Stream(
            transport=doc.transport,
            commands=commands,
            alive=doc.alive,
            identify=tuple(doc.identify),
            events=dict(doc.events),
            clips=clips,
            simulator=doc.simulator,
            tests=tuple(doc.tests),
        ),
    )


def _commands(doc: StreamDoc) -> dict[str, StreamCommand]:
    commands: dict[str, StreamCommand] = {}
    for name, command in doc.commands.items():
        path: FieldPath = ("commands", name)
        for param, limits in command.params.items():
            if not (limits.min <= limits.default <= limits.max):
                raise FieldError((*path, "params", param), "the default lies outside min and max")
        lacking = sorted(command.tx.names - set(command.params))
        if lacking:
            raise FieldError((*path, "tx"), f"{lacking[0]!r} is no param of this command")
        for bound in ("min", "max"):
            try:
                command.tx.render({n: getattr(p, bound) for n, p in command.params.items()})
            except (ValueError, expressions.ExpressionError) as error:
                raise FieldError((*path, "tx"), str(error)) from error
        commands[name] = StreamCommand(
            name=name,
            tx=command.tx,
            rx=command.rx,
            params={n: Limits(p.min, p.max, p.step, p.default) for n, p in command.params.items()},
            once=command.once,
        )
    return commands


def _check_answers(doc: StreamDoc) -> None:
    """An answer must be told from a code by its first byte, which no code can have."""
    if doc.transport.type != "serial_lines":
        return
    for index, skip in enumerate(doc.transport.skip):
        if skip.parts[0] is None or skip.parts[0] in _PRINTABLE:
            raise FieldError(("transport", "skip", index), "could be the beginning of a code")
    for name, command in doc.commands.items():
        if command.rx and (command.rx.parts[0] is None or command.rx.parts[0] in _PRINTABLE):
            raise FieldError(("commands", name, "rx"), "could be the beginning of a code")


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


def _check_capability(
    doc: StreamDoc, commands: dict[str, StreamCommand], name: str, capability: StreamCapability
) -> None:
    path: FieldPath = ("capabilities", name)
    rule = capabilities.RULES.get(name)
    if rule is None:
        raise FieldError(path, f"is no capability; there are {', '.join(capabilities.RULES)}")
    wanted = {"event": capability.event, "clip command": capability.command}.get(rule.need)
    if wanted is None:
        raise FieldError(path, f"this capability needs a {rule.need} ({rule.meaning})")
    if capability.event is not None:
        if capability.event not in doc.events:
            raise FieldError((*path, "event"), f"there is no event {capability.event!r}")
        return
    command = commands.get(capability.command or "")
    if command is None:
        raise FieldError((*path, "command"), f"there is no command {capability.command!r}")
    if not command.once:
        raise FieldError((*path, "command"), f"{command.name} must be sent once only")
    if not capability.clips:
        raise FieldError((*path, "clips"), "must name the clips there are")
    for clip, params in capability.clips.items():
        fits = set(params) == set(command.params)
        if not fits or not all(command.params[key].accepts(value) for key, value in params.items()):
            raise FieldError((*path, "clips", clip), f"does not fit the params of {command.name}")


def _check_tests(doc: StreamDoc, commands: dict[str, StreamCommand]) -> None:
    for index, test in enumerate(doc.tests):
        if test.command is not None and test.command not in commands:
            raise FieldError(("tests", index, "command"), f"there is no command {test.command!r}")
        for event in test.events:
            for name in event:
                if name not in doc.events:
                    raise FieldError(("tests", index, "events"), f"there is no event {name!r}")
