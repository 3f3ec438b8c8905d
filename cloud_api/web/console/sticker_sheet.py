"""Door stickers as a PDF: many on an A4 sheet, QR codes as vectors, marks to cut along.

The Chinese font: one that can be embedded, where the machine has it, so that every viewer shows the
same; else Adobe's STSong-Light, which is not in the file and is taken from the reader's machine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFError, TTFont  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from cloud_api.kit.i18n import gettext as _
from cloud_api.web import qr

GRIDS: Final[dict[str, tuple[int, int]]] = {
    "3x4": (3, 4),
    "2x3": (2, 3),
    "2x2": (2, 2),
    "1x2": (1, 2),
}
"""Columns and rows of a sheet, by the name that a page offers."""

_MARGIN: Final = 12 * mm
_MARK: Final = 5 * mm
_EMBEDDABLE: Final = (
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
)


@dataclass(frozen=True, slots=True)
class Label:
    """One sticker. ``rooms`` the rooms behind the door; ``url`` goes into the QR code."""

    store: str
    door: str
    rooms: str
    url: str
    keypad: bool = False
    logo: bytes | None = None  # PNG or JPEG


def sheets(labels: Sequence[Label], grid: str, printed: date) -> bytes:
    """The PDF of these stickers. Raises KeyError for a grid that is none of GRIDS."""
    columns, rows = GRIDS[grid]
    width, height = (A4[0] - 2 * _MARGIN) / columns, (A4[1] - 2 * _MARGIN) / rows
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=1)
    canvas.setTitle(_("门贴"))
    per_page = columns * rows
    for start in range(0, len(labels), per_page) or (0,):
        _crop_marks(canvas, columns, rows, width, height)
        for place, label in enumerate(labels[start : start + per_page]):
            row, column = divmod(place, columns)
            x, y = _MARGIN + column * width, A4[1] - _MARGIN - (row + 1) * height
            _label(canvas, label, x, y, width, height, printed)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _label(
    canvas: Canvas, label: Label, x: float, y: float, width: float, height: float, printed: date
) -> None:
    font, unit = _font(), min(width, height * 0.85)
    middle = x + width / 2
    lines = [
        (label.store, 0.055),
        (label.door, 0.115),
        *([(label.rooms, 0.05)] if label.rooms and label.rooms not in label.door else []),
        (_("扫码，点一下开门"), 0.06),
    ]
    if label.keypad:
        lines.append((_("没网：键盘上按订单里的 6 位数字，再按 #"), 0.036))
    top = y + height - 0.05 * unit
    if label.logo is not None:
        side = 0.12 * unit
        top -= side
        _logo(canvas, label.logo, middle - side / 2, top, side)
    for text, size in lines:
        points = _fit(text, font, size * unit, width * 0.9)
        top -= points * 1.4
        canvas.setFont(font, points)
        canvas.drawCentredString(middle, top, text)
    note = _("{day} 印。换过门码后旧贴失效，请换新的").format(day=printed.isoformat())
    small = _fit(note, font, 0.034 * unit, width * 0.9)
    canvas.setFont(font, small)
    canvas.drawCentredString(middle, y + 0.05 * unit, note)
    below = y + 0.05 * unit + small * 1.6
    side = min(top - 0.03 * unit - below, width * 0.86)
    _code(
        canvas, label.url, middle - side / 2, below + (top - 0.03 * unit - below - side) / 2, side
    )


def _logo(canvas: Canvas, logo: bytes, x: float, y: float, side: float) -> None:
    """The house's logo in a square, whole; reportlab keeps one copy of it in the file."""
    picture = ImageReader(io.BytesIO(logo))
    canvas.drawImage(picture, x, y, side, side, mask="auto", preserveAspectRatio=True, anchor="c")


def _code(canvas: Canvas, url: str, x: float, y: float, side: float) -> None:
    """Modules as rectangles, a run of them at a time; white around as the standard asks."""
    matrix = qr.matrix(url)
    module = side / (len(matrix) + 2 * qr.QUIET)
    canvas.setFillGray(0)
    path = canvas.beginPath()
    for row, line in enumerate(matrix):
        for start, length in qr.runs(line):
            path.rect(
                x + (qr.QUIET + start) * module,
                y + side - (qr.QUIET + row + 1) * module,
                length * module,
                module,
            )
    canvas.drawPath(path, stroke=0, fill=1)


def _crop_marks(canvas: Canvas, columns: int, rows: int, width: float, height: float) -> None:
    """Short lines in the margins, and a small cross where four stickers meet."""
    canvas.setLineWidth(0.3)
    canvas.setStrokeGray(0.4)
    xs = [_MARGIN + i * width for i in range(columns + 1)]
    ys = [_MARGIN + i * height for i in range(rows + 1)]
    gap = 2 * mm
    for x in xs:
        canvas.line(x, _MARGIN - gap, x, _MARGIN - gap - _MARK)
        canvas.line(x, A4[1] - _MARGIN + gap, x, A4[1] - _MARGIN + gap + _MARK)
    for y in ys:
        canvas.line(_MARGIN - gap, y, _MARGIN - gap - _MARK, y)
        canvas.line(A4[0] - _MARGIN + gap, y, A4[0] - _MARGIN + gap + _MARK, y)
    for x in xs[1:-1]:
        for y in ys[1:-1]:
            canvas.line(x - mm, y, x + mm, y)
            canvas.line(x, y - mm, x, y + mm)


def _fit(text: str, font: str, points: float, width: float) -> float:
    """``points``, or less where the text would be wider than ``width``."""
    wide = pdfmetrics.stringWidth(text, font, points)
    return points if wide <= width else points * width / wide


@cache
def _font() -> str:
    for file in _EMBEDDABLE:
        if Path(file).exists():
            try:
                pdfmetrics.registerFont(TTFont("KaimenSticker", file, subfontIndex=0))
            except TTFError:
                continue
            return "KaimenSticker"
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    return "STSong-Light"
