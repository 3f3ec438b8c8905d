"""The poster of a team: what is sold, its price, who is missing, and the team's code, as a picture to share.

Chinese needs a font of the machine (as door stickers do). Where there is none the poster says what can be
said in figures, price and code, and no empty boxes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from cloud_api.branding.colour import parse
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.web import qr

SIZE: Final = (750, 1200)
_FONTS: Final = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
)
_INK: Final = (15, 31, 26)
_INK_2: Final = (66, 82, 75)
_PAPER: Final = (255, 255, 255)
_JADE: Final = (10, 122, 90)
_NIGHT: Final = (11, 23, 20)
_LAMP: Final = (255, 181, 71)
_PICTURE: Final = (750, 560)
_EDGE: Final = 48
_CODE: Final = 236
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Pen = ImageDraw.ImageDraw


@dataclass(frozen=True, slots=True)
class Poster:
    """``photo`` is the campaign's own picture as bytes, None for the drawing of the door."""

    name: str
    tagline: str
    price_fen: int
    list_fen: int
    team: str
    facts: Sequence[str]
    store: str
    url: str
    photo: bytes | None = None
    house: str = ""  # what the merchant calls itself, where it chose a name
    logo: bytes | None = None
    colour: str = ""  # its own for prices, one that is read on white; empty: jade


def draw(one: Poster) -> bytes:
    """A PNG of SIZE."""
    sheet = Image.new("RGB", SIZE, _PAPER)
    sheet.paste(_photo(one.photo) or _door(), (0, 0))
    pen = ImageDraw.Draw(sheet)
    y = _PICTURE[1] + 36
    wide = SIZE[0] - 2 * _EDGE
    if _path() is not None:
        for line in _wrapped(pen, one.name, _font(48), wide, 2):
            pen.text((_EDGE, y), line, _INK, _font(48))
            y += 62
        if one.tagline:
            for line in _wrapped(pen, one.tagline, _font(28), wide, 1):
                pen.text((_EDGE, y), line, _INK_2, _font(28))
                y += 44
    y = _price(pen, one, y + 6)
    if _path() is not None:
        pen.text((_EDGE, y), one.team, _tone(one), _font(32))
        y += 52
        for fact in one.facts:
            for line in _wrapped(pen, fact, _font(26), wide - _CODE - 24, 1):
                pen.text((_EDGE, y), line, _INK_2, _font(26))
                y += 40
    corner = (SIZE[0] - _EDGE - _CODE, SIZE[1] - _EDGE - _CODE - 34)
    _code(sheet, one.url, corner)
    if _path() is not None:
        told = _("长按识别，一起拼")
        pen.text((corner[0] + 22, corner[1] + _CODE + 8), told, _INK_2, _font(24))
        _house(sheet, pen, one)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _price(pen: Pen, one: Poster, y: int) -> int:
    now = yuan(one.price_fen)
    big = _font(84) if _path() is not None else _font(72)
    pen.text((_EDGE - 4, y), now, _tone(one), big)
    end = _EDGE + pen.textlength(now, big) + 20
    if one.list_fen > one.price_fen:
        was, small = yuan(one.list_fen), _font(34)
        pen.text((end, y + 44), was, _INK_2, small)
        long = pen.textlength(was, small)
        pen.line((end, y + 66, end + long, y + 66), _INK_2, 2)
    return y + 118


def _tone(one: Poster) -> tuple[int, int, int]:
    return parse(one.colour) if one.colour else _JADE


def _house(sheet: Image.Image, pen: Pen, one: Poster) -> None:
    """Who sells it, at the foot: the logo, the house's name over the stores'."""
    x, y = _EDGE, SIZE[1] - _EDGE - 34
    wide = SIZE[0] - 2 * _EDGE - _CODE - 24
    logo = _logo(one.logo)
    if logo is not None:
        sheet.paste(logo, (x, SIZE[1] - _EDGE - logo.height), logo)
        x, wide = x + logo.width + 16, wide - logo.width - 16
    (stores,) = _wrapped(pen, one.store, _font(28), wide, 1)
    pen.text((x, y), stores, _INK, _font(28))
    if one.house and one.house not in one.store:
        (house,) = _wrapped(pen, one.house, _font(28), wide, 1)
        pen.text((x, y - 44), house, _INK, _font(28))


def _logo(raw: bytes | None) -> Image.Image | None:
    if raw is None:
        return None
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            return ImageOps.contain(opened.convert("RGBA"), (80, 80), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None


def _photo(raw: bytes | None) -> Image.Image | None:
    if raw is None:
        return None
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            return ImageOps.fit(opened.convert("RGB"), _PICTURE, Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None


def _door() -> Image.Image:
    """Light comes out of a door that stands ajar."""
    sheet = Image.new("RGB", _PICTURE, _NIGHT)
    pen = ImageDraw.Draw(sheet, "RGBA")
    for step in range(26):
        reach = 430 - step * 14
        pen.ellipse((375 - reach, 300 - reach, 375 + reach, 300 + reach), (38, 69, 58, 10))
    pen.polygon([(330, 470), (440, 470), (640, 560), (240, 560)], (*_LAMP, 60))
    pen.rectangle((290, 110, 460, 470), (60, 42, 18))
    pen.rectangle((302, 122, 448, 470), _LAMP)
    pen.polygon([(302, 122), (384, 150), (384, 496), (302, 470)], (24, 40, 34))
    pen.ellipse((362, 316, 374, 328), _LAMP)
    return sheet


def _code(sheet: Image.Image, url: str, corner: tuple[int, int]) -> None:
    modules = qr.matrix(url)
    quiet = qr.QUIET
    side = len(modules) + 2 * quiet
    small = Image.new("1", (side, side), 1)
    for y, row in enumerate(modules):
        for x, black in enumerate(row):
            if black:
                small.putpixel((x + quiet, y + quiet), 0)
    scale = max(1, _CODE // side)
    big = small.resize((side * scale, side * scale), Image.Resampling.NEAREST).convert("RGB")
    sheet.paste(big, (corner[0] + (_CODE - big.width) // 2, corner[1] + (_CODE - big.height) // 2))


def _wrapped(pen: Pen, text: str, font: Font, wide: int, most: int) -> list[str]:
    """Lines that fit; what does not fit into ``most`` of them ends in an ellipsis."""
    lines, line = [], ""
    for letter in text:
        if line and pen.textlength(line + letter, font) > wide:
            lines.append(line)
            line = ""
        line += letter
    lines.append(line)
    if len(lines) > most:
        last = lines[most - 1]
        while last and pen.textlength(f"{last}…", font) > wide:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last}…"]
    return lines


@cache
def _path() -> str | None:
    return next((path for path in _FONTS if Path(path).exists()), None)


@cache
def _font(size: int) -> Font:
    path = _path()
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)
