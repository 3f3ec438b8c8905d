"""The cloud's settings, read from ``KAIMEN_*`` variables; docs/settings.md explains each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud_api.kit.crypto import Vault


class Settings(BaseSettings):
    """One installation. Everything secret comes from the environment or a file named there."""

    model_config = SettingsConfigDict(env_prefix="KAIMEN_", extra="ignore")

    database_url: str = "sqlite+aiosqlite:///data/cloud.db"
    secrets: str = Field(
        description="Comma-separated hex secrets of 32 bytes or more; the first one encrypts."
    )
    public_url: str = "http://127.0.0.1:8000"  # what stickers and callbacks point to
    data_dir: Path = Path("data")  # the authority's key and certificate, signing keys
    clock_file: Path | None = None  # demo and tests only: the business clock's offset

    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 8883
    mqtt_tls: bool = True
    mqtt_server_name: str = "kaimen-broker"
    store_mqtt_host: str | None = None  # what stores are told, where it differs
    broker_admin: str = "none"  # none | nats
    nats_users_file: Path | None = None  # the include file that broker_admin=nats writes
    nats_pid_file: Path | None = None

    sms_url: str | None = None  # an SMS gateway; without one, codes cannot be sent
    sms_key: str | None = None
    run_worker: bool = True  # relay, ingest and due jobs inside this process
    cookie_secure: bool = False  # set behind HTTPS
    trusted_proxies: int = 0  # how many proxies in front add X-Forwarded-For
    metrics_token: str | None = None

    @field_validator("secrets")
    @classmethod
    def _secrets_are_long(cls, value: str) -> str:
        for part in value.split(","):
            if len(bytes.fromhex(part.strip())) < 32:
                raise ValueError("each secret needs at least 32 bytes (64 hex digits)")
        return value

    @cached_property
    def vault(self) -> Vault:
        """The vault made from ``secrets``."""
        return Vault([bytes.fromhex(part.strip()) for part in self.secrets.split(",")])
