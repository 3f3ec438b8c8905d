"""A guest and an owner without hands: they do over HTTP what a phone and a browser do."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from demo.processes import certificates, local_http
from demo.stage import Stage

_CODE = re.compile(r"\d{6}")


class Refused(Exception):
    """The cloud said no; ``code`` is its stable code."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('detail')}")
        self.status = status
        self.code = str(body.get("code"))
        self.body = body


class Person:
    """Somebody with a phone number, logged in by a real code from the SMS gateway."""

    def __init__(self, stage: Stage, phone: str) -> None:
        self._stage = stage
        self.phone = phone
        self._http = httpx.Client(
            base_url=f"{stage.url('web', local=True)}/api/v1",
            timeout=30.0,
            trust_env=False,
            verify=certificates(),
        )

    @property
    def token(self) -> str:
        """The login's token; empty before."""
        return str(self._http.headers.get("authorization", "")).removeprefix("Bearer ")

    def stay_logged_in(self, token: str) -> None:
        """With the token of an earlier day."""
        self._http.headers["authorization"] = f"Bearer {token}"

    def log_in(self) -> None:
        """Ask for a code, read it on the phone, log in; nothing if that was done before."""
        if self.token:
            return
        self.post("/auth/code", {"phone": self.phone})
        inbox = f"{self._stage.url('sms', local=True)}/messages"
        messages = local_http().get(inbox, params={"phone": self.phone}).json()
        found = _CODE.search(messages[0]["text"])
        if found is None:
            raise AssertionError(f"no code in {messages[0]['text']!r}")
        answer = self.post("/auth/login", {"phone": self.phone, "code": found.group()})
        self.stay_logged_in(answer["token"])

    def close(self) -> None:
        """Put the phone away."""
        self._http.close()

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """GET below /api/v1. Raises Refused."""
        return self._answer(self._http.get(path, params=params))

    def post(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        """POST below /api/v1 with an Idempotency-Key of its own. Raises Refused."""
        headers = {"idempotency-key": key or uuid.uuid4().hex}
        return self._answer(self._http.post(path, json=body or {}, headers=headers))

    @staticmethod
    def _answer(answer: httpx.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json() if answer.content else {}
        if not answer.is_success:
            raise Refused(answer.status_code, body)
        return body

    # -------------------------------------------------------------------------------- a guest's acts

    def book(self, room_id: str, starts: datetime, hours: float) -> dict[str, Any]:
        """Quote and order."""
        quote = self.post(
            "/quotes",
            {
                "room_id": room_id,
                "starts_at": starts.isoformat(),
                "ends_at": (starts + timedelta(hours=hours)).isoformat(),
            },
        )
        return self.post("/orders", {"quote_id": quote["id"]})

    def pay(
        self,
        order: dict[str, Any],
        there: Callable[[dict[str, Any]], bool] = lambda seen: seen["state"] == "ready",
    ) -> dict[str, Any]:
        """Pay in the cashier's page and wait until the order stands (or ``there``)."""
        payment = self.post(
            f"/orders/{order['id']}/pay", {"provider": "cashier", "channel": "page"}
        )
        page = local_http().post(payment["redirect_url"], data={"do": "pay"}, timeout=10.0)
        if page.status_code != 303:
            raise AssertionError(f"the cashier answered {page.status_code}")
        paid: dict[str, Any] = until(
            lambda: self.get(f"/orders/{order['id']}"),
            there,
            "the order to be paid",
        )
        return paid

    def unlock(self, token: str, key: str = "") -> dict[str, Any]:
        """One tap."""
        return self.post(f"/doors/{token}/unlock", key=key)


def until(
    look: Callable[[], Any], good: Callable[[Any], bool], what: str, seconds: float = 20.0
) -> Any:
    """Look until it is good. Raises AssertionError with what was seen last.

    What lasts is looked at less often: each look is work for those who are waited for.
    """
    deadline, pause_s = time.monotonic() + seconds, 0.05
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; saw {str(seen)[:600]}")
        time.sleep(pause_s)
        pause_s = min(0.25, pause_s * 1.2)
