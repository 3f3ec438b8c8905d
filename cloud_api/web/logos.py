"""A logo as bytes, for what is drawn here and not by a browser: stickers on paper, posters."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_api.branding.looks import Look
from cloud_api.kit.errors import KaimenError
from cloud_api.media.models import Media
from cloud_api.media.service import LOGO
from cloud_api.media.storage import open_media
from cloud_api.settings import Settings


def square(settings: Settings, look: Look, shots: Sequence[Media] = ()) -> bytes | None:
    """The store's own logo of ``shots``, else its merchant's. Blocks. None where there is none to be had."""
    own = next((shot for shot in shots if shot.kind == LOGO and shot.sizes), None)
    if own is not None:
        return _file(settings, own.id, f"{own.sizes[-1]}.jpg")
    return _file(settings, look.square_id, "icon-512.png") if look.square_id else None


def _file(settings: Settings, media_id: str, name: str) -> bytes | None:
    storage = open_media(settings)
    try:
        return b"".join(storage.read(media_id, name, 0, storage.size(media_id, name)))
    except KaimenError:
        return None
