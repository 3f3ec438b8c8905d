"""/edge/v1: what a store's controller asks over HTTPS: to be enrolled, and its desired document."""

import hashlib
import hmac
import re
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, Field

from cloud_api.devices import diagnostics
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.throttle import hit
from cloud_api.store_channel import desired, enrolment
from cloud_api.store_channel.credentials import trusted
from cloud_api.store_channel.office import office_of
from store_link.clock import ms

router = APIRouter(prefix="/edge/v1", tags=["edge"])

ENROL_LIMIT = 10  # tries per address
ENROL_WINDOW_S = 600
FRESH = timedelta(minutes=5)
_HEADER = re.compile(r"KaimenStore ([A-Za-z0-9_-]{1,64}) ([0-9]{1,15}) ([0-9a-f]{64})", re.ASCII)


class EnrolIn(BaseModel):
    """``csr``: PEM, P-256, any subject; the controller keeps its private key to itself."""

    code: str = Field(min_length=8, max_length=64)
    csr: str = Field(min_length=64, max_length=8192)


class KeyOut(BaseModel):
    """A public key of the cloud (Ed25519, hex) and its purpose."""

    kid: str
    purpose: Literal["desired", "command", "pass"]
    key: str


class MqttOut(BaseModel):
    """Where the broker is. ``server_name`` is one of the names in its certificate."""

    host: str
    port: int
    tls: bool
    server_name: str


class EnrolOut(BaseModel):
    """``mac_key``: 32 bytes as hex, a secret. Certificates are PEM."""

    store_id: str
    certificate: str
    ca: str
    mac_kid: str
    mac_key: str
    keys: list[KeyOut]
    mqtt: MqttOut


@router.post("/enroll")
async def enroll(request: Request, body: EnrolIn, response: Response) -> EnrolOut:
    """A one-time code and a certificate request, for everything a controller needs to be a store's."""
    cloud = cloud_of(request)
    # A transaction of its own: a refused code must not take the count back.
    async with cloud.db.write() as session:
        await hit(
            session,
            f"enrol:{client_ip(request)}",
            ENROL_LIMIT,
            ENROL_WINDOW_S,
            cloud.clocks.real,
        )
    made = await enrolment.enrol(cloud, office_of(cloud), body.code, body.csr)
    response.headers["Cache-Control"] = "no-store"
    return EnrolOut(
        store_id=made.store_id,
        certificate=made.certificate,
        ca=made.ca,
        mac_kid=made.mac.kid,
        mac_key=made.mac.secret.hex(),
        keys=[KeyOut(kid=key.kid, purpose=key.purpose, key=key.key) for key in made.keys],
        mqtt=mqtt_of(cloud),
    )


class RenewIn(BaseModel):
    """``csr``: as at the enrolment, for a new key."""

    csr: str = Field(min_length=64, max_length=8192)


class RenewOut(BaseModel):
    """PEM; the root and everything else of the enrolment stay."""

    certificate: str


@router.post("/renew")
async def renew(
    request: Request,
    body: RenewIn,
    response: Response,
    authorization: Annotated[str | None, Header()] = None,
) -> RenewOut:
    """A new certificate for a store whose own ends within 60 days; it asks by itself, nobody has to come."""
    cloud = cloud_of(request)
    digest = hashlib.sha256(await request.body()).hexdigest()
    store_id = await _store(cloud, authorization, "POST\n/edge/v1/renew", digest)
    async with cloud.db.write() as session:
        await hit(session, f"renew:{store_id}", ENROL_LIMIT, ENROL_WINDOW_S, cloud.clocks.real)
    made = await enrolment.renew(cloud, office_of(cloud), store_id, body.csr)
    response.headers["Cache-Control"] = "no-store"
    return RenewOut(certificate=made)


@router.get("/desired", response_class=Response)
async def get_desired(
    request: Request, authorization: Annotated[str | None, Header()] = None
) -> Response:
    """The store's desired document exactly as it is signed and published, for when MQTT fails."""
    cloud = cloud_of(request)
    store_id = await _store(cloud, authorization, "GET\n/edge/v1/desired")
    async with cloud.db.write() as session:
        built = await desired.build(
            session, store_id=store_id, clocks=cloud.clocks, keys=office_of(cloud).keys
        )
    if built is None:
        raise KaimenError("edge.unauthorised", "门店没有有效的控制器凭证", status=401)
    return Response(
        built.payload,
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )


@router.post("/diagnostics/{bundle}", status_code=204)
async def take_diagnostics(
    request: Request, bundle: str, authorization: Annotated[str | None, Header()] = None
) -> None:
    """A bundle that somebody asked this store for, as masked JSON."""
    cloud = cloud_of(request)
    body = await request.body()
    if len(body) > diagnostics.MAX_BYTES:
        raise KaimenError("diagnostics.too_long", "诊断包太大", status=413, field="body")
    digest = hashlib.sha256(body).hexdigest()
    store_id = await _store(cloud, authorization, f"POST\n/edge/v1/diagnostics/{bundle}", digest)
    async with cloud.db.write() as session:
        await diagnostics.receive(session, store_id, bundle, body, cloud.clocks)


def mqtt_of(cloud: Cloud) -> MqttOut:
    """What stores are told of the broker."""
    settings = cloud.settings
    return MqttOut(
        host=settings.store_mqtt_host or settings.mqtt_host,
        port=settings.store_mqtt_port or settings.mqtt_port,
        tls=settings.mqtt_tls,
        server_name=settings.mqtt_server_name,
    )


async def _store(cloud: Cloud, header: str | None, what: str, digest: str = "") -> str:
    """Who asks, by a MAC over ``what`` (method and path), the store, the time, and the body's SHA-256
    where there is one; one refusal for whatever is wrong with it.
    """
    refused = KaimenError(
        "edge.unauthorised", "签名不对、已过期，或控制器已被替换", status=401, field="authorization"
    )
    match = _HEADER.fullmatch(header or "")
    if match is None:
        raise refused
    store_id, at, given = match[1], int(match[2]), match[3]
    if abs(ms(cloud.clocks.real) - at) > FRESH.total_seconds() * 1000:
        raise refused
    async with cloud.db.read() as session:
        trust = await trusted(session, store_id)
    if trust is None:
        raise refused
    signed = f"{what}\n{store_id}\n{at}{digest and chr(10) + digest}".encode()
    right = hmac.new(trust.mac.secret, signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, given):
        raise refused
    return store_id
