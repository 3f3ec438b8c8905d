"""docs/settings.md, made from the settings themselves, so that it cannot lag behind (a test compares)."""

from __future__ import annotations

from pydantic_core import PydanticUndefined

from cloud_api.settings import Settings

_HEAD = """# Settings of the cloud

Read from environment variables. Made by `kaimen-cloud settings-doc --out docs/settings.md`; change
`cloud_api/settings.py`, not this file. `kaimen-cloud check` says what is missing.

| variable | default | what it is |
|---|---|---|
"""


def render() -> str:
    """The page."""
    lines = []
    for name, field in Settings.model_fields.items():
        if field.default is PydanticUndefined:
            default = "**required**"
        elif field.default is None:
            default = "none"
        else:
            default = f"`{field.default}`"
        lines.append(f"| `KAIMEN_{name.upper()}` | {default} | {field.description} |\n")
    return _HEAD + "".join(lines)
