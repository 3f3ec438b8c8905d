"""What one process has in hand from its start: settings, database, clocks, a client for outgoing calls."""

from __future__ import annotations

import os
import socket

import httpx

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings


def outgoing(*, trust_env: bool = True) -> httpx.AsyncClient:
    """The client for all calls to other people's servers.

    Connections are given up before those servers do: many close an idle one after 5 s, and a POST that
    meets the closing is lost and must not be sent again blindly. ``trust_env``: heed proxy variables.
    """
    return httpx.AsyncClient(
        trust_env=trust_env,
        timeout=httpx.Timeout(10, connect=3),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2),
        follow_redirects=False,
    )


def make_cloud(settings: Settings, clocks: Clocks | None = None) -> Cloud:
    """What this process has in hand. Sets the process's vault; connects to nothing yet."""
    use_vault(settings.vault)
    name = f"{socket.gethostname()[:20]}-{os.getpid()}"
    return Cloud(
        settings=settings,
        db=Database(settings.database_url),
        clocks=clocks or Clocks.of(settings.clock_file),
        http=outgoing(),
        waiters=Waiters(new_id()),
        holder=f"{name}-{new_id()[-6:]}",
    )
