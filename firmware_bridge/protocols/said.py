"""What a stream's lines and frames say: which event, and its value. No I/O, no clock.

A line is the event itself, a frame carries it in a field, and a keypad says it key by key. Values open
doors: they are handed on and never shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device_profiles.profile import Stream
from device_profiles.stream_schema import Keys
from firmware_bridge.protocols.stream import Answer, Line


@dataclass(slots=True)
class _Typed:
    keys: list[str] = field(default_factory=list, repr=False)
    at: float = 0.0


class Hearing:
    """Feed it what the splitter finds; it gives the events there are, as (name, value)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._typed: dict[str, _Typed] = {}

    def feed(self, item: Line | Answer, now: float) -> list[tuple[str, str]]:
        """The events that ``item``, which came at ``now`` (seconds), completes."""
        found: list[tuple[str, str]] = []
        for name, event in self._stream.events.items():
            if isinstance(item, Line) and event.frame is None:
                if item.text.startswith(event.prefix) and len(item.text) > len(event.prefix):
                    found.append((name, item.text[len(event.prefix) :]))
            elif isinstance(item, Answer) and event.frame and event.frame.matches(item.data):
                value = str(event.frame.read(item.data)[event.field or ""])
                typed = value if event.keypad is None else self._key(name, value, event.keypad, now)
                if typed:
                    found.append((name, typed))
        return found

    def _key(self, event: str, value: str, keypad: Keys, now: float) -> str:
        """The code that a key ends; nothing while it is being typed."""
        typed = self._typed.setdefault(event, _Typed())
        if now - typed.at > keypad.idle_ms / 1000:
            typed.keys.clear()
        typed.at = now
        if value in (keypad.enter, keypad.clear):
            code = "".join(typed.keys)
            typed.keys.clear()
            return code if value == keypad.enter and len(code) <= keypad.max_keys else ""
        if value in keypad.keys and len(typed.keys) <= keypad.max_keys:
            typed.keys.append(keypad.keys[value])
        return ""
