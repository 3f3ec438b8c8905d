"""Three languages: every text can be found, is translated, and its translation leaves room for its values."""

from __future__ import annotations

import pytest

from scripts import words

pytestmark = pytest.mark.xdist_group(
    "words"
)  # reading all sources takes seconds: one worker does it


@pytest.fixture(scope="module")
def found() -> words.Found:
    return words.extract()


def test_there_are_texts(found: words.Found):
    assert len(found.texts) > 2500
    assert {text.area for text in found.texts.values()} == set(words.AREAS)


def test_no_text_stands_where_no_translation_reaches_it(found: words.Found):
    assert found.bare == [], "see cloud_api/locales/README.md, writing texts"


def test_what_has_a_plural_is_asked_for_with_its_number(found: words.Found):
    assert found.mixed == [], "use ngettext, or kit.dates.days"


@pytest.mark.parametrize("area", words.AREAS)
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_text_is_translated(found: words.Found, language: str, area: str):
    missing = [text.msgid for text in words.lacking(found, language, area)]
    assert missing == [], "`make words`, then fill in what it names"


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_translations_leave_room_for_the_same_values(language: str):
    wrong = [
        (msgid, form)
        for msgid, forms in words.known(language).items()
        for form in forms
        if words.places(form) != words.places(msgid)
    ]
    assert wrong == []


def test_the_checks_can_fail():
    """Negative controls: what is bare is seen, and a lost value is."""
    found = words.Found()
    words.from_python(found, "a.py", "def f(n):\n    return f'还剩 {n} 间'\n")
    words.from_python(found, "b.py", "def f():\n    return '没有空房'\n")
    words.from_template(found, "c.html", "<p>没有空房</p>{{ button('订这间') }}{{ _('好') }}")
    words.from_script(found, "d.js", "say('没有网络'); // 说明\n")
    assert [place.split(":")[0] for place in found.bare] == ["a.py", "b.py"] + ["c.html"] * 2 + [
        "d.js"
    ]
    words.from_python(found, "e.py", "A = ngettext('{n} 天', '{n} 天', 2)\n\nB = _('{n} 天')\n")
    assert found.mixed == ["e.py:3 '{n} 天'"]
    assert words.places("{n} 间，到 {at:%H:%M}，%(m)s") == {"n", "at", "m"}
    assert words.places("%s 退款中") == {"s"}
