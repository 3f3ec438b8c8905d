"""/console/payment-accounts: a merchant's accounts at payment providers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.payments import accounts
from cloud_api.payments.account_schemas import (
    AccountChange,
    AccountIn,
    AccountOut,
    AccountsOut,
    CheckOut,
    FactOut,
    FieldOut,
    KindOut,
    OrderIn,
)
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.service import notify_url
from cloud_api.payments.setups import public_fields, setup_of
from cloud_api.payments.ways import channels_of, works
from cloud_api.settings import Settings
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["payments"])
Who = Annotated[Staff, Depends(staff_actor)]
_HERE = "/console/payment-accounts"


def kinds(settings: Settings) -> list[KindOut]:
    """The kinds that can be added here, and the fields that each wants."""
    return [
        KindOut(
            provider=key,
            name=_(setup.name),
            label=_(kind.label),
            guide=_(setup.guide),
            channels=[channel.value for channel in kind.channels],
            fields=fields_of(key),
        )
        for key, kind in PROVIDERS.items()
        for setup in (setup_of(key),)
        if setup.addable or settings.payment_private_hosts
    ]


def fields_of(provider: str) -> list[FieldOut]:
    """The fields of a kind's form."""
    setup = setup_of(provider)
    return [
        FieldOut(
            name=name,
            title=_(info.title or name),
            kind="file" if name in setup.files else "secret" if name in setup.secret else "text",
            long=name in setup.long,
            required=info.is_required(),
            default="" if info.is_required() else str(info.default),
        )
        for name, info in PROVIDERS[provider].credentials.model_fields.items()
    ]


def shown(cloud: Cloud, account: ProviderAccount) -> AccountOut:
    """An account as it may be shown."""
    real = cloud.clocks.real
    return AccountOut(
        id=account.id,
        provider=account.provider,
        provider_name=_(setup_of(account.provider).name),
        name=account.name,
        store_id=account.store_id,
        enabled=account.enabled,
        works=works(account, real),
        position=account.position,
        min_fen=account.min_fen,
        max_fen=account.max_fen,
        channels=channels_of(account),
        fields=public_fields(account.provider, account.credentials),
        facts=[
            FactOut(
                title=_(fact.title),
                text=_(fact.text),
                until=fact.until,
                days_left=None if fact.until is None else days_left(fact.until, real),
            )
            for fact in accounts.facts_of(account)
        ],
        expires_at=account.expires_at,
        checked_at=account.checked_at,
        checked=account.checked,
        notify_url=notify_url(cloud, account.provider, account.id),
    )


def days_left(until: datetime, real: datetime) -> int:
    """Whole days; nought or less: it is over."""
    return (until - real).days


@router.get(_HERE)
async def list_accounts(request: Request, who: Who) -> AccountsOut:
    """The accounts and the kinds there are. Needs payment.accounts."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await accounts.list_accounts(session, who)
    return AccountsOut(
        items=[shown(cloud, account) for account in found], kinds=kinds(cloud.settings)
    )


@router.post(_HERE, response_model=AccountOut)
async def add_account(request: Request, body: AccountIn, who: Who) -> Response:
    """Add an account. Needs payment.accounts, and the second factor just now."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            account = await accounts.add(session, who, body, cloud.clocks, cloud.settings)
            return JSONResponse(shown(cloud, account).model_dump(mode="json"))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post(f"{_HERE}/order")
async def arrange(request: Request, body: OrderIn, who: Who) -> AccountsOut:
    """The order in which people see them. Needs payment.accounts."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await accounts.arrange(session, who, body.ids, cloud.clocks)
    return AccountsOut(
        items=[shown(cloud, account) for account in found], kinds=kinds(cloud.settings)
    )


@router.patch(f"{_HERE}/{{account_id}}")
async def change_account(
    account_id: str, request: Request, body: AccountChange, who: Who
) -> AccountOut:
    """Change an account. Needs payment.accounts, and the second factor just now."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        account = await accounts.change(
            session, who, account_id, body, cloud.clocks, cloud.settings
        )
    return shown(cloud, account)


@router.post(f"{_HERE}/{{account_id}}/check", response_model=CheckOut)
async def check_account(account_id: str, request: Request, who: Who) -> CheckOut:
    """Call the provider and say how it went. Needs payment.accounts."""
    cloud = cloud_of(request)
    wrong = await accounts.check(cloud, who, account_id)
    return CheckOut(ok=not wrong, message=_(wrong or _("通了，可以收款")), at=cloud.clocks.real)
