"""The shape of profile files as JSON Schema, so that an editor can help while one is written.

``device_profiles/profile.schema.json`` is what ``kaimen-bridge profiles schema`` prints. In an editor
with a YAML language server one line at the head of a file is enough:

    # yaml-language-server: $schema=../profile.schema.json

It knows the shape only. What spans several fields, and the traps of YAML, are told by
``kaimen-bridge profiles check``.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from device_profiles.message_schema import MessageDoc
from device_profiles.schema import ProfileDoc
from device_profiles.stream_schema import StreamDoc

_OF: tuple[tuple[type[BaseModel], tuple[str, ...]], ...] = (
    (ProfileDoc, ("modbus_rtu", "modbus_tcp")),
    (StreamDoc, ("serial_lines", "serial_frames")),
    (MessageDoc, ("mqtt_local", "http_local")),
)


def json_schema() -> dict[str, Any]:
    """One schema for all files: ``transport.type`` says which of the three shapes a file has.

    A file that extends another may leave out whatever its base gives, so there nothing is required but
    who the board is.
    """
    _, parts = models_json_schema(
        [(doc, "validation") for doc, _ in _OF], by_alias=True, title="Kaimen device profile"
    )
    rules = []
    for doc, types in _OF:
        of_type = {"properties": {"type": {"enum": list(types)}}, "required": ["type"]}
        rules.append(
            {
                "if": {
                    "properties": {"transport": of_type},
                    "required": ["transport"],
                    "not": {"required": ["extends"]},
                },
                "then": {"$ref": f"#/$defs/{doc.__name__}"},
            }
        )
    own = ["schema", "id", "revision", "kind", "vendor", "model", "sources", "verified", "tests"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kaimen device profile",
        "type": "object",
        "required": own,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": ["transport", "capabilities", "safety", "simulator"]},
        "allOf": rules,
        "$defs": parts["$defs"],
    }


def as_text() -> str:
    """The schema as the file holds it."""
    whole = json_schema()
    parts = whole.pop("$defs")
    lines = [f" {_line(name)}: {_line(parts[name])}" for name in sorted(parts)]
    defs = "{\n" + ",\n".join(lines) + "\n}"
    rest = [f"{_line(name)}: {_line(part)}" for name, part in whole.items()]
    return "{\n" + ",\n".join([*rest, f'"$defs": {defs}']) + "\n}\n"


def _line(value: Any) -> str:
    """One part in one line, so that a change of it is one line of a difference."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
