"""Real simulators of WeChat Pay and Alipay on ports of this machine, with their knobs at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from simulators.alipay.app import create_app as alipay_app
from simulators.wechatpay.app import create_app as wechatpay_app
from store_link.clock import Clock
from tests.support.keys import take_keys_in_turn
from tests.support.ports import free_port
from tests.support.serving import served_aside

ADMIN = "test-admin"


class Counter:
    """A running simulator as tests see it: over HTTP, and its desk for what only a test may touch."""

    def __init__(self, url: str, app: FastAPI) -> None:
        self.url = url
        self.app = app
        self.desk: Any = app.state.desk
        self.http = httpx.Client(
            base_url=url,
            headers={"Simulator-Admin": ADMIN},
            timeout=10,
            trust_env=False,
            verify=False,
        )

    @property
    def account(self) -> dict[str, str]:
        found: dict[str, str] = self.desk.account()
        return found

    def faults(self, number: str | None = None, **knobs: Any) -> None:
        """Turn the knobs; none given turns all off."""
        self._post("/admin/faults", {"number": number, "faults": knobs})

    def pay(self, number: str, *, late: bool = False) -> bool:
        """Pay without a page."""
        found = self._post(f"/admin/payments/{self.theirs(number)}/pay", {"late": late})
        return bool(found["paid_now"])

    def give_back(self, number: str, refund: str, fen: int) -> None:
        """Refund in the provider's own console."""
        body = {"number": self.theirs(refund), "amount_fen": fen}
        self._post(f"/admin/payments/{self.theirs(number)}/refunds", body)

    def end_refund(self, number: str, state: str) -> None:
        self._post(f"/admin/refunds/{self.theirs(number)}", {"state": state})

    def payments(self) -> dict[str, dict[str, Any]]:
        """All payments by our number."""
        return {self.ours(row["number"]): row for row in self._get("/admin/payments")}

    def refunds(self) -> dict[str, dict[str, Any]]:
        return {self.ours(row["number"]): row for row in self._get("/admin/refunds")}

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("/admin/messages")
        return found

    def page(self, url: str, do: str | None = None) -> httpx.Response:
        """Open the page, or press one of its buttons; redirects are not followed."""
        return self.http.get(url) if do is None else self.http.post(url, data={"do": do})

    def theirs(self, number: str) -> str:
        return number.replace("-", "_") if self.desk.name == "alipay" else number

    def ours(self, number: str) -> str:
        return number.replace("_", "-")

    def _get(self, path: str) -> Any:
        answer = self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_wechatpay(
    *, business: Clock | None = None, wire: Clock | None = None, mode: str = "both"
) -> Iterator[Counter]:
    """WeChat Pay until the block ends, in memory."""
    with _running(wechatpay_app, business=business, wire=wire, mode=mode) as counter:
        yield counter


@contextmanager
def running_alipay(
    *, business: Clock | None = None, wire: Clock | None = None
) -> Iterator[Counter]:
    """Alipay until the block ends, in memory."""
    with _running(alipay_app, business=business, wire=wire) as counter:
        yield counter


@contextmanager
def _running(create_app: Callable[..., FastAPI], **how: Any) -> Iterator[Counter]:
    take_keys_in_turn()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(None, public_url=url, admin_token=ADMIN, **how)
    with served_aside(app, port, lifespan="on"):
        counter = Counter(url, app)
        try:
            yield counter
        finally:
            counter.http.close()
