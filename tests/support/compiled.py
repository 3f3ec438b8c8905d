"""Statements of one test are not compiled again for the next: engines share what they compiled.

Every test has a database of its own, so its own engines, and an engine keeps its compiled statements
to itself: three quarters of the time of a test that only asks the API went into compiling the same
statements again. An engine made after another one of its kind had connected takes over that one's
dialect and cache; SQLAlchemy keys the cache by dialect object and statement, both are thread-safe.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import LRUCache

from cloud_api.kit import database

ROOM = 20_000  # statements; an engine's own room of 500 is too small for all tests of a process

_ready: dict[type, tuple[Dialect, LRUCache[Any, Any]]] = {}  # per class of dialect


def share_compiled_statements() -> None:
    """Make engines of ``cloud_api.kit.database`` share; call once in a process, before its tests."""
    names = vars(database)
    make = names["create_async_engine"]

    @wraps(make)
    def sharing(*args: Any, **kwargs: Any) -> AsyncEngine:
        engine: AsyncEngine = make(*args, **kwargs)
        _share(engine.sync_engine)
        return engine

    names["create_async_engine"] = sharing


def _share(engine: Engine) -> None:
    kind = type(engine.dialect)
    if (ready := _ready.get(kind)) is not None:
        engine.dialect, engine._compiled_cache = ready
        return

    # A dialect knows its server only once it has connected: the first that has is taken.
    @event.listens_for(engine, "engine_connect")
    def _connected(_connection: Any) -> None:
        _ready.setdefault(kind, (engine.dialect, LRUCache(ROOM)))
