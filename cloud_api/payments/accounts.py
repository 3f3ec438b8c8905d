"""A merchant's accounts at payment providers, as its owner sets them up: secrets in, never out.

Every act needs payment.accounts. What changes is written down without a secret in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit.service import changes, record
from cloud_api.kit import throttle
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.merchants.models import Merchant
from cloud_api.payments.account_schemas import AccountChange, AccountIn
from cloud_api.payments.certificates import Fact, fingerprint
from cloud_api.payments.house import LABELS
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.providers.base import Money, PaymentRef
from cloud_api.payments.service import provider_of
from cloud_api.payments.setups import Setup, public_fields, setup_of
from cloud_api.settings import Settings
from cloud_api.staff.permissions import PAYMENT_ACCOUNTS
from cloud_api.stores.models import Store

CHECKS: Final = (20, 600)  # so many tries in so many seconds: each of them calls a provider
CHECKED: Final = 200


@runtime_checkable
class SaysWhatIsWrong(Protocol):
    """A provider that can try its account and say in words what is wrong."""

    async def check(self) -> str:
        """``""`` if the provider lets us in."""
        ...


@runtime_checkable
class HasFacts(Protocol):
    """Credentials that say what of them may be shown."""

    def facts(self) -> list[Fact]:
        """Serial numbers, fingerprints, last days."""
        ...


async def list_accounts(session: AsyncSession, actor: Staff) -> Sequence[ProviderAccount]:
    """The accounts of the stores that ``actor`` works in, in the order of the page.

    Not the rows that stand for the house itself (cash, balance): there is nothing to set up.
    """
    actor.need(PAYMENT_ACCOUNTS)
    query = _of_providers(actor).order_by(col(ProviderAccount.position), col(ProviderAccount.id))
    return (await session.exec(query)).all()


def _of_providers(actor: Staff) -> SelectOfScalar[ProviderAccount]:
    return scoped(actor, ProviderAccount).where(col(ProviderAccount.provider).not_in(LABELS))


async def get_account(session: AsyncSession, actor: Staff, account_id: str) -> ProviderAccount:
    """One of them. Raises NotFound."""
    actor.need(PAYMENT_ACCOUNTS)
    query = _of_providers(actor).where(col(ProviderAccount.id) == account_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("account", "没有这个收款账户，或不归你管")
    return found


async def add(
    session: AsyncSession, actor: Staff, asked: AccountIn, clocks: Clocks, settings: Settings
) -> ProviderAccount:
    """A new account. Raises KaimenError: ``account.provider``, ``account.fields``, ``account.host``
    (each with ``field``), ``account.limits``; Conflict ``account.twice``; NotFound for another's store.
    """
    actor.need(PAYMENT_ACCOUNTS)
    setup = _setup(asked.provider, settings)
    await _need_scope(session, actor, asked.store_id)
    await _lock(session, actor)
    credentials, until = _checked(asked.provider, setup, asked.fields, settings)
    last = await list_accounts(session, actor)
    account = ProviderAccount(
        merchant_id=actor.merchant_id,
        store_id=asked.store_id,
        provider=asked.provider,
        name=asked.name,
        credentials=credentials,
        enabled=asked.enabled,
        position=max((one.position for one in last), default=0) + 1,
        min_fen=asked.min_fen,
        max_fen=asked.max_fen,
        channels=_channels(asked.provider, asked.channels),
        expires_at=until,
        created_at=clocks.now,
    )
    _limits(account)
    await _only_one(session, account)
    session.add(account)
    await session.flush()
    await _record(session, actor, "payment_account.add", account, {}, clocks)
    return account


async def change(
    session: AsyncSession,
    actor: Staff,
    account_id: str,
    asked: AccountChange,
    clocks: Clocks,
    settings: Settings,
) -> ProviderAccount:
    """Change what is given; a secret left empty stays. Raises as ``add``, and Conflict
    ``account.identity`` where money has moved through it and it would become somebody else's.
    """
    await _lock(session, actor)
    account = await get_account(session, actor, account_id)
    before = _shown(account)
    given = asked.model_fields_set
    if asked.fields is not None:
        await _renew(session, account, asked.fields, settings)
    for name in ("name", "enabled", "min_fen", "max_fen"):
        if name in given:
            setattr(account, name, getattr(asked, name))
    if asked.channels is not None:
        account.channels = _channels(account.provider, asked.channels)
    _limits(account)
    if account.enabled:
        await _only_one(session, account)
    session.add(account)
    await session.flush()
    await _record(session, actor, "payment_account.change", account, before, clocks)
    return account


async def arrange(
    session: AsyncSession, actor: Staff, ids: Sequence[str], clocks: Clocks
) -> Sequence[ProviderAccount]:
    """The order of the page from now on; those that are not named follow behind."""
    known = {account.id: account for account in await list_accounts(session, actor)}
    wanted = [known[one] for one in ids if one in known]
    rest = [account for account in known.values() if account not in wanted]
    for place, account in enumerate([*wanted, *rest], 1):
        before = _shown(account)
        if account.position != place:
            account.position = place
            session.add(account)
            await _record(session, actor, "payment_account.change", account, before, clocks)
    await session.flush()
    return await list_accounts(session, actor)


async def check(cloud: Cloud, actor: Staff, account_id: str) -> str:
    """Call the provider with the account; ``""`` if it lets us in, else what is wrong, in words."""
    async with cloud.db.write() as session:
        account = await get_account(session, actor, account_id)
        key = f"account-check:{actor.merchant_id}"
        await throttle.hit(session, key, *CHECKS, cloud.clocks.real)
    wrong = await _try(cloud, account)
    async with cloud.db.write() as session:
        row = await get_account(session, actor, account_id)
        row.checked_at, row.checked = cloud.clocks.real, (wrong or "ok")[:CHECKED]
        session.add(row)
        await _record(session, actor, "payment_account.check", row, {}, cloud.clocks)
    return wrong


async def _try(cloud: Cloud, account: ProviderAccount) -> str:
    try:
        provider = provider_of(cloud, account)
    except (ValueError, KeyError):
        return later("存着的密钥不完整，重新填一次")
    if account.expires_at is not None and account.expires_at <= cloud.clocks.real:
        return _("证书 {expires_at:%Y-%m-%d} 已经到期，换一张新的").format(
            expires_at=account.expires_at
        )
    if isinstance(provider, SaysWhatIsWrong):
        return await provider.check()
    now = cloud.clocks.now
    view = await provider.query(PaymentRef(f"{now:%y%m%d%H%M%S}000000-0", 1, now))
    if view.state is Money.UNKNOWN:
        return _("没有得到可以核实的回答（{detail}）").format(detail=view.detail)
    return ""


def facts_of(account: ProviderAccount) -> list[Fact]:
    """What may be shown of an account's credentials."""
    try:
        known = PROVIDERS[account.provider].credentials.model_validate_json(account.credentials)
    except (ValueError, KeyError):
        return [Fact(later("密钥"), later("不完整，重新填一次"))]
    if isinstance(known, HasFacts):
        return known.facts()
    secret = setup_of(account.provider).secret
    return [
        Fact(info.title or name, _("指纹 {print}").format(print=fingerprint(str(value))))
        for name, info in type(known).model_fields.items()
        if name in secret and (value := getattr(known, name))
    ]


def _setup(provider: str, settings: Settings) -> Setup:
    if provider not in PROVIDERS:
        raise KaimenError("account.provider", "没有这种支付方式", status=422, field="provider")
    setup = setup_of(provider)
    if not setup.addable and not settings.payment_private_hosts:
        raise KaimenError("account.provider", "这种方式只用于演示", status=422, field="provider")
    return setup


async def _renew(
    session: AsyncSession, account: ProviderAccount, given: dict[str, Any], settings: Settings
) -> None:
    """Other credentials: secrets left empty stay, unless they would be shown to somebody else."""
    setup = setup_of(account.provider)
    old: dict[str, Any] = json.loads(account.credentials)
    wanted = {name: value for name, value in given.items() if value not in (None, "")}
    moved = any(
        name in wanted and str(wanted[name]).strip() != str(old.get(name, ""))
        for name in setup.addresses
    )
    for name, value in old.items():
        if name not in wanted and not (moved and name in setup.secret):
            wanted[name] = value
    credentials, until = _checked(account.provider, setup, wanted, settings)
    if credentials == account.credentials:
        return
    new: dict[str, Any] = json.loads(credentials)
    if any(new.get(name) != old.get(name) for name in setup.identity):
        used = select(col(PaymentAttempt.id)).where(col(PaymentAttempt.account_ref) == account.id)
        if (await session.exec(used.limit(1))).first() is not None:
            raise Conflict(
                "account.identity",
                "这个账户已经收过款，商户号不能改：停用它，另加一个",
                field=f"fields.{min(setup.identity)}",
            )
    account.credentials, account.expires_at = credentials, until
    account.checked_at, account.checked = None, None


def _checked(
    provider: str, setup: Setup, given: dict[str, Any], settings: Settings
) -> tuple[str, datetime | None]:
    """The fields as JSON, and the first day on which a certificate among them ends."""
    kind = PROVIDERS[provider].credentials
    try:
        known = kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else _blamed(str(first["msg"]), setup)
        raise KaimenError(
            "account.fields",
            _("{title}：{what}").format(
                title=_(_title(kind, field)), what=_(_why(first["type"], str(first["msg"])))
            ),
            status=422,
            field=f"fields.{field}",
        ) from None
    for name in setup.addresses:
        _need_host(str(getattr(known, name)), setup, settings, kind, name)
    ends = (
        [fact.until for fact in known.facts() if fact.until] if isinstance(known, HasFacts) else []
    )
    return known.model_dump_json(), min(ends, default=None)


def _blamed(message: str, setup: Setup) -> str:
    """The field that a check of several at once is about."""
    if "password" in message and "pfx_password" in setup.secret:
        return "pfx_password"
    if "pfx" in setup.files:
        return "pfx"
    return min(setup.files, default="") or min(setup.secret, default="")


_WORDS: Final = {
    "missing": "没填",
    "string_too_short": "没填",
    "string_too_long": "太长了",
    "string_pattern_mismatch": "格式不对",
    "extra_forbidden": "没有这一项",
}
_REASONS: Final = (
    ("wrong password", "密码不对，或者不是 .pfx 文件"),
    ("private key", "不是 RSA 私钥，把整个文件的内容贴进来"),
    ("public_key and public_key_id", "公钥和公钥 ID 要一起填"),
    ("public_key_id begins", "公钥 ID 以 PUB_KEY_ID_ 开头"),
    ("public key", "不是 RSA 公钥"),
    ("deserialize", "不是 PEM 格式，把整个文件的内容贴进来"),
    ("not a certificate that issues", "不是中级或根证书，选错文件了"),
    ("not a certificate", "不是证书文件"),
    ("no key in it", "文件里没有私钥"),
    ("not RSA", "私钥不是 2048 位以上的 RSA"),
    ("not Base64", "文件没有读出来，重新选一次"),
)


def _why(kind: str, message: str) -> str:
    known = _WORDS.get(kind)
    return known or next(
        (text for part, text in _REASONS if part in message), later("没填或者不对")
    )


def _title(kind: type[BaseModel], field: str) -> str:
    info = kind.model_fields.get(field)
    return (info.title or field) if info is not None else (field or later("密钥"))


def _need_host(
    url: str, setup: Setup, settings: Settings, kind: type[BaseModel], name: str
) -> None:
    """Secrets go to the provider's own servers over TLS and nowhere else."""
    if settings.payment_private_hosts:
        return
    parts = urlsplit(url)
    if (
        parts.scheme != "https"
        or parts.hostname not in setup.hosts
        or parts.port not in {None, 443}
    ):
        raise KaimenError(
            "account.host",
            _("{title}：只能是服务商自己的地址，如 https://{hosts}").format(
                title=_(_title(kind, name)), hosts=min(setup.hosts, default="")
            ),
            status=422,
            field=f"fields.{name}",
        )


def _channels(provider: str, asked: Sequence[str]) -> list[str]:
    known = [channel.value for channel in PROVIDERS[provider].channels]
    if any(one not in known for one in asked):
        raise KaimenError("account.channels", "没有这种付款场景", status=422, field="channels")
    chosen = [one for one in known if one in asked]
    return [] if len(chosen) == len(known) else chosen


def _limits(account: ProviderAccount) -> None:
    low, high = account.min_fen, account.max_fen
    if low is not None and high is not None and low > high:
        raise KaimenError("account.limits", "最少的金额比最多的还大", status=422, field="min_fen")


async def _need_scope(session: AsyncSession, actor: Staff, store_id: str | None) -> None:
    """An account of all stores needs somebody who works in all of them."""
    if store_id is None:
        if actor.store_ids is not None:
            raise KaimenError(
                "account.store", "你只管部分门店，选一家门店", status=422, field="store_id"
            )
        return
    query = scoped(actor, Store).where(col(Store.id) == store_id)
    found = (await session.exec(query)).first()
    if found is None or found.merchant_id != actor.merchant_id:
        raise NotFound("store", "没有这家门店，或不归你管")


async def _lock(session: AsyncSession, actor: Staff) -> None:
    """One change of accounts at a time per merchant."""
    query = select(Merchant).where(col(Merchant.id) == actor.merchant_id).with_for_update()
    await session.exec(query)


async def _only_one(session: AsyncSession, account: ProviderAccount) -> None:
    """Two open accounts of one kind for the same stores would be a coin toss."""
    if not account.enabled:
        return
    same_store = (
        col(ProviderAccount.store_id).is_(None)
        if account.store_id is None
        else col(ProviderAccount.store_id) == account.store_id
    )
    query = select(col(ProviderAccount.id)).where(
        col(ProviderAccount.merchant_id) == account.merchant_id,
        col(ProviderAccount.provider) == account.provider,
        col(ProviderAccount.enabled).is_(True),
        col(ProviderAccount.id) != account.id,
        same_store,
    )
    if (await session.exec(query)).first() is not None:
        raise Conflict("account.twice", "这里已经有一个同样的收款账户在用，先停用它")


def _shown(account: ProviderAccount) -> dict[str, Any]:
    """What the log keeps of an account: nothing that opens anything."""
    return {
        "provider": account.provider,
        "name": account.name,
        "enabled": account.enabled,
        "position": account.position,
        "min_fen": account.min_fen,
        "max_fen": account.max_fen,
        "channels": list(account.channels),
        "fields": public_fields(account.provider, account.credentials),
        "keys": [fact.text for fact in facts_of(account)],
        "checked": account.checked,
    }


async def _record(
    session: AsyncSession,
    actor: Staff,
    action: str,
    account: ProviderAccount,
    before: dict[str, Any],
    clocks: Clocks,
) -> None:
    was, now = changes(before, _shown(account)) if before else ({}, _shown(account))
    await record(
        session,
        actor,
        action,
        merchant_id=actor.merchant_id,
        store_id=account.store_id,
        subject=f"payment_account:{account.id}",
        before=was or None,
        after=now,
        clocks=clocks,
    )
