"""Photos: what they really are, and made anew in the sizes that pages use.

Nothing that was uploaded is served: each picture is decoded and written again, so its place, its camera
and whatever else hid in the file are gone. Work of the processor; it runs in threads.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

WIDTHS: Final = (320, 640, 1280)
LOGO_WIDTHS: Final = (160, 320)
MOST_PIXELS: Final = 50_000_000  # a phone's best camera; beyond it a small file may fill the memory
_LEAST: Final = 64  # on the shorter side
_QUALITY: Final = {"JPEG": 82, "WEBP": 78}
_KINDS: Final = {  # the first bytes of what we take
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WEBP": (b"RIFF",),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo as it will be served: files by name (``640.webp``), its size upright."""

    width: int
    height: int
    sizes: list[int]
    files: dict[str, bytes]


def sniff(head: bytes) -> str:
    """JPEG, PNG or WEBP by its first bytes, whatever it is called. Raises ``media.not_a_photo``."""
    for kind, starts in _KINDS.items():
        if head.startswith(starts) and (kind != "WEBP" or head[8:12] == b"WEBP"):
            return kind
    raise _refuse("media.not_a_photo", "只收 JPEG、PNG、WebP 照片，手机里另存一张再传")


def opened(source: Path, *, keep_alpha: bool = False, most: int | None = None) -> Image.Image:
    """A picture decoded and turned upright: RGBA with ``keep_alpha``, else RGB on white.

    ``most``: the widest that is wanted, where a JPEG may be decoded smaller. Raises KaimenError
    ``media.not_a_photo``, ``media.too_many_pixels``, ``media.too_small``.
    """
    with source.open("rb") as file:
        kind = sniff(file.read(16))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=(kind,)) as found:
                # The header alone was read: nothing is unpacked before its size is known.
                if found.width * found.height > MOST_PIXELS:
                    raise _refuse("media.too_many_pixels", "照片太大，缩小到 5000 万像素以内再传")
                if most is not None:
                    found.draft("RGB", (2 * most, 2 * most))  # JPEG decodes smaller
                upright = ImageOps.exif_transpose(found)
                made = upright.convert("RGBA") if keep_alpha else _flat(upright)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise _refuse("media.not_a_photo", "这张照片打不开，可能没有传完，换一张再试") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refuse("media.too_many_pixels", "照片太大，缩小到 5000 万像素以内再传") from error
    if min(made.size) < _LEAST:
        raise _refuse("media.too_small", _("照片太小，短边至少 {least} 像素").format(least=_LEAST))
    return made


def remake(source: Path, widths: tuple[int, ...] = WIDTHS) -> Picture:
    """Decode a photo and write it in each width it has pixels for, turned upright, with nothing beside.

    Raises as ``opened`` does.
    """
    flat = opened(source, most=max(widths))
    sizes = [width for width in widths if width <= flat.width] or [flat.width]
    files = {}
    for width in sizes:
        height = max(1, round(flat.height * width / flat.width))
        small = flat.resize((width, height), Image.Resampling.LANCZOS)
        for form, ending in (("WEBP", "webp"), ("JPEG", "jpg")):
            out = io.BytesIO()
            small.save(out, form, quality=_QUALITY[form], method=4, progressive=True, optimize=True)
            files[f"{width}.{ending}"] = out.getvalue()
    largest = sizes[-1]
    return Picture(largest, max(1, round(flat.height * largest / flat.width)), sizes, files)


def _flat(image: Image.Image) -> Image.Image:
    """Without transparency: on white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _refuse(code: str, message: str) -> KaimenError:
    return KaimenError(code, message, status=422, field="file")
