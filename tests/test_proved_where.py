"""Pages that say which test shows which promise: each test, picture and measurement that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = list((ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("console.md", 90),
        ("controller.md", 40),
        ("customer-app.md", 70),
        ("production.md", 60),
        ("requirements.md", 50),
    ],
)
def test_every_test_that_is_named_is_there(name: str, least: int) -> None:
    page = (ROOT / "docs" / name).read_text("utf-8")
    whole = "\n".join(path.read_text("utf-8") for path in TESTS)
    files = set(re.findall(r"`(test_[a-z0-9_]+\.py)`", page))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert len(named) > least
    assert files <= {path.name for path in TESTS}
    assert [one for one in sorted(named) if not re.search(rf"def {one}\b", whole)] == []
    seen = re.findall(r"`(benchmarks/[a-z_]+\.py)`|\((images/[a-z0-9_/.-]+)\)", page)
    assert seen
    for bench, picture in seen:
        assert (ROOT / (bench or f"docs/{picture}")).exists(), bench or picture
