"""One colour of a merchant made into what pages need of it, in light and in dark.

Words on any of it can be read: WCAG 2.2, 1.4.3 (text, 4.5) and 1.4.11 (parts of controls, 3). A colour that
cannot do its work is made lighter or darker at the same hue until it can, and the difference is told.
Pure: no tables, no HTTP.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

TEXT: Final = 4.5
PART: Final = 3.0
_HEX: Final = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_STEPS: Final = 200

Rgb = tuple[int, int, int]

# The grounds of static/css/tokens.css on which the colour stands; a test holds them equal to it.
LIGHT_GROUNDS: Final = ("#FFFFFF", "#F2F5F3", "#E8EDEA")  # surface, bg, sunk
DARK_GROUNDS: Final = (
    "#15231E",
    "#0C1613",
    "#1D2E28",
    "#182822",
    "#0B1714",
    "#24372F",
)  # and night
_WHITE: Final = (255, 255, 255)
_INK: Final = (6, 16, 13)


@dataclass(frozen=True, slots=True)
class Tones:
    """What pages name: ``brand`` fills and edges, ``brand_d`` under the pointer, ``brand_ink`` words,
    ``brand_w`` the wash behind them, ``on_brand`` words on the fill. All as ``#RRGGBB``.
    """

    brand: str
    brand_d: str
    brand_ink: str
    brand_w: str
    on_brand: str

    def properties(self) -> dict[str, str]:
        """By the name of the custom property."""
        return {f"--{name.replace('_', '-')}": getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Ramp:
    """A colour in both themes. ``moved``: in which of them it could not stay as it was chosen."""

    chosen: str
    light: Tones
    dark: Tones

    @property
    def moved(self) -> tuple[str, ...]:
        """``light``, ``dark``, both or neither."""
        both = (("light", self.light), ("dark", self.dark))
        return tuple(name for name, tones in both if tones.brand != self.chosen)

    @property
    def like(self) -> str:
        """``alarm`` or ``lamp`` where guests may take it for the colour of something wrong, or of go."""
        hue, light, strong = _hls(parse(self.chosen))
        if strong < 0.35 or not 0.2 < light < 0.8:
            return ""
        if hue < 16 / 360 or hue > 352 / 360:
            return "alarm"
        return "lamp" if 30 / 360 < hue < 46 / 360 else ""


def is_colour(text: str) -> bool:
    """Whether ``text`` is ``#`` and six hexadecimal digits, and nothing more."""
    return _HEX.fullmatch(text) is not None


@lru_cache(maxsize=512)
def ramp(chosen: str) -> Ramp:
    """The tones of ``chosen`` (``#RRGGBB``). Raises ValueError for anything else."""
    rgb = parse(chosen)
    light = _tones(rgb, [parse(one) for one in LIGHT_GROUNDS], wash=0.12, darker=True)
    dark = _tones(rgb, [parse(one) for one in DARK_GROUNDS], wash=0.26, darker=False)
    return Ramp(to_hex(rgb), light, dark)


def contrast(one: Rgb, other: Rgb) -> float:
    """The ratio of WCAG 2.x, 1 to 21."""
    a, b = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


def parse(text: str) -> Rgb:
    """``#RRGGBB`` as numbers. Raises ValueError."""
    if not is_colour(text):
        raise ValueError(f"no colour: {text!r}")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def to_hex(rgb: Rgb) -> str:
    """``#RRGGBB``, capitals."""
    return "#{:02X}{:02X}{:02X}".format(*rgb)


def _tones(chosen: Rgb, grounds: list[Rgb], *, wash: float, darker: bool) -> Tones:
    def fills(one: Rgb) -> bool:
        on = _on(one)
        return (
            all(contrast(one, ground) >= PART for ground in grounds) and contrast(on, one) >= TEXT
        )

    fill = _nearest(chosen, fills)
    on = _on(fill)
    # Under the pointer it moves away from its words, so these stay as easy to read.
    away = -0.07 if on == _WHITE else 0.07
    hover = _shifted(fill, away)
    pale = _mixed(chosen, grounds[0], wash)
    under = [*grounds, pale]

    def reads(one: Rgb) -> bool:
        return all(contrast(one, ground) >= TEXT for ground in under)

    start = _shifted(chosen, -0.12 if darker else 0.12)
    ink = _nearest(start, reads)
    return Tones(*map(to_hex, (fill, hover, ink, pale, on)))


def _on(fill: Rgb) -> Rgb:
    """White or ink, whichever is read better on ``fill``; white where both do."""
    if contrast(_WHITE, fill) >= TEXT:
        return _WHITE
    return max((_WHITE, _INK), key=lambda one: contrast(one, fill))


def _nearest(chosen: Rgb, good: Callable[[Rgb], bool]) -> Rgb:
    """``chosen`` if it is ``good``, else the same hue at the nearest lightness that is."""
    if good(chosen):
        return chosen
    for step in range(1, _STEPS + 1):
        for way in (-1, 1):
            one = _shifted(chosen, way * step / _STEPS)
            if good(one):
                return one
    return next(one for one in (_INK, _WHITE) if good(one))


def _shifted(rgb: Rgb, by: float) -> Rgb:
    hue, light, strong = _hls(rgb)
    made = colorsys.hls_to_rgb(hue, min(1.0, max(0.0, light + by)), strong)
    return _rounded(part * 255 for part in made)


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    return _rounded(a * share + b * (1 - share) for a, b in zip(one, other, strict=True))


def _rounded(parts: Iterable[float]) -> Rgb:
    red, green, blue = (round(part) for part in parts)
    return red, green, blue


def _hls(rgb: Rgb) -> tuple[float, float, float]:
    return colorsys.rgb_to_hls(*(part / 255 for part in rgb))


def _luminance(rgb: Rgb) -> float:
    def linear(part: int) -> float:
        c = part / 255
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part) for part in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
