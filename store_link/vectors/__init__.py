"""Golden vectors beside the code: JSON files for whoever writes the wire in another language.

``python -m store_link.vectors`` writes them; ``--check`` only compares. How to use them:
docs/wire.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent


def render(document: dict[str, Any]) -> str:
    """The one spelling in which a file of vectors is committed."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def load(name: str) -> dict[str, Any]:
    """A committed file, e.g. ``load("passes")``."""
    document: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
    return document
