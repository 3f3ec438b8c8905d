"""Turns view models into HTML: one Jinja environment per language, with the few filters pages need."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cloud_api.kit.dates import day_month, full_day, weekday
from cloud_api.kit.i18n import OWN_NAMES, translations
from cloud_api.kit.money import yuan
from cloud_api.kit.static_files import Bundles, bundle_digest, file_digest, modules_folder

WEB = Path(__file__).parent
STATIC = WEB / "static"
TEMPLATES = WEB / "templates"
STATIC_URL = "/static"
LANGUAGES = ("zh-Hans", "zh-Hant", "en")
_SHEETS = (
    "tokens", "base", "parts/button", "parts/chip", "parts/card", "parts/strip", "parts/sheet", "parts/form",
    "parts/feedback", "parts/timeline", "parts/ring", "parts/door", "parts/device", "parts/nav", "parts/tile",
)  # fmt: skip
BUNDLES: Bundles = {"css/parts.css": tuple(f"css/{sheet}.css" for sheet in _SHEETS)}
"""What every page looks by. A first visit on a slow line waited for fifteen answers before it drew anything."""


@cache
def static_url(path: str) -> str:
    """``/static/{path}?v={hash}``: the address changes with the content, so it may be cached for long.

    Our own scripts stand below a folder that changes with any of them (``modules_folder``).
    Raises FileNotFoundError for a file that is not there: a page that names one must not pass a test.
    """
    if path in BUNDLES:
        return f"{STATIC_URL}/{path}?v={bundle_digest(STATIC, BUNDLES[path])}"
    digest = file_digest(STATIC / path)
    if path.startswith("js/"):
        return f"{STATIC_URL}/{modules_folder(STATIC)}/{path}"
    return f"{STATIC_URL}/{path}?v={digest}"


def hm(at: datetime) -> str:
    """19:05, in the zone the instant carries."""
    return at.strftime("%H:%M")


def hm_end(at: datetime) -> str:
    """19:05; midnight as an end is 24:00."""
    return "24:00" if (at.hour, at.minute) == (0, 0) else hm(at)


def iso(at: datetime) -> str:
    """RFC 3339 with offset, to the second; scripts read it from data attributes. Refuses naive values."""
    if at.tzinfo is None:
        raise ValueError("an instant on a page needs its offset")
    return at.isoformat(timespec="seconds")


def minutes(span: timedelta) -> int:
    """Whole minutes, rounded up, never below nought: what is left is not said too short."""
    return max(0, -(-int(span.total_seconds()) // 60))


def clock(span: timedelta) -> str:
    """``1:24`` hours and minutes, as the countdowns show it."""
    whole = minutes(span)
    return f"{whole // 60}:{whole % 60:02d}"


def mmss(span: timedelta) -> str:
    """``03:12`` minutes and seconds of a hold."""
    seconds = max(0, int(span.total_seconds()))
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


@cache
def environment(lang: str = "zh-Hans") -> Environment:
    """The templates in one language. Texts are keyed by their zh_Hans wording; without a catalogue they stay it."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    catalogue = translations(lang.replace("-", "_"))
    env.install_gettext_translations(catalogue, newstyle=True)  # type: ignore[attr-defined]
    env.filters.update(
        yuan=yuan, hm=hm, hm_end=hm_end, iso=iso, minutes=minutes, clock=clock, mmss=mmss
    )
    spoken = lang.replace("-", "_")
    env.filters.update(
        day_month=partial(day_month, language=spoken),
        full_day=partial(full_day, language=spoken),
        weekday=partial(weekday, language=spoken),
    )
    names = tuple((one.replace("_", "-"), name) for one, name in OWN_NAMES.items())
    env.globals.update(static_url=static_url, timedelta=timedelta, languages=names)
    return env


def render(template: str, context: Mapping[str, object], lang: str = "zh-Hans") -> str:
    """HTML of a template. Every page needs ``shell`` (view_models.Shell); most need ``page``."""
    return environment(lang).get_template(template).render(context)
