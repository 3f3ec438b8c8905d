"""Forms before their script has run: nothing that is typed may land in an address."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "cloud_api" / "web" / "templates"
SENT_OTHERWISE = ('method="post"', 'method="dialog"', 'method="get"')  # get: said on purpose
FORM = re.compile(r"<form\b[^>]*>")


def native_gets(text: str) -> list[str]:
    """Forms that a browser would send as an address, and that hold more than filters."""
    return [
        form for form in FORM.findall(text) if not any(known in form for known in SENT_OTHERWISE)
    ]


def test_what_is_typed_never_lands_in_an_address() -> None:
    found = {
        str(path.relative_to(TEMPLATES)): forms
        for path in TEMPLATES.rglob("*.html")
        if (forms := native_gets(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def sent_by_the_browser(text: str) -> list[str]:
    """Forms that a browser would post, before their script has come, to what answers scripts."""
    posts = [form for form in FORM.findall(text) if 'method="post"' in form]
    return [form for form in posts if 'action="/' not in form or 'action="/api/' in form]


def test_no_tap_before_its_script_brings_a_page_of_json() -> None:
    """A guest whose script was slow posted the form itself and read the API's refusal as raw JSON."""
    found = {
        path.name: forms
        for path in TEMPLATES.rglob("*.html")
        if (forms := sent_by_the_browser(path.read_text(encoding="utf-8")))
    }
    assert list(found) == [
        "pay_go.html"
    ]  # posts to the provider's own page, with or without script
    assert sent_by_the_browser('<form method="post" action="/api/v1/tickets" data-api>')
    assert not sent_by_the_browser('<form method="post" action="/logout">')


def test_a_form_without_a_method_is_found() -> None:
    assert native_gets('<p><form class="x" data-api><input></form>') == [
        '<form class="x" data-api>'
    ]
