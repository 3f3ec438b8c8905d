"""The cloud's settings, read from ``KAIMEN_*`` variables; docs/settings.md explains each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cloud_api.kit.crypto import Vault


def _paths(given: object) -> object:
    """``a,b`` or one path as well as a sequence of them."""
    if isinstance(given, Path):
        return (given,)
    if isinstance(given, str):
        return tuple(Path(part.strip()) for part in given.split(",") if part.strip())
    return () if given is None else given


PathList = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_paths)]


class Settings(BaseSettings):
    """One installation. Everything secret comes from the environment or a file named there."""

    model_config = SettingsConfigDict(env_prefix="KAIMEN_", extra="ignore")

    # ------------------------------------------------------------------------------ database
    database_url: str = Field(
        "sqlite+aiosqlite:///data/cloud.db",
        description="`sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host/name`.",
    )
    secrets: str = Field(
        description="Comma-separated hex secrets of 32 bytes or more. The first one encrypts, all of "
        "them decrypt; the last one makes indexes and token hashes and must stay. Make one with "
        "`openssl rand -hex 32`."
    )
    data_dir: Path = Field(
        Path("data"),
        description="Folder for the certificate authority and the signing keys. Back it up with the "
        "database: without it no store can be commanded.",
    )
    # ----------------------------------------------------------------------------------- web
    public_url: str = Field(
        "http://127.0.0.1:8000",
        description="The address people reach us under: door stickers and payment callbacks use it.",
    )
    cookie_secure: bool = Field(
        False, description="Cookies over HTTPS only, and HSTS. Turn it on behind HTTPS."
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=5,
        description="How many proxies in front of us add X-Forwarded-For. Too many, and a client can "
        "choose its own address.",
    )
    metrics_token: str | None = Field(
        None, description="If set, /metrics wants it as a Bearer token."
    )
    # -------------------------------------------------------------------------------- worker
    run_worker: bool = Field(
        True,
        description="Run due jobs and the store channel inside this process. Turn it off where "
        "`kaimen-cloud worker` runs beside.",
    )
    # -------------------------------------------------------------------------------- broker
    mqtt_host: str = Field(
        "127.0.0.1",
        description="The MQTT broker as this process reaches it; of a cluster all nodes, separated by "
        "commas.",
    )
    mqtt_port: int = Field(8883, ge=1, le=65535, description="Its port.")
    mqtt_tls: bool = Field(
        True, description="TLS with certificates of our own authority. Off only for tests."
    )
    mqtt_server_name: str = Field(
        "kaimen-broker", description="The name in the broker's certificate."
    )
    store_mqtt_host: str | None = Field(
        None, description="The broker's address as stores reach it, where it differs."
    )
    store_mqtt_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="The broker's port for stores, where it differs. Mosquitto needs one: stores and "
        "cloud have listeners of their own.",
    )
    broker_admin: str = Field(
        "none",
        description="How stores are let in and thrown out: `nats` (a list of users), `mosquitto` (a "
        "revocation list), or `none` (somebody else does it).",
    )
    nats_users_file: PathList = Field(
        (),
        description="The include file of users that `nats` writes. Several nodes on this machine: "
        "several paths, separated by commas.",
    )
    nats_pid_file: PathList = Field(
        (),
        description="The NATS server's pid file: it is told to read its users again. In the order of "
        "the users' files.",
    )
    mosquitto_crl_file: Path | None = Field(
        None, description="The revocation list that `mosquitto` writes: the broker's `crlfile`."
    )
    mosquitto_pid_file: Path | None = Field(
        None,
        description="Mosquitto's pid file: it is told to read the list again. Without one somebody "
        "else must tell it.",
    )
    # ----------------------------------------------------------------------------------- SMS
    sms_url: str | None = Field(
        None,
        description="An SMS gateway (protocol: cloud_api/auth/sms.py). Without one nobody can log in.",
    )
    sms_key: str | None = Field(None, description="The key that signs calls to the SMS gateway.")
    # ---------------------------------------------------------------------------------- demo
    clock_file: Path | None = Field(
        None,
        description="Demonstration and tests only: a file with the business clock's offset. Room time "
        "jumps with it; a production store has none.",
    )

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
