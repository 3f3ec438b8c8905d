"""The measurements as a picture: each a bar of its ratio to its floor or peer, the aim marked."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks import results
from benchmarks.results import Measured

FILE = Path(__file__).parent.parent / "docs" / "images" / "benchmarks.svg"

_WIDTH, _LEFT, _RIGHT, _ROW, _HEAD = 880, 330, 190, 42, 64
_PLOT = _WIDTH - _LEFT - _RIGHT
_GOOD, _BAD, _PLAIN, _INK, _SOFT, _AIM = (
    "#1f8a5b", "#c4542d", "#8a9099", "#1c2024", "#6b7280", "#1c2024",
)  # fmt: skip
_FONT = "font-family='system-ui,-apple-system,Segoe UI,Roboto,sans-serif'"


def draw(source: Path = results.FILE, target: Path = FILE) -> Path:
    """Write the picture of what is kept; where it is."""
    kept = results.load(source)
    found = [row for part in sorted(kept) for row in results.rows(kept, part)]
    shown = [row for row in found if row.ratio is not None and row.aim is not None]
    machines = sorted({str(part["machine"]) for part in kept.values()})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(_svg(shown, machines)) + "\n", encoding="utf-8")
    return target


def _svg(shown: list[Measured], machines: list[str]) -> Iterator[str]:
    height = _HEAD + _ROW * len(shown) + 30 + 16 * len(machines)
    yield (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' role='img' "
        f"aria-label='Measurements as ratios to their floors'>"
    )
    yield f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>"
    yield _text(20, 28, "Measured against the least it could take", 17, weight=600)
    yield _text(
        20, 48, "bar: ours to the floor or peer beside it, at p50; line: the aim", 12, _SOFT
    )
    for number, row in enumerate(shown):
        yield from _row(row, _HEAD + _ROW * number)
    for number, machine in enumerate(machines):
        yield _text(20, height - 16 * (len(machines) - number) + 4, machine, 11, _SOFT)
    yield "</svg>"


def _row(row: Measured, top: int) -> Iterator[str]:
    """A bar on a scale of its own, twice the aim wide: the aim stands in the middle of every row."""
    assert row.ratio is not None
    assert row.aim is not None
    aim_x = _LEFT + _PLOT / 2
    width = min(row.ratio / (2 * row.aim), 1.0) * _PLOT
    colour = _GOOD if row.met else _BAD
    middle = top + 16
    yield _text(20, middle + 1, row.name, 13)
    yield _text(20, middle + 15, f"to {row.against}" if row.against else "", 11, _SOFT)
    yield f"<rect x='{_LEFT}' y='{top + 6}' width='{_PLOT}' height='20' fill='#eef0f2'/>"
    yield f"<rect x='{_LEFT}' y='{top + 6}' width='{width:.1f}' height='20' fill='{colour}'/>"
    if row.ratio > 2 * row.aim:  # it goes on beyond the picture
        edge = _LEFT + _PLOT
        yield (f"<path d='M{edge - 12} {top + 6}l6 10l-6 10h4l6 -10l-6 -10z' fill='#ffffff'/>")
    yield (
        f"<line x1='{aim_x}' x2='{aim_x}' y1='{top + 2}' y2='{top + 30}' "
        f"stroke='{_AIM}' stroke-width='2'/>"
    )
    sign = "≤" if row.low_is_good else "≥"
    numbers = f"{row.ratio:.2f} (aim {sign} {row.aim:g})"
    yield _text(_LEFT + _PLOT + 12, middle + 1, numbers, 13, colour, weight=600)
    yield _text(_LEFT + _PLOT + 12, middle + 15, _values(row), 11, _SOFT)


def _values(row: Measured) -> str:
    theirs = "" if row.floor_p50 is None else f" : {_short(row.floor_p50)}"
    return f"{_short(row.p50)}{theirs} {row.unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(
    x: float, y: float, words: str, size: int, colour: str = _INK, *, weight: int = 400
) -> str:
    return (
        f"<text x='{x}' y='{y}' {_FONT} font-size='{size}' font-weight='{weight}' "
        f"fill='{colour}'>{escape(words)}</text>"
    )
