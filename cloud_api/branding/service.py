"""Choosing how a merchant looks: words and a colour at once, a logo at a time, and back."""

from __future__ import annotations

from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.branding.models import Brand
from cloud_api.branding.pictures import Shape
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError
from cloud_api.media.models import Media
from cloud_api.media.service import Prepared, give_up, of_subject
from cloud_api.merchants.models import Merchant
from cloud_api.staff.permissions import BRAND_EDIT

WORDS: Final = ("name", "short", "slogan", "phone", "wechat", "footer", "colour")
LOGOS: Final = ("square_id", "wide_id")
VALUES: Final = (*WORDS, *LOGOS)


async def of(
    session: AsyncSession, who: Staff, clocks: Clocks, *, alone: bool = False
) -> tuple[Brand, int]:
    """The merchant's brand and its version: an empty one of version 0 where nothing was chosen yet.

    ``alone``: nobody else changes it until this transaction ends. The merchant's row is what is locked, as
    there may be no other yet; rows that refer to it are written as ever.
    """
    need(who)
    if alone:
        mine = select(Merchant.id).where(col(Merchant.id) == who.merchant_id)
        await session.exec(mine.with_for_update(key_share=True))
    found = (await session.exec(scoped(who, Brand))).one_or_none()
    if found is not None:
        return found, found.version
    return Brand(merchant_id=who.merchant_id, changed_at=clocks.real), 0


def need(who: Staff) -> None:
    """Raise Forbidden for who may not edit the brand, or works in some of the stores only."""
    who.need(BRAND_EDIT)
    if not who.within(None):
        raise Forbidden(BRAND_EDIT)


async def save(
    session: AsyncSession, who: Staff, words: dict[str, Any], version: int, clocks: Clocks
) -> Brand:
    """Take these words and this colour. Raises Conflict ``brand.changed`` if somebody was quicker."""
    return await _change(session, who, words, version, clocks, "brand.edit")


async def reset(session: AsyncSession, who: Staff, version: int, clocks: Clocks) -> Brand:
    """Everything Kaimen's own again; can be taken back. Raises Conflict ``brand.changed``."""
    empty = dict.fromkeys(WORDS, "") | dict.fromkeys(LOGOS, None)
    return await _change(session, who, empty, version, clocks, "brand.reset")


async def undo(session: AsyncSession, who: Staff, version: int, clocks: Clocks) -> Brand:
    """What stood there before the last change. Raises Conflict ``brand.changed``, ``brand.no_undo``."""
    found, _ = await of(session, who, clocks, alone=True)
    if found.before is None:
        raise Conflict("brand.no_undo", "还没有改过，没有可以撤销的")
    return await _change(session, who, found.before, version, clocks, "brand.undo")


async def set_logo(
    session: AsyncSession, who: Staff, shape: Shape, prepared: Prepared | None, clocks: Clocks
) -> Brand:
    """Take a new logo, or none. The old one stays until the change after this, so it can come back."""
    _, version = await of(session, who, clocks, alone=True)
    if prepared is not None:
        session.add(
            Media(
                id=prepared.id, merchant_id=who.merchant_id, store_id="",
                subject=subject(who.merchant_id), kind=prepared.kind, width=prepared.width,
                height=prepared.height, bytes=prepared.bytes, sizes=[], created_at=clocks.real,
            )
        )  # fmt: skip
        await session.flush()
    made = None if prepared is None else prepared.id
    return await _change(session, who, {f"{shape}_id": made}, version, clocks, "brand.logo")


def subject(merchant_id: str) -> str:
    """What a logo's file is of."""
    return f"brand:{merchant_id}"


async def name_of(session: AsyncSession, merchant_id: str) -> str:
    """What guests call the merchant; empty where it chose no name."""
    query = select(Brand.name).where(col(Brand.merchant_id) == merchant_id)
    return (await session.exec(query)).one_or_none() or ""


async def _change(
    session: AsyncSession, who: Staff, wish: dict[str, Any], version: int, clocks: Clocks,
    action: str,
) -> Brand:  # fmt: skip
    found, there = await of(session, who, clocks, alone=True)
    if version != there:
        raise Conflict("brand.changed", "品牌刚被改过，看一眼新的再改")
    before = audit.facts(found, *VALUES)
    after = before | {name: wish[name] for name in VALUES if name in wish}
    if after == before:
        return found
    if not set(wish).issubset(VALUES):
        raise KaimenError("brand.value", "没有这一项", status=422)
    for name, value in after.items():
        setattr(found, name, value)
    found.before, found.version = before, there + 1
    found.changed_at, found.changed_by = clocks.real, who.ref
    session.add(found)
    kept = {found.square_id, found.wide_id, before["square_id"], before["wide_id"]}
    for old in await of_subject(session, subject(who.merchant_id)):
        if old.id not in kept:
            await give_up(session, old, clocks.real)
    was, now = audit.changes(before, after)
    await audit.record(
        session, who, action, merchant_id=who.merchant_id, subject=f"brand:{who.merchant_id}",
        before=was, after=now, clocks=clocks,
    )  # fmt: skip
    await session.flush()
    return found


async def every(session: AsyncSession) -> list[Brand]:
    """All brands of the installation: what guests see is public."""
    return list((await session.exec(scoped(System(), Brand))).all())
