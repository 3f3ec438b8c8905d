"""A brand as the API takes and gives it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.branding.colour import Ramp, is_colour
from cloud_api.branding.models import Brand
from cloud_api.kit.i18n import gettext as _

_PHONE = re.compile(r"[0-9+() -]{5,20}", re.ASCII)
_DIRECTION = re.compile(
    "[\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # turns the words after it around


def _one_line(text: str) -> str:
    if not all(letter.isprintable() or letter == "\u200d" for letter in text):
        raise ValueError(_("只能写在一行里，不要换行和看不见的字"))
    if _DIRECTION.search(text):
        raise ValueError(_("只能写在一行里，不要换行和看不见的字"))
    return text


def _phone(text: str) -> str:
    if text and not _PHONE.fullmatch(text):
        raise ValueError(_("电话只写数字、加号、横线和空格"))
    return text


def _colour(text: str) -> str:
    if text and not is_colour(text):
        raise ValueError(_("颜色写成 # 和六位，比如 #0A7A5A"))
    return text.upper()


def _line(most: int) -> Any:
    return Annotated[
        str, StringConstraints(max_length=most, strip_whitespace=True), AfterValidator(_one_line)
    ]


Colour = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_colour)]


class BrandIn(BaseModel):
    """All words and the colour; an empty text is Kaimen's. ``version`` is what was seen before."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int, Field(ge=0)]
    name: _line(24) = ""  # type: ignore[valid-type]
    short: _line(12) = ""  # type: ignore[valid-type]
    slogan: _line(40) = ""  # type: ignore[valid-type]
    phone: Annotated[
        str, StringConstraints(max_length=20, strip_whitespace=True), AfterValidator(_phone)
    ] = ""
    wechat: _line(40) = ""  # type: ignore[valid-type]
    footer: _line(80) = ""  # type: ignore[valid-type]
    colour: Colour = ""


class ColourIn(BaseModel):
    """A colour to look at."""

    model_config = ConfigDict(extra="forbid")
    colour: Colour


class VersionIn(BaseModel):
    """The version that was seen before."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int, Field(ge=0)]


class RampOut(BaseModel):
    """What a colour becomes, by custom property. ``moved`` names the themes where it had to change,
    ``like`` what guests may take it for (``alarm``, ``lamp``).
    """

    chosen: str
    light: dict[str, str]
    dark: dict[str, str]
    moved: list[str]
    like: str

    @classmethod
    def of(cls, one: Ramp) -> RampOut:
        """From the pure one."""
        return cls(
            chosen=one.chosen,
            light=one.light.properties(),
            dark=one.dark.properties(),
            moved=list(one.moved),
            like=one.like,
        )


class BrandOut(BaseModel):
    """A merchant's brand; ``version`` 0 where nothing was ever chosen. Logos are paths of this site."""

    merchant_id: str
    version: int
    name: str
    short: str
    slogan: str
    phone: str
    wechat: str
    footer: str
    colour: str
    square: str
    wide: str
    can_undo: bool

    @classmethod
    def of(cls, one: Brand, *, version: int | None = None) -> BrandOut:
        """From the table."""
        return cls(
            **one.model_dump(
                include={"merchant_id", "name", "short", "slogan", "phone", "wechat", "footer"}
                | {"colour"}
            ),
            version=one.version if version is None else version,
            square=f"/media/{one.square_id}/icon-192.png" if one.square_id else "",
            wide=f"/media/{one.wide_id}/wide.png" if one.wide_id else "",
            can_undo=one.before is not None,
        )
