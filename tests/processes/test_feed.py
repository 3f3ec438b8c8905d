"""Live events come from every process, are resumed in any, and hold no database connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import Queue
from typing import Any

import httpx
import pytest

from tests.processes.cluster import APIS, Cluster
from tests.processes.taps import Taps

pytestmark = pytest.mark.xdist_group("cluster")
LISTENERS = 50


class Listener:
    """A browser's EventSource in a thread."""

    def __init__(self, cluster: Cluster, name: str, last_event_id: str = "") -> None:
        self.heard: Queue[tuple[str, dict[str, Any]]] = Queue()
        self.opened = threading.Event()
        headers = {"authorization": f"Bearer {cluster.tokens[0]}"}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        self._http = httpx.Client(timeout=30, trust_env=False, headers=headers)
        self._url = f"{cluster.url(name)}/api/v1/console/events"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self.opened.wait(10), "no stream"

    def wait_for(self, topic: str, seconds: float = 30.0) -> tuple[str, dict[str, Any]]:
        """The next event of this name: its id and body."""
        while True:
            name, told = self.heard.get(timeout=seconds)
            if told["event"] == topic:
                return name, told["data"]

    def close(self) -> None:
        self._http.close()

    def _listen(self) -> None:
        try:
            with self._http.stream("GET", self._url) as answer:
                event: dict[str, str] = {}
                for line in answer.iter_lines():
                    self.opened.set()
                    if line:
                        key, _, value = line.partition(": ")
                        event[key] = value
                    elif event.get("event"):
                        told = {"event": event["event"], "data": json.loads(event["data"])}
                        self.heard.put((event.get("id", ""), told))
                        event = {}
        except (httpx.HTTPError, RuntimeError, OSError):
            return  # closed


@contextmanager
def listening(cluster: Cluster, name: str, last_event_id: str = "") -> Iterator[Listener]:
    listener = Listener(cluster, name, last_event_id)
    try:
        yield listener
    finally:
        listener.close()


def connections(cluster: Cluster) -> tuple[int, int]:
    """Of all processes: connections to the database, and those inside a transaction."""
    (row,) = cluster.sql(
        "SELECT count(*) AS n, count(*) FILTER (WHERE state LIKE 'idle in%') AS open"
        " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(row["n"]), int(row["open"])


def test_what_happens_through_one_process_is_heard_at_another(cluster: Cluster):
    with listening(cluster, APIS[1]) as there:
        taps = Taps(cluster, list(cluster.shops[2].doors))
        assert taps.tap(APIS[0]).state == "done"
        number, told = there.wait_for("command")
        assert told["state"] == "done"
        assert number.isdigit()
    missed = taps.tap(APIS[0])
    assert missed.state == "done"
    with listening(cluster, APIS[2], last_event_id=number) as resumed:
        later, told = resumed.wait_for("command")
        assert int(later) > int(number)
        assert (told["target"], told["state"]) == (missed.door, "done")


def test_fifty_listeners_hold_no_database_connection(cluster: Cluster):
    """One reader per process reads for all of them; each still hears what happens."""
    before, _ = connections(cluster)
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening(cluster, APIS[0])) for _ in range(LISTENERS)]
        after, inside = connections(cluster)
        print(f"\n{before} connections before, {after} with {LISTENERS} listeners")
        assert after - before <= 10, "a process's own pool, however many listen"
        assert inside <= 2
        assert Taps(cluster).tap(APIS[1]).state == "done"
        for listener in listeners:
            assert listener.wait_for("command")[1]["state"] == "done"
