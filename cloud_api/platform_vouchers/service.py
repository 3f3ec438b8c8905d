"""Asking platforms: the calls around the transactions. What follows for rooms and orders is decided above.

A verification is written down before it is sent, with all that is needed to ask the same again. An
answer that does not come is UNKNOWN: it is looked up, and sent again only when the platform says that
nothing was verified.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import later
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformUse
from cloud_api.platform_vouchers.platforms import FAMILIES, KINDS
from cloud_api.platform_vouchers.platforms.base import (
    Answer,
    Around,
    Ask,
    Back,
    BackView,
    Platform,
    Prepared,
    View,
    silent,
)
from cloud_api.platform_vouchers.platforms.manual import ByHand
from cloud_api.platform_vouchers.transitions import OPEN, lock_use, move

LOOK: Final = "platform.look"  # ref: use id; finds out how a verification ended
CANCEL: Final = "platform.cancel"  # ref: use id; takes one back
LAPSE: Final = "platform.lapse"  # ref: use id; nobody confirmed it by hand
EARLY: Final = timedelta(minutes=5)  # a lent token is given up so long before its end
SEND_AGAIN: Final = timedelta(
    minutes=2
)  # younger than this an unused one is sent again, else let go
MOST_TRIES: Final = 5
_SYSTEM: Final = System()
_LOCKS: Final = "platform_vouchers.tokens"

WORDS: Final = {
    "asked": "等店家确认",
    "verifying": "正在核销",
    "unknown": "等平台回话",
    "verified": "已核销，正在订房",
    "confirmed": "已核销",
    "cancelling": "正在退回平台",
    "cancelled": "已退回平台",
    "stuck": "退不回平台",
    "refused": "没有核销",
    "lapsed": "没有确认，已释放",
}


def label_of(account: PlatformAccount) -> str:
    """The platform as guests read it."""
    kind = KINDS[account.kind]
    if kind.make is not None:
        return kind.label
    try:
        return ByHand.model_validate_json(account.credentials).label
    except ValueError:
        return kind.label


def family_of(account: PlatformAccount) -> str:
    """Whose vouchers these are; one that is confirmed by hand is of the platform it names."""
    kind = KINDS[account.kind]
    if kind.make is not None:
        return kind.family
    label = label_of(account)
    return next((key for key, name in FAMILIES.items() if name in label), f"manual:{label}")


def key_index(account: PlatformAccount, key: str) -> str:
    """What a voucher is known by across accounts, for the database's own guard."""
    return vault().index(f"platform:{account.merchant_id}:{family_of(account)}:{key}")


async def accounts_of(session: AsyncSession, store_id: str) -> list[PlatformAccount]:
    """The accesses that serve a store now, oldest first."""
    query = scoped(_SYSTEM, PlatformAccount).where(
        col(PlatformAccount.enabled).is_(True),
        (col(PlatformAccount.store_id) == store_id) | col(PlatformAccount.store_id).is_(None),
    )
    found = (await session.exec(query.order_by(col(PlatformAccount.id)))).all()
    return [one for one in found if store_id in one.places]


async def account_for(session: AsyncSession, account_id: str, store_id: str) -> PlatformAccount:
    """An access that serves a store. Raises NotFound."""
    for one in await accounts_of(session, store_id):
        if one.id == account_id:
            return one
    raise NotFound("platform_account", "这家店现在不收这个平台的券")


async def client_of(cloud: Cloud, account: PlatformAccount) -> Platform | None:
    """The adapter of an access; None where staff confirm by hand. Raises KaimenError."""
    kind = KINDS[account.kind]
    if kind.make is None:
        return None
    try:
        credentials = kind.credentials.model_validate_json(account.credentials)
    except ValueError as error:
        raise KaimenError(
            "platform.credentials", "平台账号不完整，请店家重新填一次", status=503
        ) from error
    if not kind.hosts and not cloud.settings.payment_private_hosts:
        await _need_public(str(getattr(credentials, "base_url", "")), kind.label)
    return kind.make(credentials, Around(cloud.http, cloud.clocks.wire, _lent(cloud, account.id)))


async def prepare(
    cloud: Cloud, account: PlatformAccount, store_id: str, text: str
) -> Prepared | None:
    """What is behind a code; None where staff confirm by hand. Raises KaimenError ``platform.*``."""
    client = await client_of(cloud, account)
    return None if client is None else await client.prepare(text, account.places[store_id])


def ask_of(use: PlatformUse) -> Ask:
    """A use as the question that it is."""
    return Ask(
        number=use.number,
        place=use.place,
        code=use.code,
        secret=use.secret,
        token=use.token,
        deal=use.deal,
        sent_at=use.sent_at,
        again=use.tries > 1,
        receipt=use.receipt,
        certificate=use.certificate,
    )


async def verify(cloud: Cloud, use_id: str) -> PlatformUse:
    """Send a verification that was written down, and write down the answer."""
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, use_id)
        if use.state not in OPEN:
            return use
        account = await session.get_one(PlatformAccount, use.platform_account_id)
        use.tries += 1
        use.sent_at = use.sent_at or cloud.clocks.real
        session.add(use)
    client = await client_of(cloud, account)
    assert client is not None
    return await _took(cloud, use_id, await client.verify(ask_of(use)))


async def look(cloud: Cloud, use_id: str) -> PlatformUse:
    """Find out how a verification ended; one that certainly did not happen is sent again or let go."""
    async with cloud.db.read() as session:
        use = await session.get_one(PlatformUse, use_id)
        account = await session.get_one(PlatformAccount, use.platform_account_id)
    if use.state not in OPEN:
        return use
    client = await client_of(cloud, account)
    assert client is not None
    view = await client.query(ask_of(use))
    if view.answer is Answer.UNUSED:
        young = cloud.clocks.now - use.created_at < SEND_AGAIN
        if young and use.tries < MOST_TRIES:
            return await verify(cloud, use_id)
        view = View(Answer.REFUSED, detail=later("平台没有核销，券没有动"))
    return await _took(cloud, use_id, view)


async def take_back(cloud: Cloud, use_id: str) -> BackView:
    """Ask the platform to take a verification back, and write down the answer."""
    async with cloud.db.read() as session:
        use = await session.get_one(PlatformUse, use_id)
        account = await session.get_one(PlatformAccount, use.platform_account_id)
    if use.state != "cancelling":
        return BackView(Back.DONE)
    client = await client_of(cloud, account)
    if client is None:
        view = BackView(Back.REFUSED, later("手工确认的券，请在平台的商家版里撤销"))
    else:
        view = await client.cancel(ask_of(use))
    if view.answer is Back.UNKNOWN:
        return view
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, use_id)
        if use.state == "cancelling":
            to = "cancelled" if view.answer is Back.DONE else "stuck"
            await move(session, use, to, by="system", why=view.detail, clocks=cloud.clocks)
    return view


async def _took(cloud: Cloud, use_id: str, view: View) -> PlatformUse:
    """Write down what the platform said; who was faster is believed."""
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, use_id)
        if use.state not in OPEN:
            return use
        if view.answer is Answer.VERIFIED:
            await move(
                session,
                use,
                "verified",
                by="platform",
                clocks=cloud.clocks,
                receipt=view.receipt,
                certificate=view.certificate,
                worth_fen=use.worth_fen if view.paid_fen is None else view.paid_fen,
                verified_at=cloud.clocks.now,
            )
        elif view.answer is Answer.REFUSED:
            await move(session, use, "refused", by="platform", why=view.detail, clocks=cloud.clocks)
        elif use.state == "verifying":
            await move(session, use, "unknown", by="platform", why=view.detail, clocks=cloud.clocks)
        return use


def _lent(
    cloud: Cloud, account_id: str
) -> Callable[[Callable[[], Awaitable[tuple[str, float]]], str], Awaitable[str]]:
    """Keeps a platform's token with its account, so that all processes use one and none ends another's."""
    locks: dict[str, asyncio.Lock] = cloud.parts.setdefault(_LOCKS, {})

    async def token(fetch: Callable[[], Awaitable[tuple[str, float]]], old: str) -> str:
        async with locks.setdefault(account_id, asyncio.Lock()):
            async with cloud.db.read() as session:
                account = await session.get_one(PlatformAccount, account_id)
            until = account.token_until
            if account.token and account.token != old and until and until > cloud.clocks.real:
                return account.token
            made, seconds = await fetch()
            ends = cloud.clocks.real + timedelta(seconds=seconds) - EARLY
            async with cloud.db.write() as session:
                await session.exec(
                    update(PlatformAccount)
                    .where(col(PlatformAccount.id) == account_id)
                    .values(token=made, token_until=ends)
                    .execution_options(synchronize_session=False)
                )
            return made

    return token


async def _need_public(url: str, label: str) -> None:
    """A relay's name leads to public addresses only, never into the house behind the server."""
    parts = urlsplit(url)
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(parts.hostname, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise silent(label) from error
    if not all(ipaddress.ip_address(str(one[4][0]).split("%")[0]).is_global for one in found):
        raise Conflict("platform.host", "平台账号的接口地址不是公网地址，请店家改一下")
