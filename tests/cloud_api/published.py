"""The published API, written out once per process: that takes longer than to send a hundred requests."""

from __future__ import annotations

from functools import cache
from typing import Any

from cloud_api.app import create_app
from cloud_api.settings import Settings
from tests.cloud_api.conftest import SECRETS


@cache
def document() -> dict[str, Any]:
    """The same of every app; pages are not in it."""
    return create_app(Settings(secrets=SECRETS, run_worker=False), pages=False).openapi()
