"""What goes wrong on wish, by endpoint: counters that count down to nought; -1 means always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """Nothing set: everything works."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    fail: dict[str, int] = {}  # so many calls answer 502 and do nothing
    lose: dict[str, int] = {}  # so many calls are done, and the answer is a 502
    hang: dict[str, int] = {}  # so many calls are done, and the answer takes ``hang_s``
    busy: dict[str, int] = {}  # so many calls say that the system is busy, and do nothing
    hang_s: float = Field(default=10, ge=0, le=60)
    token_ends: int = 0  # so many calls find that their token has ended
    used_meanwhile: int = 0  # so many verifications find that somebody else was faster
    record_missing: bool = False  # the list of verifications leaves all of them out
    record_off_fen: int = 0  # … tells another amount


class Knobs:
    """The faults as they are set now."""

    def __init__(self) -> None:
        self.now = Faults()

    def take(self, kind: str, endpoint: str) -> bool:
        """Whether a fault of an endpoint strikes now; counts it down."""
        counters: dict[str, int] = getattr(self.now, kind)
        left = counters.get(endpoint, 0)
        if left > 0:
            counters[endpoint] = left - 1
        return left != 0

    def once(self, name: str) -> bool:
        """Whether a plain counter strikes now; counts it down."""
        left = int(getattr(self.now, name))
        if left > 0:
            setattr(self.now, name, left - 1)
        return left != 0

    async def around(
        self, endpoint: str, act: Callable[[], Response], busy: Callable[[], Response]
    ) -> Response:
        """Do a call as the faults will have it."""
        if self.take("fail", endpoint):
            return Response("simulated failure", status_code=502)
        if self.take("busy", endpoint):
            return busy()
        answer = act()
        if self.take("lose", endpoint):
            return Response("simulated loss", status_code=502)
        if self.take("hang", endpoint):
            await asyncio.sleep(self.now.hang_s)
        return answer
