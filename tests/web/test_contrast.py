"""The look's contrast table, computed from tokens.css in its light, dark and night sets (WCAG 2.x)."""

from __future__ import annotations

import re

import pytest

from cloud_api.web.rendering import STATIC

TOKENS = (STATIC / "css/tokens.css").read_text()


def block(start: str) -> dict[str, str]:
    """The custom properties with a hex colour in the rule that begins with ``start``."""
    at = TOKENS.index(start)
    body = TOKENS[TOKENS.index("{", at) + 1 : TOKENS.index("}", at)]
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9A-Fa-f]{6})\b", body))


LIGHT = block(":root, .paper {")
DARK = LIGHT | block(':root[data-theme="dark"], .dusk {')
SYSTEM_DARK = LIGHT | block(':root:not([data-theme="light"]) {')
NIGHT = LIGHT | block(":root .night {")
SETS = {"light": LIGHT, "dark": DARK, "night": NIGHT}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    a, b = sorted((luminance(one), luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


# text colour, ground, least: 4.5 for text, 3 for borders of controls
TABLE = [
    *(
        (ink, ground, 4.5)
        for ink in ("ink", "ink-2", "ink-3")
        for ground in ("bg", "surface", "sunk")
    ),
    ("edge", "surface", 3.0),
    ("on-ink", "ink", 4.5),
    ("on-jade", "jade", 4.5),
    ("on-jade", "jade-d", 4.5),
    ("jade", "surface", 4.5),
    ("jade", "bg", 4.5),
    ("jade-ink", "jade-w", 4.5),
    ("on-lamp", "lamp", 4.5),
    ("on-lamp", "lamp-a", 4.5),
    ("on-lamp", "lamp-b", 4.5),
    ("lamp-ink", "lamp-w", 4.5),
    ("lamp-ink", "surface", 4.5),
    ("on-cin", "cin", 4.5),
    ("cin-ink", "cin-w", 4.5),
    ("cin-ink", "surface", 4.5),
    ("on-ind", "ind", 4.5),
    ("on-ind", "ind-past", 4.5),
    ("ind-ink", "ind-w", 4.5),
    ("teal-ink", "teal-w", 4.5),
    ("stone-ink", "stone-w", 4.5),
    ("busy-ink", "busy-a", 4.5),
    ("ind-ink", "busy-solid", 4.5),
    ("rail-ink", "rail", 4.5),
    ("rail-lit", "rail-on", 4.5),
    ("print", "paper", 7.0),
    ("focus", "bg", 3.0),
]
NEVER_AT_NIGHT = {"teal-ink", "stone-ink", "busy-ink"}


# Strips and patterns do not stand on night pages.
CASES = [
    (name, *row)
    for name in SETS
    for row in TABLE
    if not (name == "night" and (row[0] in NEVER_AT_NIGHT or row[1] == "busy-solid"))
]


@pytest.mark.parametrize(("name", "ink", "ground", "least"), CASES)
def test_contrast(name: str, ink: str, ground: str, least: float) -> None:
    assert contrast(SETS[name][ink], SETS[name][ground]) >= least


def test_the_two_dark_sets_are_one() -> None:
    """The system's wish and the person's own choice must look the same."""
    assert SYSTEM_DARK == DARK
    assert DARK != LIGHT


@pytest.mark.parametrize(
    ("ink", "ground", "light", "dark"),
    [
        ("ink", "surface", 17.1, 14.4),
        ("ink-3", "sunk", 4.7, 5.6),
        ("on-jade", "jade", 5.3, 7.2),
        ("lamp-ink", "lamp-w", 6.3, 9.2),
        ("cin-ink", "cin-w", 6.7, 8.3),
        ("stone-ink", "stone-w", 8.3, 8.8),
    ],
)
def test_figures_are_those_of_the_design(ink: str, ground: str, light: float, dark: float) -> None:
    assert round(contrast(LIGHT[ink], LIGHT[ground]), 1) == pytest.approx(light, abs=0.1)
    assert round(contrast(DARK[ink], DARK[ground]), 1) == pytest.approx(dark, abs=0.1)


def test_lamp_is_no_text_on_white() -> None:
    """The check can fail: the lamp on white has 1.8, so it is a fill and never text."""
    assert contrast(LIGHT["lamp"], LIGHT["surface"]) < 3


def test_parts_and_pages_use_tokens_only() -> None:
    """Colours outside tokens.css are few and known: white knobs, the ring's and the rail's fixed inks."""
    allowed = {
        "#fff", "#2a3f39", "#fff4da", "#7a4a08", "#6f8079", "#c5d2cc", "#16322a", "#ecf3f0", "#0f1f1a",
        "#3b4a2b", "#1c3128", "#14251e", "#c4311d", "#dbe2de", "#9aa6a0", "#0a7a5a",
    }  # fmt: skip
    for sheet in (STATIC / "css").rglob("*.css"):
        if sheet.name != "tokens.css":
            used = {
                c.lower() for c in re.findall(r"#[0-9A-Fa-f]{3,8}\b(?=[^{]*})", sheet.read_text())
            }
            assert used <= allowed, (sheet.name, used - allowed)
