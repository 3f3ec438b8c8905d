"""``kaimen-demo check`` says yes when all is well, and no, with the reason, when something is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import check
from demo.stage import Stage
from tests.support.stage import RunningStage


def run(*words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo.cli", "check", *words],
        capture_output=True,
        check=False,
        text=True,
        timeout=seconds,
    )


SECRETS = re.compile(  # of guests and of the installation: none of it belongs into a log
    r"(?<!\d)1[3-9]\d{9}(?!\d)|K1:[0-9A-Z]|PRIVATE KEY|Bearer [\w-]{20}|kaimen_login=|验证码"
)


def told_secrets(folder: Path) -> list[str]:
    """The lines of a demonstration's logs that hold a secret. The SMS server's own is its inbox."""
    keys = json.loads((folder / "secrets.json").read_text()).values()
    return [
        f"{log.name}: {line[:300]}"
        for log in sorted((folder / "logs").glob("*.log"))
        if log.stem != "sms"
        for line in log.read_text(errors="replace").splitlines()
        if SECRETS.search(line) or any(key in line for key in keys)
    ]


@pytest.mark.timeout(420)
def test_the_main_job_and_its_failures_are_walked(tmp_path: Path):
    done = run("--data", str(tmp_path), seconds=400)
    assert list((tmp_path / "logs").glob("*.log"))
    assert told_secrets(tmp_path) == []
    assert done.returncode == 0, done.stdout + done.stderr
    steps = len(check.Walk.steps(check.Walk.__new__(check.Walk)))
    assert f"All {steps} steps are well" in done.stdout
    assert len(re.findall(r"^ +\d+\.\d\d s  ", done.stdout, re.M)) == steps + 1


def test_a_part_that_does_not_come_up_fails_it(tmp_path: Path):
    """The boards cannot make their serial ports: a file stands where the folder should be."""
    (tmp_path / "ports").write_text("in the way")
    done = run("--data", str(tmp_path), seconds=100)
    assert done.returncode == 1, done.stdout
    assert "FAILED: a part did not come up: boards" in done.stdout
    assert "All " not in done.stdout


class Borrowed(Stage):
    """A stage that is up already and stays up."""

    def prepare(self) -> None:
        pass

    def up(self, say: Callable[[str], None]) -> None:
        pass

    def down(self) -> None:
        pass


@pytest.mark.xdist_group("stage")
@pytest.mark.timeout(240)
def test_a_step_that_fails_fails_it(running_stage: RunningStage, monkeypatch: pytest.MonkeyPatch):
    """Without power for the boards the owner's door does not open: the walk must notice."""
    monkeypatch.setattr(check, "Stage", lambda folder, **_: Borrowed.found(folder))
    monkeypatch.setattr(check.Walk, "steps", lambda walk: [walk.log_in, walk.owner_switches])
    said: list[str] = []
    running_stage.press("/programs/boards/kill")
    try:
        assert check.run_check(running_stage.folder, said.append) is False
    finally:
        running_stage.press("/programs/boards/start")
        eyes = running_stage.eyes()
        eyes.owner.log_in()
        eyes.online(90)
    assert any(line.startswith("\nFAILED at “The owner opens a door") for line in said), said
    assert not any(line.startswith("\nAll ") for line in said)
