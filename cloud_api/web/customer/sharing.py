"""What a page of group-buy looks like where its link is shared: its picture, its poster, its address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from fastapi import Response

from cloud_api.auth import wechat_share
from cloud_api.groupbuy.schemas import CampaignOut
from cloud_api.kit.asgi import CSP
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.media.models import Media
from cloud_api.media.schemas import picture as media_picture
from cloud_api.media.service import PHOTO
from cloud_api.media.storage import open_media
from cloud_api.web import logos, poster, words
from cloud_api.web.customer.paying import Place, place_of
from cloud_api.web.pages import Visit
from cloud_api.web.view_models.parts import SharePicture

_LOGO: Final = 512


def site(seen: Visit) -> str:
    """The address of this site, without a slash at its end."""
    return seen.cloud.settings.public_url.rstrip("/")


def campaign_url(seen: Visit, one: CampaignOut) -> str:
    """A campaign's own page."""
    return f"{site(seen)}/groupbuy/{one.id}"


def picture(seen: Visit, one: CampaignOut, path: str) -> SharePicture:
    """The campaign's cover, as JPEG that every chat can show; where there is none, its poster."""
    script = wechat_share.SCRIPT if _by_wechat(seen) else ""
    cover = next((shot for shot in one.media if shot.fallback), None)
    if cover is None:
        return SharePicture(f"{site(seen)}{path}/poster.png", *poster.SIZE, script)
    wide = int(cover.fallback.rpartition("/")[2].partition(".")[0])
    high = max(1, round(cover.height * wide / cover.width))
    return SharePicture(f"{site(seen)}{cover.fallback}", wide, high, script)


def of_store(seen: Visit, shots: Sequence[Media]) -> SharePicture | None:
    """A store's first photo as JPEG, else its merchant's logo."""
    shot = next((one for one in shots if one.kind == PHOTO and one.sizes), None)
    if shot is not None:
        path = media_picture(shot, "jpg")
        wide = int(path.rpartition("/")[2].partition(".")[0])
        high = max(1, round(shot.height * wide / shot.width))
        return SharePicture(f"{site(seen)}{path}", wide, high)
    icon = seen.look.icon(_LOGO)
    return SharePicture(f"{site(seen)}{icon}", _LOGO, _LOGO) if icon else None


def shared(seen: Visit, answer: Response) -> Response:
    """A page that may be shared: inside WeChat, and only there, its policy lets WeChat's script in."""
    if _by_wechat(seen):
        answer.headers["Content-Security-Policy"] = CSP.replace(
            "script-src 'self'", f"script-src 'self' {wechat_share.SCRIPT_HOST}"
        )
    return answer


def _by_wechat(seen: Visit) -> bool:
    inside = place_of(seen.request.headers.get("user-agent", "")) is Place.WECHAT
    return inside and wechat_share.offered(seen.cloud.settings)


async def poster_of(seen: Visit, one: CampaignOut, team: str, url: str) -> Response:
    """The poster of a campaign or of one of its teams, as PNG."""
    drawing = poster.Poster(
        name=one.name,
        tagline=one.tagline,
        price_fen=one.price_fen,
        list_fen=one.list_fen,
        team=team,
        facts=(
            f"{one.when} · {words.hours(one.minutes)}",
            _("买后 {n} 天有效").format(n=one.valid_days),
            *one.extras[:2],
        ),
        store=_("、").join(one.stores),
        url=url,
        photo=await asyncio.to_thread(_photo, seen, one),
        house=seen.look.name if seen.look.version else "",
        logo=await asyncio.to_thread(logos.square, seen.cloud.settings, seen.look),
        colour=seen.look.ramp.light.brand_ink if seen.look.ramp else "",
    )
    return Response(
        await asyncio.to_thread(poster.draw, drawing),
        media_type="image/png",
        headers={"Cache-Control": "private, max-age=60"},  # its words are in the reader's language
    )


def _photo(seen: Visit, one: CampaignOut) -> bytes | None:
    """The campaign's cover in its largest size; None where there is none, or it cannot be had now."""
    cover = next((shot for shot in one.media if shot.fallback), None)
    if cover is None:
        return None
    storage, name = open_media(seen.cloud.settings), f"{cover.width}.jpg"
    if cover.kind == "video":
        name = cover.fallback.rpartition("/")[2]
    try:
        return b"".join(storage.read(cover.id, name, 0, storage.size(cover.id, name)))
    except KaimenError:
        return None
