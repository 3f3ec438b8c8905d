"""Every table of the cloud in one metadata: whoever needs the whole schema imports it from here."""

from __future__ import annotations

import importlib
from pathlib import Path

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from cloud_api.claims import guard

_PACKAGE = Path(__file__).parent.parent


def metadata() -> MetaData:
    """SQLModel's metadata after every ``models`` module was imported; none can be forgotten."""
    for path in sorted(_PACKAGE.glob("*/models.py")):
        importlib.import_module(f"cloud_api.{path.parent.name}.models")
    return SQLModel.metadata


def is_ours(item: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    """What migrations look at: all but the overlap guard, which claims.guard puts up itself."""
    del item, reflected, other
    return not (kind == "index" and name == guard.CONSTRAINT)
