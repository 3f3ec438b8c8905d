"""A virtual device that is spoken to by messages, made from the ``simulator`` block of its profile.

Pure: a message comes in, it is known for one of the profile's commands by its form, the rules say what
the device does, and what it says comes out. The sockets are in ``mqtt_device`` and ``http_device``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from device_profiles import expressions
from device_profiles.message_schema import HttpRequest, MessageCommandDoc
from device_profiles.profile import Messages, Profile
from device_profiles.spoken import filled, filled_text

_TIMES = re.compile(r"([a-z][a-z0-9_]*) *(//|\*) *(\d+)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Said:
    """What the device says to a command: its answer, if it gives one, and reports by name."""

    command: str
    names: Mapping[str, Any]
    answers: bool
    answer: Any
    reports: dict[str, Any]


@dataclass(slots=True)
class VirtualMessages:
    """One device. ``pulses`` counts commands that act, by command; ``dead``: it says nothing."""

    id: str
    profile: Profile
    params: dict[str, int | str]
    monotonic: Callable[[], float] = time.monotonic
    state: dict[str, Any] = field(init=False)
    heard: list[str] = field(init=False, default_factory=list)
    dead: bool = field(init=False, default=False)
    slow_ms: int = field(init=False, default=0)
    _timers: list[tuple[float, str, dict[str, Any], list[str]]] = field(
        init=False, default_factory=list
    )

    def __post_init__(self) -> None:
        self.state = dict(self.messages.simulator.state)

    @property
    def messages(self) -> Messages:
        """The part of the profile that makes it one. The profile must be of messages."""
        assert self.profile.messages is not None
        return self.profile.messages

    def count(self, command: str) -> int:
        """How often a command came."""
        return self.heard.count(command)

    def report(self, name: str, names: Mapping[str, Any] | None = None) -> Any:
        """The payload of a report as things are now."""
        return filled(self.messages.simulator.reports[name], {**self._names(), **(names or {})})

    def _names(self) -> dict[str, Any]:
        return {**self.params, **self.state}

    def obey(self, command: str, names: Mapping[str, Any]) -> Said:
        """Do what the rules say of ``command``."""
        self.heard.append(command)
        said: dict[str, Any] = {}
        answer: Any = None
        answers = False
        for rule in self.messages.simulator.rules:
            if rule.on != command:
                continue
            known = {**self._names(), **names}
            self.state |= {key: filled(value, known) for key, value in rule.sets.items()}
            known = {**self._names(), **names, **self.state}
            if rule.answers is not None:
                answer, answers = filled(rule.answers, known), True
            if rule.back:
                numbers = {key: v for key, v in known.items() if type(v) is int}
                after_s = expressions.evaluate(rule.after_ms, numbers) / 1000
                back = {key: filled(value, known) for key, value in rule.back.items()}
                self._timers.append((self.monotonic() + after_s, command, back, list(rule.says)))
            said |= {name: self.report(name, names) for name in rule.says}
        return Said(command, names, answers, answer, said)

    def next_timer(self) -> float | None:
        """When ``tick`` must be called next (monotonic seconds)."""
        return min((timer[0] for timer in self._timers), default=None)

    def tick(self) -> dict[str, Any]:
        """Let the device's own timers run out; the reports that it makes of that."""
        now = self.monotonic()
        over = [timer for timer in self._timers if timer[0] <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        says: dict[str, Any] = {}
        for _, _, back, reports in over:
            self.state |= back
            says |= {name: self.report(name) for name in reports}
        return says

    # -- which command is it ----------------------------------------------------------------------

    def published(
        self, topic: str, payload: bytes, document: Any
    ) -> tuple[str, dict[str, Any]] | None:
        """The command that a message on ``topic`` is, with its parameters; None if it is none."""
        for name, command in self.messages.commands.items():
            if command.publish is None or filled_text(command.publish.topic, self.params) != topic:
                continue
            if command.publish.text is not None:
                found = bound(command.publish.text, payload.decode("utf-8", "replace"), self.params)
            else:
                found = bound(command.publish.json_, document, self.params)
            if found is not None:
                return name, self._with_defaults(command, found)
        return None

    def requested(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        document: Any,
        form: Mapping[str, str],
    ) -> tuple[str, dict[str, Any]] | None:
        """The command that an HTTP request is, with its parameters; None if it is none."""
        for name, command in self.messages.commands.items():
            request = command.request
            if request is None or request.method != method:
                continue
            found = _request(request, path, query, document, form, self.params)
            if found is not None:
                return name, self._with_defaults(command, found)
        return None

    def _with_defaults(self, command: MessageCommandDoc, found: dict[str, Any]) -> dict[str, Any]:
        return {name: param.default for name, param in command.params.items()} | found


def _request(
    request: HttpRequest,
    path: str,
    query: Mapping[str, str],
    document: Any,
    form: Mapping[str, str],
    params: Mapping[str, Any],
) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    parts: list[tuple[Any, Any]] = [(request.path, path)]
    parts += [(value, query.get(key)) for key, value in request.query.items()]
    parts += [(value, form.get(key)) for key, value in request.form.items()]
    if set(query) != set(request.query) or set(form) != set(request.form):
        return None
    if request.json_ is not None:
        parts.append((request.json_, document))
    for template, actual in parts:
        more = bound(_texts(template) if not isinstance(actual, dict) else template, actual, params)
        if more is None:
            return None
        found |= more
    return found


def _texts(template: Any) -> Any:
    if isinstance(template, bool):
        return "true" if template else "false"
    return str(template) if isinstance(template, int | float) else template


def bound(template: Any, actual: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of the names in ``template`` that make it ``actual``; None if none do."""
    if isinstance(template, dict):
        if not isinstance(actual, dict) or not set(template) <= set(actual):
            return None
        return _all(((template[key], actual[key]) for key in template), known)
    if isinstance(template, list):
        if not isinstance(actual, list) or len(actual) != len(template):
            return None
        return _all(zip(template, actual, strict=True), known)
    if not isinstance(template, str):
        same = template == actual and isinstance(template, bool) == isinstance(actual, bool)
        return {} if same else None
    if expressions.is_expression(template):
        return _whole(template.strip()[1:-1].strip(), actual, known)
    return _text(template, actual, known) if isinstance(actual, str) else None


def _all(pairs: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for template, actual in pairs:
        more = bound(template, actual, {**known, **found})
        if more is None:
            return None
        found |= more
    return found


def _whole(name: str, actual: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    actual = _plain(actual)
    if _NAME.fullmatch(name):
        if name in known:
            return {} if str(known[name]) == str(actual) else None
        return {name: actual}
    turned = _TIMES.fullmatch(name)
    if turned is not None and type(actual) is int:
        by = int(turned[3])
        return {turned[1]: actual * by if turned[2] == "//" else actual // by}
    return {}


def _text(template: str, actual: str, known: Mapping[str, Any]) -> dict[str, Any] | None:
    parts = re.split(r"\{([^{}]*)\}", template)
    pattern = ""
    names: list[str] = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            pattern += re.escape(part)
        elif part.strip() in known:
            pattern += re.escape(str(known[part.strip()]))
        else:
            names.append(part.strip())
            pattern += "(.+?)"
    found = re.fullmatch(pattern, actual)
    if found is None:
        return None
    values: dict[str, Any] = {}
    for name, value in zip(names, found.groups(), strict=True):
        values |= _whole(name, value, known) or {}
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        if value in ("true", "false"):
            return value == "true"
        if re.fullmatch(r"-?[0-9]{1,15}", value) and str(int(value)) == value:
            return int(value)
    return value
