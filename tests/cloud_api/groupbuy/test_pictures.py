"""A campaign's photos and film: uploaded, ordered, on its page, its poster and the link that is shared."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from PIL import Image

from cloud_api.groupbuy import campaigns
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.settings import Settings
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, staff
from tests.cloud_api.media.files import film, photo


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=db_url, secrets="11" * 32, data_dir=tmp_path, media_dir=tmp_path / "media",
        public_url="http://kaimen.test", run_worker=False, video_mb=2,
    )  # fmt: skip


@pytest.fixture
def with_pages() -> bool:
    return True


async def test_pictures_are_on_every_page_of_a_campaign(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop
) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        member = await make_staff(session, shop, cloud.clocks.real)
        owner = bearer(await make_login(session, member.account_id, cloud.clocks.real))
        terms = CampaignIn.model_validate(
            {
                "name": "四人三小时", "price_fen": 5800, "list_fen": 8800, "minutes": 180,
                "starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=30),
                "store_ids": [shop.store.id],
            }
        ).model_dump()  # fmt: skip
        who = staff(member, ALL)
        made = await campaigns.create(session, who, terms, cloud.clocks)
        await campaigns.turn(session, who, made.id, "published", cloud.clocks)
    at, page = f"/api/v1/console/campaigns/{made.id}", f"/groupbuy/{made.id}"
    plain = await client.get(f"{page}/poster.png")
    assert f'content="http://kaimen.test{page}/poster.png"' in (await client.get(page)).text

    shots = []
    for kind, body in (("photo", photo(1000, 700)), ("photo", photo(900, 900)), ("video", film())):
        told = await client.post(f"{at}/media?kind={kind}", content=body, headers=owner)
        assert told.status_code == 201, told.text
        shots.append(told.json())
    refused = await client.post(f"{at}/media?kind=video", content=photo(), headers=owner)
    assert refused.json()["code"] == "media.not_a_video"
    ids = [shots[1]["id"], shots[2]["id"], shots[0]["id"]]
    listed = await client.put(f"{at}/media-order", json={"ids": ids}, headers=owner)
    assert [one["id"] for one in listed.json()["items"]] == ids
    told = await client.put(f"{at}/media-order", json={"ids": ids[:2]}, headers=owner)
    assert told.json()["code"] == "media.order"

    shown = (await client.get(f"/api/v1/groupbuy/campaigns/{made.id}")).json()["media"]
    assert [(one["id"], bool(one["video"])) for one in shown] == [
        (ids[0], False), (ids[1], True), (ids[2], False),
    ]  # fmt: skip
    part = await client.get(shown[1]["video"], headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    html = (await client.get(page)).text
    assert f'content="http://kaimen.test/media/{ids[0]}/640.jpg"' in html
    assert f'<source src="{shown[1]["video"]}" type="video/mp4">' in html
    assert shown[0]["src"] in (await client.get("/groupbuy")).text
    assert (
        shown[0]["src"]
        in (await client.get(f"/console/campaigns/{made.id}/preview", headers=owner)).text
    )
    poster = await client.get(f"{page}/poster.png")
    assert poster.content != plain.content
    with Image.open(io.BytesIO(poster.content)) as image:
        assert image.size == (750, 1200)

    copied = (await client.post(f"{at}/copy", headers={**owner, "Idempotency-Key": "c"})).json()
    assert [one["id"] for one in copied["media"]] == ids
    for campaign, status in ((made.id, 200), (copied["id"], 404)):  # files go with the last of them
        gone = f"/api/v1/console/campaigns/{campaign}/media/{ids[0]}"
        assert (await client.delete(gone, headers=owner)).status_code == 204
        while await run_due(cloud):
            pass
        assert (await client.get(shown[0]["src"])).status_code == status
    again = await client.delete(f"{at}/media/{ids[0]}", headers=owner)
    assert again.status_code == 404
