"""A PostgreSQL that keeps what it commits, as a production does; the tests' own does not sync its disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.postgres import Server, private_cluster

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")


@contextmanager
def durable_server() -> Iterator[Server]:
    """A cluster of one's own with the settings that decide what a commit costs at their defaults."""
    with private_cluster(on_disk=True) as (_, server):
        for name in _SETTINGS:
            server.execute(f"ALTER SYSTEM SET {name} = on")
        server.execute("SELECT pg_reload_conf()")
        yield server
