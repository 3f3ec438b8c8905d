"""Logs as JSON lines on standard error, one event a line; secrets are struck out by their names."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = frozenset(
    {"mac_key", "secret", "password", "code", "csr", "private_key", "pin", "pass_", "grant", "key"}
)


def _strike(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in SECRET & event.keys():
        event[name] = "***"
    return event


_LAST: deque[str] = deque(maxlen=400)  # for a diagnostics bundle: a store has no other place for it


def last(lines: int) -> list[str]:
    """The newest lines, the oldest of them first."""
    return list(_LAST)[-lines:]


def _keep(_: Any, __: str, line: Any) -> Any:
    _LAST.append(str(line)[:1000])
    return line


def set_up(level: str) -> None:
    """Write everything from ``level`` (``INFO`` …) up."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _strike,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _keep,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
