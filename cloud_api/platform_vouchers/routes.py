"""/console/platform-accounts: a merchant's access to platforms, and what their deals open."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.platform_vouchers import accounts, deals
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDeal
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.schemas import (
    AccountChange,
    AccountIn,
    AccountOut,
    AccountsOut,
    CheckOut,
    DealIn,
    DealOut,
    DealsOut,
)
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console", tags=["console: platform vouchers"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/platform-accounts")
async def list_accounts(request: Request, who: Who) -> AccountsOut:
    """The accesses. Needs payment.accounts."""
    async with cloud_of(request).db.read() as session:
        return AccountsOut(items=[shown(one) for one in await accounts.list_accounts(session, who)])


@router.post("/platform-accounts", response_model=AccountOut)
async def add_account(body: AccountIn, request: Request, who: Who) -> Response:
    """Add one. Needs payment.accounts, and the second factor just now."""
    cloud = cloud_of(request)

    async def act() -> AccountOut:
        async with cloud.db.write() as session:
            return shown(await accounts.add(session, who, body, cloud.clocks, cloud.settings))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.patch("/platform-accounts/{account_id}")
async def change_account(
    account_id: str, body: AccountChange, request: Request, who: Who
) -> AccountOut:
    """Change one. Needs payment.accounts, and the second factor just now."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return shown(
            await accounts.change(session, who, account_id, body, cloud.clocks, cloud.settings)
        )


@router.post("/platform-accounts/{account_id}/check", response_model=CheckOut)
async def check_account(account_id: str, request: Request, who: Who) -> CheckOut:
    """Call the platform and say how it went. Needs payment.accounts."""
    cloud = cloud_of(request)
    wrong = await accounts.check(cloud, who, account_id)
    return CheckOut(ok=not wrong, message=wrong or _("通了，可以核销"), at=cloud.clocks.real)


@router.get("/platform-accounts/{account_id}/deals")
async def list_deals(account_id: str, request: Request, who: Who) -> DealsOut:
    """What the platform's deals open here. Needs campaign.read."""
    async with cloud_of(request).db.read() as session:
        account = await accounts.get_account(session, who, account_id)
        return DealsOut(items=[deal_out(one) for one in await deals.deals_of(session, account)])


@router.post("/platform-accounts/{account_id}/deals", response_model=DealOut)
async def add_deal(account_id: str, body: DealIn, request: Request, who: Who) -> Response:
    """Say what a deal opens. Needs campaign.edit."""
    cloud = cloud_of(request)

    async def act() -> DealOut:
        async with cloud.db.write() as session:
            account = await accounts.get_account(session, who, account_id)
            return deal_out(
                await deals.save(session, who, account, None, body.model_dump(), cloud.clocks)
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.put("/platform-accounts/{account_id}/deals/{deal_id}")
async def change_deal(
    account_id: str, deal_id: str, body: DealIn, request: Request, who: Who
) -> DealOut:
    """Change what a deal opens; what was used stays as it was. Needs campaign.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        account = await accounts.get_account(session, who, account_id)
        return deal_out(
            await deals.save(session, who, account, deal_id, body.model_dump(), cloud.clocks)
        )


def shown(account: PlatformAccount) -> AccountOut:
    """An access without its secrets."""
    kind = KINDS[account.kind]
    return AccountOut(
        id=account.id,
        kind=account.kind,
        kind_name=_(kind.name),
        name=account.name,
        store_id=account.store_id,
        places={key: str(value) for key, value in account.places.items()},
        enabled=account.enabled,
        fields=accounts.public_fields(account),
        window_s=kind.window_s,
        has_records=kind.has_records,
        checked_at=account.checked_at,
        checked=account.checked,
    )


def deal_out(deal: PlatformDeal) -> DealOut:
    """A deal with its number."""
    return DealOut(**{**deal.model_dump(), "account_id": deal.platform_account_id})
