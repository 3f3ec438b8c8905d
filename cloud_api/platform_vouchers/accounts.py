"""A merchant's access to platforms, as its owner sets it up: secrets in, never out.

Every act needs payment.accounts. What changes is written down without a secret in it.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import changes, record
from cloud_api.kit import throttle
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.platform_vouchers.models import PlatformAccount
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.platforms.base import Kind
from cloud_api.platform_vouchers.schemas import AccountChange, AccountIn
from cloud_api.platform_vouchers.service import client_of
from cloud_api.settings import Settings
from cloud_api.staff.permissions import PAYMENT_ACCOUNTS
from cloud_api.stores.models import Store

MOST: Final = 50  # accesses of a merchant
CHECKS: Final = (20, 600)  # so many tries in so many seconds: each of them calls a platform


async def list_accounts(session: AsyncSession, actor: Staff) -> list[PlatformAccount]:
    """The accesses of the stores that ``actor`` works in, oldest first."""
    query = scoped(actor, PlatformAccount).order_by(col(PlatformAccount.id)).limit(MOST)
    return list((await session.exec(query)).all())


async def get_account(session: AsyncSession, actor: Staff, account_id: str) -> PlatformAccount:
    """One of them. Raises NotFound."""
    query = scoped(actor, PlatformAccount).where(col(PlatformAccount.id) == account_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("platform_account", "没有这个平台账号，或不归你管")
    return found


async def add(
    session: AsyncSession, actor: Staff, asked: AccountIn, clocks: Clocks, settings: Settings
) -> PlatformAccount:
    """A new access.

    Raises KaimenError ``platform.kind``, ``platform.fields``, ``platform.host``, ``platform.places`` (422,
    each with ``field``), NotFound for another's store.
    """
    actor.need(PAYMENT_ACCOUNTS)
    kind = kind_of(asked.kind)
    if asked.store_id is None and actor.store_ids is not None:
        raise KaimenError(
            "platform.store", "你只管部分门店，选一家门店", status=422, field="store_id"
        )
    if len(await list_accounts(session, actor)) >= MOST:
        raise Conflict("platform.too_many", _("平台账号最多 {n} 个，先停用用不着的").format(n=MOST))
    account = PlatformAccount(
        merchant_id=actor.merchant_id,
        store_id=asked.store_id,
        kind=asked.kind,
        name=asked.name,
        credentials=_credentials(kind, asked.fields, settings),
        places=await _places(session, actor, kind, asked.store_id, dict(asked.places)),
        enabled=asked.enabled,
        created_at=clocks.now,
    )
    session.add(account)
    await session.flush()
    await _record(session, actor, "platform_account.add", account, {}, clocks)
    return account


async def change(
    session: AsyncSession,
    actor: Staff,
    account_id: str,
    asked: AccountChange,
    clocks: Clocks,
    settings: Settings,
) -> PlatformAccount:
    """Change what is given; a secret left empty stays, unless it would go to another address."""
    actor.need(PAYMENT_ACCOUNTS)
    account = await get_account(session, actor, account_id)
    kind, before, given = kind_of(account.kind), shown(account), asked.model_fields_set
    if "fields" in given:
        old: dict[str, Any] = json.loads(account.credentials)
        wanted = {name: value for name, value in asked.fields.items() if value not in (None, "")}
        moved = wanted.get("base_url", old.get("base_url")) != old.get("base_url")
        for name, value in old.items():
            if name not in wanted and not (moved and name in kind.secret):
                wanted[name] = value
        account.credentials = _credentials(kind, wanted, settings)
        account.token = account.token_until = account.checked = account.checked_at = None
    if "places" in given:
        account.places = await _places(session, actor, kind, account.store_id, dict(asked.places))
    for name in ("name", "enabled"):
        if name in given:
            setattr(account, name, getattr(asked, name))
    session.add(account)
    await session.flush()
    await _record(session, actor, "platform_account.change", account, before, clocks)
    return account


async def check(cloud: Cloud, actor: Staff, account_id: str) -> str:
    """Call the platform; ``""`` if it lets us in, else what is wrong, in words."""
    actor.need(PAYMENT_ACCOUNTS)
    async with cloud.db.write() as session:
        account = await get_account(session, actor, account_id)
        key = f"platform-check:{actor.merchant_id}"
        await throttle.hit(session, key, *CHECKS, cloud.clocks.real)
    client = await client_of(cloud, account)
    wrong = "" if client is None else await client.check()
    async with cloud.db.write() as session:
        row = await get_account(session, actor, account_id)
        row.checked_at, row.checked = cloud.clocks.real, (wrong or "ok")[:200]
        session.add(row)
        await _record(session, actor, "platform_account.check", row, {}, cloud.clocks)
    return wrong


def kind_of(key: str) -> Kind:
    """A kind by its key. Raises KaimenError ``platform.kind`` (422)."""
    if key not in KINDS:
        raise KaimenError("platform.kind", "没有这种平台", status=422, field="kind")
    return KINDS[key]


def public_fields(account: PlatformAccount) -> dict[str, str]:
    """The credentials that may be shown."""
    kind = KINDS[account.kind]
    try:
        known = kind.credentials.model_validate_json(account.credentials)
    except ValueError:
        return {}
    return {k: str(v) for k, v in known.model_dump().items() if k not in kind.secret}


def shown(account: PlatformAccount) -> dict[str, Any]:
    """What the log keeps of an access: nothing that opens anything."""
    return {
        "kind": account.kind,
        "name": account.name,
        "enabled": account.enabled,
        "places": dict(account.places),
        "fields": public_fields(account),
        "checked": account.checked,
    }


def _credentials(kind: Kind, given: dict[str, Any], settings: Settings) -> str:
    try:
        known: BaseModel = kind.credentials.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        info = kind.credentials.model_fields.get(field)
        title = (info.title if info is not None else None) or field
        empty = first["type"] in ("missing", "string_too_short")
        words = _("没填") if empty else _("格式不对")
        raise KaimenError(
            "platform.fields",
            _("{title}：{what}").format(title=_(title), what=words),
            status=422,
            field=f"fields.{field}",
        ) from None
    url = getattr(known, "base_url", None)
    if url is not None and not settings.payment_private_hosts:
        _need_host(str(url), kind)
    return known.model_dump_json()


def _need_host(url: str, kind: Kind) -> None:
    """Secrets go to the platform's own servers over TLS, to a relay's by its public name."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    good = parts.scheme == "https" and parts.port in {None, 443}
    if kind.hosts:
        good = good and host in kind.hosts
    else:
        good = good and "." in host and not _is_address(host)
    if not good:
        wanted = (
            _("接口地址：只能是平台自己的，如 {url}").format(url=f"https://{min(kind.hosts)}")
            if kind.hosts
            else _("接口地址：只能是公网的，以 https:// 开头")
        )
        raise KaimenError(
            "platform.host",
            wanted,
            status=422,
            field="fields.base_url",
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _places(
    session: AsyncSession,
    actor: Staff,
    kind: Kind,
    store_id: str | None,
    given: dict[str, str],
) -> dict[str, str]:
    """Our stores' numbers at the platform; only one's own stores, and all that the access is for."""
    wanted = {store: place for store, place in given.items() if place}
    if store_id is not None:
        wanted = {store_id: wanted.get(store_id, "")}
    query = scoped(actor, Store).where(col(Store.merchant_id) == actor.merchant_id)
    mine = {store.id for store in (await session.exec(query)).all()}
    if not set(wanted) <= mine:
        raise NotFound("store", "没有这家门店，或不归你管")
    if not kind.place:
        if store_id is None and kind.make is not None:
            raise KaimenError(
                "platform.store", "这种授权一家门店一个，选一家门店", status=422, field="store_id"
            )
        return {store_id: ""} if store_id is not None else dict.fromkeys(mine, "")
    if not wanted or any(not place for place in wanted.values()):
        raise KaimenError(
            "platform.places",
            _("填门店的{name}，至少一家").format(name=kind.place),
            status=422,
            field="places",
        )
    return wanted


async def _record(
    session: AsyncSession,
    actor: Staff,
    action: str,
    account: PlatformAccount,
    before: dict[str, Any],
    clocks: Clocks,
) -> None:
    was, now = changes(before, shown(account)) if before else ({}, shown(account))
    await record(
        session,
        actor,
        action,
        merchant_id=actor.merchant_id,
        store_id=account.store_id,
        subject=f"platform_account:{account.id}",
        before=was or None,
        after=now,
        clocks=clocks,
    )
