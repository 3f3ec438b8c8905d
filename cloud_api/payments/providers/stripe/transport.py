"""Stripe's client library on our own HTTP client: its connections, its time-outs, no retries of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import httpx
import stripe


class SharedHttp(stripe.HTTPClient):
    """What the library sends goes through the process's AsyncClient."""

    name = "httpx"

    def __init__(self, http: httpx.AsyncClient, timeout_s: float) -> None:
        super().__init__()
        self._http = http
        self._timeout_s = timeout_s

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request. Raises stripe.APIConnectionError."""
        try:
            answer = await self._http.request(
                method,
                url,
                headers=dict(headers),
                content=post_data or b"",
                timeout=self._timeout_s,
            )
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(type(error).__name__) from error  # type: ignore[no-untyped-call]
        return answer.content, answer.status_code, answer.headers

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Between retries, of which there are none."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """The client is not ours to close."""


def client_of(
    key: str, base_url: str, http: httpx.AsyncClient, timeout_s: float
) -> stripe.StripeClient:
    """A client of one account."""
    base = base_url.rstrip("/")
    return stripe.StripeClient(
        key,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
        http_client=SharedHttp(http, timeout_s),
        max_network_retries=0,
    )
