"""YAML with a line for every field, and without YAML 1.1's surprises.

An unquoted ``on`` or ``no`` is a boolean in YAML 1.1, ``010`` is eight, and a key given twice silently
wins over the first: in a file that opens doors each of them is an error here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from device_profiles.profile import ProfileError

FieldPath = tuple[str | int, ...]

_TRAPS = re.compile(r"^(y|n|yes|no|on|off)$", re.IGNORECASE)
_OCTAL = re.compile(r"^[-+]?0[0-9_]+$")


def show_path(path: FieldPath) -> str:
    """``points.relay.read.address``, ``tests[2].tx``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(slots=True)
class Source:
    """A file's content with the line of each field."""

    shown: str
    data: dict[str, Any]
    lines: dict[FieldPath, int] = field(default_factory=dict)

    def error(self, path: FieldPath, message: str) -> ProfileError:
        """``catalog/x.yaml:31: points.relay.read.address: message``."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        where = f"{self.shown}:{line}: "
        return ProfileError(f"{where}{show_path(path)}: {message}" if path else f"{where}{message}")


def read_source(file: Path) -> Source:
    """The content of ``file``. Raises ProfileError where it is no YAML, or a trap."""
    source = Source(f"{file.parent.name}/{file.name}", {})
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProfileError(f"{source.shown}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ProfileError(f"{source.shown}:1: not YAML: {said}") from error
    if not isinstance(node, yaml.MappingNode):
        raise ProfileError(f"{source.shown}:1: a profile is a mapping of keys")
    source.data = _build(node, (), source)
    return source


def _build(node: yaml.Node, path: FieldPath, source: Source) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), source) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, source)
    return _scalar(node, path, source)


def _build_mapping(node: yaml.MappingNode, path: FieldPath, source: Source) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(_scalar(key_node, (*path, str(key_node.value)), source))
        here = (*path, key)
        source.lines[here] = key_node.start_mark.line + 1
        if key in built:
            raise source.error(here, "is given twice")
        built[key] = _build(value_node, here, source)
    return built


def _scalar(node: yaml.Node, path: FieldPath, source: Source) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode):
        raise source.error(path, "a key must be plain text")
    plain = node.style is None
    if plain and _TRAPS.match(node.value):
        raise source.error(
            path, f'unquoted {node.value} is a boolean in YAML; write "{node.value}" or true/false'
        )
    if plain and _OCTAL.match(node.value):
        raise source.error(path, f"{node.value} is octal in YAML; write it without the leading 0")
    return yaml.SafeLoader("").construct_object(node, deep=True)
