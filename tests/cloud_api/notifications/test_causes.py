"""What people hear of: the life of an order, a login from a strange device."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel import col, select

from cloud_api.auth import service as auth
from cloud_api.kit import due_jobs
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import NOTICE
from cloud_api.notifications.models import Notice
from cloud_api.orders.transitions import move, note, system_lock
from cloud_api.worker import register_jobs
from tests.cloud_api.factories import Shop, make_customer, make_order, make_staff


@pytest.fixture(autouse=True)
def _jobs() -> None:
    register_jobs()


async def quiet(cloud: Cloud) -> None:
    while await due_jobs.run_due(cloud):
        pass


async def test_an_orders_life_is_told_to_guest_and_staff(
    cloud: Cloud, shop: Shop, clocks: Clocks, now: datetime
):
    async with cloud.db.write() as session:
        guest = await make_customer(session, now)
        owner = await make_staff(session, shop, now)
        made = await make_order(
            session, shop, guest, now + timedelta(hours=2), now=now, status="pending_payment"
        )
    async with cloud.db.write() as session:
        order = await system_lock(session, made.id)
        for to in ("paid", "ready", "in_use", "completed"):
            await move(session, order, to, by="test", clocks=clocks)
        body = {"number": "r1", "amount_fen": 100}
        for kind in ("refund_asked", "refund_failed", "finish_asked"):
            await note(session, order, kind, by="test", clocks=clocks, body=body)
    async with cloud.db.read() as session:
        jobs = (await session.exec(select(DueJob).where(col(DueJob.kind) == NOTICE))).all()
    planned = {job.body["event"]: job.run_at for job in jobs}
    assert planned["order.starting_soon"] == made.starts_at - timedelta(minutes=30)
    assert planned["order.ending_soon"] == made.ends_at - timedelta(minutes=15)
    for job in jobs:
        if job.kind == NOTICE and job.run_at <= now:
            assert job.body["subject"] == f"order:{made.id}"
    await quiet(cloud)
    async with cloud.db.read() as session:
        found = (await session.exec(select(Notice))).all()
    mine = {one.event for one in found if one.account_id == guest.id}
    assert mine == {"order.paid", "order.ready", "order.ended", "refund.asked", "refund.failed"}
    staff = {one.event for one in found if one.account_id == owner.account_id}
    assert staff == {"order.new", "order.ended_house", "refund.refused", "cleaning.wanted"}


async def test_staff_hear_of_a_strange_device_and_guests_do_not(
    cloud: Cloud, shop: Shop, now: datetime
):
    async with cloud.db.write() as session:
        member = await make_staff(session, shop, now)
        guest = await make_customer(session, now)
    devices = ("iPhone MicroMessenger", "iPhone MicroMessenger", "Windows Chrome")
    for account_id in (member.account_id, guest.id):
        for device in devices:
            async with cloud.db.write() as session:
                account = await session.get_one(type(guest), account_id)
                await auth.make_login(
                    session, account, kind="sms", ip="", device=device, now=cloud.clocks.real
                )
            await quiet(cloud)
    async with cloud.db.read() as session:
        [told] = (await session.exec(select(Notice))).all()
    assert (told.account_id, told.event, told.urgent) == (
        member.account_id,
        "login.new_device",
        True,
    )
    assert "Windows 电脑 · Chrome" in told.body
