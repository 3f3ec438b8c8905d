"""The installation that the tests of this folder break, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.faults.site import Site, running
from tests.support.postgres import Server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits until eight processes have started, on whatever else runs beside."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="package")
def running_site(pg_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Started once; every test of it belongs to xdist's group ``faults``."""
    name = f"faults_{uuid4().hex[:12]}"
    url = pg_server.create_database(name)
    try:
        with running(tmp_path_factory.mktemp("faults") / "site", url) as site:
            yield site
    finally:
        pg_server.drop_database(name)


@pytest.fixture
def site(running_site: Site) -> Site:
    """All of it runs, nothing is armed, the store is online."""
    running_site.mend()
    return running_site
