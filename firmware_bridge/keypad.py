"""Single keys that make a code: until Enter, thrown away by Clear or by a pause. Never logged."""

from __future__ import annotations

from device_profiles.stream_schema import Keys


class Keypad:
    """The keys pressed so far."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._typed = ""
        self._last = 0.0

    def press(self, value: str, now: float) -> str:
        """Press the key that the device says as ``value``; the code if it is whole, else ""."""
        if now - self._last > self._keys.idle_ms / 1000:
            self._typed = ""
        self._last = now
        if value == self._keys.enter:
            typed, self._typed = self._typed, ""
            return typed
        if value == self._keys.clear or len(self._typed) >= self._keys.max_keys:
            self._typed = ""
            return ""
        self._typed += self._keys.keys.get(value, "")
        return ""
