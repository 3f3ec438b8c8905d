"""UnionPay's gateway and Stripe on ports of this machine, in threads of their own, with their knobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from simulators.stripe.app import create_app as create_stripe
from simulators.unionpay.app import create_app as create_unionpay
from tests.support.keys import take_keys_in_turn
from tests.support.ports import free_port
from tests.support.serving import served_aside

ADMIN = "test-admin"
MERCHANT = "777290058110097"


class Gateway:
    """A running UnionPay as tests see it: over HTTP only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            headers={"UnionPay-Admin": ADMIN},
            timeout=10,
            trust_env=False,
            verify=False,
        )

    def account(self, no: str = MERCHANT) -> dict[str, Any]:
        """Open an account: its credentials."""
        return dict(self._post("/admin/merchants", {"no": no, "name": "雀友会"}))

    def faults(self, order: str | None = None, **knobs: Any) -> None:
        """Turn the knobs; none given turns all off."""
        self._post("/admin/faults", {"order": order, "faults": knobs})

    def submit(self, action: str, fields: dict[str, str]) -> httpx.Response:
        """Post the form as a browser does; the card page, or why there is none."""
        return self.http.post(action, data=fields, follow_redirects=True)

    def press(self, card_page: str, do: str = "pay", card: str = "") -> httpx.Response:
        """Press one of the card page's buttons."""
        data = {"do": do} | ({"card": card} if card else {})
        return self.http.post(card_page, data=data, follow_redirects=do == "pay")

    def pay(self, order: str, *, late: bool = False) -> bool:
        """Pay without a page."""
        return bool(self._post(f"/admin/trades/{order}/pay", {"late": late})["paid_now"])

    def finish(self, order: str, code: str = "00") -> None:
        """Release or refuse a refund."""
        self._post(f"/admin/trades/{order}/finish", {"code": code})

    def trades(self) -> dict[str, dict[str, Any]]:
        """All trades by order number."""
        return {row["order_id"]: row for row in self.http.get("/admin/trades").json()}

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


class Cards:
    """A running Stripe as tests see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url, headers={"Stripe-Admin": ADMIN}, timeout=10, trust_env=False, verify=False
        )

    def account(self, url: str = "", currency: str = "hkd") -> dict[str, str]:
        """Open an account: its credentials."""
        return dict(self._post("/admin/accounts", {"url": url, "currency": currency}))

    def endpoint(self, secret_key: str, url: str) -> None:
        """Where the account's events go."""
        self._post("/admin/endpoints", {"secret_key": secret_key, "url": url})

    def faults(self, number: str | None = None, **knobs: Any) -> None:
        """Turn the knobs; none given turns all off."""
        self._post("/admin/faults", {"number": number, "faults": knobs})

    def pay(self, number: str) -> dict[str, Any]:
        """Pay without a page."""
        return dict(self._post(f"/admin/sessions/{number}/pay", {}))

    def session(self, number: str) -> dict[str, Any]:
        """A session by our number."""
        return dict(self.http.get(f"/admin/sessions/{number}").raise_for_status().json())

    def finish(self, number: str, status: str) -> None:
        """A refund goes through, or fails."""
        self._post(f"/admin/refunds/{number}", {"status": status})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_gateway(
    state: Path | None = None, *, now: Callable[[], float] = time.time, time_factor: float = 1000.0
) -> Iterator[Gateway]:
    """UnionPay's gateway until the block ends."""
    take_keys_in_turn()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_unionpay(
        state, public_url=url, admin_token=ADMIN, time_factor=time_factor, now=now
    )
    with served_aside(app, port, lifespan="on"):
        gateway = Gateway(url)
        yield gateway
        gateway.http.close()


@contextmanager
def running_cards(
    state: Path | None = None, *, now: Callable[[], float] = time.time, time_factor: float = 1000.0
) -> Iterator[Cards]:
    """Stripe until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_stripe(state, public_url=url, admin_token=ADMIN, time_factor=time_factor, now=now)
    with served_aside(app, port, lifespan="on"):
        cards = Cards(url)
        yield cards
        cards.http.close()
