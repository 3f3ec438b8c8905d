"""Certificates end, and nobody has to remember: the store's own program asks the cloud for the next one.

A year after its enrolment each store was shut out by the broker until somebody made a code and went there.
Here the controller's own command speaks HTTP with the cloud's own routes, on both databases.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlmodel import select
from typer.testing import CliRunner

from cloud_api.devices.models import StoreCredential
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.store_channel.credentials import revoked_credentials
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.routes import router
from controller import cloud_http, renewing
from controller.cli import app as edge
from controller.enroll import enroll, make_csr
from controller.identity import NEXT_CERT, NEXT_KEY, finish_renewal, load
from controller.renew import _request, renew
from store_link.clock import ms
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import make_code
from tests.support.ports import free_port
from tests.support.serving import served_here


def one_key(state: Path) -> str:
    """The serial of the store's certificate, which fits its key. Raises ssl.SSLError where it does not."""
    ssl.create_default_context().load_cert_chain(state / "client.pem", state / "client.key")
    return f"{x509.load_pem_x509_certificate((state / 'client.pem').read_bytes()).serial_number:x}"


async def grow_old(cloud: Cloud, state: Path, days_left: int) -> str:
    """As if it had been enrolled so long ago; the serial of the certificate that ends soon."""
    private, csr = make_csr()
    async with cloud.db.write() as session:
        row = (await session.exec(select(StoreCredential))).one()
        then = cloud.clocks.real - timedelta(days=397 - days_left)
        made = office_of(cloud).authority.issue_store(
            csr, store_id=row.store_id, user=row.mqtt_user, now=then
        )
        row.serial, row.certificate, row.expires_at = made.serial, made.pem, made.not_after
        session.add(row)
    (state / "client.key").write_bytes(private)
    (state / "client.pem").write_text(made.pem)
    return made.serial


async def kept(cloud: Cloud) -> StoreCredential:
    async with cloud.db.read() as session:
        rows = (await session.exec(select(StoreCredential))).all()
    return max(rows, key=lambda row: row.created_at)


@pytest.fixture
def app(cloud: Cloud) -> FastAPI:
    made = FastAPI()
    made.include_router(router)
    made.state.cloud = cloud

    @made.exception_handler(KaimenError)
    async def refused(_: Request, error: KaimenError) -> JSONResponse:
        return JSONResponse({"code": error.code, "detail": error.message}, error.status)

    return made


async def test_a_store_renews_by_itself_and_what_it_had_ends_with_it(
    cloud: Cloud, shop: Shop, app: FastAPI, broker: StoreBroker, tmp_path: Path
) -> None:
    state, port = tmp_path / "store", free_port()
    url = f"http://127.0.0.1:{port}"
    async with served_here(app, port):
        code = await make_code(cloud, shop.store.id)
        await asyncio.to_thread(enroll, url, code, state)
        first, now = one_key(state), cloud.clocks.real
        assert await asyncio.to_thread(renew, state, now) is None, "it is new"
        early = await asyncio.to_thread(ask, state, now)
        assert early == "renew.too_early"

        # Due. The first answer is lost after the cloud has committed it.
        old = await grow_old(cloud, state, 30)
        credential = await kept(cloud)
        csr = await asyncio.to_thread(_request, state)
        lost = await asyncio.to_thread(ask, state, now, csr)
        assert lost.startswith("-----BEGIN CERTIFICATE")
        assert one_key(state) == old, "the store has nothing of it"
        assert (await kept(cloud)).serial != old

        # The next run, as a store at work has it run, gets that very certificate.
        assert await renewing.once(state) == 0
        renewed = await kept(cloud)
        assert one_key(state) == renewed.serial != old
        assert (state / "client.pem").read_text() == lost
        assert not (state / NEXT_KEY).exists()
        assert not (state / NEXT_CERT).exists()
        assert (renewed.mqtt_user, renewed.mac_key) == (credential.mqtt_user, credential.mac_key)
        assert renewed.earlier_serial == old
        assert renewed.expires_at > now + timedelta(days=396)
        assert await asyncio.to_thread(renew, state, now) is None

        # Nobody else can ask for it.
        identity = load(state)
        for secret, store in ((b"x" * 32, identity.store), (identity.mac().secret, "01OTHER")):
            with pytest.raises(cloud_http.CloudRefused) as refused:
                await asyncio.to_thread(
                    cloud_http.renew, url, store, secret, ms(cloud.clocks.real), csr
                )
            assert refused.value.code == "edge.unauthorised"
        async with httpx.AsyncClient(trust_env=False) as anybody:
            bare = await anybody.post(f"{url}/edge/v1/renew", json={"csr": csr})
            assert bare.status_code == 401

        # A replacement ends the new one and the one before it, which would be taken for 30 days more.
        await asyncio.to_thread(enroll, url, await make_code(cloud, shop.store.id), tmp_path / "b")
        async with cloud.db.read() as session:
            ended = {one.serial for one in await revoked_credentials(session, cloud.clocks.real)}
        assert ended == {old, renewed.serial}
        assert first not in ended, "the test took that one away itself"
    said = CliRunner().invoke(edge, ["renew", "--state", str(state)])
    assert said.exit_code == 0, "not due, and the cloud is away: nothing is wrong"


def test_a_cut_between_the_two_files_is_finished_at_the_start(tmp_path: Path) -> None:
    from cloud_api.store_channel.authority import load_authority

    now = datetime.now().astimezone()
    authority = load_authority(tmp_path / "cloud", now)
    pairs = []
    for _ in range(2):
        private, csr = make_csr()
        pairs.append((private, authority.issue_store(csr, store_id="s", user="u", now=now)))
    for name, content in (("client.key", pairs[0][0]), ("client.pem", pairs[0][1].pem.encode())):
        (tmp_path / name).write_bytes(content)
    finish_renewal(tmp_path)
    assert one_key(tmp_path) == pairs[0][1].serial
    (tmp_path / NEXT_KEY).write_bytes(pairs[1][0])
    finish_renewal(tmp_path)  # the cloud has not answered yet
    assert one_key(tmp_path) == pairs[0][1].serial
    (tmp_path / NEXT_CERT).write_text(pairs[1][1].pem)
    (tmp_path / NEXT_KEY).replace(tmp_path / "client.key")  # … and here the power was cut
    with pytest.raises(ssl.SSLError):
        one_key(tmp_path)
    finish_renewal(tmp_path)
    assert one_key(tmp_path) == pairs[1][1].serial


def ask(state: Path, now: datetime, csr: str = "") -> str:
    """The certificate, or the code of the refusal."""
    identity = load(state)
    try:
        return cloud_http.renew(
            identity.cloud,
            identity.store,
            identity.mac().secret,
            ms(now),
            csr or make_csr()[1],
        )
    except cloud_http.CloudRefused as refused:
        return refused.code
