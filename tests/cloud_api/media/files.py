"""Real pictures and films for tests, made here: photos with a camera's secrets, an MP4 box by box."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def photo(
    width: int = 800, height: int = 600, form: str = "JPEG", *, sideways: bool = False
) -> bytes:
    """A picture, red at the left and blue at the right; with a place and a camera in its EXIF."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera"
    exif[0x0112] = 6 if sideways else 1
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (31.0, 13.0, 48.0)
    out = io.BytesIO()
    image.save(out, form, exif=exif.tobytes())
    return out.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of some hundred bytes that says it has 3.6 thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def box(kind: bytes, *parts: bytes) -> bytes:
    """An ISO base media box."""
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def film(
    codec: bytes = b"avc1",
    *,
    sound: bytes | None = b"mp4a",
    seconds: int = 12,
    brand: bytes = b"isom",
    data: int = 4000,
) -> bytes:
    """An MP4 with one track of pictures, one of sound, and ``data`` bytes of nothing to play."""
    mvhd = box(b"mvhd", bytes(12), struct.pack(">II", 1000, seconds * 1000), bytes(80))

    def track(handler: bytes, entry: bytes) -> bytes:
        hdlr = box(b"hdlr", bytes(8), handler, bytes(13))
        stsd = box(b"stsd", bytes(4), struct.pack(">I", 1), entry)
        return box(b"trak", box(b"mdia", hdlr, box(b"minf", box(b"stbl", stsd))))

    sample = bytes(24) + struct.pack(">HH", 1280, 720) + bytes(50)
    tracks = [track(b"vide", box(codec, sample, box(b"avcC", b"\x01\x64\x00\x1f")))]
    if sound is not None:
        tracks.append(track(b"soun", box(sound, bytes(28))))
    return (
        box(b"ftyp", brand, bytes(4), b"mp42")
        + box(b"moov", mvhd, *tracks)
        + box(b"mdat", bytes(range(256)) * (data // 256))
    )
