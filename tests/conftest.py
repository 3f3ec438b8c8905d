"""What every test may ask for: databases, a broker, a browser; and rules that hold for all tests."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from tests.support.chromium import ChromiumError, find_chromium
from tests.support.compiled import share_compiled_statements
from tests.support.memory import keep_temporary_files_in_memory
from tests.support.nats import NatsBroker
from tests.support.postgres import Server
from tests.support.shared_postgres import shared_server, template
from tests.support.stage import RunningStage, until

# Dozens of tests start processes. Where the environment forbids compiled modules, each of them would
# compile a thousand modules again: half of all the time that starting the cloud takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

share_compiled_statements()
keep_temporary_files_in_memory()

# All modules and thousands of tests stay to the end: they are not looked through for garbage again
# and again, neither while they are collected nor while the tests run.
gc.disable()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Python's own handler: Ctrl-C ends the tests."""
    del number, frame
    raise KeyboardInterrupt


# asyncio puts a handler of its own over Python's for each coroutine that it runs, and to see whether it is
# still there writes out the whole task with all that it returned: a twentieth of a test that asks the API.
signal.signal(signal.SIGINT, _interrupt)


def pytest_collection_finish() -> None:
    """Before the first test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


# Hypothesis: no deadline anywhere, two cores are shared with browsers and databases.
_PATIENT = (HealthCheck.too_slow,)
settings.register_profile("dev", deadline=None, suppress_health_check=_PATIENT, print_blob=True)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("soak", settings.get_profile("dev"), max_examples=5_000)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if _in_ci() else "dev"))

# ------------------------------------------------------------------- no silent skips where it counts


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure: in CI every part is there, so a skip hides a test."""
    if _in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which is a failure in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Each phase of each test."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Modules skipped as a whole (importorskip)."""
    report = yield
    _refuse_skip(report)
    return report


# ---------------------------------------------------------------------------------------- databases


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """The PostgreSQL server that all tests share; a database of one's own comes from ``pg_url``."""
    with shared_server() as server:
        yield server


@pytest.fixture
def make_pg_database(pg_server: Server) -> Iterator[Callable[..., str]]:
    """Make databases for one test: ``make_pg_database(template="template0")`` gives a URL."""
    made: list[str] = []

    def make(template: str = "template0") -> str:
        name = f"t_{secrets.token_hex(8)}"
        made.append(name)
        return pg_server.create_database(name, template)

    yield make
    for name in made:
        pg_server.drop_database(name)


@pytest.fixture(scope="session")
def pg_template(pg_server: Server) -> Callable[[str, Callable[[str], None]], str]:
    """Prepare a database once for all workers: ``pg_template(key, prepare)`` gives its name.

    See tests/support/shared_postgres.py; then ``make_pg_database(name)`` copies it in 25 ms.
    """
    return lambda key, prepare: template(pg_server, key, prepare)


@pytest.fixture
def pg_url(make_pg_database: Callable[..., str]) -> str:
    """The URL (``postgresql+asyncpg://…``) of a fresh, empty PostgreSQL database."""
    return make_pg_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL (``sqlite+aiosqlite://…``) of a database file that does not exist yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_db_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database, once on each engine."""
    name = "pg_url" if request.param == "postgresql" else "sqlite_url"
    return str(request.getfixturevalue(name))


# --------------------------------------------------------------------------------- broker and browser


@pytest.fixture(scope="session")
def nats_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsBroker]:
    """An MQTT broker without authentication, shared by the tests of one worker.

    Keep to topics of your own. A test that stops, kills or configures a broker starts its own:
    ``with NatsBroker(tmp_path) as broker``.
    """
    with NatsBroker(tmp_path_factory.mktemp("nats")) as broker:
        yield broker


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a browser for Playwright's ``executable_path``."""
    browser = find_chromium()
    if browser is None:
        raise ChromiumError("No Chromium: run `python -m tests.support.ensure`, which fetches one.")
    return str(browser)


STAGE = "stage"  # xdist's group of all tests that use it


@pytest.fixture(scope="session")
def shared_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStage]:
    """The whole demonstration, down until somebody wants it."""
    shared = RunningStage(tmp_path_factory.mktemp("shared") / "stage")
    request.config.stash[_SHARED] = shared
    yield shared
    _end(shared)


@pytest.fixture
def running_stage(shared_stage: RunningStage) -> RunningStage:
    """The whole demonstration, running; shared, so tests that use it are of xdist_group "stage".

    Time only moves forward on it, and whoever breaks a part mends it.
    """
    if not shared_stage.is_up:
        shared_stage.start()
    return shared_stage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """Its twenty processes end with the last test that may want them, not with the session."""
    yield
    shared = item.config.stash.get(_SHARED, None)
    if shared is not None and (nextitem is None or _group(nextitem) != STAGE):
        _end(shared)


_SHARED = pytest.StashKey[RunningStage]()


def _group(item: pytest.Item) -> str | None:
    mark = item.get_closest_marker("xdist_group")
    return None if mark is None else str(mark.kwargs.get("name") or mark.args[0])


def _end(shared: RunningStage) -> None:
    if shared.is_up:
        assert shared.stop(signal.SIGTERM) == 0, shared.said
        until(lambda: shared.alive() == [], 10, shared.alive)
