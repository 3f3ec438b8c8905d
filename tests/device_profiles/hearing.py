"""What a line device's bytes come to, as the bridge takes them: events by name."""

from __future__ import annotations

from device_profiles.profile import Stream
from firmware_bridge.keypad import Keypad
from firmware_bridge.protocols.stream import Answer, Line


class Hearing:
    """Feed it what the splitter finds; it gives the events there are, as (name, value)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._keypads = {n: Keypad(e.keypad) for n, e in stream.events.items() if e.keypad}

    def feed(self, item: Line | Answer, now: float) -> list[tuple[str, str]]:
        """The events that ``item``, which came at ``now`` (seconds), completes."""
        found: list[tuple[str, str]] = []
        for name, event in self._stream.events.items():
            if isinstance(item, Line) and event.frame is None:
                if item.text.startswith(event.prefix):
                    found.append((name, item.text.removeprefix(event.prefix)))
            elif isinstance(item, Answer) and event.frame and event.frame.matches(item.data):
                value = str(event.frame.read(item.data)[event.field or ""])
                keypad = self._keypads.get(name)
                found.append((name, value if keypad is None else keypad.press(value, now)))
        return [(name, value) for name, value in found if value]
