"""The error of a rule that spans several fields of a profile file."""

from __future__ import annotations

from device_profiles.source import FieldPath


class FieldError(ValueError):
    """A rule that spans several fields is broken; ``path`` is the field to look at."""

    def __init__(self, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.path = path
