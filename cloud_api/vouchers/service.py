"""Issuing vouchers, finding them, giving them away, letting them expire. Redeeming takes room time too:
groupbuy/redeem.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.ids import new_token
from cloud_api.kit.paging import page_of
from cloud_api.vouchers import codes
from cloud_api.vouchers.models import Redemption, Voucher
from cloud_api.vouchers.transitions import lock_voucher, move

EXPIRE: Final = "voucher.expire"
REMIND: Final = "voucher.remind"
REMIND_BEFORE: Final = timedelta(days=3)
_GIFT_GONE: Final = "这份礼物已经被领走、收回或过期了"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a voucher is good for; see Voucher."""

    name: str
    minutes: int
    value_fen: int
    store_ids: list[str]
    valid_until: datetime
    people: int = 0
    room_ids: tuple[str, ...] = ()
    weekdays: int = 127
    from_minute: int = 0
    until_minute: int = 1440
    rules: str = ""
    refundable: bool = True
    refund_on_expiry: bool = True


async def issue(
    session: AsyncSession,
    *,
    merchant_id: str,
    account_id: str,
    source: str,
    campaign_id: str,
    terms: Terms,
    count: int,
    clocks: Clocks,
) -> list[Voucher]:
    """Make ``count`` vouchers for what ``source`` bought; the caller sees to it that it happens once."""
    made = []
    for _ in range(count):
        code = await _free_code(session)
        voucher = Voucher(
            merchant_id=merchant_id,
            account_id=account_id,
            source=source,
            campaign_id=campaign_id,
            name=terms.name,
            code=code,
            code_index=codes.index_of(code),
            value_fen=terms.value_fen,
            minutes=terms.minutes,
            people=terms.people,
            store_ids=list(terms.store_ids),
            room_ids=list(terms.room_ids),
            weekdays=terms.weekdays,
            from_minute=terms.from_minute,
            until_minute=terms.until_minute,
            rules=terms.rules,
            valid_from=clocks.now,
            valid_until=terms.valid_until,
            refundable=terms.refundable,
            refund_on_expiry=terms.refund_on_expiry,
            created_at=clocks.now,
        )
        session.add(voucher)
        made.append(voucher)
    await session.flush()
    for voucher in made:
        await watch(session, voucher)
    return made


async def watch(session: AsyncSession, voucher: Voucher) -> None:
    """Schedule the reminder before a voucher expires, and its expiry."""
    times = ((REMIND, voucher.valid_until - REMIND_BEFORE), (EXPIRE, voucher.valid_until))
    for kind, run_at in times:
        if run_at > voucher.created_at:
            await schedule(
                session,
                merchant_id=voucher.merchant_id,
                kind=kind,
                ref=voucher.id,
                run_at=run_at,
            )


async def mine(
    session: AsyncSession, customer: Customer, *, cursor: str | None, limit: int
) -> tuple[list[Voucher], str | None]:
    """One's own vouchers, newest first."""
    query = scoped(customer, Voucher)
    return await page_of(
        session, query, by=Voucher.created_at, key=Voucher.id, cursor=cursor, limit=limit
    )


async def get(session: AsyncSession, actor: Actor, voucher_id: str) -> Voucher:
    """One voucher. Raises NotFound."""
    query = scoped(actor, Voucher).where(col(Voucher.id) == voucher_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("voucher", "没有这张券")
    return found


async def find(session: AsyncSession, actor: Actor, text: str, clocks: Clocks) -> Voucher:
    """The voucher of a typed code or a scanned QR.

    Raises KaimenError ``voucher.bad_code``, ``voucher.bad_qr``, ``voucher.old_qr`` (422), NotFound.
    """
    if codes.looks_like_qr(text):
        voucher_id = codes.voucher_of_qr(text, clocks.real.timestamp())
        return await get(session, actor, voucher_id)
    index = codes.index_of(codes.normal(text))
    query = scoped(actor, Voucher).where(col(Voucher.code_index) == index)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("voucher", "没有这张券，请再看一眼券码")
    return found


async def of_source(session: AsyncSession, source: str) -> list[Voucher]:
    """All vouchers that one purchase brought, oldest first."""
    query = scoped(System(), Voucher).where(col(Voucher.source) == source)
    return list((await session.exec(query.order_by(col(Voucher.id)))).all())


async def of_sources(session: AsyncSession, sources: Sequence[str]) -> dict[str, list[Voucher]]:
    """``of_source`` of each of many purchases, in one statement."""
    found: dict[str, list[Voucher]] = {one: [] for one in sources}
    query = scoped(System(), Voucher).where(col(Voucher.source).in_(found))
    for voucher in (await session.exec(query.order_by(col(Voucher.id)))).all():
        found[voucher.source].append(voucher)
    return found


async def redemption(session: AsyncSession, redemption_id: str) -> Redemption | None:
    """A redemption by its id (the client's nonce)."""
    return await session.get(Redemption, redemption_id)


async def offer(session: AsyncSession, customer: Customer, voucher_id: str) -> str:
    """A token with which a friend may take the voucher; an older one is worth nothing then.

    Raises NotFound, Conflict ``voucher.not_whole``.
    """
    voucher = await lock_voucher(session, customer, voucher_id)
    if voucher.state != "issued":
        raise Conflict("voucher.not_whole", "这张券已经用过或退掉了，不能送人", state=voucher.state)
    token = new_token(128)
    voucher.gift_hash = vault().hash_token(f"gift:{token}")
    session.add(voucher)
    return token


async def take_gift(
    session: AsyncSession, customer: Customer, token: str, clocks: Clocks
) -> Voucher:
    """Make a voucher that was offered one's own; whoever is first has it.

    Raises NotFound (taken, used, withdrawn or over), Conflict ``voucher.own_gift``.
    """
    gift = vault().hash_token(f"gift:{token}")
    query = scoped(System(), Voucher).where(col(Voucher.gift_hash) == gift)
    voucher = (await session.exec(query)).first()
    if voucher is None:
        raise NotFound("gift", _GIFT_GONE)
    if voucher.account_id == customer.account_id:
        raise Conflict("voucher.own_gift", "这是你自己的券，发给朋友再让他领")
    changed = await session.exec(
        update(Voucher)
        .where(
            col(Voucher.id) == voucher.id,
            col(Voucher.gift_hash) == gift,
            col(Voucher.state) == "issued",
            col(Voucher.valid_until) > clocks.now,
        )
        .values(account_id=customer.account_id, gift_hash=None, version=Voucher.version + 1)
        .returning(col(Voucher.id))
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise NotFound("gift", _GIFT_GONE)
    await session.refresh(voucher)
    return voucher


async def extend(
    session: AsyncSession, actor: Actor, voucher_id: str, until: datetime, clocks: Clocks
) -> Voucher:
    """Let a voucher be good until ``until``; one that expired is whole again.

    Raises NotFound, KaimenError ``voucher.until_past`` (422), Conflict ``voucher.not_whole``.
    """
    voucher = await lock_voucher(session, actor, voucher_id)
    if until <= max(clocks.now, voucher.valid_until):
        raise KaimenError(
            "voucher.until_past", "新的到期时间要比现在的晚", status=422, field="until"
        )
    if voucher.state not in ("issued", "expired"):
        raise Conflict("voucher.not_whole", "这张券已经用过或退掉了", state=voucher.state)
    if voucher.state == "expired" and not await move(session, voucher, "issued"):
        raise Conflict("voucher.moved", "这张券刚刚有变化，请刷新再试")
    voucher.valid_until = until
    session.add(voucher)
    await session.flush()
    await watch(session, voucher)
    return voucher


async def _free_code(session: AsyncSession) -> str:
    while True:
        code = codes.new_code()
        taken = select(col(Voucher.id)).where(col(Voucher.code_index) == codes.index_of(code))
        if (await session.exec(taken)).first() is None:
            return code
