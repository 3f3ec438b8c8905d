"""A body that nobody reads has come before the answer goes, as far as it may be long."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from cloud_api.kit.asgi import BodyLimit


async def nobody_reads(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("who is this?", 401)(scope, receive, send)


async def asked(headers: dict[str, str], chunks: list[bytes], limit: int = 10) -> list[Any]:
    """What came and went, in order, of a POST: chunks by their length, answers by their status."""
    told: list[Any] = []
    left = list(chunks)

    async def receive() -> Message:
        body = left.pop(0)
        told.append(len(body))
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw, "query_string": b""}
    await BodyLimit(nobody_reads, limit)(scope, receive, send)
    return told


@pytest.mark.parametrize("headers", [{"content-length": "7"}, {"transfer-encoding": "chunked"}])
async def test_the_answer_waits_for_what_is_on_its_way(headers: dict[str, str]):
    assert await asked(headers, [b"aaaa", b"bbb"]) == [4, 3, 401]


async def test_it_waits_for_no_more_than_may_come():
    assert await asked({"transfer-encoding": "chunked"}, [b"a" * 8, b"b" * 8, b"c"]) == [8, 8, 401]
    assert await asked({"content-length": "11"}, [b"a" * 11]) == [413]
    assert await asked({}, []) == [401]


async def test_who_breaks_off_is_not_waited_for():
    told: list[str] = []

    async def gone() -> Message:
        told.append("gone")
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message["type"])

    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"",
        "headers": [(b"content-length", b"7")],
    }  # fmt: skip
    await BodyLimit(nobody_reads, 10)(scope, gone, send)
    assert told == ["gone", "http.response.start", "http.response.body"]
