"""Every table of the cloud in one metadata: whoever needs the whole schema imports it from here."""

from __future__ import annotations

import importlib
from pathlib import Path

from sqlalchemy import MetaData
from sqlmodel import SQLModel

_PACKAGE = Path(__file__).parent.parent


def metadata() -> MetaData:
    """SQLModel's metadata after every ``models`` module was imported; none can be forgotten."""
    for path in sorted(_PACKAGE.glob("*/models.py")):
        importlib.import_module(f"cloud_api.{path.parent.name}.models")
    return SQLModel.metadata
