"""A team's poster: its code leads to the team, its words fit, and a photo that is none does no harm."""

from __future__ import annotations

import io

import pytest
import zxingcpp
from PIL import Image

from cloud_api.web import poster

URL = "https://kaimen.example/g/AbCdEfGhIjKlMnOpQrStUv"
ONE = poster.Poster(
    name="名字很长很长很长很长很长很长很长很长很长很长很长很长很长很长的一个拼团活动",
    tagline="三个人凑齐，一人一张",
    price_fen=9900,
    list_fen=13900,
    team="3 人团，还差 2 人",
    facts=("每天 · 一次 3 小时", "买后 90 天有效"),
    store="雀友会·静安店",
    url=URL,
)


def photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (1600, 900), (200, 30, 30)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("picture", [None, photo(), b"no picture"], ids=["none", "photo", "broken"])
def test_its_code_leads_to_the_team(picture: bytes | None) -> None:
    fields = {name: getattr(ONE, name) for name in poster.Poster.__dataclass_fields__}
    drawn = Image.open(io.BytesIO(poster.draw(poster.Poster(**{**fields, "photo": picture}))))
    assert drawn.size == poster.SIZE
    (code,) = zxingcpp.read_barcodes(drawn)
    assert code.text == URL
    pixel = drawn.convert("RGB").getpixel((20, 20))
    assert isinstance(pixel, tuple)
    assert (pixel[0] > 150) is (picture == photo())


def test_without_a_font_for_chinese_it_still_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    poster._path.cache_clear()
    poster._font.cache_clear()
    monkeypatch.setattr(poster, "_FONTS", ())
    try:
        (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(poster.draw(ONE))))
    finally:
        poster._path.cache_clear()
        poster._font.cache_clear()
    assert code.text == URL
