"""A migration that fails or is killed in the middle leaves the database as it was, and the next try finishes.

Who starts on a database that is not at its release is told so, in one sentence with a code.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import inspect, text
from typer.testing import CliRunner, Result

from cloud_api.cli import app
from cloud_api.health import check as check_health
from cloud_api.health import fine
from cloud_api.kit.database import Database
from cloud_api.kit.process import make_cloud
from cloud_api.migrations import runner
from cloud_api.settings import Settings
from tests.cloud_api.conftest import SECRETS
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
BEFORE = "0041"  # the table that a later one makes is in its way; others stand between
IN_THE_WAY = "CREATE TABLE invoice_request (note VARCHAR)"
PATIENCE_S = 120.0
# All of it was run and the guards are about to be put up: nothing is committed yet.
STANDS_STILL = """
import sys, time
from cloud_api import cli
from cloud_api.migrations import guards

async def stand(connection):
    print("midway", flush=True)
    time.sleep(600)

guards.install = stand
sys.argv = ["kaimen-cloud", "migrate"]
cli.app()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    else:
        templates = request.getfixturevalue("postgres_templates")
        with templates.fresh("template0") as url:
            yield url


@pytest.fixture
def env(empty_url: str, tmp_path: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KAIMEN_")}
    return clean | {
        "KAIMEN_DATABASE_URL": empty_url,
        "KAIMEN_SECRETS": SECRETS,
        "KAIMEN_DATA_DIR": str(tmp_path / "data"),
        "KAIMEN_MQTT_PORT": str(free_port()),
        "KAIMEN_MQTT_TLS": "false",
    }


async def run(env: dict[str, str], *words: str) -> Result:
    """A command in this process: it has a loop of its own, so on a thread of its own."""
    own: dict[str, str | None] = {k: None for k in os.environ if k.startswith("KAIMEN_")}
    return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=own | env)


def start(env: dict[str, str], word: str) -> subprocess.CompletedProcess[str]:
    """A program that is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "cloud_api.cli", word], cwd=ROOT, env=env,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


async def seen(url: str) -> tuple[str | None, dict[str, list[str]]]:
    """The revision, and each table's columns."""
    db = Database(url)
    async with db.engine.connect() as connection:
        revision = await connection.run_sync(runner._current)
        tables = await connection.run_sync(
            lambda sync: {
                name: [column["name"] for column in inspect(sync).get_columns(name)]
                for name in inspect(sync).get_table_names()
            }
        )
    await db.close()
    return revision, tables


async def act(url: str, statement: str) -> None:
    db = Database(url)
    async with db.write() as session:
        await session.execute(text(statement))
    await db.close()


async def health(url: str, tmp_path: Path) -> str:
    settings = Settings.model_validate(
        {"database_url": url, "secrets": SECRETS, "data_dir": tmp_path, "run_worker": False}
    )
    cloud = make_cloud(settings)
    found = await check_health(cloud)
    await cloud.http.aclose()
    await cloud.db.close()
    return found["migrations"]


async def test_one_that_fails_midway_changes_nothing_and_the_next_try_finishes(
    empty_url: str, env: dict[str, str], tmp_path: Path
) -> None:
    db = Database(empty_url)
    await runner.upgrade(db, BEFORE)
    await db.close()
    await act(empty_url, IN_THE_WAY)
    before = await seen(empty_url)
    assert before[0] == BEFORE

    failed = await run(env, "migrate")
    assert failed.exit_code == 1, failed.stdout
    assert failed.stderr.startswith("schema.not_migrated: "), failed.stderr
    assert "Nothing was changed" in failed.stderr
    assert await seen(empty_url) == before

    # Nobody works on tables that lack what he needs; and whoever asks hears what to do.
    if empty_url.startswith("sqlite"):
        for command in ("serve", "worker"):
            refused = await asyncio.to_thread(start, env, command)
            assert refused.returncode == 1, refused.stdout
            assert refused.stderr.rstrip().splitlines()[-1].startswith("schema.behind: ")
            assert "kaimen-cloud migrate" in refused.stderr
    assert (await health(empty_url, tmp_path)).startswith("behind: ")

    await act(empty_url, "DROP TABLE invoice_request")
    assert (await run(env, "migrate")).exit_code == 0
    db = Database(empty_url)
    assert await runner.compare(db) == []
    await db.close()
    assert await health(empty_url, tmp_path) == "ok"


async def test_one_that_is_killed_midway_changes_nothing_and_the_next_try_finishes(
    empty_url: str, env: dict[str, str]
) -> None:
    db = Database(empty_url)
    await runner.upgrade(db, BEFORE)
    await db.close()
    before = await seen(empty_url)
    killed = subprocess.Popen(
        [sys.executable, "-c", STANDS_STILL], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "midway\n"
    finally:
        killed.kill()
        killed.communicate()
    assert await seen(empty_url) == before
    done = await run(env, "migrate")
    assert done.exit_code == 0, done.stderr
    assert (await seen(empty_url))[0] == runner.head()


async def test_a_database_of_a_later_release_is_served_and_not_touched(
    empty_url: str, env: dict[str, str], tmp_path: Path
) -> None:
    """Bug: as soon as a later release had migrated, each process of the one before said "behind: run
    kaimen-cloud migrate" and was not ready: a balancer that asks /readyz had nobody left until the upgrade
    was through. And its own ``migrate`` ended with a traceback.
    """
    db = Database(empty_url)
    await runner.upgrade(db)
    await db.close()
    await act(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    before = await seen(empty_url)
    refused = await run(env, "migrate")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("schema.newer: "), refused.stderr
    assert "update the program" in refused.stderr
    assert await seen(empty_url) == before

    said = await health(empty_url, tmp_path)
    assert fine(said)
    assert "newer" in said

    if not empty_url.startswith("sqlite"):
        return  # a start costs seconds, and asks the same of either
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        served = subprocess.Popen(
            [sys.executable, "-m", "cloud_api.cli", "serve", "--port", str(port)],
            cwd=ROOT, env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _serves(port):
            assert served.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "schema_newer" in (tmp_path / "log").read_text()
    finally:
        served.terminate()
        served.wait(30)


def _serves(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/api/v1/stores"
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
