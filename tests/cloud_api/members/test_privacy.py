"""Taking one's data along, and having it deleted, on both databases."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.auth.models import Account, Login
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import vault
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.personal import Section
from cloud_api.members import service
from cloud_api.members.export import page
from cloud_api.notifications.models import Notice
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from store_link.clock import ManualClock
from tests.cloud_api.conftest import NOON
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
)

PHONE = "+8613912344821"


class Guest:
    """A logged-in customer with one finished order."""

    def __init__(self, account: Account, token: str, order: Order) -> None:
        self.account, self.order = account, order
        self.headers = bearer(token)


@pytest.fixture
async def guest(cloud: Cloud, shop: Shop) -> Guest:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        account = await make_customer(session, now, PHONE)
        token = await make_login(session, account.id, now)
        order = await make_order(
            session, shop, account, now - timedelta(hours=5), now=now, status="completed"
        )
        session.add(
            Notice(
                merchant_id=shop.merchant.id,
                account_id=account.id,
                audience="customer",
                once="1",
                event="order.paid",
                subject=f"order:{order.id}",
                language="zh_Hans",
                title="付款成功",
                body="竹间见",
                created_at=now,
            )
        )
    return Guest(account, token, order)


async def test_a_person_takes_their_data_along(
    app: Any, client: httpx.AsyncClient, cloud: Cloud, guest: Guest, shop: Shop, wire: ManualClock
):
    asked = await client.post("/api/v1/me/export", headers=guest.headers)
    assert (asked.status_code, asked.json()["state"]) == (202, "asked")
    again = await client.post("/api/v1/me/export", headers=guest.headers)
    assert again.json()["id"] == asked.json()["id"]  # one at a time
    early = await client.get(f"/api/v1/me/exports/{asked.json()['id']}", headers=guest.headers)
    assert (early.status_code, early.json()["code"]) == (409, "export.not_ready")
    await run_due(cloud)
    (ready,) = (await client.get("/api/v1/me/exports", headers=guest.headers)).json()["items"]
    assert ready["state"] == "ready"
    got = await client.get(ready["url"], headers=guest.headers)
    assert got.headers["content-type"] == "application/zip"
    assert got.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(got.content)) as file:
        data = json.loads(file.read("data.json"))
        shown = file.read("data.html").decode()
    assert data["account"][0]["手机号"] == PHONE
    assert data["orders"][0]["订单号"] == guest.order.number
    assert data["orders"][0]["包间"] == shop.room.name
    assert data["notices"][0]["标题"] == "付款成功"
    assert PHONE in shown
    assert "¥76.00" in shown
    async with cloud.db.write() as session:
        other = await make_customer(session, cloud.clocks.now)
        theirs = bearer(await make_login(session, other.id, cloud.clocks.now))
    assert (await client.get(ready["url"], headers=theirs)).status_code == 404
    assert (await client.get(ready["url"])).status_code == 401
    wire.pass_time(service.KEEP.total_seconds() + 1)
    late = await client.get(ready["url"], headers=guest.headers)
    assert (late.status_code, late.json()["code"]) == (409, "export.expired")
    async with cloud.db.write() as session:
        await service.forget_old(session, cloud.clocks.real)
    (gone,) = (await client.get("/api/v1/me/exports", headers=guest.headers)).json()["items"]
    assert (gone["state"], gone["url"]) == ("expired", None)


async def delete(client: httpx.AsyncClient, guest: Guest, confirm: str = "4821") -> httpx.Response:
    return await client.post("/api/v1/me/delete", headers=guest.headers, json={"confirm": confirm})


async def test_a_person_is_deleted_and_the_money_stays(
    client: httpx.AsyncClient, cloud: Cloud, guest: Guest
):
    wrong = await delete(client, guest, "0000")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "me.confirm")
    assert (await delete(client, guest)).status_code == 204
    assert (await client.get("/api/v1/auth/me", headers=guest.headers)).status_code == 401
    async with cloud.db.read() as session:
        account = await session.get(Account, guest.account.id)
        order = await session.get(Order, guest.order.id)
        logins = (await session.exec(select(Login))).all()
        notice = (await session.exec(select(Notice))).one()
        entry = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "account.delete"))
        ).one()
    assert account is not None
    assert (account.phone, account.phone_tail) == ("", "")
    assert account.phone_index != vault().index(PHONE)
    assert order is not None
    assert (order.paid_fen, order.account_id) == (7600, guest.account.id)
    assert logins == []
    assert (notice.title, notice.body, notice.account_id) == ("", "", None)
    assert entry.by == f"customer:{guest.account.id}"
    assert PHONE[3:] not in str(entry.model_dump())
    # The number is free: whoever has it now is somebody new.
    async with cloud.db.write() as session:
        newcomer = await make_customer(session, cloud.clocks.now, PHONE)
    assert newcomer.id != guest.account.id


async def test_what_must_be_settled_first_is_named(
    client: httpx.AsyncClient, cloud: Cloud, guest: Guest, shop: Shop
):
    now = cloud.clocks.now

    async def reasons() -> list[str]:
        answer = await delete(client, guest)
        assert (answer.status_code, answer.json()["code"]) == (409, "me.delete_blocked")
        return [one["code"] for one in answer.json()["reasons"]]

    async with cloud.db.write() as session:
        order = await make_order(session, shop, guest.account, now + timedelta(hours=3), now=now)
    assert await reasons() == ["orders.open"]
    async with cloud.db.write() as session:
        order.status = "completed"
        session.add(order)
        provider = ProviderAccount(
            merchant_id=shop.merchant.id,
            provider="cashier",
            name="收银台",
            credentials="{}",
            created_at=now,
        )
        session.add(provider)
        await session.flush()
        payment = PaymentAttempt(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            account_id=guest.account.id,
            account_ref=provider.id,
            provider="cashier",
            pays=f"order:{order.id}",
            part_of=f"order:{order.id}",
            number="P1",
            amount_fen=100,
            state="unknown",
            expires_at=now,
            created_at=now,
        )
        session.add(payment)
    assert await reasons() == ["money.held"]
    async with cloud.db.write() as session:
        payment.state = "succeeded"
        session.add(payment)
        refund = RefundAttempt(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            account_id=guest.account.id,
            payment_id=payment.id,
            number="R1",
            amount_fen=100,
            reason="取消",
            state="abnormal",
            created_at=now,
        )
        session.add(refund)
    assert await reasons() == ["money.held"]  # nobody's money is lost by forgetting whose it is
    async with cloud.db.write() as session:
        refund.state = "failed"
        session.add(refund)
    assert await reasons() == ["money.held"]
    async with cloud.db.write() as session:
        refund.replaced_by = "R1x2"  # it stays refused; its money went by another number
        session.add(refund)
        member = await make_staff(session, shop, now)
        member.account_id = guest.account.id
        session.add(member)
    assert await reasons() == ["staff.active"]
    async with cloud.db.write() as session:
        member.active = False
        session.add(member)
    assert (await delete(client, guest)).status_code == 204


def test_the_page_shows_nothing_as_markup():
    shown = page([Section("x", "<b>", [{"名": "<script>"}])], NOON, "UTC")
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
