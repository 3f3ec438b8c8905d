"""A controller becomes a store's: a one-time code for a certificate, a MAC key and the public keys."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.codes import use_enrolment_code
from cloud_api.devices.models import StoreCredential, StoreStatus
from cloud_api.kit import feed, outbox
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.store_channel.authority import RENEW_BEFORE, Authority, same_key
from cloud_api.store_channel.office import Office
from store_link.messages import PublicKey
from store_link.signing import MacKey

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the controller is given, once."""

    store_id: str
    mqtt_user: str
    certificate: str
    ca: str
    mac: MacKey
    keys: tuple[PublicKey, ...]
    replaced: tuple[str, ...]  # broker users of credentials that this one ended


async def enrol(cloud: Cloud, office: Office, code: str, csr: str) -> Enrolled:
    """Use the code up, end the credential before, make the new one: all or nothing.

    Then the broker is told; where that fails, the worker's next look at the users puts it right.
    Raises KaimenError ``enrol.bad_code`` or ``enrol.bad_csr`` (the code stays good then).
    """
    async with cloud.db.write() as session:
        used = await use_enrolment_code(session, code, cloud.clocks)
        replaced = await revoke(session, used.store_id, cloud.clocks)
        made = await _credential(
            session, office.authority, csr, used.store_id, used.merchant_id, cloud.clocks
        )
        await outbox.desired_changed(
            session,
            merchant_id=used.merchant_id,
            store_id=used.store_id,
            now=cloud.clocks.real,
        )
    mac = MacKey(made.mac_kid, bytes.fromhex(made.mac_key))
    try:
        await office.admin.ensure_store(made.mqtt_user, made.store_id)
        for user in replaced:
            await office.admin.revoke(user)
    except Exception:
        log.exception("broker_not_told", store=made.store_id)
    log.info("store_enrolled", store=made.store_id, replaced=len(replaced))
    return Enrolled(
        store_id=made.store_id,
        mqtt_user=made.mqtt_user,
        certificate=made.certificate,
        ca=office.authority.ca_pem,
        mac=mac,
        keys=office.keys.public(),
        replaced=tuple(replaced),
    )


async def renew(cloud: Cloud, office: Office, store_id: str, csr: str) -> str:
    """The certificate (PEM) for a store's new key, in place of one that ends within 60 days.

    Everything else stays: its name at brokers, its MAC key, and the old certificate until its end, so
    that nobody is interrupted. Asked again with the same key (its answer was lost) it gives the same.
    Raises KaimenError ``renew.too_early`` or ``enrol.bad_csr``.
    """
    async with cloud.db.write() as session:
        live = scoped(System(), StoreCredential).where(
            col(StoreCredential.store_id) == store_id, col(StoreCredential.revoked_at).is_(None)
        )
        row = (await session.exec(live.with_for_update())).one()
        if same_key(csr, row.certificate):
            return row.certificate
        now = cloud.clocks.real
        if row.expires_at - now > RENEW_BEFORE:
            raise KaimenError(
                "renew.too_early", "证书还早得很，到期前 60 天内才能更换", status=409, field="csr"
            )
        issued = office.authority.issue_store(csr, store_id=store_id, user=row.mqtt_user, now=now)
        row.earlier_serial, row.earlier_expires_at = row.serial, row.expires_at
        row.serial, row.certificate, row.expires_at = issued.serial, issued.pem, issued.not_after
        session.add(row)
    log.info("certificate_renewed", store=store_id, until=issued.not_after.isoformat())
    return issued.pem


async def revoke(session: AsyncSession, store_id: str, clocks: Clocks) -> list[str]:
    """End a store's live credential; the broker users to tell the broker of, after the commit.

    From the commit on nothing that was sealed with it is believed, and the store counts as offline.
    """
    ended = await session.execute(
        update(StoreCredential)
        .where(col(StoreCredential.store_id) == store_id, col(StoreCredential.revoked_at).is_(None))
        .values(revoked_at=clocks.real)
        .returning(col(StoreCredential.mqtt_user))
    )
    users = list(ended.scalars())
    query = scoped(System(), StoreStatus).where(col(StoreStatus.store_id) == store_id)
    status = (await session.exec(query.with_for_update())).first()
    if users and status is not None:
        was = status.online
        status.online, status.nonce, status.boot = False, None, None
        session.add(status)
        if was:
            await feed.tell(
                session,
                merchant_id=status.merchant_id,
                store_id=store_id,
                topic="store",
                body={"event": "presence", "online": False},
                now=clocks.real,
            )
    return users


async def _credential(
    session: AsyncSession,
    authority: Authority,
    csr: str,
    store_id: str,
    merchant_id: str,
    clocks: Clocks,
) -> StoreCredential:
    name = new_id()
    user = f"{name.lower()}.store.kaimen.internal"
    issued = authority.issue_store(csr, store_id=store_id, user=user, now=clocks.real)
    mac = MacKey.generate(f"m{name}")
    row = StoreCredential(
        id=name,
        merchant_id=merchant_id,
        store_id=store_id,
        serial=issued.serial,
        mqtt_user=user,
        certificate=issued.pem,
        mac_kid=mac.kid,
        mac_key=mac.secret.hex(),
        created_at=clocks.real,
        expires_at=issued.not_after,
    )
    session.add(row)
    await session.flush()
    return row
