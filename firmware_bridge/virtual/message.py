"""A device that is spoken to by messages, in memory only: made from its profile's ``simulator``.

It is given a message (``hear``) or a request (``serve``) and says what the device would: no broker, no
socket, so that a transport's server can be put around it. It knows the profile's templates from the
other side: what is sent to it is taken apart by the same text that the sender filled in.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from device_profiles import expressions, spoken
from device_profiles.message_schema import MessageCommandDoc, SimRule
from device_profiles.profile import Messages, Profile

_WHOLE = re.compile(r"\{\s*([a-z][a-z0-9_]*)\s*\}")


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the device."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class VirtualMessageDevice:
    """One virtual device. ``heard`` names the commands that came, in order. Not thread-safe."""

    profile: Profile
    installed: Mapping[str, spoken.Scalar] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic
    dead: bool = False
    heard: list[str] = field(default_factory=list, init=False)
    state: dict[str, Any] = field(init=False)
    _back: list[tuple[float, dict[str, Any]]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        given = {**self.profile.tried(), **self.installed}
        self.installed = dict(self.profile.settings(given).params)
        self.state = dict(self._messages.simulator.state)

    @property
    def _messages(self) -> Messages:
        assert self.profile.messages is not None
        return self.profile.messages

    def set(self, **changes: Any) -> list[Said]:
        """Change its state from outside, as a door that opens; the reports that tell of it."""
        self.state |= changes
        return [] if self.dead else [self._report(n) for n in self._messages.simulator.reports]

    def topics(self) -> list[str]:
        """The topics that it listens to."""
        found = [c.publish.topic for c in self._messages.commands.values() if c.publish]
        return list(dict.fromkeys(spoken.filled_text(topic, self.installed) for topic in found))

    def next_timer(self) -> float | None:
        """When (monotonic seconds) ``tick`` must be called next; None if nothing runs."""
        return min((at for at, _ in self._back), default=None)

    def tick(self) -> list[Said]:
        """Give back what its own timer gives back; the reports that tell of it."""
        now = self.monotonic()
        due = [change for at, change in self._back if at <= now]
        self._back = [(at, change) for at, change in self._back if at > now]
        for change in due:
            self.state |= change
        return [self._report(name) for name in self._messages.simulator.reports] if due else []

    # -- MQTT -------------------------------------------------------------------------------------

    def hear(self, topic: str, payload: bytes) -> list[Said]:
        """What it says to a message; nothing to one that is none of its own."""
        if self.dead:
            return []
        for name, command in self._messages.commands.items():
            if command.publish is None:
                continue
            captured = _match(command.publish.topic, topic, self.installed)
            if captured is None:
                continue
            captured = self._body(command, payload, captured)
            if captured is not None:
                return self._do(name, command, captured)
        return []

    def _body(
        self, command: MessageCommandDoc, payload: bytes, captured: dict[str, Any]
    ) -> dict[str, Any] | None:
        out = command.publish
        assert out is not None
        try:
            document = spoken.parsed(payload, text=out.text is not None)
        except spoken.ValueFault:
            return None
        template = out.text if out.text is not None else out.json_
        inside = _match(template, document, {**self.installed, **captured})
        return None if inside is None else captured | inside

    def _do(self, name: str, command: MessageCommandDoc, names: dict[str, Any]) -> list[Said]:
        self.heard.append(name)
        said = []
        for rule in self._rules(name):
            self._change(rule, names)
            if rule.answers is not None and command.answer and command.answer.topic:
                topic = spoken.filled_text(command.answer.topic, {**self._names(), **names})
                said.append(Said(topic, self._payload(rule.answers, names)))
            said += [self._report(report) for report in rule.says]
        return said

    # -- HTTP -------------------------------------------------------------------------------------

    def serve(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of its response. ``target`` is path and query."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        for name, command in self._messages.commands.items():
            request = command.request
            if request is None or request.method != method or self.dead:
                continue
            captured = _match(request.path, parts.path, self.installed)
            for template, sent in (
                (request.query, query),
                (request.form, _form(body, request.form)),
            ):
                if captured is not None:
                    inside = _match(template, sent, {**self.installed, **captured})
                    captured = None if inside is None else captured | inside
            if captured is not None and request.json_ is not None:
                try:
                    document = spoken.parsed(body, text=False)
                except spoken.ValueFault:
                    return 400, b'{"message":"no JSON"}'
                inside = _match(request.json_, document, {**self.installed, **captured})
                captured = None if inside is None else captured | inside
            if captured is not None:
                return 200, self._answer(name, captured)
        return 404, b'{"message":"not found"}'

    def _answer(self, name: str, names: dict[str, Any]) -> bytes:
        self.heard.append(name)
        self.tick()
        answer = b"{}"
        for rule in self._rules(name):
            self._change(rule, names)
            if rule.answers is not None:
                answer = self._payload(rule.answers, names)
        return answer

    # -- both -------------------------------------------------------------------------------------

    def _rules(self, name: str) -> list[SimRule]:
        return [rule for rule in self._messages.simulator.rules if rule.when == name]

    def _change(self, rule: SimRule, names: dict[str, Any]) -> None:
        self.state |= spoken.filled(dict(rule.sets), {**self._names(), **names})
        if rule.back:
            numbers = {key: v for key, v in names.items() if type(v) is int}
            after_ms = expressions.evaluate(rule.after_ms, numbers)
            self._back.append((self.monotonic() + after_ms / 1000, dict(rule.back)))

    def _names(self) -> dict[str, Any]:
        return {**self.installed, **self.state}

    def _payload(self, template: Any, names: dict[str, Any]) -> bytes:
        filled = spoken.filled(template, {**names, **self._names()})
        return filled.encode() if isinstance(filled, str) else json.dumps(filled).encode()

    def _report(self, name: str) -> Said:
        topic = spoken.filled_text(self._messages.reports[name].topic, self.installed)
        return Said(topic, self._payload(self._messages.simulator.reports[name], {}))


def _form(body: bytes, template: Mapping[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"))) if template else {}


def _match(template: Any, sent: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The names with which ``template`` becomes ``sent``; None where it cannot."""
    if isinstance(template, dict):
        if not isinstance(sent, dict) or set(template) != set(sent):
            return None
        found: dict[str, Any] = {}
        for key, value in template.items():
            inside = _match(value, sent[key], {**known, **found})
            if inside is None:
                return None
            found |= inside
        return found
    if isinstance(template, str) and (whole := _WHOLE.fullmatch(template)):
        if whole[1] not in known:
            return {whole[1]: sent}
        template = known[whole[1]]
    elif isinstance(template, str):
        template = expressions.replaced(template, lambda n: str(known.get(n, "{" + n + "}")))
        if "{" in template:
            return None
    same = str(template) == str(sent) if isinstance(sent, str) else template == sent
    return {} if same and isinstance(template, bool) == isinstance(sent, bool) else None
