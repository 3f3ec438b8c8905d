"""Writes requirements/*.lock: what is installed, to the byte, on every platform (`make lock`).

dev.lock is resolved first and binds the others, so one version of a package serves everywhere. The
files name no registry: where packages come from is the installer's setting, not the project's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
BUILD = "requirements/build.in"  # builds this project without fetching anything else
COMMON = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-annotate",
    "--quiet",
]


def compile_lock(name: str, *sources: str) -> None:
    """Write ``requirements/{name}.lock`` from pyproject.toml's extras or other files."""
    target = f"requirements/{name}.lock"
    subprocess.run([UV, "pip", "compile", *COMMON, *sources, "-o", target], cwd=ROOT, check=True)


def main() -> None:
    """Resolve anew: versions rise to the newest that pyproject.toml allows."""
    upgrade = "--upgrade"
    compile_lock("bootstrap", "requirements/bootstrap.in", upgrade)
    compile_lock("dev", "pyproject.toml", BUILD, "--extra=dev", upgrade)
    bound = ("--constraints=requirements/dev.lock", upgrade)
    compile_lock("build", BUILD, *bound)
    compile_lock("demo", "pyproject.toml", BUILD, "--extra=demo", *bound)
    compile_lock("cloud", "pyproject.toml", "--extra=cloud", *bound)
    compile_lock("edge", "pyproject.toml", "--extra=edge", *bound)


if __name__ == "__main__":
    main()
