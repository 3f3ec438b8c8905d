"""A guest with a phone at a door."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from cloud_api.auth.models import Account
from cloud_api.kit.database import Database
from cloud_api.orders.models import Order
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
)


class Guest:
    """A customer with a phone in hand."""

    def __init__(self, client: httpx.AsyncClient, account: Account, token: str) -> None:
        self.client = client
        self.account = account
        self.headers = bearer(token)

    async def look(self, token: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/doors/{token}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def tap(self, token: str, **headers: str) -> httpx.Response:
        return await self.client.post(
            f"/api/v1/doors/{token}/unlock", headers=self.headers | headers
        )


@pytest.fixture
async def guest(db: Database, client: httpx.AsyncClient, now: datetime) -> Guest:
    async with db.write() as session:
        account = await make_customer(session, now)
        return Guest(client, account, await make_login(session, account.id, now))


@pytest.fixture
async def order(db: Database, shop: Shop, guest: Guest, now: datetime) -> Order:
    """Theirs: the first room from 12:10 for two hours; the door opens at 11:55."""
    async with db.write() as session:
        return await make_order(session, shop, guest.account, now + timedelta(minutes=10), now=now)
