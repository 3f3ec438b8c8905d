"""Doors being opened over HTTP, as a browser behind a proxy does it, and the pulses that came of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass

import httpx

from tests.processes.cluster import APIS, Cluster

REST_S = 1.0  # a lock that is still held refuses a second pulse
DEADLINE_S = 15.0


@dataclass(frozen=True)
class Tap:
    """One tap of a person and what came of it."""

    door: str
    through: str  # the process that answered
    state: str
    took_ms: int
    tries: int = 1
    said: str = ""


class Taps:
    """Taps at all doors in turn, each by another member of the staff."""

    def __init__(self, cluster: Cluster, doors: list[str] | None = None) -> None:
        self._cluster = cluster
        self._before = cluster.pulses()
        self._doors = itertools.cycle(doors or [d for shop in cluster.shops for d in shop.doors])
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._tokens = itertools.cycle(cluster.tokens)
        self._http = httpx.Client(timeout=DEADLINE_S, trust_env=False)
        self.done: list[Tap] = []

    def tap(self, *through: str) -> Tap:
        """Open the next door through the first of these processes that takes the request.

        As a proxy does: the next process where a connection is refused. Where it broke before an
        answer came, the same request with the same key again, as the page's script does.
        """
        with self._lock:
            door, token = next(self._doors), next(self._tokens)
            wait = self._free_at.get(door, 0.0) - time.monotonic()
            self._free_at[door] = time.monotonic() + max(wait, 0.0) + REST_S
        time.sleep(max(wait, 0.0))
        headers = {
            "authorization": f"Bearer {token}",
            "idempotency-key": f"tap-{door}-{time.monotonic_ns()}",
            "connection": "close",
        }
        began = time.monotonic()
        said = ""
        for tries, name in enumerate(itertools.cycle(through), 1):
            if time.monotonic() - began > DEADLINE_S:
                break
            url = f"{self._cluster.url(name)}/api/v1/console/doors/{door}/unlock"
            try:
                answer = self._http.post(url, headers=headers, json={"why": "测试"})
            except httpx.TransportError as error:
                said += f"{name}: {type(error).__name__}; "
                time.sleep(0.02 if isinstance(error, httpx.ConnectError) else 0.2)
                continue
            body = answer.json()
            if body.get("code") == "idempotency.in_progress":
                said += f"{name}: in progress; "
                time.sleep(0.2)
                continue
            took = round((time.monotonic() - began) * 1000)
            state = str(body.get("state") or body.get("code"))
            said += str(body.get("reason") or "")
            return self._note(Tap(door, name, state, took, tries, said))
        return self._note(Tap(door, "", "no answer", round(DEADLINE_S * 1000), 0, said))

    def load(self, stop: threading.Event, people: int = 4) -> list[threading.Thread]:
        """So many people tapping until ``stop``, each time through another process first."""
        turn = itertools.count()

        def act() -> None:
            while not stop.is_set():
                first = next(turn) % len(APIS)
                self.tap(*APIS[first:], *APIS[:first])

        threads = [threading.Thread(target=act, daemon=True) for _ in range(people)]
        for thread in threads:
            thread.start()
        return threads

    def doubled(self) -> dict[str, tuple[int, int]]:
        """Doors whose lock was not pulsed exactly once per tap: ``{door: (taps, pulses)}``."""
        taps = Counter(tap.door for tap in self.done if tap.state == "done")
        now = self._cluster.pulses()
        pulses = {door: count - self._before[door] for door, count in now.items()}
        return {door: (taps[door], pulses[door]) for door in pulses if taps[door] != pulses[door]}

    def _note(self, tap: Tap) -> Tap:
        with self._lock:
            self.done.append(tap)
        return tap
