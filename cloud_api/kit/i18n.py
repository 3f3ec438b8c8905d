"""Which language a request speaks, and ``gettext`` in it; texts in code are zh_Hans, the default.

Catalogues lie in cloud_api/locales (see its README). A text without a translation stays zh_Hans.

A language was chosen in this browser (a cookie), or by the account that is logged in, or is what the
browser asks for: the first of these that there is.
"""

from __future__ import annotations

import gettext as _gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = Path(__file__).parent.parent / "locales"
LANGUAGES = ("zh_Hans", "zh_Hant", "en")
DEFAULT = "zh_Hans"
OWN_NAMES = {
    "zh_Hans": "简体",
    "zh_Hant": "繁體",
    "en": "English",
}  # each in its own, never translated
COOKIE = "kaimen_lang"

_language: ContextVar[str] = ContextVar("kaimen_language", default=DEFAULT)

_TRADITIONAL = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")


def negotiate(accept_language: str, account_locale: str | None = None) -> str:
    """One of LANGUAGES: the account's own choice first, then Accept-Language by its weights."""
    if account_locale in LANGUAGES:
        return account_locale
    wishes: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((float(weight or 1), tag.strip().lower()))
        except ValueError:
            continue
    for _, tag in sorted(wishes, key=lambda wish: -wish[0]):
        if tag.startswith(_TRADITIONAL):
            return "zh_Hant"
        if tag.startswith("zh"):
            return "zh_Hans"
        if tag.startswith("en"):
            return "en"
    return DEFAULT


def chosen(cookie: str | None) -> str | None:
    """The language that a cookie names (``zh-Hant`` or ``zh_Hant``); None where it names none of ours."""
    name = (cookie or "").replace("-", "_")
    return name if name in LANGUAGES else None


@cache
def translations(language: str) -> _gettext.NullTranslations:
    """The catalogues of a language, straight from their ``.po`` files; an empty one where there is none."""
    made: _gettext.NullTranslations | None = None
    for path in sorted((LOCALES / language / "LC_MESSAGES").glob("*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as source:
            write_mo(compiled, read_po(source, locale=language))
        compiled.seek(0)
        one = _gettext.GNUTranslations(compiled)
        if made is None:
            made = one
        else:
            made.add_fallback(one)
    return made or _gettext.NullTranslations()


def use_language(language: str) -> None:
    """Set the language of the request that is being served in this context."""
    _language.set(language if language in LANGUAGES else DEFAULT)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """``language`` for what is worded inside: a job's words are those of who asked for it."""
    before = _language.get()
    use_language(language)
    try:
        yield
    finally:
        use_language(before)


def language() -> str:
    """The language of the request being served."""
    return _language.get()


def gettext(text: str) -> str:
    """``text`` (zh_Hans) in the request's language; idle on what is a finished sentence already."""
    return translations(_language.get()).gettext(text) if text else ""


def later(text: str) -> str:
    """``text`` as it is, in zh_Hans: it is kept, and worded by ``gettext`` where somebody reads it."""
    return text


def ngettext(one: str, many: str, n: int) -> str:
    """The form for ``n`` things, in the request's language; in Chinese the two are the same."""
    return translations(_language.get()).ngettext(one, many, n)
