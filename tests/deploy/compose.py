"""docker-compose.yml as Compose reads it: anchors merged, variables put in, and what runs where."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


class Missing(Exception):
    """A variable that the file insists on is not set: Compose would refuse to start."""


def interpolated(value: Any, env: dict[str, str]) -> Any:
    """``value`` with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?why}`` put in. Raises Missing."""

    def put_in(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if env.get(name):
            return env[name]
        if how == ":?":
            raise Missing(f"{name}: {rest}")
        return rest or ""

    if isinstance(value, str):
        return _VARIABLE.sub(put_in, value)
    if isinstance(value, dict):
        return {key: interpolated(one, env) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, env) for one in value]
    return value


def services(env: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """All services; with ``env`` their variables are put in."""
    whole = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = whole["services"]
    return found if env is None else interpolated(found, env)


def from_files(service: dict[str, Any]) -> dict[str, str]:
    """What the service's ``env_file`` gives that are in the repository."""
    found: dict[str, str] = {}
    for file in service.get("env_file", []):
        if file.get("required", True):
            lines = (ROOT / file["path"]).read_text(encoding="utf-8").splitlines()
            found |= dict(line.split("=", 1) for line in lines if line and line[0] != "#")
    return found


def amount(text: str) -> int:
    """Bytes of ``640m``, ``1g``."""
    return int(text[:-1]) << {"k": 10, "m": 20, "g": 30}[text[-1]]


def seconds(text: str) -> int:
    """Seconds of ``90s``, ``2m``."""
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def made_env(folder: Path, host: str = "kaimen.example.cn") -> dict[str, str]:
    """What deploy/make-env writes, with an SMS gateway filled in."""
    file = folder / ".env"
    subprocess.run([ROOT / "deploy" / "make-env", host, file], check=True, capture_output=True)
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    env = dict(line.split("=", 1) for line in lines)
    return env | {"KAIMEN_SMS_URL": "http://127.0.0.1:9/send", "KAIMEN_SMS_KEY": "k" * 64}
