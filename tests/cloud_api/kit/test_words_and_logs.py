"""Languages, and what a log line may hold."""

from __future__ import annotations

import pytest

from cloud_api.kit import i18n
from cloud_api.kit.i18n import gettext, negotiate, use_language
from cloud_api.kit.logs import without_secrets


@pytest.mark.parametrize(
    ("header", "account", "language"),
    [
        ("", None, "zh_Hans"),
        ("en-GB,en;q=0.9", None, "en"),
        ("zh-TW,zh;q=0.9,en;q=0.8", None, "zh_Hant"),
        ("zh-Hant-HK", None, "zh_Hant"),
        ("zh-CN", None, "zh_Hans"),
        ("fr;q=1, en;q=0.5, zh;q=0.7", None, "zh_Hans"),
        ("en;q=nonsense, zh", None, "zh_Hans"),
        ("en", "zh_Hant", "zh_Hant"),
        ("en", "klingon", "en"),
    ],
)
def test_the_language_of_a_request(header: str, account: str | None, language: str):
    assert negotiate(header, account) == language


def test_a_text_without_translation_stays_as_it_is():
    use_language("en")
    assert gettext("没有人翻译过这一句") == "没有人翻译过这一句"
    use_language("zh_Hans")


def test_logs_hold_no_secrets_and_no_phone_numbers():
    entry = {
        "event": "sent to +8613800000001 now",
        "phone": "x",
        "Authorization": "Bearer abc",
        "pin": "123456",
        "spinning": "fine",
        "detail": {"mac_key": "k", "to": ["13911112222", "ok"]},
        "number": "2611231200123456",
    }
    assert without_secrets(None, "info", entry) == {
        "event": "sent to ••• now",
        "phone": "•••",
        "Authorization": "•••",
        "pin": "•••",
        "spinning": "fine",
        "detail": {"mac_key": "•••", "to": ["•••", "ok"]},
        "number": "2611231200123456",
    }


def test_a_catalogue_is_read_as_it_lies_there(tmp_path, monkeypatch):
    folder = tmp_path / "en" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "到了，请进"\nmsgstr "You can go in"\n'
    )
    monkeypatch.setattr(i18n, "LOCALES", tmp_path)
    i18n.translations.cache_clear()
    use_language("en")
    assert gettext("到了，请进") == "You can go in"
    use_language("zh_Hans")
    assert gettext("到了，请进") == "到了，请进"
    i18n.translations.cache_clear()
