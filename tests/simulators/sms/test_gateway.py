"""The SMS gateway: who may send, what is kept, what a person sees."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from cloud_api.auth.sms import signature
from simulators.sms.app import Gateway, create_app

NOW = 1_795_406_400
BODY = json.dumps({"phone": "+8613800000001", "text": "<b>123456</b>", "ref": "r1"}).encode()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(key="k", time=lambda: float(NOW))


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://sms.test") as made:
        yield made


def signed(body: bytes, at: int = NOW, key: str = "k") -> dict[str, str]:
    return {
        "X-Kaimen-Timestamp": str(at),
        "X-Kaimen-Signature": signature(key, str(at), body),
    }


async def test_a_signed_message_is_delivered_once(http: httpx.AsyncClient, gateway: Gateway):
    first = await http.post("/send", content=BODY, headers=signed(BODY))
    again = await http.post("/send", content=BODY, headers=signed(BODY))
    assert (first.json(), again.json()) == ({"delivered": True}, {"delivered": False})
    assert len(gateway.messages) == 1
    inbox = await http.get("/messages", params={"phone": "+8613800000001"})
    assert inbox.json()[0]["ref"] == "r1"
    assert (await http.get("/messages", params={"phone": "x"})).json() == []


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "stale"),
        (signed(BODY, key="other"), "bad_signature"),
        (signed(BODY + b" "), "bad_signature"),
        (signed(BODY, at=NOW - 301), "stale"),
        (signed(BODY, at=NOW + 301), "stale"),
        (signed(BODY) | {"X-Kaimen-Timestamp": str(NOW + 1)}, "bad_signature"),
    ],
)
async def test_others_send_nothing(
    http: httpx.AsyncClient, gateway: Gateway, headers: dict[str, str], why: str
):
    answer = await http.post("/send", content=BODY, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": why})
    assert not gateway.messages


async def test_the_inbox_is_a_page_and_texts_stay_texts(http: httpx.AsyncClient):
    assert "还没有短信" in (await http.get("/")).text
    await http.post("/send", content=BODY, headers=signed(BODY))
    page = (await http.get("/")).text
    assert "&lt;b&gt;123456&lt;/b&gt;" in page
    assert "<b>123456" not in page


async def test_it_fails_when_asked_to(http: httpx.AsyncClient):
    await http.post("/faults", json={"count": 1, "status": 500})
    assert (await http.post("/send", content=BODY, headers=signed(BODY))).status_code == 500
    assert (await http.post("/send", content=BODY, headers=signed(BODY))).status_code == 200
