"""Settings of the controller: environment variables ``KAIMEN_EDGE_*`` and the clock's offset file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

_NAMES = {
    "state": "KAIMEN_EDGE_STATE",
    "log_level": "KAIMEN_EDGE_LOG_LEVEL",
    "diagnostics": "KAIMEN_EDGE_DIAGNOSTICS",
    "local": "KAIMEN_EDGE_LOCAL",
    "clock_file": "KAIMEN_CLOCK_FILE",
    "memory": "RUNTIME_DIRECTORY",
}


class BadSettings(Exception):
    """A variable cannot be read; the text names it."""


class EdgeSettings(BaseModel):
    """What the environment says (the library for it takes 1.3 MB that a store's computer can spare)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Path = Path("/var/lib/kaimen-edge")
    log_level: str = "INFO"
    diagnostics: bool = True  # off: no bundle leaves this store, whoever asks
    local: str = ""  # "host:port" of the installers' page; empty = none
    clock_file: Path | None = None  # demonstration and tests
    # systemd's: a folder in memory, for the journal of a store whose disk takes no writes
    memory: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> EdgeSettings:
        """``KAIMEN_EDGE_STATE``, ``…_LOG_LEVEL``, ``…_DIAGNOSTICS``, ``…_LOCAL``, ``KAIMEN_CLOCK_FILE``,
        ``RUNTIME_DIRECTORY``; an empty one counts as not given. Raises BadSettings.
        """
        given = {field: environment.get(name, "") for field, name in _NAMES.items()}
        try:
            return cls.model_validate({field: value for field, value in given.items() if value})
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0])
            raise BadSettings(f"{_NAMES[field]}={given[field]} cannot be read") from None


class BadPorts(Exception):
    """The map of ports cannot be read; the text says where."""


def read_ports(state_dir: Path, given: list[str]) -> dict[str, str]:
    """Port names and their device paths: ``ports.yaml`` of the state directory, then ``given``
    (``name=/dev/serial/by-id/…``), which wins. Raises BadPorts.
    """
    ports: dict[str, str] = {}
    path = state_dir / "ports.yaml"
    if path.exists():
        try:
            read = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError:
            raise BadPorts(f"{path} is not YAML: write lines such as `rs485-1: /dev/…`") from None
        if not isinstance(read, dict) or not all(isinstance(v, str) for v in read.values()):
            raise BadPorts(f"{path}: write lines such as `rs485-1: /dev/serial/by-id/…`")
        ports.update({str(name): device for name, device in read.items()})
    for item in given:
        name, equals, device = item.partition("=")
        if not (name and equals and device):
            raise BadPorts(f"--port {item}: write it as name=/dev/…")
        ports[name] = device
    return ports
