"""One level of ``extends``: a family of models in which each file says only how it differs.

Mappings are merged key by key, lists and values replaced; ``null`` takes away what the base has. Who a
board is, and how far it is to be trusted, is never inherited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device_profiles.source import FieldPath, Source, read_source

OWN = (
    "schema",
    "id",
    "revision",
    "kind",
    "vendor",
    "model",
    "aliases",
    "sources",
    "verified",
    "tests",
)
"""Keys that a file must give for itself."""


def inherited(source: Source, folder: Path) -> Source:
    """``source`` with what its base gives. Raises ProfileError where the base cannot be one."""
    base_id = source.data.get("extends")
    if base_id is None:
        return source
    at: FieldPath = ("extends",)
    if not isinstance(base_id, str) or not (folder / f"{base_id}.yaml").is_file():
        raise source.error(at, f"there is no profile {base_id!r} in the same folder")
    base = read_source(folder / f"{base_id}.yaml")
    if "extends" in base.data:
        raise source.error(at, f"{base_id} extends another itself; only one level is allowed")
    own = {key: value for key, value in base.data.items() if key not in OWN}
    return Source(source.shown, _merged(own, source.data), source.lines)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
