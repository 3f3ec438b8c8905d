"""Whatever colour an owner chooses, words on it and in it can be read in light, dark and at night (WCAG 2.x)."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud_api.branding import colour
from cloud_api.branding.colour import contrast, parse, ramp
from cloud_api.branding.stylesheet import stylesheet
from cloud_api.web.rendering import STATIC

HEX = st.tuples(*[st.integers(0, 255)] * 3).map(colour.to_hex)


@given(HEX)
@example("#FFD500")  # what a delivery service has: no word is read on it in a light page
@example("#FFFFFF")
@example("#000000")
@example("#767676")
def test_every_colour_is_read_everywhere(chosen: str) -> None:
    made = ramp(chosen)
    for tones, grounds in ((made.light, colour.LIGHT_GROUNDS), (made.dark, colour.DARK_GROUNDS)):
        fill, hover, ink, wash, on = map(parse, tones.properties().values())
        assert contrast(on, fill) >= 4.5
        assert contrast(on, hover) >= 4.5
        for ground in map(parse, grounds):
            assert contrast(fill, ground) >= 3
            assert contrast(ink, ground) >= 4.5
        assert contrast(ink, wash) >= 4.5
    assert ("light" in made.moved) == (made.light.brand != chosen)


def test_a_colour_that_does_its_work_stays_and_one_that_cannot_keeps_its_hue() -> None:
    assert ramp("#1677FF").moved == ()
    yellow = ramp("#FFD500")
    assert yellow.moved == ("light",)
    red, green, blue = parse(yellow.light.brand)
    assert red > green > blue  # still a yellow, darker
    assert ramp("#111111").moved == ("dark",)
    assert (ramp("#D0021B").like, ramp("#FFB547").like, ramp("#1677FF").like) == (
        "alarm",
        "lamp",
        "",
    )


def test_its_grounds_are_those_of_the_tokens() -> None:
    """The ramp is made for these grounds: whoever changes tokens.css changes them with it."""
    tokens = (STATIC / "css/tokens.css").read_text()

    def grounds(start: str) -> tuple[str, ...]:
        body = tokens[tokens.index(start) :]
        return tuple(re.search(rf"--{n}: (#\w{{6}})", body)[1] for n in ("surface", "bg", "sunk"))  # type: ignore[index]

    assert grounds(":root, .paper {") == colour.LIGHT_GROUNDS
    dark = grounds(':root[data-theme="dark"], .dusk {')
    assert dark + grounds(":root .night {") == colour.DARK_GROUNDS


@pytest.mark.parametrize("text", ["red", "#12345", "#1234567", "#12345g", "red;}body{display:none", "#0a7a5a;x", "", "#０A7A5A"])  # fmt: skip
def test_what_is_no_colour_makes_no_style(text: str) -> None:
    assert not colour.is_colour(text)
    with pytest.raises(ValueError, match="no colour"):
        ramp(text)


def test_a_style_sheet_holds_custom_properties_and_nothing_else() -> None:
    css = stylesheet(ramp("#8b1e3f"))
    rest = re.sub(r"--(on-)?brand(-\w+)?: #[0-9A-F]{6};", "", css)
    assert re.fullmatch(r"[@\w\s{}()\[\]=\"':,.\-]*", rest)
    assert not set("#;") & set(rest)
    assert css.count("{") == css.count("}")
