"""What a running process of the cloud has in hand; made once in app.py, passed to routes and jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings


@dataclass(slots=True)
class Cloud:
    """Settings, database, clocks, an HTTP client with time-outs, and who waits for acks here."""

    settings: Settings
    db: Database
    clocks: Clocks
    http: httpx.AsyncClient
    waiters: Waiters
    holder: str = field(default="")  # this process's name in leases
    parts: dict[str, Any] = field(default_factory=dict)  # what packages keep per process, by name

    @property
    def astray(self) -> bool:
        """Whether this machine's clock jumped: what is due, and whose lease is over, nobody knows here."""
        return self.db.clock is not None and self.db.clock.astray
