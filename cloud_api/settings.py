"""The cloud's settings, read from ``KAIMEN_*`` variables; docs/settings.md explains each."""

from __future__ import annotations

from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
    index_secret: str | None = Field(
        None,
        description="A hex secret of 32 bytes or more that makes indexes and token hashes in place of "
        "the last of KAIMEN_SECRETS, so that one can be taken out there. See docs/backup.md, keys.",
    )
    data_dir: Path = Field(
        Path("data"),
        description="Folder for the certificate authority and the signing keys. Back it up with the "
        "database: without it no store can be commanded.",
    )
    media_dir: Path = Field(
        Path("data/media"), description="Folder for pictures and files that people upload."
    )
    media_to: str | None = Field(
        None,
        description="`s3://bucket/prefix` to keep photos and videos in storage that speaks S3 instead of "
        "KAIMEN_MEDIA_DIR. Then they are not in backups: the storage has its own.",
    )
    media_s3_endpoint: str | None = Field(None, description="Its address, as `https://host:port`.")
    media_s3_region: str | None = Field(None, description="Its region, where it has some.")
    media_s3_access_key: str | None = Field(None, description="Its access key.")
    media_s3_secret_key: str | None = Field(None, description="Its secret key.")
    photo_mb: int = Field(10, ge=1, le=50, description="How long an uploaded photo may be, in MB.")
    video_mb: int = Field(100, ge=1, le=1024, description="And a video.")
    timezone: str = Field(
        "Asia/Shanghai", description="Whose night it is when nightly work runs (IANA name)."
    )
    # ------------------------------------------------------------------------------- backups
    backup_to: str | None = Field(
        None,
        description="Where backups go: a folder, or `s3://bucket/prefix`. Without it none are made. "
        "Best another machine.",
    )
    backup_at: str | None = Field(
        "03:30", description="When, each day, local `HH:MM`; empty: only by hand."
    )
    backup_key_file: Path | None = Field(
        None,
        description="A file with the key that backups are encrypted with; make one with "
        "`kaimen-cloud backup-key FILE`. Keep a copy elsewhere: without it no backup can be read.",
    )
    backup_passphrase: str | None = Field(
        None,
        description="In place of the key file: a passphrase, which you can keep on paper. At least 12 "
        "characters.",
    )
    backup_keep_daily: int = Field(7, ge=1, description="The newest backup of so many days stays.")
    backup_keep_weekly: int = Field(4, ge=0, description="And the newest of so many weeks.")
    backup_keep_monthly: int = Field(6, ge=0, description="And the newest of so many months.")
    backup_s3_endpoint: str | None = Field(
        None, description="For `s3://`: the storage's address, as `https://host:port`."
    )
    backup_s3_region: str | None = Field(None, description="Its region, where it has some.")
    backup_s3_access_key: str | None = Field(None, description="Its access key.")
    backup_s3_secret_key: str | None = Field(None, description="Its secret key.")
    postgres_bin: Path | None = Field(
        None,
        description="Folder of pg_dump and pg_restore, where they are not on PATH or Debian's place. "
        "Not older than the server.",
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
    # ----------------------------------------------------------------------------- log in by
    wechat_login_app: str | None = Field(
        None,
        description="AppID of a WeChat official account whose authorized web domain is our address: inside "
        "WeChat people log in by it. Without one they log in by phone and code.",
    )
    wechat_login_secret: str | None = Field(None, description="Its AppSecret.")
    wechat_mini_app: str | None = Field(
        None,
        description="AppID of the WeChat mini-program that shows our pages (docs/mini-program.md): inside it "
        "people are known by it, and pay by the accounts that name the same one.",
    )
    wechat_mini_secret: str | None = Field(None, description="Its AppSecret.")
    domain_proofs: str = Field(
        "",
        description="Files at the root of our address by which WeChat sees that it is ours, as "
        "`NAME.txt=CONTENT,NAME.txt=CONTENT`.",
    )
    wechat_share: bool = Field(
        False,
        description="Inside WeChat let pages of group-buy say how they are shared, by WeChat's own script: "
        "these pages may then load it from res.wx.qq.com. Needs the account above, with our address among its "
        "safe domains for JS interfaces and this server among its allowed addresses (docs/groupbuy.md).",
    )
    alipay_login_app: str | None = Field(
        None,
        description="APPID of a web app at Alipay that may learn user ids: inside Alipay people log in by it.",
    )
    alipay_login_key: str | None = Field(None, description="Its private key, PEM or bare Base64.")
    alipay_login_public_key: str | None = Field(
        None, description="Alipay's public key for it, PEM or bare Base64."
    )
    login_endpoints: str = Field(
        "",
        description="Demonstration and tests only: other addresses, as `wechat_open=http://…,"
        "wechat_api=http://…,alipay_open=http://…,alipay_gateway=http://…`.",
    )
    # ------------------------------------------------------------------------------- notices
    notice_private_hosts: bool = Field(
        False,
        description="Let merchants' mail servers and apprise addresses lie in private networks. Only "
        "where all merchants are your own: it lets them reach what only this machine can.",
    )
    notice_endpoints: str = Field(
        "",
        description="Demonstration and tests only: other addresses of notice providers, as "
        "`sms_aliyun=http://…,wecom=http://…`.",
    )
    # ------------------------------------------------------------------------------ payments
    payment_private_hosts: bool = Field(
        False,
        description="Demonstration and tests only: payment accounts may name servers other than the "
        "provider's own, and the demonstration's cashier can be added.",
    )
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

    @field_validator("index_secret")
    @classmethod
    def _index_secret_is_long(cls, value: str | None) -> str | None:
        if value is not None and len(bytes.fromhex(value.strip())) < 32:
            raise ValueError("the secret needs at least 32 bytes (64 hex digits)")
        return value

    @field_validator("backup_at")
    @classmethod
    def _backup_at_is_a_time(cls, value: str | None) -> str | None:
        if not value:
            return None
        time.fromisoformat(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {value!r}") from error
        return value

    @cached_property
    def vault(self) -> Vault:
        """The vault made from ``secrets`` and ``index_secret``."""
        index = self.index_secret
        return Vault(
            [bytes.fromhex(part.strip()) for part in self.secrets.split(",")],
            index_secret=None if index is None else bytes.fromhex(index.strip()),
        )
