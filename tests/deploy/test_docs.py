"""docs/deploy.md: every command of ours in it exists with those options. test_first_guest.py follows it."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points

import pytest
from typer.testing import CliRunner

from tests.deploy.compose import ROOT, services

pytestmark = pytest.mark.timeout(300)

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


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
