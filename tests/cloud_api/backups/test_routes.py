"""Backups over HTTP, and by the command line from an empty folder to a restored one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cloud_api.backups import jobs
from cloud_api.cli import app as program
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.models import AlarmSignal
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, make_store

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


async def login(cloud: Cloud, shop: Shop, role: str) -> dict[str, str]:
    async with cloud.db.write() as session:
        member = await make_staff(session, shop, cloud.clocks.now, role=role)
        return bearer(await make_login(session, member.account_id, cloud.clocks.now))


async def test_the_owner_makes_one_and_checks_it(
    client: httpx.AsyncClient, backed: Cloud, shop: Shop
):
    owner = await login(backed, shop, "owner")
    asked = await client.post("/api/v1/console/backups", headers=owner)
    assert (asked.status_code, asked.json()["state"]) == (202, "asked")
    await run_due(backed)
    again = await client.post("/api/v1/console/backups", headers=owner)
    assert (again.status_code, again.json()["code"]) in {(409, "backup.running"), (202, None)}
    await jobs.finish(backed)
    (*_, run) = (await client.get("/api/v1/console/backups", headers=owner)).json()["items"]
    assert (run["state"], run["error"]) == ("good", None)
    await _verify_later(client, backed, owner, run)
    manager = await login(backed, shop, "manager")
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/verify")):
        no = await client.request(
            method, f"/api/v1/console/backups{path}", headers=manager, json={}
        )
        assert no.status_code == 403


async def _verify_later(
    client: httpx.AsyncClient, backed: Cloud, owner: dict[str, str], run: dict[str, str]
) -> None:
    """The request only asks; a job looks, and the list tells what it found."""
    path = "/api/v1/console/backups"

    async def told() -> dict[str, Any]:
        items = (await client.get(path, headers=owner)).json()["items"]
        return next(one for one in items if one["id"] == run["id"])

    asked = await client.post(f"{path}/verify", headers=owner, json={"name": run["name"]})
    assert (asked.status_code, asked.json()["stage"]) == (202, "verify.asked")
    twice = await client.post(f"{path}/verify", headers=owner, json={})
    assert twice.json()["code"] == "backup.running"
    await run_due(backed)
    await jobs.finish(backed)
    good = await told()
    assert (good["stage"], good["state"], good["error"]) == ("", "good", None)
    assert good["verified_at"] is not None
    sealed = Path(str(backed.settings.backup_to)) / run["name"]
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-40] + bytes(40))
    await client.post(f"{path}/verify", headers=owner, json={"name": run["name"]})
    await run_due(backed)
    await jobs.finish(backed)
    bad = await told()
    assert bad["state"] == "failed"
    assert str(bad["error"]).startswith("backup.damaged")
    async with backed.db.read() as session:
        level = (await session.exec(scoped(System(), AlarmSignal))).one()
    assert (level.kind, level.active) == ("backup.failed", True)
    sealed.write_bytes(whole)


async def test_what_is_not_set_up_is_said_and_merchants_share_no_backups(
    client: httpx.AsyncClient, backed: Cloud, shop: Shop
):
    owner = await login(backed, shop, "owner")
    backed.settings.backup_key_file = None
    answer = await client.post("/api/v1/console/backups", headers=owner)
    assert answer.json()["code"] == "backup.no_key"
    backed.settings.backup_to = None
    answer = await client.post("/api/v1/console/backups", headers=owner)
    assert answer.json()["code"] == "backup.not_configured"
    async with backed.db.write() as session:
        await make_store(session, backed.clocks.now, name="别家", rooms=1)
    other = await client.get("/api/v1/console/backups", headers=owner)
    assert (other.status_code, other.json()["code"]) == (403, "backup.platform")


def run(env: dict[str, str], *arguments: str) -> Result:
    own: dict[str, str | None] = {k: None for k in os.environ if k.startswith("KAIMEN_")}
    return CliRunner().invoke(program, list(arguments), env=own | env)


def test_from_the_command_line(db_url: str, tmp_path: Path):
    data = tmp_path / "data"
    env = {
        "KAIMEN_DATABASE_URL": f"sqlite+aiosqlite:///{data}/cloud.db",
        "KAIMEN_SECRETS": "22" * 32,
        "KAIMEN_DATA_DIR": str(data),
        "KAIMEN_MEDIA_DIR": str(data / "media"),
        "KAIMEN_BACKUP_TO": str(tmp_path / "backups"),
    }
    assert run(env, "migrate").exit_code == 0
    made = run(env, "init", "--merchant", "雀友会", "--phone", "13800000001")
    assert made.exit_code == 0, made.output
    without = run(env, "backup")
    assert without.exit_code == 1
    assert "KAIMEN_BACKUP_KEY_FILE" in without.stderr
    key = tmp_path / "owner.key"
    assert run(env, "backup-key", str(key)).exit_code == 0
    assert run(env, "backup-key", str(key)).exit_code == 1  # never over another
    env["KAIMEN_BACKUP_KEY_FILE"] = str(key)
    done = run(env, "backup")
    assert done.exit_code == 0, done.output
    name = run(env, "backups").stdout.split()[-1]
    assert name in done.stdout
    assert "is good" in run(env, "verify").stdout
    refused = run(env, "restore")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    restored = run(env, "restore", name, "--force")
    assert restored.exit_code == 0, restored.output
    assert "cloud.db.before-" in restored.stdout
    whole = run(env, "audit", "verify")
    assert whole.exit_code == 0, whole.output
    assert "installation" in whole.stdout
    assert "雀友会" not in (tmp_path / "backups" / name).read_bytes().decode("latin-1")
    other = tmp_path / "other.key"
    run(env, "backup-key", str(other))
    wrong = run(env, "verify", "--key-file", str(other))
    assert wrong.exit_code == 1
    assert "--key-file" in wrong.stderr
    keys = run(env, "keys", "status")
    assert keys.exit_code == 0, keys.output
    assert "account.phone" in keys.stdout
    rotated = run(env | {"KAIMEN_SECRETS": f"{'33' * 32},{'22' * 32}"}, "keys", "rotate")
    assert rotated.exit_code == 0, rotated.output
    after = run(
        env | {"KAIMEN_SECRETS": "33" * 32, "KAIMEN_INDEX_SECRET": "22" * 32}, "keys", "status"
    )
    assert after.exit_code == 0, after.output
    lost = run(env, "keys", "status")
    assert lost.exit_code == 1
    assert "MISSING" in lost.stdout
    out = tmp_path / "log.jsonl"
    assert (
        run(env, "audit", "export", "--merchant", "installation", "--out", str(out)).exit_code == 0
    )
    assert out.read_text().count("\n") > 3
