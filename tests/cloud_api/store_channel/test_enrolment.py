"""A controller becomes a store's: over HTTP, once, with what then works on the broker."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import update
from sqlmodel import col, select

from cloud_api.devices.models import EnrolmentCode, StoreCredential, StoreStatus
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import OutboxRow
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.routes import router
from store_link.clock import ms
from store_link.codec import decode
from store_link.messages import Desired
from store_link.signing import PublicKeyRing, Purpose, open_signed
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import StoreSide, make_code, new_csr


@pytest.fixture
async def client(cloud: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(router)
    app.state.cloud = cloud

    @app.exception_handler(KaimenError)
    async def refused(_: Request, error: KaimenError) -> JSONResponse:
        return JSONResponse({"code": error.code}, error.status)

    transport = httpx.ASGITransport(app=app, client=("10.0.0.7", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://kaimen.test") as client:
        yield client


async def enroll(client: httpx.AsyncClient, code: str, csr: str | None = None) -> httpx.Response:
    return await client.post("/edge/v1/enroll", json={"code": code, "csr": csr or new_csr()[1]})


async def test_a_code_gives_everything_a_controller_needs(
    cloud: Cloud, client: httpx.AsyncClient, shop: Shop, broker: StoreBroker
) -> None:
    code = await make_code(cloud, shop.store.id)
    key, csr = new_csr()
    answer = await enroll(client, code.lower().replace("-", " "), csr)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["store_id"] == shop.store.id
    assert body["mqtt"] == {
        "host": "127.0.0.1",
        "port": broker.mqtt_port,
        "tls": True,
        "server_name": "kaimen-broker",
    }
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    root = x509.load_pem_x509_certificate(body["ca"].encode())
    certificate.verify_directly_issued_by(root)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == f"CN={shop.store.id}"
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=397) <= life < timedelta(days=398)
    assert {one["purpose"] for one in body["keys"]} == {"desired", "command", "pass"}
    async with cloud.db.read() as session:
        row = (await session.exec(select(StoreCredential))).one()
        assert (row.mac_kid, row.mac_key) == (body["mac_kid"], body["mac_key"])
        assert [one.topic for one in await session.exec(select(OutboxRow))] == ["desired"]
        raw = (await session.connection()).exec_driver_sql
        [[stored]] = await raw("SELECT mac_key FROM store_credential")
    assert body["mac_key"] not in stored  # I10


async def test_a_code_is_good_once_and_for_one_of_two_at_the_same_time(
    cloud: Cloud, client: httpx.AsyncClient, shop: Shop
) -> None:
    code = await make_code(cloud, shop.store.id)
    answers = await asyncio.gather(*(enroll(client, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    async with cloud.db.read() as session:
        assert len((await session.exec(select(StoreCredential))).all()) == 1


async def test_a_code_ends_after_fifteen_minutes(
    cloud: Cloud, client: httpx.AsyncClient, shop: Shop
) -> None:
    code = await make_code(cloud, shop.store.id)
    async with cloud.db.write() as session:
        await session.execute(
            update(EnrolmentCode).values(expires_at=cloud.clocks.real - timedelta(seconds=1))
        )
    answer = await enroll(client, code)
    assert (answer.status_code, answer.json()["code"]) == (401, "enrol.bad_code")


async def test_a_bad_request_leaves_the_code_good(
    cloud: Cloud, client: httpx.AsyncClient, shop: Shop
) -> None:
    code = await make_code(cloud, shop.store.id)
    weak = rsa.generate_private_key(65537, 2048)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = csr.sign(weak, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    for bad in (pem, "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 100):
        answer = await enroll(client, code, bad)
        assert (answer.status_code, answer.json()["code"]) == (400, "enrol.bad_csr")
    assert (await enroll(client, code)).status_code == 200


async def test_guessing_is_slowed(cloud: Cloud, client: httpx.AsyncClient, shop: Shop) -> None:
    code = await make_code(cloud, shop.store.id)
    answers = [(await enroll(client, "WRONG-CODE-1")).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    assert (await enroll(client, code)).status_code == 429


async def test_a_replacement_ends_the_one_before(
    cloud: Cloud, client: httpx.AsyncClient, shop: Shop, store: StoreSide, broker: StoreBroker
) -> None:
    assert (await enroll(client, await make_code(cloud, shop.store.id))).status_code == 200
    async with cloud.db.read() as session:
        rows = list(await session.exec(select(StoreCredential).order_by(StoreCredential.id)))
        status = (await session.exec(select(StoreStatus))).one()
    assert [row.revoked_at is None for row in rows] == [False, True]
    assert (status.online, status.nonce) == (False, None)
    users = broker.users_file.read_text()
    assert rows[0].mqtt_user not in users
    assert rows[1].mqtt_user in users


# ------------------------------------------------------------------------------- desired over HTTPS


def authorization(store: StoreSide, at: int, path: str = "/edge/v1/desired") -> dict[str, str]:
    signed = f"GET\n{path}\n{store.store}\n{at}".encode()
    mac = hmac.new(store.enrolled.mac.secret, signed, hashlib.sha256).hexdigest()
    return {"Authorization": f"KaimenStore {store.store} {at} {mac}"}


async def test_the_document_can_be_fetched_with_a_mac(
    cloud: Cloud, client: httpx.AsyncClient, store: StoreSide
) -> None:
    answer = await client.get(
        "/edge/v1/desired", headers=authorization(store, ms(cloud.clocks.real))
    )
    assert answer.status_code == 200
    ring = PublicKeyRing(office_of(cloud).keys.public())
    raw = open_signed(answer.content, Purpose.DESIRED, store.store, ring)
    assert decode(raw, Desired).store == store.store


async def test_who_is_not_the_store_gets_no_document(
    cloud: Cloud, client: httpx.AsyncClient, store: StoreSide
) -> None:
    now = ms(cloud.clocks.real)
    good = authorization(store, now)["Authorization"]
    refused = [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": good[:-1] + ("0" if good[-1] != "0" else "1")},
        {"Authorization": good.replace(str(now), str(now + 1))},
        {"Authorization": good.replace(store.store, "01HZZZZZZZZZZZZZZZZZZZZZZZ")},
        authorization(store, now - 301_000),
        authorization(store, now + 301_000),
        authorization(store, now, "/edge/v1/other"),
    ]
    for headers in refused:
        answer = await client.get("/edge/v1/desired", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "edge.unauthorised")
    async with cloud.db.write() as session:
        await session.execute(
            update(StoreCredential)
            .where(col(StoreCredential.store_id) == store.store)
            .values(revoked_at=cloud.clocks.real)
        )
    answer = await client.get("/edge/v1/desired", headers=authorization(store, now))
    assert answer.status_code == 401
