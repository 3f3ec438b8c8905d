"""What is sent to a spoken device, and what its answers mean. No I/O, no clock.

``call_of_write`` and ``call_of_action`` turn a point or an action into a command with parameters;
``outgoing`` (messages) or the command's template (frames) turns that into what goes out; ``judge`` says
what an answer is; ``value_of`` takes a point's value from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

from device_profiles import expressions
from device_profiles.message_schema import AnswerDoc, MessageCommandDoc, OneOf
from device_profiles.profile import Action, ParamLimits, Point, Profile, ProfileError
from device_profiles.sections import ActionParam

Scalar = bool | int | float | str
Names = Mapping[str, Scalar]

TRIED_NAMES: dict[str, Scalar] = {
    "seq": 1,
    "reply_to": "kaimen/reply",
    "now_ms": 1_700_000_000_000,
}
"""What the one who sends adds to the names of a command, as golden tests have it."""

_DEEPEST = 8  # of JSON; no device known sends more


class ValueFault(ValueError):
    """What a device said of a point cannot be its value; the text says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command with all its parameters."""

    command: str
    params: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to go out: to ``topic``, or as a request (``method``, ``path`` with its query)."""

    payload: bytes = field(repr=False)  # may hold a key
    topic: str | None = None
    method: str | None = None
    path: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


# -- from a wish to a command -----------------------------------------------------------------------


def call_of(profile: Profile, command: str, given: Mapping[str, Scalar]) -> Call:
    """``command`` with ``given``, and the defaults of what is not given.

    Raises ProfileError naming the parameter that breaks its limits.
    """
    limits = _limits(profile, command)
    unknown = sorted(set(given) - set(limits))
    if unknown:
        raise ProfileError(f"{profile.id}: {command} takes no {unknown[0]}")
    params = {name: given.get(name, limit.default) for name, limit in limits.items()}
    for name, limit in limits.items():
        if not _accepts(limit, params[name]):
            raise ProfileError(
                f"{profile.id}: {command}: {name} must be {_shown(limit)}, not {params[name]!r}"
            )
    return Call(command, params)


def call_of_write(
    profile: Profile, point_name: str, value: Scalar, known: Names, installed: Names
) -> Call:
    """The command that sets a point. ``known`` are the last values of the profile's points,
    ``installed`` the install params.

    Raises ProfileError where the point cannot be set so.
    """
    point = profile.points[point_name]
    if point.told is None:
        raise ProfileError(f"{profile.id}: {point_name} can only be read")
    told = point.told
    given: dict[str, Scalar] = dict(told.params)
    for param, other in told.keep.items():
        if other in known:
            given[param] = _said(profile.points[other], known[other], installed)
    given[told.value] = _said(point, value, installed)
    return call_of(profile, told.command, given)


def call_of_action(profile: Profile, action: Action, given: Mapping[str, int]) -> Call:
    """The command of an action. Raises ProfileError if a parameter breaks its limits."""
    unknown = sorted(set(given) - set(action.params))
    if unknown:
        raise ProfileError(f"{profile.id}: {action.name} takes no {unknown[0]}")
    env = {name: given.get(name, limits.default) for name, limits in action.params.items()}
    for name, limits in action.params.items():
        if not limits.accepts(env[name]):
            raise ProfileError(
                f"{profile.id}: {action.name}: {name} must be {_shown(limits)}, not {env[name]}"
            )
    if action.call is None:
        raise ProfileError(f"{profile.id}: {action.name} is no command")
    params = {name: expressions.evaluate(v, env) for name, v in action.call.params.items()}
    return call_of(profile, action.call.command, params)


def _limits(profile: Profile, command: str) -> dict[str, ParamLimits | OneOf]:
    if profile.stream is not None and command in profile.stream.commands:
        return dict(profile.stream.commands[command].params)
    if profile.messages is not None and command in profile.messages.commands:
        return {
            name: limits_of(param) if isinstance(param, ActionParam) else param
            for name, param in profile.messages.commands[command].params.items()
        }
    raise ProfileError(f"{profile.id}: there is no command {command!r}")


def limits_of(param: ActionParam) -> ParamLimits:
    """The limits that a file gives a number."""
    return ParamLimits(param.min, param.max, param.step, param.default)


def _accepts(limit: ParamLimits | OneOf, value: Scalar) -> bool:
    if isinstance(limit, OneOf):
        return any(value == one and type(value) is type(one) for one in limit.one_of)
    return isinstance(value, int) and not isinstance(value, bool) and limit.accepts(value)


def _shown(limit: ParamLimits | OneOf) -> str:
    if isinstance(limit, OneOf):
        return "one of " + ", ".join(map(str, limit.one_of))
    return f"{limit.min} to {limit.max} in steps of {limit.step}"


def _said(point: Point, value: Scalar, installed: Names) -> Scalar:
    if point.told is not None and point.told.values is not None:
        said: Scalar = filled(point.told.values["on" if value else "off"], installed)
        return said
    return value


# -- from a command to a message ----------------------------------------------------------------------


def outgoing(command: MessageCommandDoc, names: Names) -> Outgoing:
    """The message of ``command``. ``names``: install params, the call's params, ``seq``, ``reply_to`` …

    Raises ExpressionError for a name without a value.
    """
    if command.publish is not None:
        out = command.publish
        payload = (
            str(filled(out.text, names)).encode()
            if out.text is not None
            else _json(out.json_, names)
        )
        return Outgoing(payload, topic=str(filled_text(out.topic, names)))
    request = command.request
    assert request is not None  # one of the two is given
    path = filled_text(request.path, names, escape=True)
    if request.query:
        pairs = [(key, _plain(filled(value, names))) for key, value in request.query.items()]
        path += "?" + urlencode(pairs, quote_via=quote)
    headers = {key: filled_text(value, names) for key, value in request.headers.items()}
    payload = b""
    if request.json_ is not None:
        payload = _json(request.json_, names)
        headers["Content-Type"] = "application/json"
    elif request.form:
        pairs = [(key, _plain(filled(value, names))) for key, value in request.form.items()]
        payload = urlencode(pairs).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    return Outgoing(payload, method=request.method, path=path, headers=headers)


def _json(template: Any, names: Names) -> bytes:
    return json.dumps(filled(template, names), ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def filled(template: Any, names: Names) -> Any:
    """``template`` with each ``{name}`` in its texts put in, mappings and lists walked through."""
    if isinstance(template, dict):
        return {key: filled(value, names) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, names) for value in template]
    if not isinstance(template, str):
        return template
    name = template.strip()[1:-1].strip() if expressions.is_expression(template) else ""
    if name in names:
        return names[name]
    if name:
        numbers = {key: v for key, v in names.items() if type(v) is int}
        return expressions.evaluate(template, numbers)
    return filled_text(template, names)


def filled_text(template: str, names: Names, *, escape: bool = False) -> str:
    """A text with names put in as texts; ``escape``: as parts of an address."""

    def put(name: str) -> str:
        value = _plain(filled("{" + name + "}", names))
        return quote(value, safe="") if escape else value

    return expressions.replaced(template, put)


# -- from an answer to what it means ------------------------------------------------------------------

Verdict = Literal["other", "done", "refused"]


def parsed(payload: bytes, *, text: bool) -> Any:
    """The document of a payload. Raises ValueFault where it is none."""
    try:
        decoded = payload.decode("utf-8")
        document = decoded if text else json.loads(decoded)
    except (ValueError, RecursionError):
        raise ValueFault("what came is no text" if text else "what came is no JSON") from None
    if not text and _depth(document) > _DEEPEST:
        raise ValueFault("what came is no JSON of a device")
    return document


def _depth(document: Any) -> int:
    deepest, level = 0, [document]
    while level and deepest <= _DEEPEST:
        inner = [v for d in level if isinstance(d, dict | list) for v in _members(d)]
        level, deepest = inner, deepest + bool(inner)
    return deepest


def _members(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def point_at(document: Any, pointer: str) -> Any:
    """What stands at a JSON pointer; the whole for an empty one. Raises ValueFault if nothing does."""
    found = document
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step[:6]) < len(found):
            found = found[int(step[:6])]
        else:
            raise ValueFault(f"there is no {pointer} in what came")
    return found


def judge(answer: AnswerDoc, document: Any, names: Names) -> tuple[Verdict, str]:
    """Whether ``document`` is the answer at all, and whether it says that it was done."""
    for pointer, wanted in answer.match.items():
        if not _equals(document, pointer, filled(wanted, names)):
            return "other", ""
    if answer.error is not None:
        try:
            said = point_at(document, answer.error)
        except ValueFault:
            said = None
        if said not in (None, "", [], {}):
            return "refused", str(said)[:200]
    for pointer, wanted in answer.equals.items():
        if not _equals(document, pointer, filled(wanted, names)):
            return "refused", f"{pointer or 'the answer'} is not {filled(wanted, names)!r}"
    return "done", ""


def _equals(document: Any, pointer: str, wanted: Scalar) -> bool:
    try:
        found = point_at(document, pointer)
    except ValueFault:
        return False
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def value_of(point: Point, fields: Any) -> Scalar:
    """The value of ``point`` in an answer: a frame's fields, or a document. Raises ValueFault."""
    taken = point.taken
    if taken is None:
        raise ValueFault(f"{point.name} is not taken from an answer")
    raw = point_at(fields, taken.field) if not _is_name(taken.field) else fields.get(taken.field)
    if taken.values is not None:
        key = _plain(raw)
        if key not in taken.values:
            raise ValueFault(f"{point.name} says something unknown")
        raw = taken.values[key]
    if taken.bit is not None:
        if type(raw) is not int or raw < 0:
            raise ValueFault(f"{point.name} is no whole number to take a bit of")
        return bool(raw >> taken.bit & 1)
    return _typed(point, raw, taken.scale)


def _is_name(pointer: str) -> bool:
    return bool(pointer) and not pointer.startswith("/")


def _typed(point: Point, raw: Any, scale: float | int) -> Scalar:
    if point.type == "bool":
        if raw in (0, 1) and isinstance(raw, int):
            return bool(raw)
        raise ValueFault(f"{point.name} is neither on nor off")
    if point.type == "text":
        if isinstance(raw, str) and len(raw) <= 4096:
            return raw
        raise ValueFault(f"{point.name} is no text")
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueFault(f"{point.name} is no number")
    number = raw * scale
    if not -1e15 < number < 1e15:
        raise ValueFault(f"{point.name} is no number of this world")
    return round(number) if point.type == "int" else float(number)
