"""Orders as a file to take along: asked for, written beside, fetched by its owner alone, gone in a day."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta

import httpx
from openpyxl import load_workbook
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

import cloud_api.orders.jobs  # noqa: F401  registers its handlers
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.i18n import speaking
from cloud_api.orders import export
from cloud_api.orders.export_sheet import COLUMNS, safe, write
from cloud_api.orders.models import Order, OrderExport
from cloud_api.orders.search import Wanted
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from store_link.clock import ManualClock
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    staff,
)

HERE = "/api/v1/console/order-exports"
EVIL = "=HYPERLINK(1)"


def test_no_cell_is_a_formula() -> None:
    for text in ("=1+1", "+86", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1"):
        assert safe(text) == f"'{text}"
    assert safe("2611-A=1") == "2611-A=1"
    row = (EVIL, "a\x00b", None, 12.5)
    (_, told) = csv.reader(io.StringIO(write("csv", [row]).decode("utf-8-sig")))
    assert told == [f"'{EVIL}", "a\x00b", "", "12.50"]
    with speaking("en"):  # the words of who asked, not the program's own
        (head, _) = csv.reader(io.StringIO(write("csv", [row]).decode("utf-8-sig")))
    assert head[:4] == ["Order no.", "Store", "Room", "State"]
    assert not re.search(r"[\u3400-\u9fff]", "".join(head))
    sheet = load_workbook(io.BytesIO(write("xlsx", [row]))).active
    assert sheet is not None
    assert [one.value for one in sheet[2]][:4] == [f"'{EVIL}", "ab", None, 12.5]
    assert sheet["A2"].data_type == "s"


async def test_a_list_is_written_fetched_once_told_of_and_gone(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop
) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        guest = await make_customer(session, now, "+8613912344821")
        for hours in (-50, -26, 2):
            at = now + timedelta(hours=hours)
            state = "completed" if hours < 0 else "ready"
            order = await make_order(session, shop, guest, at, now=at, status=state)
            order.staff_note = EVIL
            session.add(order)
            if hours == -26:
                await _paid(session, order, now)
        boss = await make_staff(session, shop, now)
        owner = bearer(await make_login(session, boss.account_id, now))
        peer = await make_staff(session, shop, now)
        other = bearer(await make_login(session, peer.account_id, now))
    asked = await client.post(
        HERE,
        json={"form": "csv", "state": "done", "day": "2026-11-22", "until": "2026-11-23"},
        headers=owner,
    )
    assert asked.status_code == 202, asked.text
    told = asked.json()
    assert (told["state"], told["total"], told["url"]) == ("waiting", 1, None)
    early = await client.get(f"{HERE}/{told['id']}/file", headers=owner)
    assert (early.status_code, early.json()["code"]) == (409, "export.not_ready")
    while await run_due(cloud):
        pass
    (done,) = (await client.get(HERE, headers=owner)).json()["items"]
    assert (done["state"], done["rows"]) == ("done", 1)
    got = await client.get(done["url"], headers=owner)
    assert got.headers["content-disposition"].endswith('.csv"')
    (line,) = csv.DictReader(io.StringIO(got.content.decode("utf-8-sig")))
    assert tuple(line) == COLUMNS
    assert line["门店"] == shop.store.name
    assert (line["手机尾号"], line["备注"]) == ("4821", f"'{EVIL}")
    assert line["开始"] == "2026-11-22 10:00"  # in the store's zone
    assert (line["应付（元）"], line["支付方式"]) == ("76.00", "收银台")
    assert (await client.get(done["url"], headers=other)).status_code == 404
    assert (await client.get(HERE, headers=other)).json()["items"] == []
    for clock in (cloud.clocks.wire, cloud.clocks.business):
        assert isinstance(clock, ManualClock)
        clock.pass_time(export.KEEP.total_seconds())
    late = await client.get(done["url"], headers=owner)
    assert late.status_code in {401, 409}, late.text
    async with cloud.db.write() as session:
        await export.forget_old(session, cloud.clocks.real)
        row = await session.get_one(OrderExport, done["id"])
        assert (row.content, export.state_of(row, cloud.clocks.real)) == (None, "expired")
        acts = await session.exec(
            select(col(AuditEntry.action)).where(col(AuditEntry.action).startswith("order.export"))
        )
        assert sorted(acts) == ["order.export", "order.export_fetch"]


async def _paid(session: AsyncSession, order: Order, now: datetime) -> None:
    account = ProviderAccount(
        merchant_id=order.merchant_id,
        provider="cashier",
        name="收银台",
        credentials="{}",
        created_at=now,
    )
    session.add(account)
    await session.flush()
    session.add(
        PaymentAttempt(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            account_id=order.account_id,
            account_ref=account.id,
            provider="cashier",
            pays=f"order:{order.id}",
            part_of=f"order:{order.id}",
            number=f"P{order.number}",
            amount_fen=order.total_fen,
            state="succeeded",
            expires_at=now,
            created_at=now,
        )
    )


async def test_who_sees_one_store_exports_one_store(cloud: Cloud, shop: Shop) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        guest = await make_customer(session, now)
        await make_order(session, shop, guest, now, now=now)
        member = await make_staff(session, shop, now)
        may = frozenset({"order.read", "order.export"})
        everywhere = staff(member, may)
        elsewhere = type(everywhere)(
            everywhere.staff_id, everywhere.account_id, everywhere.merchant_id, may, frozenset()
        )
        wanted = Wanted()
        assert (await export.ask(session, everywhere, "xlsx", wanted, cloud.clocks)).total == 1
        none = await export.ask(session, elsewhere, "xlsx", wanted, cloud.clocks)
        assert none.total == 0
    while await run_due(cloud):
        pass
    async with cloud.db.write() as session:
        row, content = await export.fetch(session, elsewhere, none.id, cloud.clocks)
        assert (row.rows, load_workbook(io.BytesIO(content)).active.max_row) == (0, 1)  # type: ignore[union-attr]
