"""Points, actions and capabilities of spoken devices, references resolved and rules checked.

Frames and messages share it: a command is known here by its parameters, a source of values by whether
it can hold the field that a point wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from device_profiles import capabilities, expressions
from device_profiles.errors import FieldError
from device_profiles.expand import channels_of, check_service, choice_of, confirm_of, unrolled
from device_profiles.message_schema import OneOf
from device_profiles.profile import Action, CallSpec, ParamLimits, Point, Service, Taken, Told
from device_profiles.sections import ActionParam, Safety
from device_profiles.source import FieldPath
from device_profiles.spoken_schema import (
    From,
    SpokenAction,
    SpokenCapability,
    SpokenPoint,
    SpokenSafety,
    To,
)

Limits = Mapping[str, ParamLimits | OneOf]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be said to a device, and heard from it. ``problem(command or report, field)`` is what
    is wrong with taking that field from there, None if nothing.
    """

    commands: Mapping[str, Limits]
    once: frozenset[str]
    reports: frozenset[str]
    problem: Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Spoken:
    """The parts of a profile that are the same for frames and messages."""

    points: dict[str, Point]
    actions: dict[str, Action]
    services: dict[tuple[str, int | None], Service]
    clips: dict[str, dict[str, int]]
    safety: Safety


def expand_spoken(
    points: Mapping[str, SpokenPoint],
    actions: Mapping[str, SpokenAction],
    offered: Mapping[str, SpokenCapability],
    events: frozenset[str],
    safety: SpokenSafety,
    words: Vocabulary,
) -> Spoken:
    """Raises FieldError at the first rule that is broken."""
    known_points = _points(points, words)
    known_actions = _actions(actions, known_points, words)
    services: dict[tuple[str, int | None], Service] = {}
    clips: dict[str, dict[str, int]] = {}
    for name, capability in offered.items():
        path: FieldPath = ("capabilities", name)
        rule = capabilities.RULES.get(name)
        if rule is None:
            raise FieldError(path, f"is no capability; there are {', '.join(capabilities.RULES)}")
        if capability.event is not None or capability.command is not None:
            _check_said(capability, rule, events, words, path)
            served = capability.command or capability.event
            services[(name, None)] = Service(None, served, invert=False)
            clips |= {clip: dict(params) for clip, params in capability.clips.items()}
            continue
        if rule.need in ("event", "clip command"):
            raise FieldError(path, f"this capability needs a {rule.need} ({rule.meaning})")
        for channel in channels_of(capability.channels, path):
            service = _service(capability, {} if channel is None else {"ch": channel}, path)
            check_service(service, rule, known_points, known_actions, path)
            services[(name, channel)] = service
    return Spoken(
        known_points,
        known_actions,
        services,
        clips,
        Safety(
            on_start=safety.on_start,
            on_bus_lost=safety.on_bus_lost,
            on_power_up=safety.on_power_up,
            egress=safety.egress,
            fail=safety.fail,
            max_on_s=safety.max_on_s,
        ),
    )


# -- points -------------------------------------------------------------------------------------------


def _points(docs: Mapping[str, SpokenPoint], words: Vocabulary) -> dict[str, Point]:
    points: dict[str, Point] = {}
    for name, doc in docs.items():
        path: FieldPath = ("points", name)
        for full_name, known in unrolled(name, doc.repeat, path):
            points[full_name] = Point(
                name=full_name,
                type=doc.type,
                access=doc.access,
                unit=doc.unit,
                read=None,
                write=None,
                poll_group=None,
                poll_period_ms=doc.every_ms,
                stale_after_ms=doc.stale_after_ms or 3 * (doc.every_ms or 20_000),
                counter=doc.counter,
                taken=_taken(doc, doc.from_, known, words, (*path, "from")) if doc.from_ else None,
                told=_told(doc, doc.to, known, words, (*path, "to")) if doc.to else None,
                assumed=doc.assumed,
            )
    for full_name, point in points.items():
        for other in point.told.keep.values() if point.told else ():
            if other not in points:
                at = ("points", full_name.split(".")[0], "to", "keep")
                raise FieldError(at, f"there is no point {other!r}")
    return points


def _taken(
    doc: SpokenPoint, taken: From, known: Mapping[str, int], words: Vocabulary, path: FieldPath
) -> Taken:
    source = taken.command or taken.report or ""
    if taken.report is not None and source not in words.reports:
        raise FieldError((*path, "report"), f"there is no report {source!r}")
    if taken.report is not None and taken.params:
        raise FieldError((*path, "params"), "a report is not asked for, so it takes no params")
    params: dict[str, int] = {}
    if taken.command is not None:
        params = _numbers(taken.params, known, (*path, "params"))
        _check_params(source, params, words, path)
    problem = words.problem(source, taken.field)
    if problem is not None:
        raise FieldError((*path, "field"), problem)
    if taken.bit is not None and doc.type != "bool":
        raise FieldError((*path, "bit"), "only a bool is one bit")
    bit = None if taken.bit is None else _number(taken.bit, known, (*path, "bit"))
    values = None if taken.values is None else dict(taken.values)
    return Taken(source, taken.report is not None, params, taken.field, bit, values, taken.scale)


def _told(
    doc: SpokenPoint, to: To, known: Mapping[str, int], words: Vocabulary, path: FieldPath
) -> Told:
    params = _numbers(to.params, known, (*path, "params"))
    _check_params(to.command, params, words, path, besides={to.value, *to.keep})
    for name in (to.value, *to.keep):
        if name not in words.commands[to.command]:
            raise FieldError(path, f"{to.command} takes no {name!r}")
    if doc.type == "bool" and to.values is not None and set(to.values) != {"on", "off"}:
        raise FieldError((*path, "values"), 'must give what is said for "on" and "off"')
    if to.command in words.once:
        raise FieldError((*path, "command"), "a level may be said again, so not by a once command")
    values = None if to.values is None else {str(key): value for key, value in to.values.items()}
    return Told(to.command, params, to.value, values, dict(to.keep))


def _numbers(
    params: Mapping[str, int | str], known: Mapping[str, int], path: FieldPath
) -> dict[str, int]:
    return {name: _number(value, known, (*path, name)) for name, value in params.items()}


def _number(value: int | str, known: Mapping[str, int], path: FieldPath) -> int:
    try:
        return expressions.evaluate(value, known)
    except expressions.ExpressionError as error:
        raise FieldError(path, str(error)) from error


def _check_params(
    command: str,
    params: Mapping[str, int],
    words: Vocabulary,
    path: FieldPath,
    besides: frozenset[str] | set[str] = frozenset(),
) -> None:
    limits = words.commands.get(command)
    if limits is None:
        raise FieldError((*path, "command"), f"there is no command {command!r}")
    for name, value in params.items():
        limit = limits.get(name)
        if limit is None or name in besides:
            raise FieldError((*path, "params", name), f"{command} takes no {name!r} here")
        if isinstance(limit, OneOf) or not limit.accepts(value):
            raise FieldError((*path, "params", name), f"{command} does not take {value} for it")


# -- actions ------------------------------------------------------------------------------------------


def _actions(
    docs: Mapping[str, SpokenAction], points: Mapping[str, Point], words: Vocabulary
) -> dict[str, Action]:
    actions: dict[str, Action] = {}
    for name, doc in docs.items():
        path: FieldPath = ("actions", name)
        limits = check_limits(doc.params, path)
        if (doc.effect == "pulse") != (doc.do.command in words.once):
            raise FieldError((*path, "do"), "a pulse is a once command, and a level is none")
        for full_name, known in unrolled(name, doc.repeat, path):
            params = {
                key: _bound(value, known, limits, (*path, "do", "params", key))
                for key, value in doc.do.params.items()
            }
            for end in ("min", "max"):
                env = {key: getattr(limit, end) for key, limit in limits.items()}
                tried = _numbers(params, env, (*path, "do", "params"))
                _check_params(doc.do.command, tried, words, (*path, "do"))
            actions[full_name] = Action(
                name=full_name,
                params=limits,
                do=None,
                confirm=confirm_of(doc.confirm, points, known, (*path, "confirm")),
                effect=doc.effect,
                call=CallSpec(doc.do.command, params),
            )
    return actions


def _bound(
    value: int | str, known: Mapping[str, int], limits: Mapping[str, ParamLimits], path: FieldPath
) -> int | str:
    try:
        bound = expressions.bind(value, known)
        lacking = sorted(expressions.names(bound) - set(limits))
    except expressions.ExpressionError as error:
        raise FieldError(path, str(error)) from error
    if lacking:
        raise FieldError(path, f"{lacking[0]!r} is neither a param nor the repeat")
    return bound


def check_limits(params: Mapping[str, ActionParam], path: FieldPath) -> dict[str, ParamLimits]:
    """The limits of ``params``. Raises FieldError where a default lies outside its own."""
    for name, limits in params.items():
        if not (limits.min <= limits.default <= limits.max):
            raise FieldError((*path, "params", name), "the default lies outside min and max")
    return {n: ParamLimits(p.min, p.max, p.step, p.default) for n, p in params.items()}


# -- capabilities -------------------------------------------------------------------------------------


def _service(capability: SpokenCapability, known: Mapping[str, int], path: FieldPath) -> Service:
    def named(key: str, text: str | None) -> str | None:
        try:
            return None if text is None else expressions.fill(text, known)
        except expressions.ExpressionError as error:
            raise FieldError((*path, key), str(error)) from error

    return Service(
        named("point", capability.point),
        named("action", capability.action),
        capability.invert,
        capability.min,
        capability.max,
        choice_of(capability.mode, named),
        choice_of(capability.fan, named),
    )


def _check_said(
    capability: SpokenCapability,
    rule: capabilities.CapabilityRule,
    events: frozenset[str],
    words: Vocabulary,
    path: FieldPath,
) -> None:
    wanted = {"event": capability.event, "clip command": capability.command}.get(rule.need)
    if wanted is None:
        raise FieldError(path, f"this capability needs a {rule.need} ({rule.meaning})")
    if capability.channels is not None:
        raise FieldError((*path, "channels"), "an event or a clip has no channels")
    if capability.event is not None:
        if capability.event not in events:
            raise FieldError((*path, "event"), f"there is no event {capability.event!r}")
        return
    name = capability.command or ""
    limits = words.commands.get(name)
    if limits is None:
        raise FieldError((*path, "command"), f"there is no command {name!r}")
    if name not in words.once:
        raise FieldError((*path, "command"), f"{name} must be sent once only")
    if not capability.clips:
        raise FieldError((*path, "clips"), "must name the clips there are")
    for clip, params in capability.clips.items():
        numbers = {key: limit for key, limit in limits.items() if isinstance(limit, ParamLimits)}
        fits = set(params) == set(limits) == set(numbers)
        if not fits or not all(numbers[key].accepts(value) for key, value in params.items()):
            raise FieldError((*path, "clips", clip), f"does not fit the params of {name}")
