"""A machine for each test of this folder that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import Machine


@pytest.fixture
def machine(
    make_pg_database: Callable[..., str], tmp_path: Path
) -> Iterator[Callable[..., Machine]]:
    """Makes one machine; its services are stopped afterwards."""
    made: list[Machine] = []

    def make(**env: str) -> Machine:
        made.append(Machine(tmp_path, make_pg_database(), **env))
        return made[-1]

    yield make
    for one in made:
        one.stop()
