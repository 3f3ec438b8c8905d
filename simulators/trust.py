"""Whom simulators trust when they call back over HTTPS."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """The machine's certificates, read once per process: reading them takes some 20 ms."""
    return ssl.create_default_context()
