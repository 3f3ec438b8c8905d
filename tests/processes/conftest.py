"""The cluster that the tests of this folder share, and a mended one for each."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.processes.cluster import Cluster
from tests.support.postgres import Server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for ten processes to start, on whatever else runs beside.

    Ten processes on two cores take minutes: what needs them all belongs to the long runs.
    """
    for item in items:
        if "processes" not in item.path.parts:
            continue
        item.add_marker(pytest.mark.timeout(300))
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="package")
def running_cluster(
    pg_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Started once; every test of it belongs to xdist's group ``cluster``."""
    name = f"cluster_{uuid4().hex[:12]}"
    made = Cluster(tmp_path_factory.mktemp("cluster"), pg_server.create_database(name))
    try:
        made.up()
        yield made
    finally:
        made.down()
        pg_server.drop_database(name)


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    """All processes run and are ready."""
    running_cluster.mend()
    return running_cluster
