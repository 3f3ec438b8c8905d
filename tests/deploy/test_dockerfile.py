"""deploy/Dockerfile without an engine: who runs as whom, what is copied, and the wheel that comes of exactly that."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.deploy.compose import ROOT, services

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"))
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """By name: what it stands on, and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for line in LINES:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            below, _, name = rest.split()
            found[name] = (below, [])
        elif name:
            found[name][1].append((word, rest))
    return found


def whole(name: str) -> list[tuple[str, str]]:
    """All instructions that make an image, from its bottom."""
    below, own = stages()[name]
    return [*(whole(below) if below in stages() else []), *own]


def copied() -> list[str]:
    """What comes from the repository."""
    words = [rest.split() for _, own in stages().values() for word, rest in own if word == "COPY"]
    return [source for line in words if not line[0].startswith("--from") for source in line[:-1]]


def test_each_image_runs_as_nobody_with_what_its_lock_names():
    images = {one["build"]["target"] for one in services().values() if "build" in one}
    assert images == {"cloud", "edge"}
    for image in images:
        last = {word: rest for word, rest in whole(image)}  # noqa: C416  the last of each counts
        assert last["USER"] == "10001:10001"
        assert {one["user"] for one in services().values() if image in str(one.get("image"))} == {
            "10001:10001"
        }
        [program] = re.findall(r'\["(kaimen-\w+)"\]', last["ENTRYPOINT"])
        assert program in PROJECT["project"]["scripts"]
    installs = re.findall(r"pip install (\S+)", TEXT)
    assert set(installs) == {"--require-hashes", "--no-deps"}
    assert not re.search(r"(?m)^ADD |curl|wget|:latest", TEXT)
    assert not re.search(r"(?im)^(ARG|ENV).*(secret|password|key)", TEXT)


def test_a_fresh_volume_belongs_to_whom_the_service_runs_as():
    """An engine gives a new volume the owner of the folder that it covers; without one, root's."""
    made = re.search(r"install -d -o kaimen -g kaimen -m 0700 ([^&\n]*)", TEXT)
    assert made is not None
    for name, service in services().items():
        if str(service.get("image", "")).startswith("kaimen-"):
            for volume in service.get("volumes", []):
                source, inside = volume.split(":")[:2]
                assert source.startswith("./") or inside in made[1].split(), (name, volume)


def test_the_wheel_is_built_from_what_is_copied_and_lacks_nothing(tmp_path: Path):
    """The build could not work: the tool that makes the wheel was in no file that was installed for it."""
    lock = (ROOT / "requirements" / "build.lock").read_text("utf-8")
    for wanted in PROJECT["build-system"]["requires"]:
        assert re.search(rf"(?m)^{re.split('[><=]', wanted)[0]}==", lock), wanted
    ignored = [line for line in (ROOT / ".dockerignore").read_text().split() if line]
    source = tmp_path / "src"
    source.mkdir()
    for name in copied():
        name = name.removeprefix("./")
        assert not any(fnmatch.fnmatch(name, one) for one in ignored), name
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("kaimen-*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", *packages], cwd=ROOT, capture_output=True, text=True, check=True
    )
    missing = [one for one in listed.stdout.split("\0") if one and one not in shipped]
    assert missing == []
