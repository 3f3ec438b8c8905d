"""docs/controller.md says which test shows which promise: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = list((ROOT / "tests").rglob("test_*.py"))


def test_every_test_that_is_named_is_there():
    page = (ROOT / "docs" / "controller.md").read_text("utf-8")
    whole = "\n".join(path.read_text("utf-8") for path in TESTS)
    files = set(re.findall(r"`(test_[a-z0-9_]+\.py)`", page))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert len(named) > 40
    assert files <= {path.name for path in TESTS}
    assert [name for name in sorted(named) if not re.search(rf"def {name}\b", whole)] == []
    benches = re.findall(r"`(benchmarks/[a-z_]+\.py)`", page)
    assert benches
    assert all((ROOT / bench).exists() for bench in benches)
