"""Nothing personal and no secret stands in plain text: not in the database's file or dump, not in logs (I10)."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from sqlalchemy import Text, type_coerce
from sqlmodel import select

from cloud_api.audit.service import record
from cloud_api.auth.service import new_code
from cloud_api.backups import dump
from cloud_api.kit import logs
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.key_rotation import encrypted
from cloud_api.migrations.tables import metadata
from cloud_api.payments.models import ProviderAccount
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
)

PHONE = "13987654321"
CREDENTIAL = "sk-live-77f1c0ffee"
# What may hold such things, and is encrypted. A new column that does belongs here and into Encrypted.
ENCRYPTED = {
    "access_grant.pin",
    "account.phone",
    "data_export.content",
    "diagnostics.content",
    "identity.subject",
    "invitation.phone",
    "invoice_request.email",
    "invoice_request.title",
    "login.address",
    "member_profile.name",
    "member_profile.note",
    "notice_channel.credentials",
    "order_export.content",
    "payment_attempt.payer",
    "platform_account.credentials",
    "platform_account.token",
    "platform_use.code",
    "platform_use.secret",
    "platform_use.token",
    "provider_account.credentials",
    "staff_key.secret",
    "store.wifi_password",
    "store_credential.mac_key",
    "totp.secret",
    "voucher.code",
    "webhook.old_secret",
    "webhook.secret",
    "webhook.url",
    "wechat_consent.openid",
}
# Columns whose names sound like it, and why each may be plain.
PLAIN = {
    "platform_account.token_until": "when a token ends",
    "account.phone_index": "a keyed hash",
    "account.phone_tail": "four digits, for masked display",
    "invitation.phone_index": "a keyed hash",
    "invitation.phone_tail": "four digits, for masked display",
    "login_code.phone_index": "a keyed hash",
    "store.phone": "the store's public number",
    "brand.phone": "the house's public number",
    "store.address": "the store's public address",
    "password.hash": "argon2id",
    "login.token_hash": "a keyed hash",
    "door.token": "printed on the door",
    "order_share.token": "the link its owner passes on; whoever follows it logs in, and it may be revoked",
    "team.token": "the link a team is joined by; it gives no right",
}
SOUNDS = (
    "phone",
    "mobile",
    "email",
    "openid",
    "secret",
    "password",
    "credential",
    "pin",
    "token",
    "address",
    "id_card",
    "mac_key",
)


def raw(url: str, tmp_path: Path) -> bytes:
    """Every byte that the database keeps."""
    if url.startswith("sqlite"):
        path = dump.sqlite_path(url)
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    out = tmp_path / "dump.sql"
    pg_dump = dump.tool("pg_dump", 1, None)
    subprocess.run(
        [str(pg_dump), f"--file={out}"], env=dump.environment(url), check=True, timeout=60
    )
    return out.read_bytes()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service writes as its log."""
    said = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            logs.without_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=said),
        cache_logger_on_first_use=False,
    )
    yield said
    structlog.reset_defaults()


@pytest.fixture
async def lived_in(client: httpx.AsyncClient, cloud: Cloud, shop: Shop, log: io.StringIO) -> str:
    """A cloud in which a person with a known number did what people do; the log of it."""
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        guest = await make_customer(session, now, f"+86{PHONE}")
        token = await make_login(session, guest.id, now)
        order = await make_order(session, shop, guest, now, now=now)
        member = await make_staff(session, shop, now)
        owner = bearer(await make_login(session, member.account_id, now))
        await new_code(session, f"+86{PHONE}", "203.0.113.99", cloud.clocks)
        session.add(
            ProviderAccount(
                merchant_id=shop.merchant.id,
                provider="cashier",
                name="收银台",
                credentials=f'{{"key": "{CREDENTIAL}"}}',
                created_at=now,
            )
        )
        await record(
            session,
            Staff(member.id, member.account_id, shop.merchant.id, frozenset(), ip="203.0.113.7"),
            "customer.note",
            merchant_id=shop.merchant.id,
            subject=f"account:{guest.id}",
            after={"phone": PHONE, "note": f"他的号码是 {PHONE}"},
            why=f"打过 {PHONE}",
            clocks=cloud.clocks,
        )
    person = bearer(token)
    answer = answering(cloud, "done")
    for method, path, headers, body in (
        ("POST", "/auth/code", {}, {"phone": PHONE}),
        ("POST", "/auth/login", {}, {"phone": PHONE, "code": "000000"}),
        ("POST", "/auth/login", {}, {"phone": f"{PHONE}9", "code": "x"}),
        ("GET", f"/orders/{order.id}/pass", person, None),
        ("POST", f"/doors/{shop.door.token}/unlock", person, {}),
        ("POST", "/me/export", person, None),
        ("GET", f"/console/orders?q={PHONE}", owner, None),
        ("GET", "/console/audit", owner, None),
        ("POST", f"/orders/{order.id}/cancel", person, {}),
    ):
        headers = {**headers, "Idempotency-Key": f"k-{method}-{path[:20]}"}
        await client.request(method, f"/api/v1{path}", headers=headers, json=body)
    await answer
    structlog.get_logger("test").warning("gone wrong", phone=PHONE, text=f"an {PHONE} gesendet")
    return log.getvalue() + token


async def test_nothing_personal_is_in_the_database_or_the_log(
    lived_in: str, cloud: Cloud, tmp_path: Path
):
    said, token = lived_in[:-43], lived_in[-43:]
    await cloud.db.close()
    kept = raw(cloud.db.url, tmp_path)
    for secret in (PHONE, CREDENTIAL, token, "203.0.113.99"):
        assert secret.encode() not in kept, secret
        assert secret not in said, secret
    assert "竹间".encode() in kept  # negative control: what is plain is found
    assert "gone wrong" in said


async def test_each_encrypted_column_is_sealed_and_each_that_sounds_like_one_is_known(
    lived_in: str, cloud: Cloud
):
    columns = list(encrypted(metadata()))
    assert {f"{table.name}.{column.name}" for table, column, _ in columns} == ENCRYPTED
    async with cloud.db.read() as session:
        for table, column, kind in columns:
            assert kind.context == f"{table.name}.{column.name}"
            query = select(type_coerce(column, Text())).where(column.is_not(None))
            for (value,) in (await session.execute(query)).all():
                assert value.count(".") == 1, f"{kind.context} holds plain text"
    suspicious = {
        f"{table.name}.{column.name}"
        for table in metadata().sorted_tables
        for column in table.columns
        if any(part in column.name for part in SOUNDS)
        and not column.name.endswith(("_hash", "_index", "_tail", "_id", "_at"))
    }
    assert suspicious - ENCRYPTED <= set(PLAIN), suspicious - ENCRYPTED - set(PLAIN)
