"""deploy/edge: install, update, the way back by itself and by hand, in a folder instead of a machine.

The wheel is a small one made here: what is looked at are the scripts. systemctl is a script as well, which
says of each version whether it comes up; the rest (venv, pip, checksums, links) is real.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EDGE = ROOT / "deploy" / "edge"
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$LOG"
case $1 in
is-active) "$ROOT_DIR/opt/kaimen-edge/current/bin/kaimen-edge" up && echo active || echo failed ;;
esac
"""
PROGRAM = """
import sys

def main():
    sys.exit(0 if sys.argv[1:] != ["up"] or {up} else 1)
"""


def bundle(folder: Path, version: str, *, up: bool = True) -> Path:
    """An unpacked bundle of ``version``; with ``up`` False one that never comes up."""
    made = folder / f"bundle-{version}"
    (made / "wheels").mkdir(parents=True)
    info = f"kaimen-{version}.dist-info"
    files = {
        "kaimen_tiny.py": PROGRAM.format(up=up),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: kaimen\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nkaimen-edge = kaimen_tiny:main\n"
        "kaimen-bridge = kaimen_tiny:main\n",
    }
    names = [*files, f"{info}/RECORD"]
    with zipfile.ZipFile(made / "wheels" / f"kaimen-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    for name in ("install", "update", "rollback", "kaimen-edge.service", "kaimen-edge.env"):
        shutil.copy(EDGE / name, made / name)
    (made / "edge.lock").write_text("")
    (made / "VERSION").write_text(version + "\n")
    sums = []
    for file in sorted(path for path in made.rglob("*") if path.is_file()):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        sums.append(f"{digest}  ./{file.relative_to(made)}\n")
    (made / "SHA256SUMS").write_text("".join(sums))
    return made


class Machine:
    """A folder that stands for the store's computer."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.state = self.root / "var/lib/kaimen-edge"
        self.state.mkdir(parents=True)
        self.log = folder / "systemctl.log"
        self.systemctl = folder / "systemctl"
        self.systemctl.write_text(SYSTEMCTL)
        self.systemctl.chmod(0o755)

    def run(self, *command: str | Path, ok: bool = True) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            env={
                **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")},
                "ROOT": str(self.root),
                "ROOT_DIR": str(self.root),
                "SYSTEMCTL": str(self.systemctl),
                "LOG": str(self.log),
                "WAIT_S": "2",
                "PYTHON": sys.executable,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def current(self) -> str:
        return str((self.root / "opt/kaimen-edge/current").readlink())


@pytest.mark.soak  # four environments are made: a minute
def test_install_update_and_both_ways_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    one, two = bundle(tmp_path, "1.0.0"), bundle(tmp_path, "1.1.0")
    broken = bundle(tmp_path, "1.2.0", up=False)
    assert "Kaimen 1.0.0 is installed" in machine.run(one / "install")
    assert machine.current == "versions/1.0.0"
    settings = machine.root / "etc/kaimen-edge.env"
    settings.write_text("KAIMEN_EDGE_LOG_LEVEL=DEBUG\n")
    machine.run(one / "install")  # again: nothing of one's own is overwritten
    assert "DEBUG" in settings.read_text()

    (machine.state / "journal.db").write_text("as of 1.0.0")
    assert "versions/1.1.0 runs" in machine.run(two / "update")
    assert machine.current == "versions/1.1.0"
    assert (machine.state / "before-update/journal.db").read_text() == "as of 1.0.0"
    assert "runs already" in machine.run(two / "update")

    # One that does not come up is left by itself; the store runs what it ran.
    told = machine.run(broken / "update", ok=False)
    assert "going back to versions/1.1.0" in told
    assert machine.current == "versions/1.1.0"

    (machine.state / "journal.db").write_text("as of 1.1.0")
    rollback = machine.root / "opt/kaimen-edge/rollback"
    machine.run(rollback)  # not to the one that never came up
    assert machine.current == "versions/1.0.0"
    machine.run(rollback, "--with-journal")  # and back again
    assert machine.current == "versions/1.1.0"
    assert list(machine.state.glob("journal.set-aside-*/journal.db"))
    assert machine.log.read_text().count("stop kaimen-edge") >= 4


def test_a_damaged_bundle_changes_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    made = bundle(tmp_path, "1.0.0")
    (made / "kaimen-edge.service").write_text("[Service]\nExecStart=/bin/evil\n")
    assert "damaged" in machine.run(made / "install", ok=False)
    assert not (machine.root / "opt").exists()


def test_the_unit_keeps_the_controller_small_and_alone() -> None:
    unit = (EDGE / "kaimen-edge.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert settings["Type"] == "notify"
    assert settings["User"] == "kaimen"
    assert settings["WatchdogSec"] == "30"
    assert settings["Restart"] == "always"
    assert settings["StartLimitIntervalSec"] == "0"
    assert settings["NoNewPrivileges"] == "yes"
    assert settings["ProtectSystem"] == "strict"
    assert settings["CapabilityBoundingSet"] == ""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here to read the unit with")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", EDGE / "kaimen-edge.service"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    wrong = [line for line in done.stderr.splitlines() if "kaimen-edge.service" in line]
    assert [line for line in wrong if "is not executable" not in line] == []
