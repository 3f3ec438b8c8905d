"""Pages in English and traditional Chinese: nothing is left in the language that texts are written in."""

from __future__ import annotations

import dataclasses
import html
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.kit.i18n import COOKIE, OWN_NAMES
from cloud_api.web.rendering import render
from cloud_api.web.view_models import Shell
from tests.web.samples import SHELL
from tests.web.test_pages_console import PAGES as CONSOLE
from tests.web.test_pages_console import fill as fill_console
from tests.web.test_pages_customer import OWN, PUBLIC, fill
from tests.web.test_templates import PAGES
from tests.web.town import Visitor, running_town

# Characters, and the marks that only Chinese sets.
CHINESE = re.compile(r"[\u3400-\u9fff]+|[，。；：、！？（）「」]")
HIDDEN = re.compile(r"<!--.*?-->|<style.*?</style>|<script.*?</script>", re.S)


def words_of(value: Any) -> Iterator[str]:
    """Every text inside a value, however deep."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from words_of(getattr(value, field.name))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from (*words_of(key), *words_of(one))
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from words_of(one)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from words_of(vars(value))


def chinese(page: str, data: str) -> list[str]:
    """What of a page is Chinese and is neither data nor the name of a language."""
    shown = html.unescape(html.unescape(HIDDEN.sub("", page)))
    known = data + " ".join(OWN_NAMES.values())
    left = {run for run in CHINESE.findall(shown) if run not in known}
    if left:  # a name may stand right beside a text
        names = sorted({run for run in CHINESE.findall(data) if len(run) > 1}, key=len)
        for name in reversed(names):
            left = {part for run in left for part in run.split(name) if part}
    return sorted(left)


def simplified(text: str) -> list[str]:
    """Characters that traditional writing has not: those outside its own code page."""
    return [char for char in text if "\u3400" <= char <= "\u9fff" and not _encodes(char)]


def _encodes(char: str) -> bool:
    try:
        char.encode("big5")
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("name", PAGES)
def test_samples_hold_no_untranslated_text(name: str):
    """Of each template, in both languages: what is not in the sample's own values was translated."""
    template, context = PAGES[name]
    data = "\n".join(words_of((context, SHELL)))
    shell = context.get("shell", SHELL)
    assert isinstance(shell, Shell)
    english = render(
        template, {**context, "shell": dataclasses.replace(shell, lang="en")}, lang="en"
    )
    assert '<html lang="en"' in english or "<html" not in english
    assert chinese(english, data) == []
    hant = render(
        template, {**context, "shell": dataclasses.replace(shell, lang="zh-Hant")}, lang="zh-Hant"
    )
    assert [run for run in chinese(hant, data) if simplified(run)] == []


def test_the_crawl_can_fail():
    assert chinese("<p title='门'>Free，竹间</p>", "竹间") == ["门", "，"]
    assert chinese("<p>竹间的门</p>", "竹间") == ["的门"]
    assert simplified("門店可以訂") == []
    assert simplified("门店可以订") == ["门", "订"]


# --------------------------------------------------------------------------- real pages of a site


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("languages")) as running:
        yield running


@pytest.fixture(scope="module")
def data(visitor: Visitor) -> str:
    """Every text that merchants and people wrote: all that the site's database holds."""
    path = visitor.site.cloud.settings.data_dir / "cloud.db"
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    texts = [
        str(cell)
        for name in names
        for row in base.execute(f'SELECT * FROM "{name}"')
        for cell in row
        if isinstance(cell, str)
    ]
    base.close()
    # JSON may be kept with escapes.
    return "\n".join(
        text.encode().decode("unicode_escape") if "\\u" in text else text for text in texts
    )


def reader_of(visitor: Visitor, who: str, lang: str) -> httpx.Client:
    cookies = {COOKIE: lang}
    if who:
        cookies[LOGIN_COOKIE] = visitor.town.tokens[who]
    return httpx.Client(
        base_url=visitor.site.url,
        cookies=cookies,
        headers={"Accept": "text/html"},
        trust_env=False,
        timeout=20,
    )


def test_customers_pages_in_english(visitor: Visitor, data: str):
    with reader_of(visitor, "guest", "en") as guest, reader_of(visitor, "", "en") as nobody:
        left = {}
        for name, (path, _words) in (PUBLIC | OWN).items():
            answer = (nobody if name == "login" else guest).get(fill(visitor, path))
            assert answer.status_code == 200, path
            assert '<html lang="en"' in answer.text or "<html" not in answer.text
            left[path] = chinese(answer.text, data + path)
    assert {path: runs for path, runs in left.items() if runs} == {}


def test_the_console_in_english_and_traditional_chinese(visitor: Visitor, data: str):
    left = {}
    for lang in ("en", "zh-Hant"):
        with reader_of(visitor, "owner", lang) as owner:
            for path, _words in CONSOLE.values():
                answer = owner.get(fill_console(visitor, path))
                assert answer.status_code == 200, path
                runs = chinese(answer.text, data + path)
                left[lang, path] = [run for run in runs if lang == "en" or simplified(run)]
    assert {path: runs for path, runs in left.items() if runs} == {}


def test_refusals_speak_the_readers_language(visitor: Visitor):
    with reader_of(visitor, "", "") as nobody:
        path = "/api/v1/stores/nope"
        told = {
            asked: nobody.get(path, headers={"Accept-Language": asked}).json()
            for asked in ("zh-CN", "zh-TW", "en-GB")
        }
    assert [one["code"] for one in told.values()] == ["store.not_found"] * 3
    assert told["zh-CN"]["title"] == "没有找到"
    assert told["zh-TW"]["title"] == "沒有找到"
    assert told["en-GB"]["title"] == "Not found"
    assert chinese(told["en-GB"]["detail"], "") == []
    assert simplified(told["zh-TW"]["detail"]) == []


def test_a_choice_is_kept_in_the_browser_and_with_the_account(visitor: Visitor):
    """Chosen once, every page speaks it; on another device the account's choice, then the browser's."""

    def lang(client: httpx.Client, path: str = "/", **headers: str) -> str:
        match = re.search(r'<html lang="([^"]+)"', client.get(path, headers=headers).text)
        assert match is not None
        return match[1]

    with reader_of(visitor, "stranger", "") as first, reader_of(visitor, "stranger", "") as second:
        assert lang(first) == "zh-Hans"
        token = re.search(r'name="csrf-token" content="([^"]+)"', first.get("/me").text)
        assert token is not None
        kept = first.post(
            "/me/settings", data={"lang": "zh-Hant", "next": "/orders", "csrf_token": token[1]}
        )
        assert (kept.status_code, kept.headers["location"]) == (303, "/orders")
        assert lang(first, "/orders", **{"Accept-Language": "en"}) == "zh-Hant"
        assert lang(second) == "zh-Hant"
        first.post("/me/settings", data={"lang": "zh-Hans", "csrf_token": token[1]})
    with reader_of(visitor, "", "") as nobody:
        assert lang(nobody, **{"Accept-Language": "en-US,en;q=0.9"}) == "en"
        page = nobody.get("/login").text
        assert page.count('name="lang"') == 3
        token = re.search(r'name="csrf-token" content="([^"]*)"', page)
        assert token is not None
        form = {"lang": "en", "next": "//evil.example", "csrf_token": token[1]}
        away = nobody.post("/me/settings", data=form)
        assert away.headers["location"] == "/me"
        nothing = nobody.post("/me/settings", data=form | {"lang": "klingon"})
        assert COOKIE not in nothing.headers.get("set-cookie", "")


@pytest.mark.parametrize("who", ["guest"])
def test_english_fits_a_small_phone(visitor: Visitor, browser: Browser, who: str):
    """At 320 pixels nothing reaches beyond the right edge, and no button cuts its words."""
    context = browser.new_context(viewport={"width": 320, "height": 568}, locale="en-GB")
    context.add_cookies(
        [
            {"name": LOGIN_COOKIE, "value": visitor.town.tokens[who], "url": visitor.site.url},
            {"name": COOKIE, "value": "en", "url": visitor.site.url},
        ]
    )
    tab = context.new_page()
    wrong = {}
    for name in ("home", "store", "room", "book"):
        tab.goto(visitor.site.url + fill(visitor, PUBLIC[name][0]))
        wrong[name] = tab.evaluate(FITS)
    for name in ("in_use", "ready", "unpaid", "pay", "stay", "me", "orders"):
        tab.goto(visitor.site.url + fill(visitor, OWN[name][0]))
        wrong[name] = tab.evaluate(FITS)
    context.close()
    assert {name: found for name, found in wrong.items() if found} == {}


FITS = """() => {
  const found = [];
  scrollTo(99, scrollY);
  if (scrollX) found.push(`the page moves sideways by ${scrollX}`);
  for (const one of document.querySelectorAll('.btn, .chip, h1, h2, .state, .tab, label')) {
    const box = one.getBoundingClientRect();
    if (!box.width || one.closest('.chips, .days, .tl-scroll, .vh, [hidden], dialog:not([open])')) continue;
    const text = document.createRange();
    text.selectNodeContents(one);
    const inside = text.getBoundingClientRect();
    if (inside.right > box.right + 1 || inside.left < box.left - 1 || box.right > innerWidth + 1)
      found.push(`${one.className || one.tagName}: ${one.textContent.trim().slice(0, 40)}`);
  }
  return found;
}"""
