"""Videos: whether a file is an MP4 with H.264 pictures, told from its boxes; nothing is decoded.

ISO/IEC 14496-12 (boxes: 32-bit size, four letters; size 1: 64 bits follow; size 0: to the end) and
14496-15 (``avc1``, ``avc3`` sample entries). Browsers on every phone play that and AAC sound, and nothing
else is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

LONGEST_S: Final = 180
_BRANDS: Final = frozenset(
    {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V "}
)
_H264: Final = frozenset({b"avc1", b"avc3"})
_SOUND: Final = frozenset({b"mp4a"})
_MOST_BOXES: Final = 4096
_MOST_MOOV: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Video:
    """A video's size in pixels and its length in seconds; ``ready``: it plays before it is all there."""

    width: int
    height: int
    seconds: int
    ready: bool


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int  # of its content
    end: int


def inspect(source: Path) -> Video:
    """Raises KaimenError ``media.not_a_video``, ``media.not_h264``, ``media.too_long``."""
    size = source.stat().st_size
    with source.open("rb") as file:
        try:
            return _inspect(file, size)
        except (EOFError, IndexError, OverflowError) as error:
            raise _refuse("media.not_a_video", "这个视频文件不完整，重新导出成 MP4 再传") from error


def _inspect(file: BinaryIO, size: int) -> Video:
    top = list(_boxes(file, 0, size))
    kinds = [box.kind for box in top]
    if not top or kinds[0] != b"ftyp" or b"moov" not in kinds or b"mdat" not in kinds:
        raise _refuse("media.not_a_video", "只收 MP4 视频，手机里导出成 MP4（H.264）再传")
    brands = _read(file, top[0].start, min(top[0].end - top[0].start, 256))
    found = {brands[:4], *(brands[at : at + 4] for at in range(8, len(brands) - 3, 4))}
    if not found & _BRANDS:
        raise _refuse("media.not_a_video", "只收 MP4 视频，手机里导出成 MP4（H.264）再传")
    moov = next(box for box in top if box.kind == b"moov")
    if moov.end - moov.start > _MOST_MOOV:
        raise _refuse("media.not_a_video", "这个视频文件不对，重新导出成 MP4 再传")
    width = height = 0
    seconds = 0
    for box in _boxes(file, moov.start, moov.end):
        if box.kind == b"mvhd":
            seconds = _seconds(file, box)
        elif box.kind == b"trak":
            track = _track(file, box)
            if track is not None:
                width, height = track
    if not width:
        raise _refuse("media.not_h264", "视频里没有 H.264 画面，导出时选 H.264 再传")
    if not 0 < seconds <= LONGEST_S:
        raise _refuse(
            "media.too_long",
            _("视频最长 {longest_s} 分钟，剪短一点再传").format(longest_s=LONGEST_S // 60),
        )
    return Video(width, height, seconds, kinds.index(b"moov") < kinds.index(b"mdat"))


def _track(file: BinaryIO, trak: _Box) -> tuple[int, int] | None:
    """Width and height of a track of pictures; None for sound. Raises for anything else that plays."""
    mdia = _child(file, trak, b"mdia")
    handler = _read(file, _child(file, mdia, b"hdlr").start + 8, 4)
    if handler not in (b"vide", b"soun"):
        return None  # subtitles, time codes: players pass over them
    stbl = _child(file, _child(file, mdia, b"minf"), b"stbl")
    stsd = _child(file, stbl, b"stsd")
    entries = list(_boxes(file, stsd.start + 8, stsd.end))
    allowed = _H264 if handler == b"vide" else _SOUND
    if not entries or any(entry.kind not in allowed for entry in entries):
        raise _refuse("media.not_h264", "视频要用 H.264 画面和 AAC 声音，导出时选“兼容性最好”再传")
    if handler == b"soun":
        return None
    sizes = _read(file, entries[0].start + 24, 4)
    width, height = int.from_bytes(sizes[:2], "big"), int.from_bytes(sizes[2:], "big")
    inside = [box.kind for box in _boxes(file, entries[0].start + 78, entries[0].end)]
    if not (0 < width <= 4096 and 0 < height <= 4096) or b"avcC" not in inside:
        raise _refuse("media.not_h264", "视频里没有 H.264 画面，导出时选 H.264 再传")
    return width, height


def _seconds(file: BinaryIO, mvhd: _Box) -> int:
    version = _read(file, mvhd.start, 1)[0]
    if version == 1:
        scale, length = _read(file, mvhd.start + 20, 4), _read(file, mvhd.start + 24, 8)
    else:
        scale, length = _read(file, mvhd.start + 12, 4), _read(file, mvhd.start + 16, 4)
    units = int.from_bytes(scale, "big")
    return -(-int.from_bytes(length, "big") // units) if units else 0


def _child(file: BinaryIO, box: _Box, kind: bytes) -> _Box:
    found = next((one for one in _boxes(file, box.start, box.end) if one.kind == kind), None)
    if found is None:
        raise EOFError(kind)
    return found


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """The boxes between two places; each must lie inside. Raises EOFError for one that does not."""
    here, count = start, 0
    while here < end:
        count += 1
        head = _read(file, here, 8)
        size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], here + 8
        if size == 1:
            size, content = int.from_bytes(_read(file, here + 8, 8), "big"), here + 16
        elif size == 0:
            size = end - here
        if count > _MOST_BOXES or size < content - here or here + size > end:
            raise EOFError(kind)
        yield _Box(kind, content, here + size)
        here += size


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    data = file.read(count)
    if len(data) != count:
        raise EOFError(at)
    return data


def _refuse(code: str, message: str) -> KaimenError:
    return KaimenError(code, message, status=422, field="file")
