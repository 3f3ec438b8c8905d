"""What pages show of a brand, kept in the process for moments: a page costs no more for having one.

Whoever changes a brand in this process calls ``forget``; another process sees it within ``FRESH_S``. A page
that belongs to no merchant shows the installation's only one, and Kaimen where it serves several.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import col, select

from cloud_api.branding import service
from cloud_api.branding.colour import Ramp, ramp
from cloud_api.branding.models import Brand
from cloud_api.kit.cloud import Cloud
from cloud_api.merchants.models import Merchant

FRESH_S: Final = 3.0
_PART: Final = "branding.looks"


@dataclass(frozen=True, slots=True)
class Look:
    """A merchant as guests see it. Empty words and paths: pages show Kaimen's own.

    ``css`` is the address of its style sheet; ``square`` and ``wide`` are folders' files of its logos.
    """

    merchant_id: str = ""
    name: str = "Kaimen"
    short: str = ""
    slogan: str = ""
    phone: str = ""
    wechat: str = ""
    footer: str = ""
    colour: str = ""
    square_id: str = ""
    wide: str = ""
    version: int = 0

    @property
    def ramp(self) -> Ramp | None:
        """Its colour as tokens; None for Kaimen's own."""
        return ramp(self.colour) if self.colour else None

    @property
    def css(self) -> str:
        """Where its style sheet is; another version is another address."""
        return f"/brand/{self.merchant_id}.css?v={self.version}" if self.colour else ""

    def icon(self, size: int) -> str:
        """Its square logo as PNG of one of the sizes of ``pictures.ICONS``; empty for Kaimen's."""
        return f"/media/{self.square_id}/icon-{size}.png" if self.square_id else ""

    @property
    def mask(self) -> str:
        """The one that a phone cuts to its shape."""
        return f"/media/{self.square_id}/mask-512.png" if self.square_id else ""

    @property
    def has_foot(self) -> bool:
        """Whether there is anything to say at a page's foot."""
        return bool(self.phone or self.wechat or self.footer)


KAIMEN: Final = Look()


@dataclass(frozen=True, slots=True)
class Looks:
    """Every merchant's, and whose pages these are where a page is nobody's."""

    by_merchant: dict[str, Look] = field(default_factory=dict)
    home: Look = KAIMEN

    def of(self, merchant_id: str) -> Look:
        """The look of a merchant's page; of ``""`` the installation's. Who chose nothing looks like Kaimen."""
        return self.by_merchant.get(merchant_id, KAIMEN) if merchant_id else self.home


@dataclass(slots=True)
class _Kept:
    looks: Looks = field(default_factory=Looks)
    until: float = float("-inf")


async def looks_of(cloud: Cloud) -> Looks:
    """What there is now, or was ``FRESH_S`` ago."""
    kept = _kept(cloud)
    if time.monotonic() >= kept.until:
        async with cloud.db.read() as session:
            brands = await service.every(session)
            query = select(Merchant.id, Merchant.name)
            branded = col(Merchant.id).in_([one.merchant_id for one in brands])
            names = dict((await session.exec(query.where(branded))).all())
            works = query.where(col(Merchant.suspended_at).is_(None)).limit(2)
            some = [merchant_id for merchant_id, _ in (await session.exec(works)).all()]
        made = {one.merchant_id: look_of(one, names[one.merchant_id]) for one in brands}
        home = made.get(some[0], KAIMEN) if len(some) == 1 else KAIMEN
        kept.looks = Looks(made, home)
        kept.until = time.monotonic() + FRESH_S
    return kept.looks


def looks_now(cloud: Cloud) -> Looks:
    """What was read last; the database is not asked."""
    return _kept(cloud).looks


def forget(cloud: Cloud) -> None:
    """Read again at the next page."""
    _kept(cloud).until = float("-inf")


def look_of(one: Brand, merchant_name: str) -> Look:
    """From the table; who chose no name is called as the merchant is."""
    return Look(
        merchant_id=one.merchant_id,
        name=one.name or merchant_name or KAIMEN.name,
        short=one.short or one.name,
        slogan=one.slogan,
        phone=one.phone,
        wechat=one.wechat,
        footer=one.footer,
        colour=one.colour,
        square_id=one.square_id or "",
        wide=f"/media/{one.wide_id}/wide.png" if one.wide_id else "",
        version=one.version,
    )


def _kept(cloud: Cloud) -> _Kept:
    found = cloud.parts.get(_PART)
    if not isinstance(found, _Kept):
        found = cloud.parts[_PART] = _Kept()
    return found
