"""The compose file fits the specification, and holds to its word: hardened, nothing published twice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.compose import (
    FILE,
    ROOT,
    Missing,
    amount,
    from_files,
    made_env,
    seconds,
    services,
)

PUBLISHED = {
    "caddy": ["80:80", "443:443", "443:443/udp"],
    "mosquitto": ["8883:8883"],
    "haproxy": ["8883:8883"],
}
SECRETS = re.compile(r"(?i)(password|passphrase|secret|token|key)")


def test_the_file_fits_the_specification():
    """Against the JSON schema of the Compose specification."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "check-jsonschema"),
            "--builtin-schema",
            "vendor.compose-spec",
            str(FILE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", services())
def test_each_service_may_do_little(name):
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert not service.get("privileged")
    assert name == "caddy" or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_nothing_is_published_but_the_web_and_the_stores_door():
    published = {name: one["ports"] for name, one in services().items() if "ports" in one}
    assert published == PUBLISHED
    assert services()["postgres"]["networks"] == ["inside"]


@pytest.mark.parametrize("name", services())
def test_what_runs_on_is_watched_and_what_is_waited_for_exists(name):
    service = services()[name]
    assert service["restart"] == "no" or service["healthcheck"]["test"][0] == "CMD"
    for other, how in service.get("depends_on", {}).items():
        awaited = services()[other]
        if how["condition"] == "service_healthy":
            assert "healthcheck" in awaited
        else:
            assert (how["condition"], awaited["restart"]) == (
                "service_completed_successfully",
                "no",
            )
        mine, its = set(service.get("profiles", [])), set(awaited.get("profiles", []))
        assert its <= mine or not its or how.get("required") is False, "it may not be there"


@pytest.mark.parametrize("name", services())
def test_each_service_has_its_memory_and_time_to_start_and_to_end(name: str):
    """A service without a limit takes the others' memory; the kernel then ends whichever it likes."""
    service = services()[name]
    limit = amount(service["mem_limit"])
    held = [re.search(r":size=(\d+[km])", one) for one in service["tmpfs"]]
    in_memory = sum(amount(one[1]) for one in held if one is not None)
    assert len([one for one in held if one is not None]) == len(service["tmpfs"]), (
        "a tmpfs has a size"
    )
    assert limit >= in_memory + (64 << 20), "what lies in a tmpfs counts"
    if service["restart"] == "no":
        return
    check = service["healthcheck"]
    assert seconds(check["start_period"]) >= 15
    assert seconds(check["timeout"]) < seconds(check["interval"])
    if name == "postgres":
        assert seconds(service["stop_grace_period"]) >= 60
        assert seconds(check["start_period"]) >= 120


def test_the_limits_fit_the_machines_that_the_page_names():
    """All of them at their limits at once, with half a gigabyte for the system."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for profile, gigabytes in (("single", 4), ("scale", 6)):
        running = [
            one
            for one in services().values()
            if one["restart"] != "no" and one.get("profiles", [profile]) == [profile]
        ]
        total = sum(amount(one["mem_limit"]) for one in running)
        assert total <= (gigabytes << 30) - (512 << 20), (profile, total >> 20)
        assert f"| `{profile}` | {gigabytes} GB |" in page


def test_backups_are_made_without_anybody_doing_anything(tmp_path: Path):
    """make-env makes the key, the defaults say where to, the worker has the volume; cloud.env comes last."""
    env = made_env(tmp_path)
    for name in ("api-1", "worker"):
        service = services(env)[name]
        assert from_files(service)["KAIMEN_BACKUP_TO"] == "/backups"
        assert "KAIMEN_BACKUP_TO" not in service["environment"], "it would outdo cloud.env"
        assert service["env_file"][-1] == {"path": "cloud.env", "required": False}
        assert len(service["environment"]["KAIMEN_BACKUP_PASSPHRASE"]) == 64
        assert "backups:/backups" in service["volumes"]
    with pytest.raises(Missing, match=r"KAIMEN_BACKUP_PASSPHRASE: put one into \.env"):
        services(env | {"KAIMEN_BACKUP_PASSPHRASE": ""})
    assert {"/cloud.env", "/.env"} <= set((ROOT / ".gitignore").read_text().split())


def test_files_that_are_mounted_are_there():
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source


def test_without_an_env_file_nothing_starts(tmp_path: Path):
    with pytest.raises(Missing, match="make-env"):
        services({})
    env = made_env(tmp_path)
    assert services(env)["worker"]["environment"]["KAIMEN_PUBLIC_URL"].startswith("https://kaimen")
    with pytest.raises(Missing, match="SMS gateway"):
        services(env | {"KAIMEN_SMS_URL": ""})


def test_secrets_have_no_default_and_are_made_fresh(tmp_path: Path):
    text = FILE.read_text()
    for name, how in re.findall(r"\$\{(\w+)(:[-?])?", text):
        if SECRETS.search(name):
            assert how == ":?", f"{name} must have no default"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = made_env(tmp_path / "a"), made_env(tmp_path / "b")
    for name in (
        "KAIMEN_SECRETS",
        "KAIMEN_DB_PASSWORD",
        "KAIMEN_METRICS_TOKEN",
        "KAIMEN_BACKUP_PASSPHRASE",
    ):
        assert len(one[name]) == 64
        assert one[name] != two[name]
    assert (tmp_path / "a" / ".env").stat().st_mode & 0o777 == 0o600


def test_make_env_never_overwrites(tmp_path: Path):
    made_env(tmp_path)
    before = (tmp_path / ".env").read_text()
    again = subprocess.run(
        [ROOT / "deploy" / "make-env", "other.example.cn", tmp_path / ".env"],
        check=False,
        capture_output=True,
    )
    assert again.returncode == 1
    assert (tmp_path / ".env").read_text() == before
