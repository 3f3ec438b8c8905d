"""Photos that guests add to a review or a question: sent one by one, then named by what they belong to.

What was sent and named by nothing within a day is given up. Each picture is made anew (media/photos.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import KaimenError
from cloud_api.media import service as media
from cloud_api.media.models import Media
from cloud_api.stores.models import Store

MOST: Final = 6  # of one review or one message
UPLOADS: Final = (40, 3600)  # of one guest in an hour: each costs the processor a second
UNUSED: Final = "support.photo_unused"  # ref: media id
_LIFE: Final = timedelta(days=1)


async def keep(
    session: AsyncSession,
    customer: Customer,
    store: Store,
    prepared: media.Prepared,
    clocks: Clocks,
) -> Media:
    """A photo that was sent and is nobody's evidence yet. Raises Conflict ``media.too_many``."""
    made = await media.add(
        session,
        prepared,
        merchant_id=store.merchant_id,
        store_id=store.id,
        room_id=None,
        alt="",
        now=clocks.real,
        subject=_draft(customer.account_id),
    )
    await schedule(
        session,
        merchant_id=store.merchant_id,
        kind=UNUSED,
        ref=made.id,
        run_at=clocks.real + _LIFE,
        clock="wire",
    )
    return made


async def take(
    session: AsyncSession, customer: Customer, store_id: str, ids: Sequence[str], subject: str
) -> list[str]:
    """Make one's own unused photos evidence of ``subject``. Raises KaimenError ``photo.gone`` (422)."""
    if not ids:
        return []
    found = {one.id: one for one in await media.of_subject(session, _draft(customer.account_id))}
    for photo_id in ids:
        photo = found.pop(photo_id, None)
        if photo is None or photo.store_id != store_id:
            raise KaimenError(
                "photo.gone", "有一张照片已经不在了，去掉它再传一次", status=422, field="photos"
            )
        photo.subject = subject
        session.add(photo)
    return list(ids)


async def of(session: AsyncSession, ids: Iterable[str]) -> dict[str, Media]:
    """By id; those that were given up are left out. One query, none for nothing."""
    wanted = set(ids)
    if not wanted:
        return {}
    query = scoped(System(), Media).where(
        col(Media.id).in_(wanted), col(Media.deleted_at).is_(None)
    )
    return {one.id: one for one in (await session.exec(query)).all()}


async def give_up(session: AsyncSession, ids: Iterable[str], clocks: Clocks) -> None:
    """No page shows them any more."""
    for one in (await of(session, ids)).values():
        await media.give_up(session, one, clocks.real)


async def unused(session: AsyncSession, photo_id: str, clocks: Clocks) -> None:
    """Give one up that nothing has named."""
    found = (await of(session, [photo_id])).get(photo_id)
    if found is not None and (found.subject or "").startswith(_DRAFT):
        await media.give_up(session, found, clocks.real)


async def forget(session: AsyncSession, account_id: str, clocks: Clocks) -> None:
    """Give up what somebody sent and did not use."""
    for one in await media.of_subject(session, _draft(account_id)):
        await media.give_up(session, one, clocks.real)


_DRAFT: Final = "draft:"


def _draft(account_id: str) -> str:
    return f"{_DRAFT}{account_id}"
