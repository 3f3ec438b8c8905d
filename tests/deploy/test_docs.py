"""docs/deploy.md: every command of ours in it exists with those options, and the first store is made."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.deploy.compose import ROOT, made_env, services

pytestmark = pytest.mark.timeout(300)

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


def run(*words: str, **env: str) -> str:
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ours() -> list[list[str]]:
    """``[program, command, --option …]`` of every kaimen command in the page."""
    found = []
    for line in COMMANDS:
        words = shlex.split(line)
        for at, word in enumerate(words):
            name = word.rsplit("/", 1)[-1]
            if name in ("kaimen-cloud", "kaimen-edge", "kaimen-bridge") and at + 1 < len(words):
                rest = words[at + 1 :] if words[at - 1] != "--entrypoint" else words[at + 2 :]
                options = [one for one in rest[1:] if one.startswith("--")]
                found.append([name, rest[0], *options])
    return found


@pytest.mark.parametrize("command", ours(), ids=" ".join)
def test_our_commands_take_these_options(command: list[str]):
    """Asked of each program's own command line, which is loaded once."""
    program, name, *options = command
    [entry] = entry_points(group="console_scripts", name=program)
    asked = CliRunner().invoke(
        entry.load(), [name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}
    )
    assert asked.exit_code == 0, asked.output
    for option in options:
        assert option in asked.output


def test_services_and_profiles_that_are_named_exist():
    for line in COMMANDS:
        words = shlex.split(line)
        if words[:2] != ["docker", "compose"]:
            continue
        for at, word in enumerate(words):
            if word == "--profile":
                assert any(words[at + 1] in one.get("profiles", []) for one in services().values())
            if word == "exec":
                names = [one for one in words[at + 1 :] if not one.startswith("-")]
                assert names[0] in services()


def test_the_first_owner_and_the_first_store(make_pg_database: Callable[..., str], tmp_path: Path):
    """init and add-store as the page has them, on PostgreSQL, twice: the second time changes nothing."""
    env = {
        key: str(value)
        for key, value in services(made_env(tmp_path))["worker"]["environment"].items()
    } | {"KAIMEN_DATABASE_URL": make_pg_database(), "KAIMEN_DATA_DIR": str(tmp_path / "data")}
    run("kaimen-cloud", "migrate", **env)
    init = ("kaimen-cloud", "init", "--merchant", "雀友会", "--phone", "13800000001")
    assert "Made 雀友会" in run(*init, **env)
    assert "nothing was changed" in run(*init, **env)
    add = ("kaimen-cloud", "add-store", "deploy/store.example.yaml", "--merchant", "雀友会")
    made = run(*add, **env)
    assert re.search(r"竹间门  https://kaimen\.example\.cn/d/\S{20,}", made), made
    assert "大门  https://" in made
    with pytest.raises(AssertionError, match="is there already"):
        run(*add, **env)
    code = run("kaimen-cloud", "enrol-code", "--store", "雀友会·静安店", **env)
    assert re.fullmatch(r"\w{4}-\w{4}-\w{4}\n", code)
