"""A transaction that the database gave up for another's sake is tried once more, and then refused clearly.

PostgreSQL ends one of two transactions that wait for each other (40P01), and one that cannot be put in a
row with others (40001). Nothing of it was written, so what was asked for can simply be done again: by
``once`` the act, by ``Repeat`` the whole request. Only where nothing else of it was committed: whatever
goes out to a provider or a store is committed before, and is never done twice on a guess.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_api.kit.database import counted_commits, counting_commits

log = structlog.get_logger(__name__)

LOST = "kaimen.lost"  # in a request's scope: its answer says that the database gave it up
GIVEN_UP = frozenset({"40P01", "40001"})  # SQLSTATE: deadlock detected, serialization failure

_Made = TypeVar("_Made")


def was_given_up(error: Exception) -> bool:
    """Whether the database ended this transaction for the sake of another."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in GIVEN_UP


async def repeated(act: Callable[[], Awaitable[_Made]]) -> _Made:
    """``act``, a second time if the database gave up the first before anything was committed.

    Outside of a request it runs once: whoever called it (a job, the channel) comes again by itself.
    """
    commits = counted_commits()
    before = None if commits is None else commits.count
    try:
        return await act()
    except DBAPIError as error:
        if commits is None or not was_given_up(error) or commits.count != before:
            raise
        commits.repeated = True
        log.warning("act.repeated", sqlstate=getattr(error.orig, "sqlstate", None))
    return await act()


class Repeat:
    """Answers a request anew that lost its transaction to another, if it had committed nothing.

    Stands innermost, so what it hears is within the limit of a body. An answer that has begun is never
    taken back.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        heard: list[Message] = []
        lost = False

        async def hearing() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                heard.append(message)
            return message

        async def holding(message: Message) -> None:
            nonlocal lost
            if message["type"] == "http.response.start":
                lost = LOST in scope and not commits.count and not commits.repeated
            if not lost:
                await send(message)

        async def hearing_again() -> Message:
            return heard.pop(0) if heard else await receive()

        with counting_commits() as commits:
            await self.app(scope, hearing, holding)
            if lost:
                log.warning("request.repeated", method=scope["method"])
                del scope[LOST]
                await self.app(scope, hearing_again, send)
