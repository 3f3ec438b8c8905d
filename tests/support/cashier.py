"""A real cashier on a port of this machine, in a thread of its own, with its knobs at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from simulators.cashier.app import create_app
from tests.support.ports import free_port
from tests.support.serving import served_aside

ADMIN = "test-admin"
MERCHANT = "m1"


class Till:
    """A running cashier as tests see it: over HTTP only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            headers={"Cashier-Admin": ADMIN},
            timeout=30,
            trust_env=False,
            verify=False,
        )

    def account(self, no: str = MERCHANT) -> dict[str, str]:
        """Open an account: its credentials."""
        found: dict[str, str] = self._post("/admin/merchants", {"no": no})
        return found

    def faults(self, number: str | None = None, **knobs: Any) -> None:
        """Turn the knobs; none given turns all off."""
        self._post("/admin/faults", {"number": number, "faults": knobs})

    def pay(self, number: str, *, late: bool = False) -> dict[str, Any]:
        """Pay without a page."""
        path = f"/admin/payments/{MERCHANT}/{number}/pay"
        found: dict[str, Any] = self._post(path, {"late": late})
        return found

    def payments(self) -> dict[str, dict[str, Any]]:
        """All payments by number."""
        return {row["number"]: row for row in self._get("/admin/payments")}

    def refunds(self) -> dict[str, dict[str, Any]]:
        """All refunds by number."""
        return {row["number"]: row for row in self._get("/admin/refunds")}

    def set_refund(self, number: str, state: str) -> None:
        """Release or refuse a refund that waits."""
        self._post(f"/admin/refunds/{MERCHANT}/{number}", {"state": state})

    def messages(self) -> list[dict[str, Any]]:
        """All notifications."""
        found: list[dict[str, Any]] = self._get("/admin/messages")
        return found

    def page(self, pay_url: str, do: str | None = None) -> httpx.Response:
        """Open the page, or press one of its buttons; redirects are not followed."""
        if do is None:
            return self.http.get(pay_url)
        return self.http.post(pay_url, data={"do": do})

    def _get(self, path: str) -> Any:
        answer = self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_till(
    state: Path | None = None,
    *,
    now: Callable[[], float] = time.time,
    time_factor: float = 1000.0,
    port: int | None = None,
) -> Iterator[Till]:
    """A cashier until the block ends; in memory without ``state``."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(state, public_url=url, admin_token=ADMIN, time_factor=time_factor, now=now)
    with served_aside(app, port, lifespan="on"):
        till = Till(url)
        try:
            yield till
        finally:
            till.http.close()
