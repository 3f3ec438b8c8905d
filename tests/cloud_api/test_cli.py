"""``kaimen-cloud`` as a program, from an empty folder to a server that answers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cloud_api.cli import app
from cloud_api.settings_doc import render
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KAIMEN_")}
    return clean | {
        "KAIMEN_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/data/cloud.db",
        "KAIMEN_SECRETS": "22" * 32,
        "KAIMEN_DATA_DIR": str(tmp_path / "data"),
        "KAIMEN_MQTT_PORT": str(free_port()),
        "KAIMEN_MQTT_TLS": "false",
    }


def run(env: dict[str, str], *arguments: str) -> Result:
    own: dict[str, str | None] = {k: None for k in os.environ if k.startswith("KAIMEN_")}
    return CliRunner().invoke(app, list(arguments), env=own | env)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


STARTS = """
import json, sys
from cloud_api import cli
held = {}

def look(name):
    held[name] = [one for one, module in sys.modules.items() if module is not None]

look("any command")
import cloud_api.store_channel.broker_files
look("broker-files")
import cloud_api.migrations.runner, cloud_api.migrations.tables
cloud_api.migrations.tables.metadata()
look("migrate")
import cloud_api.health, cloud_api.worker
cloud_api.worker.register_jobs()
look("worker")
import cloud_api.app, cloud_api.web.routes
look("serve")
print(json.dumps(held))
"""
RARE = r"(openpyxl|holidays|apprise|stripe|alembic|playwright|pytest)(\.|$)"
UNWANTED = {
    "any command": r"(sqlalchemy|fastapi|cloud_api\.(?!cli|settings|kit))",
    "broker-files": rf"fastapi|.*\.routes$|{RARE}",
    "migrate": rf".*routes$|uvicorn|{RARE}",
    "worker": rf"cloud_api\..*routes$|cloud_api\.web(\.|$)|jinja2|{RARE}",
    "serve": RARE,
}


def test_a_start_loads_nothing_that_it_does_not_use():
    """Bug: writing a broker's files loaded all routes, pages and the spreadsheets: four seconds of work."""
    ran = subprocess.run(
        [sys.executable, "-c", STARTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    held = json.loads(ran.stdout)
    found = {
        name: [one for one in held[name] if re.match(unwanted, one)]
        for name, unwanted in UNWANTED.items()
    }
    assert found == {name: [] for name in UNWANTED}
    assert "cloud_api.claims.suggest" in held["worker"]  # it says who may hold a room's time


def test_the_help_names_every_command_with_what_packages_bring(env: dict[str, str]):
    told = run(env, "--help").stdout
    for name in ("serve", "worker", "migrate", "rehearse", "restore", "audit", "keys", "events"):
        assert re.search(rf"^│ {name} ", told, re.M), told
    assert "rotate" in run(env, "keys", "--help").stdout
    assert run(env, "no-such-thing").exit_code == 2


def test_from_nothing_to_an_owner(env: dict[str, str]):
    before = run(env, "init", "--merchant", "雀友会", "--phone", "13800000001")
    assert before.exit_code == 1
    assert "kaimen-cloud migrate" in before.stderr
    done = run(env, "migrate")
    assert done.exit_code == 0, done.stderr
    made = run(env, "init", "--merchant", "雀友会", "--phone", "13800000001", "--owner", "陈店长")
    assert made.exit_code == 0, made.stderr
    assert "陈店长" in made.stdout
    again = run(env, "init", "--merchant", "雀友会", "--phone", "13800000001")
    assert "nothing was changed" in again.stdout
    unknown = run(env, "enrol-code", "--store", "哪家")
    assert unknown.exit_code == 1
    assert "哪家" in unknown.stderr
    checked = run(env, "check")
    assert checked.exit_code == 1
    assert re.search(r"migrations +ok", checked.stdout)
    assert "KAIMEN_SMS_URL" in checked.stdout


def test_the_books_are_looked_at_with_what_every_package_knows(env: dict[str, str]):
    """``ledger verify`` said "balanced" of a balance that no book knows: only the worker had loaded the looks
    of orders, balances, group-buys, platforms' vouchers and fees.
    """
    assert run(env, "migrate").exit_code == 0
    init = run(env, "init", "--merchant", "雀友会", "--phone", "13800000001")
    assert init.exit_code == 0, init.stderr
    path = env["KAIMEN_DATABASE_URL"].partition("///")[2]

    def verified() -> subprocess.CompletedProcess[
        str
    ]:  # a process in which nothing else was loaded
        command = [sys.executable, "-m", "cloud_api.cli", "ledger", "verify"]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
        )

    assert (done := verified()).returncode == 0, done.stdout + done.stderr
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO wallet (id, merchant_id, account_id, paid_fen, gift_fen, held_paid_fen,"
            " held_gift_fen, created_at) SELECT 'w', merchant.id, account.id, 100, 0, 0, 0,"
            " merchant.created_at FROM merchant, account"
        )
    done = verified()
    assert done.returncode == 1
    assert "members have 100, the books owe 0" in done.stdout


def test_a_wrong_setting_is_named(env: dict[str, str]):
    short = run(env | {"KAIMEN_SECRETS": "1234"}, "migrate")
    assert short.exit_code == 2
    assert "KAIMEN_SECRETS" in short.stderr
    del env["KAIMEN_SECRETS"]
    missing = run(env, "check")
    assert "KAIMEN_SECRETS: Field required" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_it_serves_logs_json_and_ends_on_sigterm(env: dict[str, str], tmp_path: Path):
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "cloud_api.cli", "serve", "--migrate", "--port", str(port)],
            cwd=ROOT, env=env, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120  # other tests use the machine as well
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            assert time.monotonic() < deadline, log.read_text()
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
        assert ready.status_code == 503  # there is no broker
        assert ready.json()["checks"] == {
            "database": "ok",
            "clock": "ok",
            "migrations": "ok",
            "overlap_guard": "ok",
            "audit_guard": "ok",
            "ledger_guard": "ok",
            "broker_link": "down",
        }
        assert ready.json()["notes"] == {
            "backup": "none are made: set KAIMEN_BACKUP_TO (docs/backup.md)"
        }
        stores = httpx.get(f"http://127.0.0.1:{port}/api/v1/stores", trust_env=False)
        assert stores.json() == {"items": [], "next_cursor": None}
        assert "server" not in stores.headers
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(15)
    assert code in (0, -signal.SIGTERM), log.read_text()
    lines = [line for line in log.read_text().splitlines() if '"event": "request"' in line]
    assert any('"route": "/api/v1/stores"' in line for line in lines)


def test_the_settings_page_is_up_to_date():
    """Made by ``kaimen-cloud settings-doc --out docs/settings.md``."""
    assert (ROOT / "docs" / "settings.md").read_text() == render()
    assert "| None |" not in render()  # every setting says what it is
