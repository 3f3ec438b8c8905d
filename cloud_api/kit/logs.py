"""Structured logs as JSON lines on stdout, with the request's id and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(
    r"phone|token|secret|password|authorization|cookie|csrf|pin$|mac_key|credential|sms_text",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<!\d)(?:\+?86)?1[3-9]\d{9}(?!\d)")


def set_up(level: str = "INFO") -> None:
    """Send structlog and the standard library's logs to stdout, one JSON object per line."""
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        without_secrets,
    ]
    structlog.configure(
        processors=[*chain, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *chain],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                without_secrets,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "alembic.runtime.plugins"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def without_secrets(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank values whose name says that they are secret, and phone numbers inside any text."""
    for key, value in entry.items():
        entry[key] = "•••" if _SECRET.search(key) else _clean(value)
    return entry


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _PHONE.sub("•••", value)
    if isinstance(value, dict):
        return {
            key: "•••" if isinstance(key, str) and _SECRET.search(key) else _clean(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value
