"""Enrolment codes: short enough to read out, single use, fifteen minutes."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices.models import EnrolmentCode
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.staff.permissions import DEVICE_ENROL
from cloud_api.stores import service as stores

LIFE = timedelta(minutes=15)
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0/O, 1/I/L, U
_LENGTH = 12  # 59 bits: out of reach of a throttled guesser in fifteen minutes


async def make_enrolment_code(
    session: AsyncSession, actor: Staff | System, *, store_id: str, clocks: Clocks
) -> str:
    """A code like ``7KQM-2XPD-9RT4`` with which one controller becomes this store's.

    Needs device.enrol. Codes made before and not used end. Only a hash is kept.
    """
    if isinstance(actor, Staff):
        actor.need(DEVICE_ENROL)
    store = await stores.get_store(session, actor, store_id)
    await session.exec(
        update(EnrolmentCode)
        .where(col(EnrolmentCode.store_id) == store_id, col(EnrolmentCode.used_at).is_(None))
        .values(used_at=clocks.real)
    )
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    session.add(
        EnrolmentCode(
            merchant_id=store.merchant_id,
            store_id=store.id,
            code_hash=code_hash(letters),
            made_by=actor.ref,
            created_at=clocks.real,
            expires_at=clocks.real + LIFE,
        )
    )
    await audit.record(
        session,
        actor,
        "enrolment.code",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"store:{store.id}",
        clocks=clocks,
    )
    return "-".join(letters[i : i + 4] for i in range(0, _LENGTH, 4))


def code_hash(code: str) -> str:
    """What is stored of a code; case, spaces and dashes do not matter."""
    plain = "".join(char for char in code.upper() if char.isalnum())
    return vault().hash_token(f"enrol\n{plain}")


async def use_enrolment_code(session: AsyncSession, code: str, clocks: Clocks) -> EnrolmentCode:
    """Use a code up, in the transaction that enrols. The caller throttles by address.

    Raises KaimenError ``enrol.bad_code`` (401): unknown, used or too old, one answer for all.
    """
    used = (
        await session.exec(
            update(EnrolmentCode)
            .where(
                col(EnrolmentCode.code_hash) == code_hash(code),
                col(EnrolmentCode.used_at).is_(None),
                col(EnrolmentCode.expires_at) > clocks.real,
            )
            .values(used_at=clocks.real)
            .returning(col(EnrolmentCode.id))
        )
    ).scalar_one_or_none()
    if used is None:
        raise KaimenError(
            "enrol.bad_code",
            "注册码不对、用过了或已过期，请让店主重新生成",
            status=401,
            field="code",
        )
    query = scoped(System(), EnrolmentCode).where(col(EnrolmentCode.id) == used)
    return (await session.exec(query.execution_options(populate_existing=True))).one()
