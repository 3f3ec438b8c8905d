"""Logos: an upload made anew as PNGs in the sizes that pages, phones and paper want.

As with photos nothing that was uploaded is served. A logo keeps its transparency; what a phone cuts
round (maskable, https://w3c.github.io/manifest/#icon-masks) keeps the middle four fifths free of harm.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageOps

from cloud_api.kit.errors import KaimenError
from cloud_api.media import photos
from cloud_api.media.service import Prepared
from cloud_api.media.storage import MediaStorage

Shape = Literal["square", "wide"]
ICONS: Final = (64, 180, 192, 512)
WIDE: Final = (640, 160)  # at most
MOST_BYTES: Final = 2 << 20
_MOST: Final = 1024  # nothing of ours is wider
_MASK: Final = 512
_SAFE: Final = 0.62  # of the mask's side, for a logo that does not fill its picture


def prepare(source: Path, shape: Shape, media_id: str, storage: MediaStorage) -> Prepared:
    """Check an upload, make its files and store them. Blocks. Raises KaimenError ``media.*``, ``brand.shape``."""
    image = photos.opened(source, keep_alpha=True, most=_MOST)
    image.thumbnail((_MOST, _MOST), Image.Resampling.LANCZOS)
    image.info.clear()  # nothing of the camera or the drawing program goes along
    files = _square(image) if shape == "square" else _wide(image)
    for name, data in files.items():
        storage.put(media_id, name, data)
    whole = sum(map(len, files.values()))
    return Prepared(media_id, "logo", image.width, image.height, whole, [])


def _square(image: Image.Image) -> dict[str, bytes]:
    long, short = max(image.size), min(image.size)
    if long > 2 * short:
        raise KaimenError(
            "brand.shape", "方标的长和宽要差不多。横着的标志放到横标里", status=422, field="file"
        )
    side = Image.new("RGBA", (long, long))
    side.paste(image, ((long - image.width) // 2, (long - image.height) // 2))
    files = {f"icon-{n}.png": _png(_resized(side, n)) for n in ICONS if n != 180}
    # Apple's home screen paints what is transparent black.
    files["icon-180.png"] = _png(_on_white(_resized(side, 180)))
    full = long == short and side.getchannel("A").getextrema()[0] == 255
    mask = Image.new("RGBA", (_MASK, _MASK), "white")
    inner = _resized(side, _MASK if full else round(_MASK * _SAFE))
    at = (_MASK - inner.width) // 2
    mask.alpha_composite(inner, (at, at))
    files["mask-512.png"] = _png(mask.convert("RGB"))
    return files


def _wide(image: Image.Image) -> dict[str, bytes]:
    if not 1.2 * image.height <= image.width <= 8 * image.height:
        raise KaimenError(
            "brand.shape", "横标要横着：宽是高的 1.2 到 8 倍。方的标志放到方标里",
            status=422, field="file",
        )  # fmt: skip
    return {"wide.png": _png(ImageOps.contain(image, WIDE, Image.Resampling.LANCZOS))}


def _resized(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
