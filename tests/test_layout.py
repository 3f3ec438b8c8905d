"""The layout is a promise: small files, one noun per folder, the field's own words, no hosts."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "cloud_api",
    "controller",
    "firmware_bridge",
    "device_profiles",
    "store_link",
    "simulators",
    "demo",
)
MOST_LINES = 499
# Written by tools or by others; not ours to split.
NOT_OURS = ("/static/vendor/", "/vendor/", "requirements/", "LICENSE")
COUNTED = {".py", ".md", ".html", ".css", ".js", ".yaml", ".yml", ".toml", ".sh", ".jinja"}

# Assembled, so that this file does not name what it forbids.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("npmmirror", "com"),
        ("mirrors", "aliyun", "com"),
        ("tuna", "tsinghua", "edu", "cn"),
        ("docker", "io"),
        ("deb", "debian", "org"),
    )
)
SAID_BY_TOOLS = re.compile(r"(?i)co-authored-by|generated with|\bas an ai\b|\blanguage model\b")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
FORBIDDEN_CLASSES = re.compile(
    # The word for time spent in a room is "stay", for a paid order "order", for a group's room time
    # "slot"; "session" is a database's or a login's.
    r"^(Room|Table|Game|Play|Usage|Store|Customer)Sessions?$|^Sessions?$|^(Reservation|Booking)s?$"
)


def tracked() -> list[Path]:
    """Files that belong to the repository: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [ROOT / name for name in names if (ROOT / name).is_file()]


FILES = tracked()


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_ours(path: Path) -> bool:
    return not any(part in f"/{named(path)}" for part in NOT_OURS)


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def python_files() -> list[Path]:
    return [path for path in FILES if path.suffix == ".py"]


def source_files() -> list[Path]:
    return [path for path in python_files() if named(path).split("/")[0] in PACKAGES]


def too_long(paths: list[Path]) -> list[str]:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return [f"{named(path)}: {lines}" for path, lines in lengths.items() if lines > MOST_LINES]


def test_there_is_something_to_check():
    assert len(source_files()) > 20


def test_files_stay_small():
    counted = [path for path in FILES if is_ours(path) and path.suffix in COUNTED]
    assert too_long(counted) == [], "split by use case"


def test_no_file_is_named_for_nothing():
    vague = [named(path) for path in FILES if path.stem in VAGUE_NAMES]
    assert vague == [], "name it for the noun it is about"


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_what_it_is(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{package}/__init__.py needs one sentence"


def test_no_registry_host_is_named():
    found = [
        f"{named(path)}: {host}"
        for path in FILES
        if (text := text_of(path)) is not None
        for host in REGISTRY_HOSTS
        if host in text
    ]
    assert found == [], "where packages come from is the installer's setting"


def test_project_speaks_of_itself_alone():
    found = [
        f"{named(path)}: {match[0]}"
        for path in FILES
        if path != Path(__file__).resolve()
        and is_ours(path)
        and (text := text_of(path)) is not None
        and (match := SAID_BY_TOOLS.search(text))
    ]
    assert found == []


def test_no_path_of_one_machine():
    home = re.compile(r"/(?:home|Users)/[a-z]\w+/|/work/|/root/")
    found = [
        f"{named(path)}: {match[0]}"
        for path in FILES
        if path != Path(__file__).resolve()
        and is_ours(path)
        and path.suffix in COUNTED
        and (match := home.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_classes_use_the_words_of_the_field_and_money_is_integer_fen():
    """A column of money that is a float loses fen sooner or later."""
    money = re.compile(r"(^|_)(fen|price|amount|total|balance|fee|deposit)(_|$)")
    classes, columns = [], []
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and FORBIDDEN_CLASSES.match(node.name):
                classes.append(f"{named(path)}:{node.lineno} {node.name}")
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and money.search(node.target.id)
                and re.search(r"\b(float|Decimal)\b", ast.unparse(node.annotation))
            ):
                columns.append(f"{named(path)}:{node.lineno} {node.target.id}")
    assert classes == [], "see the words in docs: stay, claim, order, slot"
    assert columns == []


def test_the_architecture_page_names_every_package_of_the_cloud_in_its_place():
    """As import-linter holds them; what stands beside the packages (migrations, health, …) it does not."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (cloud,) = [one for one in layers["contracts"] if one.get("containers") == ["cloud_api"]]
    held = re.findall(r"\w+", " ".join(reversed(cloud["layers"])))
    page = (ROOT / "docs/architecture.md").read_text()
    told = re.search(r"`(settings · [^`]+)`", page)
    assert told is not None
    named = re.findall(r"\w+", told[1])
    assert {one for one in held if (ROOT / "cloud_api" / one).is_dir()} - set(named) == {
        "migrations"
    }
    assert [one for one in held if one in named and one != "settings"] == named[1:]


def test_tests_mirror_packages():
    """A folder of tests is named after what it tests."""
    allowed = {
        *PACKAGES,
        "brokers",
        "deploy",
        "processes",
        "concurrency",
        "e2e",
        "faults",
        "invariants",
        "support",
        "web",
        "contracts",
        "pages",
    }
    folders = {
        named(path).split("/")[1]
        for path in python_files()
        if named(path).startswith("tests/") and named(path).count("/") > 1
    }
    assert folders <= allowed


def test_the_checks_can_fail(tmp_path):
    long = ROOT / "tests" / "test_layout.py"
    assert too_long([long]) == []
    assert FORBIDDEN_CLASSES.match("RoomSession")
    assert not FORBIDDEN_CLASSES.match("LoginSession")
    assert not FORBIDDEN_CLASSES.match("AsyncSession")
    assert SAID_BY_TOOLS.search("Co-Authored-By: someone")
