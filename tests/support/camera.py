"""A camera that looks at a picture: the file that Chromium takes for one (Y4M, one frame, shown again and again)."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

WIDTH, HEIGHT = 640, 480


def looking_at(picture: Path, file: Path, *, tilt: float = 7.0, share: float = 0.82) -> Path:
    """Write ``file``: ``picture`` on a dim wall, tilted by ``tilt`` degrees and a little out of focus."""
    sticker = Image.open(picture).convert("RGB")
    scale = share * HEIGHT / sticker.height
    sticker = sticker.resize((round(sticker.width * scale), round(sticker.height * scale)))
    wall = Image.new("RGB", (WIDTH, HEIGHT), "#8c8377")
    turned = sticker.rotate(
        tilt, expand=True, fillcolor="#8c8377", resample=Image.Resampling.BICUBIC
    )
    wall.paste(turned, ((WIDTH - turned.width) // 2, (HEIGHT - turned.height) // 2))
    seen = ImageEnhance.Brightness(wall).enhance(0.8).filter(ImageFilter.GaussianBlur(0.6))
    y, cb, cr = seen.convert("YCbCr").split()
    half = (WIDTH // 2, HEIGHT // 2)
    planes = [y.tobytes(), cb.resize(half).tobytes(), cr.resize(half).tobytes()]
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(head + (b"FRAME\n" + b"".join(planes)) * 3)
    return file
