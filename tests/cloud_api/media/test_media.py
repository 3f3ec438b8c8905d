"""Uploads: what is no photo is refused, what is one is made anew; videos by their boxes; parts by Range."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minio import Minio
from moto.server import ThreadedMotoServer
from PIL import Image

from cloud_api.backups.make import _media
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.media import jobs, mp4, photos
from cloud_api.media.routes import part_of
from cloud_api.media.storage import Folder, open_media
from cloud_api.settings import Settings
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff
from tests.cloud_api.media.files import bomb, box, film, photo

BUCKET = "kaimen-media"


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=db_url, secrets="11" * 32, data_dir=tmp_path, media_dir=tmp_path / "media",
        public_url="http://kaimen.test", run_worker=False, photo_mb=1, video_mb=2,
    )  # fmt: skip


@pytest.fixture
async def owner(db: Database, shop: Shop, clocks: Clocks) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, clocks.real)
        return bearer(await make_login(session, member.account_id, clocks.real))


async def test_a_photo_is_made_anew_and_served_for_long(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    """Turned upright, in every size, without camera and place; listed in order; its files go with it."""
    where = f"/api/v1/console/stores/{shop.store.id}/media?room_id={shop.room.id}"
    made = [
        await client.post(where, content=photo(1600, 1200, sideways=side), headers=owner)
        for side in (True, False)
    ]
    assert [one.status_code for one in made] == [201, 201], made[0].text
    first, second = (one.json() for one in made)
    assert (first["width"], first["height"]) == (640, 853)  # 1200 × 1600 upright, below 1280
    assert [part.split()[1] for part in first["srcset"].split(", ")] == ["320w", "640w"]
    got = await client.get(first["src"])
    assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert got.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(got.content)) as image:
        assert image.size == (640, 853)
        assert not image.getexif()
        top, bottom = image.convert("RGB").getpixel((320, 10)), image.getpixel((320, 840))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > bottom[0]  # what was left is on top
    assert b"Secret" not in got.content
    again = await client.get(first["src"], headers={"If-None-Match": got.headers["etag"]})
    assert again.status_code == 304
    swap = {"ids": [second["id"], first["id"]]}
    order = f"/api/v1/console/stores/{shop.store.id}/media-order?room_id={shop.room.id}"
    listed = (await client.put(order, json=swap, headers=owner)).json()["items"]
    assert [one["id"] for one in listed] == swap["ids"]
    assert (
        await client.delete(f"/api/v1/console/media/{first['id']}", headers=owner)
    ).status_code == 204
    assert await run_due(cloud)
    assert (await client.get(first["src"])).status_code == 404
    left = await client.get(f"/api/v1/stores/{shop.store.id}/media?room_id={shop.room.id}")
    assert [one["id"] for one in left.json()["items"]] == [second["id"]]
    kept = {path.parent.name for path in _media(cloud.settings.media_dir)}
    assert kept == {second["id"]}  # what a backup takes along


async def test_what_is_no_photo_is_refused(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    where = f"/api/v1/console/stores/{shop.store.id}/media"
    for name, body, code in (
        ("drawing", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "not_a_photo"),
        ("nothing", b"", "empty"),
        ("half a photo", photo()[:2000], "not_a_photo"),
        ("a head", photo(form="JPEG")[:3] + b"GIF89a" * 100, "not_a_photo"),
        ("bomb", bomb(), "too_many_pixels"),
        ("stamp", photo(60, 40), "too_small"),
        ("too long", photo() + bytes(1 << 20), "too_large"),
    ):
        refused = await client.post(where, content=body, headers=owner)
        status = 413 if code == "too_large" else 422
        assert (refused.json()["code"], refused.status_code) == (f"media.{code}", status), name
        assert open_media(cloud.settings).ids() == [], name
        assert list((cloud.settings.data_dir / ".uploads").glob("*")) == [], name


async def test_an_upload_without_end_is_cut_off(
    client: httpx.AsyncClient, shop: Shop, owner: dict[str, str]
) -> None:
    """A body without a stated length is refused while it arrives, not after it filled the disk."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield photo()
        while sent < 64:
            sent += 1
            yield bytes(256 << 10)

    where = f"/api/v1/console/stores/{shop.store.id}/media"
    refused = await client.post(where, content=endless(), headers=owner)
    assert refused.status_code == 413
    assert sent < 16


async def test_a_video_plays_from_anywhere(
    client: httpx.AsyncClient, shop: Shop, owner: dict[str, str]
) -> None:
    body = film()
    where = f"/api/v1/console/stores/{shop.store.id}/media?kind=video"
    made = (await client.post(where, content=body, headers=owner)).json()
    assert (made["seconds"], made["width"], made["height"], made["src"]) == (12, 1280, 720, "")
    poster = await client.put(
        f"/api/v1/console/media/{made['id']}/poster", content=photo(), headers=owner
    )
    assert poster.json()["src"].endswith("/640.webp")
    part = await client.get(made["video"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, body[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(body)}"
    tail = await client.get(made["video"], headers={"Range": "bytes=-50"})
    assert tail.content == body[-50:]
    beyond = await client.get(made["video"], headers={"Range": f"bytes={len(body)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(body)}")
    stale = await client.get(made["video"], headers={"Range": "bytes=0-9", "If-Range": '"old"'})
    assert (stale.status_code, stale.content) == (200, body)
    head = await client.head(made["video"])
    assert (head.headers["content-length"], head.content) == (str(len(body)), b"")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (film(codec=b"hvc1"), "media.not_h264"),
        (film(sound=b"ac-3"), "media.not_h264"),
        (film(seconds=600), "media.too_long"),
        (film(seconds=0), "media.too_long"),
        (film()[:-100], "media.not_a_video"),
        (film()[: len(film()) // 12], "media.not_a_video"),
        (b"\x1aE\xdf\xa3" + bytes(500), "media.not_a_video"),  # WebM
        (box(b"ftyp", b"qt  ", bytes(4)) + film()[24:], "media.not_a_video"),
        (box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", bytes(9)), "media.not_a_video"),
    ],
    ids=["h265", "ac3", "long", "empty", "cut", "begun", "webm", "quicktime", "boxes"],
)
def test_only_h264_in_mp4(tmp_path: Path, body: bytes, code: str) -> None:
    path = tmp_path / "film"
    path.write_bytes(body)
    with pytest.raises(KaimenError) as refused:
        mp4.inspect(path)
    assert refused.value.code == code


def test_a_good_film(tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(film(sound=None, seconds=30))
    assert mp4.inspect(path) == mp4.Video(1280, 720, 30, True)


@given(st.binary(max_size=600), st.integers(0, 400))
def test_no_file_confuses_the_reader_of_boxes(noise: bytes, at: int) -> None:
    """Whatever stands in the file: an answer or a refusal, never anything else."""
    whole = film(data=256)
    path = Path(f"/tmp/kaimen-film-{id(noise)}")
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    code = ""
    try:
        mp4.inspect(path)
    except KaimenError as refused:
        code = refused.code
    finally:
        path.unlink()
    assert code in ("", "media.not_a_video", "media.not_h264", "media.too_long")


@given(st.integers(0, 9), st.integers(0, 99), st.integers(1, 50))
def test_ranges_lie_inside(first: int, last: int, size: int) -> None:
    found = part_of(f"bytes={first}-{last}", size)
    if found is not None:
        assert 0 <= found[0] < found[1] <= size
    assert part_of("bytes=0-1,5-6", size) == (0, size)
    assert part_of("lines=1-2", size) == (0, size)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    Image.new("RGBA", (200, 200), (0, 0, 0, 0)).save(path)
    made = photos.remake(path, photos.LOGO_WIDTHS)
    with Image.open(io.BytesIO(made.files["160.jpg"])) as image:
        assert image.getpixel((80, 80)) == (255, 255, 255)
    assert made.sizes == [160]


async def test_what_an_upload_left_behind_goes_by_night(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    storage = open_media(cloud.settings)
    orphan, foreign = new_id(), "not-an-id"
    storage.put(orphan, "640.webp", b"x")
    storage.put(foreign, "640.webp", b"x")
    made = jobs.made_at(orphan)
    assert made is not None
    job = DueJob(merchant_id="m", kind=jobs.SWEEP, ref="r", run_at=cloud.clocks.real)
    wire.pass_time((made - cloud.clocks.real).total_seconds())
    await jobs.sweep(cloud, job)
    assert storage.ids() == sorted([orphan, foreign])  # may be under way still
    wire.pass_time(timedelta(days=1, hours=1).total_seconds())
    await jobs.sweep(cloud, job)
    assert storage.ids() == [foreign]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    office = Minio(
        endpoint=f"{host}:{port}", access_key="key", secret_key="secret", region="us-east-1",
        secure=False,
    )  # fmt: skip
    office.make_bucket(bucket_name=BUCKET)
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_a_folder_and_s3_keep_the_same(endpoint: str, tmp_path: Path, where: str) -> None:
    own = Settings(
        secrets="11" * 32, media_dir=tmp_path / "media", data_dir=tmp_path,
        media_to=f"s3://{BUCKET}/house/one" if where == "s3" else None, media_s3_endpoint=endpoint,
        media_s3_access_key="key", media_s3_secret_key="secret", media_s3_region="us-east-1",
    )  # fmt: skip
    storage = open_media(own)
    assert isinstance(storage, Folder) == (where == "folder")
    long = tmp_path / "film"
    long.write_bytes(bytes(range(256)) * 4000)
    storage.put("a", "640.webp", b"hello")
    storage.put("b", "video.mp4", long)
    assert storage.size("b", "video.mp4") == 1_024_000
    assert (
        b"".join(storage.read("b", "video.mp4", 1000, 600_000)) == long.read_bytes()[1000:600_000]
    )
    assert storage.ids() == ["a", "b"]
    storage.drop("a")
    storage.drop("a")
    assert storage.ids() == ["b"]
    for media_id, name in (("a", "640.webp"), ("../b", "640.webp"), ("b", "../x.webp")):
        with pytest.raises(NotFound):
            storage.size(media_id, name)


def test_storage_that_is_not_there_says_so(tmp_path: Path) -> None:
    own = Settings(
        secrets="11" * 32, media_to=f"s3://{BUCKET}/x", media_s3_endpoint="http://127.0.0.1:9",
        media_s3_access_key="key", media_s3_secret_key="secret", media_s3_region="us-east-1",
    )  # fmt: skip
    with pytest.raises(KaimenError) as refused:
        asyncio.run(asyncio.to_thread(open_media(own).put, "a", "640.webp", b"x"))
    assert (refused.value.code, refused.value.status) == ("media.storage", 503)
