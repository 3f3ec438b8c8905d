"""The texts people read: finds them, brings the catalogues up to date, says what is missing (`make words`).

Texts are written in zh_Hans where they are used. Every Chinese literal of the program counts as one, be
it inside ``_()`` or in a table that is worded later, so that none can be forgotten; one with a value in
it is ``_("… {name} …").format(name=…)``, since a finished sentence is in no catalogue.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeGuard

import jinja2
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from jinja2 import nodes

ROOT: Final = Path(__file__).resolve().parents[1]
CLOUD: Final = ROOT / "cloud_api"
TEMPLATES: Final = CLOUD / "web/templates"
LOCALES: Final = CLOUD / "locales"
LANGUAGES: Final = ("zh_Hant", "en")
AREAS: Final = ("customer", "console")  # a catalogue each; what both show is the customer's

CHINESE: Final = re.compile(r"[\u3400-\u9fff]")
# In templates also the marks that only Chinese sets; in code they stand in patterns too.
_SHOWN: Final = re.compile(r"[\u3400-\u9fff，。；：、！？（）「」]")
# A range of characters is a pattern, not a text.
_PATTERN: Final = re.compile(r"一-|\\u4e00|\\u3400|\[0-9\]|\\d")
# {name}, {name:%H:%M}, %(name)s, %s; the format of a date may differ between languages.
_PLACE: Final = re.compile(r"\{(\w*)(?:![rsa])?(?::[^{}]*)?\}|%\((\w+)\)[sd]|%([sd])")
# What makes a refusal: its sentence is translated when it is told.
ERRORS: Final = frozenset(
    {
        "KaimenError",
        "NotFound",
        "Forbidden",
        "Conflict",
        "LoginNeeded",
        "ValueError",
        "_refuse",
        "Refusal",
        "Blocker",
        "Section",
        "later",
    }
)
_MARKS: Final = frozenset({"_", "gettext"})
_PLURAL: Final = frozenset({"ngettext"})

_CONSOLE: Final = (
    "web/console/",
    "web/templates/console/",
    "staff/",
    "ledger/",
    "backups/",
    "alarms/",
    "reports/",
    "audit/",
    "webhooks/",
    "web/static/js/console",
)
# What no visitor of a page reads: the command line, what seeds a store, migrations, the words of
# exported data; and the names of the languages, which are each in its own.
NOT_TEXTS: Final = (
    "migrations/",
    "cli.py",
    "settings_doc.py",
    "store_plan.py",
    "kit/i18n.py",
    "payments/providers/alipay/bills.py",  # the columns of a provider's file
    "payments/providers/wechatpay/bills.py",
    "payments/providers/wechatpay/provider.py",
)
# The mark of fen in a name, and our own name: no texts.
_NO_TEXT: Final = re.compile(r"^_分$|^Kaimen 开门$")


Translations = dict[str, tuple[str, ...]]  # msgid → its form, or forms by number


@dataclass
class Text:
    """A text of the program: where it stands, and its plural where it has one."""

    msgid: str
    plural: str = ""
    alone: list[str] = field(default_factory=list)  # where it is asked for without a number
    places: list[tuple[str, int]] = field(default_factory=list)

    @property
    def area(self) -> str:
        """The catalogue that it belongs to."""
        inside = all(path.startswith(_CONSOLE) for path, _ in self.places)
        return "console" if inside else "customer"


@dataclass
class Found:
    """All texts, and those that stand where no translation can reach them."""

    texts: dict[str, Text] = field(default_factory=dict)
    bare: list[str] = field(default_factory=list)

    def add(self, path: str, line: int, msgid: str, plural: str = "") -> None:
        """One place of a text."""
        text = self.texts.setdefault(msgid, Text(msgid))
        text.plural = text.plural or plural
        if not plural:
            text.alone.append(f"{path}:{line} {msgid!r}")
        text.places.append((path, line))

    @property
    def mixed(self) -> list[str]:
        """Texts with a plural, where they are asked for without the number: ``gettext`` may not find them.

        Python 3.11.2 shows them untranslated; later ones give the form for one.
        """
        return [place for text in self.texts.values() if text.plural for place in text.alone]


def extract(root: Path = CLOUD) -> Found:
    """Every text of the program below ``root``."""
    found = Found()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(NOT_TEXTS) and not name.endswith(NOT_TEXTS):
            from_python(found, name, path.read_text(encoding="utf-8"))
    for path in sorted((root / "web/templates").rglob("*.html")):
        from_template(found, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((root / "web/static/js").rglob("*.js")):
        from_script(found, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    return found


def from_python(found: Found, path: str, source: str) -> None:
    """Literals; a Chinese f-string is bare."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        elif isinstance(node, ast.JoinedStr):
            parts = [one for one in ast.walk(node) if isinstance(one, ast.Constant)]
            inner = {id(one) for call in ast.walk(node) if _is_call(call) for one in _args(call)}
            skipped |= {id(one) for one in parts if id(one) not in inner}
            if any(_is_chinese(one) or _has_marks(one) for one in node.values):
                found.bare.append(f"{path}:{node.lineno} {ast.unparse(node)}")
        elif _is_call(node, _PLURAL):
            one, many = (str(a.value) for a in _args(node)[:2])
            found.add(path, node.lineno, one, many)
            skipped |= {id(arg) for arg in _args(node)}
        elif _is_call(node) and _args(node):  # also what is no Chinese: a mark between two things
            found.add(path, node.lineno, str(_args(node)[0].value))
            skipped.add(id(_args(node)[0]))
    late = _worded_late(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in skipped and _is_chinese(node):
            found.add(path, node.lineno, str(node.value))
            if id(node) not in late and not path.endswith("personal.py"):
                found.bare.append(f"{path}:{node.lineno} {node.value!r}")


def _worded_late(tree: ast.Module) -> set[int]:
    """Literals that are translated where they are shown: tables, what an error says, ``_(A.get(b, "…"))``."""
    late: set[int] = set()
    inside = {
        id(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
        for one in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in inside:
            late.add(id(node))
        elif isinstance(node, ast.Call) and _called(node) in ERRORS | _MARKS:
            late |= {id(one) for one in ast.walk(node)}
    return late


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _is_chinese(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and bool(CHINESE.search(node.value))
        and not _PATTERN.search(node.value)
        and not _NO_TEXT.search(node.value)
    )


def _has_marks(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and bool(re.search("[，。；：（）]", str(node.value)))


def _is_call(node: ast.AST, names: frozenset[str] = _MARKS | _PLURAL) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in names


def _args(call: ast.Call) -> list[ast.Constant]:
    return [one for one in call.args if isinstance(one, ast.Constant)]


def from_template(found: Found, path: str, source: str) -> None:
    """What is inside ``_()`` and ``ngettext()``; all other Chinese is bare."""
    env = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"], autoescape=True
    )
    marked: set[int] = set()
    tree = env.parse(source)
    for call in tree.find_all(nodes.Call):
        name = getattr(call.node, "name", "")
        texts = [one for one in call.args if isinstance(one, nodes.Const)]
        if name in _MARKS | _PLURAL and texts:
            plural = str(texts[1].value) if name in _PLURAL else ""
            found.add(path, call.lineno, str(texts[0].value), plural)
            marked |= {id(one) for one in texts}
    for const in tree.find_all(nodes.Const):
        if id(const) not in marked and _SHOWN.search(str(const.value)):
            found.bare.append(f"{path}:{const.lineno} {const.value!r}")
    for data in tree.find_all(nodes.TemplateData):
        shown = re.sub(r"<!--.*?-->", "", data.data, flags=re.S)
        if _SHOWN.search(shown):
            found.bare.append(f"{path}:{data.lineno} {shown.strip()[:60]!r}")


def from_script(found: Found, path: str, source: str) -> None:
    """Scripts take their words from the page: any Chinese outside a comment is bare."""
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    for number, line in enumerate(code.splitlines(), 1):
        if CHINESE.search(re.sub(r"(^|\s)//.*", "", line)):
            found.bare.append(f"{path}:{number} {line.strip()[:60]!r}")


def places(text: str) -> set[str]:
    """The names of the values that a text leaves room for."""
    return {"".join(match.groups(default="")) or "{}" for match in _PLACE.finditer(text)}


# ------------------------------------------------------------------------------------- catalogues


def catalogue_path(language: str, area: str) -> Path:
    """Where the catalogue of an area lies."""
    return LOCALES / language / "LC_MESSAGES" / f"{area}.po"


def load(language: str, area: str) -> Catalog:
    """A catalogue as it is; an empty one where there is none."""
    path = catalogue_path(language, area)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def known(language: str) -> Translations:
    """Every translation of a language, by msgid."""
    return {
        _key(message): _forms(message)
        for area in AREAS
        for message in load(language, area)
        if message.id and all(_forms(message))
    }


def _key(message: Message) -> str:
    return str(message.id) if isinstance(message.id, str) else str(message.id[0])


def _forms(message: Message) -> tuple[str, ...]:
    string = message.string
    return (string,) if isinstance(string, str) else tuple(string or ("",))


def lacking(found: Found, language: str, area: str) -> list[Text]:
    """The texts of an area without a translation."""
    have = known(language)
    return [
        text
        for text in found.texts.values()
        if text.area == area and not _has(have, text, language)
    ]


def _has(have: Translations, text: Text, language: str) -> bool:
    forms = have.get(text.msgid, ())
    return len(forms) >= (2 if text.plural and language == "en" else 1)


def update(found: Found, given: dict[str, Translations] | None = None) -> None:
    """Write the catalogues anew: texts that came, went or moved; zh_Hant is filled in by conversion.

    ``given`` are translations by language and msgid that stand before what the catalogues hold.
    """
    for language in LANGUAGES:
        have = known(language) | (given or {}).get(language, {})
        if language == "zh_Hant":
            from scripts.traditional import convert

            have = {one: (convert(one),) for one in found.texts if one not in have} | have
        for area in AREAS:
            _write(found, language, area, have)


def _write(found: Found, language: str, area: str, have: Translations) -> None:
    catalogue = Catalog(
        locale=language,
        project="Kaimen",
        header_comment=f"# Kaimen, {area}, {language}. Brought up to date by `make words`.",
        fuzzy=False,
    )
    for text in sorted(found.texts.values(), key=lambda one: (one.places[0], one.msgid)):
        if text.area != area:
            continue
        files = [(path, 0) for path in dict.fromkeys(path for path, _ in text.places)]
        forms = have.get(text.msgid, ("",))
        if text.plural:
            many = catalogue.num_plurals
            forms = (forms * many)[:many]
            catalogue.add((text.msgid, text.plural), forms, locations=files)
        else:
            catalogue.add(text.msgid, forms[-1], locations=files)
    path = catalogue_path(language, area)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        write_po(target, catalogue, width=0, omit_header=False, include_lineno=False)
    _steady(path)


def _steady(path: Path) -> None:
    """Without the moment of writing: nothing changes where no text did."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r'^"(POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Report-Msgid-Bugs-To|Generated-By)[^\n]*\n',
        "",
        text,
        flags=re.M,
    )
    path.write_text(text, encoding="utf-8")


def report(found: Found) -> Iterator[str]:
    """What is still to do, a line each."""
    yield from (f"bare: {place}" for place in found.bare)
    for language in LANGUAGES:
        have = known(language)
        for area in AREAS:
            for text in lacking(found, language, area):
                yield f"{language} lacks ({area}): {text.msgid!r} {text.places[0][0]}"
        for msgid, string in have.items():
            if "%" in "".join(string) and _in_template(found, msgid):
                yield from (
                    f"{language}: % stands for itself as %% in a template: {one!r}"
                    for one in string
                    if re.search(r"(?<!%)%(?![%(])", re.sub("%%", "", one))
                )
            yield from (
                f"{language}: other values in {msgid!r}: {one!r}"
                for one in string
                if places(one) != places(msgid)
            )


def _in_template(found: Found, msgid: str) -> bool:
    text = found.texts.get(msgid)
    return text is not None and any(path.endswith(".html") for path, _ in text.places)


def main() -> None:
    """Bring the catalogues up to date; exit with 1 while something is missing."""
    found = extract()
    update(found)
    wrong = list(report(found))
    for line in wrong:
        print(line)
    print(f"{len(found.texts)} texts, {len(wrong)} to do")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
