"""Reviews and tickets: whose they are, who answers, what others see of them."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlmodel import select

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.staff.permissions import ALL
from cloud_api.support import reviews, tickets
from cloud_api.support.models import TicketMessage
from tests.cloud_api.factories import (
    Shop,
    bearer,
    customer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    staff,
)
from tests.cloud_api.media.files import photo


async def test_a_stay_is_reviewed_once_answered_and_hidden_for_a_reason(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        guest = await make_customer(session, clocks.now)
        other = await make_customer(session, clocks.now)
        starts = clocks.now - timedelta(hours=3)
        done = await make_order(session, shop, guest, starts, now=clocks.now, status="completed")
        owner = staff(await make_staff(session, shop, clocks.now), ALL)
        cleaner = staff(await make_staff(session, shop, clocks.now), frozenset({"order.read"}))
        with pytest.raises(NotFound):
            await reviews.write(session, customer(other), done.id, 5, "不是我的", clocks)
        one = await reviews.write(session, customer(guest), done.id, 4, " 空调有点吵 ", clocks)
        with pytest.raises(Conflict) as refused:
            await reviews.write(session, customer(guest), done.id, 5, "", clocks)
        assert refused.value.code == "review.done"
        assert (await reviews.rating(session, shop.store.id)) == (4.0, 1)
        with pytest.raises(Forbidden):
            await reviews.reply(session, cleaner, one.id, "谢谢", clocks)
        await reviews.reply(session, owner, one.id, "明天就修", clocks)
        (told,), following = await reviews.shown(session, shop.store.id)
        assert (told.text, told.reply, following) == ("空调有点吵", "明天就修", None)
        await reviews.hide(session, owner, one.id, "广告", clocks)
        assert (await reviews.shown(session, shop.store.id))[0] == []
        assert (await reviews.rating(session, shop.store.id)) == (0.0, 0)
        assert len(await reviews.for_staff(session, cleaner)) == 1
        await reviews.hide(session, owner, one.id, "", clocks)
        assert len((await reviews.shown(session, shop.store.id))[0]) == 1


async def test_a_ticket_goes_back_and_forth_until_it_is_closed(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        guest = await make_customer(session, clocks.now)
        other = await make_customer(session, clocks.now)
        order = await make_order(session, shop, guest, clocks.now, now=clocks.now, status="ready")
        owner = staff(await make_staff(session, shop, clocks.now), ALL)
        junior = staff(await make_staff(session, shop, clocks.now), frozenset({"order.read"}))
        who = customer(guest)
        one = await tickets.ask(
            session, who, store_id="", order_id=order.id, kind="complaint",
            text="麻将机卡牌", clocks=clocks,
        )  # fmt: skip
        assert (one.store_id, one.state, one.subject) == (order.store_id, "open", "麻将机卡牌")
        with pytest.raises(KaimenError) as refused:
            await tickets.say(session, who, one.id, "  ", clocks)
        assert refused.value.code == "ticket.empty"
        with pytest.raises(NotFound):
            await tickets.read(session, customer(other), one.id)
        with pytest.raises(Forbidden):
            await tickets.listed(session, junior)
        await tickets.say(session, owner, one.id, "这位客人常来", clocks, inside=True)
        assert (await tickets.read(session, owner, one.id))[0].state == "open"
        await tickets.say(session, owner, one.id, "师傅马上到", clocks)
        seen, said = await tickets.read(session, who, one.id)
        assert (seen.state, [m.text for m in said]) == ("answered", ["麻将机卡牌", "师傅马上到"])
        assert len((await tickets.read(session, owner, one.id))[1]) == 3
        await tickets.close(session, owner, one.id, clocks)
        await tickets.close(session, who, one.id, clocks)
        await tickets.say(session, who, one.id, "又卡了", clocks)
        assert (await tickets.read(session, who, one.id))[0].state == "open"
        assert [t.id for t in await tickets.listed(session, owner, "open")] == [one.id]
        with pytest.raises(NotFound):
            await tickets.ask(
                session, customer(other), store_id="", order_id=order.id, kind="inquiry",
                text="看看", clocks=clocks,
            )  # fmt: skip


async def test_photos_are_made_anew_named_once_and_shown_where_they_belong(
    db: Database, shop: Shop, clocks: Clocks, client: httpx.AsyncClient, cloud: Cloud
) -> None:
    """Sent one by one, named by the review or the message; another's or a stranger's file is refused."""
    async with db.write() as session:
        guest, thief = [await make_customer(session, clocks.now) for _ in range(2)]
        mine = bearer(await make_login(session, guest.id, clocks.now))
        theirs = bearer(await make_login(session, thief.id, clocks.now))
        starts = clocks.now - timedelta(hours=3)
        done = await make_order(session, shop, guest, starts, now=clocks.now, status="completed")
        owner = await make_staff(session, shop, clocks.now)
        desk = bearer(await make_login(session, owner.account_id, clocks.now))
    sent = f"/api/v1/me/photos?order_id={done.id}"

    async def send(headers: dict[str, str], body: bytes) -> httpx.Response:
        return await client.post(sent, headers=headers, content=body)

    assert (await send(theirs, photo())).status_code == 404
    assert (await client.post(sent, content=photo())).status_code == 401
    wrong = await send(mine, b"<svg onload=alert(1)>" * 20)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "media.not_a_photo")
    one, two, three = [(await send(mine, photo())).json() for _ in range(3)]
    shown = await client.get(one["href"])
    assert b"Secret Camera" not in shown.content
    stolen = {"store_id": shop.store.id, "text": "看", "photos": [one["id"]]}
    refused = await client.post("/api/v1/tickets", headers=theirs, json=stolen)
    assert (refused.status_code, refused.json()["code"]) == (422, "photo.gone")
    review = {"stars": 4, "text": "茶台不错", "photos": [two["id"], one["id"]]}
    written = await client.post(f"/api/v1/orders/{done.id}/review", headers=mine, json=review)
    assert [p["id"] for p in written.json()["photos"]] == [two["id"], one["id"]]
    public = (await client.get(f"/api/v1/stores/{shop.store.id}/reviews")).json()
    assert [p["src"] for p in public["items"][0]["photos"]] == [two["src"], one["src"]]
    again = {"order_id": done.id, "kind": "complaint", "text": "椅子坏了", "photos": [one["id"]]}
    assert (await client.post("/api/v1/tickets", headers=mine, json=again)).status_code == 422
    again["photos"] = [three["id"]]
    ticket = (await client.post("/api/v1/tickets", headers=mine, json=again)).json()
    told = await client.get(f"/api/v1/console/tickets/{ticket['id']}", headers=desk)
    assert told.json()["messages"][0]["photos"][0]["href"] == three["href"]
    # What was sent and used by nothing goes after a day; who leaves takes words and photos along.
    unused = (await send(mine, photo())).json()
    clocks.wire.pass_time(25 * 3600)  # type: ignore[attr-defined]
    for _ in range(2):
        await run_due(cloud)
    assert (await client.get(unused["href"])).status_code == 404
    assert (await client.get(one["href"])).status_code == 200
    gone = await client.post("/api/v1/me/delete", headers=mine, json={"confirm": guest.phone_tail})
    assert gone.status_code == 204, gone.text
    await run_due(cloud)
    assert (await client.get(one["href"])).status_code == 404
    left = (await client.get(f"/api/v1/stores/{shop.store.id}/reviews")).json()["items"][0]
    assert (left["stars"], left["text"], left["photos"]) == (4, "", [])
    async with db.read() as session:
        words = [m.text for m in (await session.exec(select(TicketMessage))).all()]
    assert words == [""]
