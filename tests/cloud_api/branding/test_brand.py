"""A merchant's brand: chosen, refused, kept apart from other merchants', taken back; logos made anew."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlmodel import select

from cloud_api.audit.models import AuditEntry
from cloud_api.branding.looks import forget, looks_of
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.media.models import Media
from cloud_api.media.storage import open_media
from cloud_api.merchants.models import Merchant
from cloud_api.notifications.channels.base import Letter
from cloud_api.notifications.channels.mail import MailCredentials, message_of
from cloud_api.settings import Settings
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, make_store
from tests.cloud_api.media.files import bomb, photo

HERE = "/api/v1/console/brand"
WORDS = {
    "name": "听竹轩 🀄 Tīngzhú", "short": "听竹轩", "slogan": "一盏灯，一桌牌", "phone": "021-5555 0000",
    "wechat": "tingzhu_01", "footer": "沪ICP备12345678号-1", "colour": "#8b1e3f",
}  # fmt: skip
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=db_url, secrets="11" * 32, data_dir=tmp_path, media_dir=tmp_path / "media",
        public_url="http://kaimen.test", run_worker=False,
    )  # fmt: skip


@pytest.fixture
def with_pages() -> bool:
    return True


def png(width: int, height: int, colour: tuple[int, ...] = (139, 30, 63, 255)) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    image.paste(colour, (width // 8, height // 8, width - width // 8, height - height // 8))
    image.save(out, "PNG")
    return out.getvalue()


async def test_words_and_a_colour_are_taken_refused_taken_back_and_written_down(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str]
) -> None:
    empty = (await client.get(HERE, headers=owner)).json()
    assert (empty["version"], empty["name"], empty["can_undo"]) == (0, "", False)
    wrong = {
        "colour": ["red;}body{display:none}", "#12345", "url(//x)"],
        "name": ["x" * 25, "两\n行", "\u202eevil", "a\0b"],
        "phone": ["call me", "<b>1</b>"],
        "footer": ["x" * 81],
    }
    for field, texts in wrong.items():
        for text in texts:
            answer = await client.put(HERE, json={"version": 0, field: text}, headers=owner)
            assert (answer.status_code, answer.json()["field"]) == (422, field), (text, answer.text)
    made = (await client.put(HERE, json={"version": 0, **WORDS}, headers=owner)).json()
    assert made["version"] == 1
    assert {**made, "colour": "#8b1e3f"} | WORDS == {**made, **WORDS}
    # Somebody else's page, opened before: nothing of what was saved is lost under it.
    late = await client.put(HERE, json={"version": 0, "name": "别的"}, headers=owner)
    assert (late.status_code, late.json()["code"]) == (409, "brand.changed")
    again = (
        await client.put(HERE, json={"version": 1, **WORDS, "name": "新"}, headers=owner)
    ).json()
    assert (again["version"], again["name"]) == (2, "新")
    undone = (await client.post(f"{HERE}/undo", json={"version": 2}, headers=owner)).json()
    assert undone["name"] == WORDS["name"]
    gone = (await client.post(f"{HERE}/reset", json={"version": 3}, headers=owner)).json()
    assert (gone["name"], gone["colour"], gone["can_undo"]) == ("", "", True)
    back = (await client.post(f"{HERE}/undo", json={"version": 4}, headers=owner)).json()
    assert (back["slogan"], back["version"]) == (WORDS["slogan"], 5)
    ramp = (await client.post(f"{HERE}/ramp", json={"colour": "#FFD500"}, headers=owner)).json()
    assert ramp["moved"] == ["light"]
    assert ramp["light"]["--brand"] != "#FFD500"
    async with cloud.db.read() as session:
        acts = (await session.exec(select(AuditEntry).order_by(AuditEntry.seq))).all()  # type: ignore[arg-type]
    told = [one.action for one in acts if one.action.startswith("brand.")]
    assert told == ["brand.edit", "brand.edit", "brand.undo", "brand.reset", "brand.undo"]


async def test_a_logo_is_made_anew_and_what_is_none_is_refused(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str]
) -> None:
    """A drawing with a script, a bomb, ten megabytes, a film's first bytes, the wrong shape: each is told."""
    refused = [
        ("square", SVG, 422, "media.not_a_photo"),
        ("square", b"GIF89a" + bytes(99), 422, "media.not_a_photo"),
        ("square", b"\x89PNG\r\n\x1a\n" + bytes(99), 422, "media.not_a_photo"),
        ("square", bomb(), 422, "media.too_many_pixels"),
        ("square", bytes(10 << 20), 413, "media.too_large"),
        ("square", b"", 422, "media.empty"),
        ("square", png(40, 40), 422, "media.too_small"),
        ("square", png(600, 200), 422, "brand.shape"),
        ("wide", png(200, 200), 422, "brand.shape"),
    ]
    for shape, body, status, code in refused:
        answer = await client.put(f"{HERE}/logos/{shape}", content=body, headers=owner)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (
        await client.put(f"{HERE}/logos/round", content=png(99, 99), headers=owner)
    ).status_code == 422
    assert (await client.put(f"{HERE}/logos/square", content=png(99, 99))).status_code == 401
    first = (
        await client.put(f"{HERE}/logos/square", content=photo(700, 500), headers=owner)
    ).json()
    second = (await client.put(f"{HERE}/logos/square", content=png(600, 600), headers=owner)).json()
    await client.put(f"{HERE}/logos/wide", content=png(900, 200), headers=owner)
    for name, side in (("icon-64", 64), ("icon-180", 180), ("icon-512", 512), ("mask-512", 512)):
        got = await client.get(second["square"].replace("icon-192", name))
        assert got.headers["content-type"] == "image/png"
        assert "sandbox" in got.headers["content-security-policy"]
        with Image.open(io.BytesIO(got.content)) as image:
            assert image.size == (side, side)
            assert not image.getexif()
            if name == "icon-512":
                assert image.getpixel((2, 2)) == (0, 0, 0, 0)  # what was clear stays so
    # The camera's secrets of the first are gone; its files stay while it may come back, and go after that.
    kept = await client.get(first["square"])
    assert b"Secret Camera" not in kept.content
    await client.delete(f"{HERE}/logos/wide", headers=owner)
    while await run_due(cloud):
        cloud.clocks.wire.pass_time(1)  # type: ignore[attr-defined]
    assert (await client.get(first["square"])).status_code == 404
    assert (await client.get(second["square"])).status_code == 200
    undone = (await client.post(f"{HERE}/undo", json={"version": 4}, headers=owner)).json()
    assert (await client.get(undone["wide"])).status_code == 200
    async with cloud.db.read() as session:
        rows = {one.id for one in (await session.exec(select(Media))).all()}
    assert rows == set(
        open_media(cloud.settings).ids()
    )  # no file without a row, no row without files


async def test_two_merchants_on_one_server_never_wear_each_others_look(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    """Alone its brand is the whole site's; beside another each has its own pages, root pages are nobody's."""
    page = {"Accept": "text/html"}
    await client.put(HERE, json={"version": 0, **WORDS}, headers=owner)
    logo = (await client.put(f"{HERE}/logos/square", content=png(300, 300), headers=owner)).json()
    mine = shop.merchant.id
    home = (await client.get("/", headers=page)).text
    for own in (WORDS["footer"], logo["square"], f"/brand/{mine}.css?v=2"):
        assert own in home
    css = await client.get(f"/brand/{mine}.css?v=2")
    assert "#8B1E3F" in css.text
    assert "immutable" in css.headers["cache-control"]
    assert (await client.get(f"/brand/{mine}.css?v=1")).headers["cache-control"] == "no-store"
    told = (await client.get("/manifest.webmanifest")).json()
    assert (told["id"], told["name"], told["short_name"]) == ("/", WORDS["name"], "听竹轩")
    assert told["theme_color"] == "#8B1E3F"
    assert logo["square"] in {i["src"] for i in told["icons"]}
    alone = (await client.get("/sw.js")).text
    assert f"/brand/{mine}.css?v=2" in alone
    assert WORDS["name"] in (await client.get("/offline", headers=page)).text

    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别家的店")
    forget(cloud)
    for path in ("/", "/login", "/offline", f"/s/{other.store.id}", f"/d/{other.doors[0].token}"):
        text = (await client.get(path, headers=page, follow_redirects=True)).text
        assert not {own for own in ("听竹轩", mine, "/brand/") if own in text}, path
    for path in (f"/s/{shop.store.id}", f"/?house={mine}", f"/login?next=/d/{shop.doors[0].token}"):
        text = (await client.get(path, headers=page)).text
        assert f"/brand/{mine}.css?v=2" in text, path
        assert f"manifest.webmanifest?house={mine}" in text
    assert "别家的店" not in (await client.get(f"/?house={mine}", headers=page)).text
    own = (await client.get(f"/manifest.webmanifest?house={mine}")).json()
    assert (own["id"], own["start_url"]) == (f"/?house={mine}", f"/?house={mine}")
    together = (await client.get("/sw.js")).text
    assert mine not in together
    assert (
        alone.splitlines()[0] != together.splitlines()[0]
    )  # another worker, another store of files
    shared = (await client.get(f"/s/{shop.store.id}", headers=page)).text
    assert f'og:site_name" content="{WORDS["name"]}"' in shared
    assert (await client.get(f"/brand/{other.merchant.id}.css")).status_code == 404
    # A suspended neighbour leaves it alone again.
    async with cloud.db.write() as session:
        neighbour = await session.get_one(Merchant, other.merchant.id)
        neighbour.suspended_at = cloud.clocks.now
        session.add(neighbour)
    forget(cloud)
    assert (await looks_of(cloud)).home.merchant_id == mine


async def test_who_works_in_one_store_or_manages_cannot_rebrand_the_merchant(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    await client.put(HERE, json={"version": 0, **WORDS}, headers=owner)
    async with cloud.db.write() as session:
        there = cloud.clocks.real
        manager = await make_staff(session, shop, there, role="manager")
        some = await make_staff(session, shop, there, store_ids=[shop.store.id])
        people = [
            bearer(await make_login(session, one.account_id, there)) for one in (manager, some)
        ]
    for who in people:
        refused = await client.put(HERE, json={"version": 1, "name": "x"}, headers=who)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text


def test_a_mail_is_from_the_house_and_a_name_breaks_out_of_no_header() -> None:
    known = MailCredentials(
        host="smtp.example.com", username="u", password="p", sender="no@example.com", to=["a@b.cn"]
    )
    letter = Letter(
        ref="r", merchant_id="m", store_id=None, event="e", title="t", body="b", language="zh_Hans",
        address="", sender='听竹轩 "<x@y>',
    )  # fmt: skip
    sent = message_of(known, letter)
    (sender,) = sent["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ('听竹轩 "<x@y>', "no@example.com")


async def test_of_many_who_save_at_once_one_is_first_and_the_others_are_told(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str]
) -> None:
    """Of the very first words, and of later ones: nobody's change is lost without a word."""
    for version in (0, 1):
        said = await asyncio.gather(
            *(
                client.put(
                    HERE,
                    headers=owner,
                    json={**WORDS, "slogan": f"{version} {n}", "version": version},
                )
                for n in range(6)
            )
        )
        assert sorted(one.status_code for one in said) == [200, *[409] * 5]
        assert {one.json()["code"] for one in said if one.status_code == 409} == {"brand.changed"}
        (won,) = [one.json() for one in said if one.status_code == 200]
        assert (await client.get(HERE, headers=owner)).json()["slogan"] == won["slogan"]
