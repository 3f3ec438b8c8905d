"""Settings of the controller: environment variables ``KAIMEN_EDGE_*`` and the clock's offset file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EdgeSettings(BaseSettings):
    """``KAIMEN_EDGE_STATE``, ``…_LOG_LEVEL``, ``…_DIAGNOSTICS``, ``…_LOCAL``; ``KAIMEN_CLOCK_FILE`` (demo
    and tests); ``RUNTIME_DIRECTORY``.
    """

    model_config = SettingsConfigDict(env_prefix="KAIMEN_EDGE_", extra="ignore")

    state: Path = Path("/var/lib/kaimen-edge")
    log_level: str = "INFO"
    diagnostics: bool = True  # off: no bundle leaves this store, whoever asks
    local: str = ""  # "host:port" of the installers' page; empty = none
    clock_file: Path | None = Field(default=None, validation_alias="KAIMEN_CLOCK_FILE")
    # systemd's: a folder in memory, for the journal of a store whose disk takes no writes
    memory: Path | None = Field(default=None, validation_alias="RUNTIME_DIRECTORY")


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
