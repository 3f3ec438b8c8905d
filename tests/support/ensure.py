"""Run before the tests: every real part they need is here, or one sentence says which is not.

``python -m tests.support.ensure`` fetches what can be fetched and prints what will be used.
"""

from __future__ import annotations

import sys

from tests.support.chromium import ChromiumError, ensure_chromium
from tests.support.mosquitto import MosquittoError, ensure_mosquitto
from tests.support.nats import NatsError, find_nats_server
from tests.support.postgres import PostgresError
from tests.support.shared_postgres import shared_server
from tests.support.web_front import PROGRAMS, FrontError, ensure


def main() -> int:
    """Exit code 0 if all parts are here."""
    try:
        print(f"MQTT broker  {find_nats_server()}")
        print(f"Mosquitto    {ensure_mosquitto()}")
        for program in PROGRAMS:
            print(f"{program.capitalize():12} {ensure(program)}")
        print(f"Browser      {ensure_chromium()}")
        with shared_server() as server:
            print(f"PostgreSQL   {server.major}, {server.origin}", flush=True)
    except (ChromiumError, FrontError, MosquittoError, NatsError, PostgresError) as error:
        print(f"The tests cannot run. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
