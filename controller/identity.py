"""Who this store is: its credentials in the state directory, written whole or not at all, 0600.

``identity.json`` (store, cloud, broker, MAC key, public keys), ``client.key`` and ``client.pem``
(made here, signed by the cloud), ``ca.pem`` (the broker's authority).
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from store_link.link import Endpoint, Tls
from store_link.messages import PublicKey
from store_link.shapes import Id
from store_link.signing import MacKey

# A renewed pair, until both are there: controller/renew.py.
NEXT_KEY, NEXT_CERT = "client.next.key", "client.next.pem"


class NotEnrolled(Exception):
    """The state directory holds no usable identity; the text says what to do."""


class Broker(BaseModel):
    """Where the broker is; user name and password only where the broker wants them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    port: int = Field(ge=1, le=65535)
    tls: bool = True
    server_name: str | None = None
    username: str | None = None
    password: str | None = Field(default=None, repr=False)


class Identity(BaseModel):
    """What enrolment gave this store."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    store: Id
    cloud: str
    mac_kid: Id
    mac_key: str = Field(repr=False)  # hex
    keys: tuple[PublicKey, ...]
    mqtt: Broker
    ports_hint: dict[str, str] = {}

    @field_validator("mac_key")
    @classmethod
    def _hex(cls, value: str) -> str:
        try:
            secret = bytes.fromhex(value)
        except ValueError:
            try:
                secret = base64.b64decode(value, altchars=b"-_", validate=True)
            except binascii.Error:
                raise ValueError("neither hex nor base64") from None
        if len(secret) != 32:
            raise ValueError("a MAC key has 32 bytes")
        return secret.hex()

    def mac(self) -> MacKey:
        """The store's symmetric key."""
        return MacKey(self.mac_kid, bytes.fromhex(self.mac_key))

    def endpoint(self, state_dir: Path) -> Endpoint:
        """The broker, with the certificate files of ``state_dir`` where it speaks TLS."""
        tls = None
        if self.mqtt.tls:
            tls = Tls(
                ca=state_dir / "ca.pem",
                cert=state_dir / "client.pem",
                key=state_dir / "client.key",
            )
        return Endpoint(
            host=self.mqtt.host,
            port=self.mqtt.port,
            username=self.mqtt.username,
            password=self.mqtt.password,
            tls=tls,
        )


def load(state_dir: Path) -> Identity:
    """The identity kept in ``state_dir``. Raises NotEnrolled."""
    path = state_dir / "identity.json"
    try:
        return Identity.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotEnrolled(
            f"{state_dir} holds no identity: run "
            "`kaimen-edge enroll --cloud https://… --code …` with a code from the console"
        ) from None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
        raise NotEnrolled(f"{path} is damaged ({fields}): enroll this store again") from None


def save(state_dir: Path, identity: Identity, private_key: bytes, answer: dict[str, Any]) -> None:
    """Keep an identity. ``identity.json`` comes last: without it there is none."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (NEXT_CERT, NEXT_KEY):  # a renewal of the identity of before
        (state_dir / name).unlink(missing_ok=True)
    write_private(state_dir / "client.key", private_key)
    write_private(state_dir / "client.pem", str(answer["certificate"]).encode())
    write_private(state_dir / "ca.pem", str(answer["ca"]).encode())
    write_private(state_dir / "identity.json", identity.model_dump_json(indent=1).encode())


def finish_renewal(state_dir: Path) -> None:
    """Put a renewed certificate and its key in their places, also where that was interrupted in between."""
    key, cert = state_dir / NEXT_KEY, state_dir / NEXT_CERT
    if cert.exists():
        if key.exists():
            key.replace(state_dir / "client.key")
        cert.replace(state_dir / "client.pem")


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` by a file of mode 0600 that is on the disk before it gets its name."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
