"""Payment accounts for the owner: which there are, whether payers see them, and their keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.payments import accounts
from cloud_api.payments.account_routes import days_left, fields_of, kinds
from cloud_api.payments.certificates import Fact
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.service import notify_url
from cloud_api.payments.setups import public_fields, setup_of
from cloud_api.payments.ways import channels_of, works
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import PAYMENT_ACCOUNTS
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.payments import (
    AccountFact,
    AccountField,
    AccountKind,
    AccountPage,
    AccountRow,
    AccountsPage,
)

router = APIRouter(prefix="/console/payments", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/payments"
HERE: Final = "payments"
SOON_DAYS: Final = 30
CHANNELS: Final = {
    "page": "电脑和手机网页",
    "wap": "手机网页",
    "h5": "手机浏览器（H5）",
    "jsapi": "微信里（公众号）",
    "mini": "小程序",
    "native": "电脑上扫码",
    "qr": "电脑上扫码",
}


@router.get("")
async def all_accounts(seen: Seen, who: Who) -> Response:
    """The accounts, in the order in which people see them. Needs payment.accounts."""
    who.need(PAYMENT_ACCOUNTS)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await accounts.list_accounts(session, who)
    ids = [account.id for account in found]
    model = AccountsPage(
        rows=tuple(_row(seen, frame, account, ids) for account in found),
        kinds=tuple(
            AccountKind(
                kind.name,
                kind.label,
                setup_of(kind.provider).icon,
                f"{PATH}/new?kind={kind.provider}",
            )
            for kind in kinds(seen.cloud.settings)
        ),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/payment_accounts.html", model, here=HERE)


@router.get("/new")
async def new_account(seen: Seen, who: Who, kind: str = "") -> Response:
    """The form for a new account. Needs payment.accounts."""
    who.need(PAYMENT_ACCOUNTS)
    if kind not in {one.provider for one in kinds(seen.cloud.settings)}:
        raise NotFound("account", "没有这种支付方式")
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    setup = setup_of(kind)
    model = AccountPage(
        id="",
        provider=kind,
        kind_name=_(setup.name),
        guide=_(setup.guide),
        name=_(PROVIDERS[kind].label),
        enabled=True,
        fields=_fields(kind, None),
        channels=_channels(kind, None),
        min_fen=None,
        max_fen=None,
        stores=tuple((store.id, store.name) for store in frame.stores),
        all_stores=who.store_ids is None,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/payment_account.html", model, here=HERE)


@router.get("/{account_id}")
async def one_account(seen: Seen, who: Who, account_id: str) -> Response:
    """An account's form, without its secrets. Needs payment.accounts."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        account = await accounts.get_account(session, who, account_id)
    here = seen.at(frame.tz)
    setup = setup_of(account.provider)
    real = seen.cloud.clocks.real
    model = AccountPage(
        id=account.id,
        provider=account.provider,
        kind_name=_(setup.name),
        guide=_(setup.guide),
        name=account.name,
        enabled=account.enabled,
        fields=_fields(account.provider, account),
        channels=_channels(account.provider, account),
        min_fen=account.min_fen,
        max_fen=account.max_fen,
        stores=(),
        all_stores=account.store_id is None,
        facts=tuple(_fact(here, fact, real) for fact in accounts.facts_of(account)),
        notify_url=notify_url(seen.cloud, account.provider, account.id),
        store_name=_store(frame, account),
        checked=_checked(account),
        checked_at=None if account.checked_at is None else here.local(account.checked_at),
        good=account.checked == "ok",
    )
    return console_page(here, who, frame, "console/payment_account.html", model, here=HERE)


def _row(seen: Visit, frame: Frame, account: ProviderAccount, ids: Sequence[str]) -> AccountRow:
    state, tone, why = _state(account, seen.cloud.clocks.real)
    place = ids.index(account.id)
    moved = list(ids)
    if place:
        moved[place - 1], moved[place] = moved[place], moved[place - 1]
    return AccountRow(
        id=account.id,
        name=account.name,
        kind=_(setup_of(account.provider).name),
        icon=setup_of(account.provider).icon,
        store_name=_store(frame, account),
        state=state,
        tone=tone,
        why=why,
        limits=_limits(account),
        href=f"{PATH}/{account.id}",
        up=json.dumps({"ids": moved}) if place else "",
    )


def _state(account: ProviderAccount, real: datetime) -> tuple[str, str, str]:
    """Whether payers see it, as a chip; and what stands in the way."""
    if not account.enabled:
        return _("停用"), "is-maintenance", ""
    if account.expires_at is not None and account.expires_at <= real:
        return _("证书到期"), "is-overtime", _("顾客看不到它，换一张新证书")
    if not works(account, real):
        return _("不能用"), "is-overtime", _("密钥不完整，重新填一次")
    if account.checked not in (None, "ok"):
        return _("试过不通"), "is-overtime", str(account.checked)
    if account.expires_at is not None and days_left(account.expires_at, real) <= SOON_DAYS:
        left = days_left(account.expires_at, real)
        return _("快到期"), "is-grace", _("证书还有 {n} 天到期").format(n=left)
    if account.checked is None:
        return _("还没试过"), "is-booked", _("试一下，确认能收款")
    return _("在用"), "is-free", ""


def _checked(account: ProviderAccount) -> str:
    if account.checked is None:
        return ""
    return _("通了，可以收款") if account.checked == "ok" else _(account.checked)


def _limits(account: ProviderAccount) -> str:
    low, high = account.min_fen, account.max_fen
    if low is None and high is None:
        return _("不限金额")
    if low is None:
        return _("每笔最多 {sum}").format(sum=yuan(high or 0))
    if high is None:
        return _("每笔最少 {sum}").format(sum=yuan(low))
    return f"{yuan(low)} – {yuan(high)}"


def _store(frame: Frame, account: ProviderAccount) -> str:
    if account.store_id is None:
        return _("全部门店")
    return next((store.name for store in frame.stores if store.id == account.store_id), "")


def _fact(here: Visit, fact: Fact, real: datetime) -> AccountFact:
    if fact.until is None:
        return AccountFact(_(fact.title), _(fact.text))
    left = days_left(fact.until, real)
    if left < 0:
        words, tone = _("已到期"), "is-overtime"
    else:
        words = _("还有 {n} 天").format(n=left)
        tone = "is-grace" if left <= SOON_DAYS else "is-free"
    return AccountFact(_(fact.title), _(fact.text), here.local(fact.until), words, tone)


def _fields(provider: str, account: ProviderAccount | None) -> tuple[AccountField, ...]:
    setup = setup_of(provider)
    values = {} if account is None else public_fields(provider, account.credentials)
    return tuple(
        AccountField(
            name=field.name,
            title=field.title,
            kind="long"
            if field.long
            else {"file": "file", "secret": "password"}.get(field.kind, "text"),
            value=values.get(field.name, field.default),
            required=field.required and account is None,
            kept=account is not None and field.name in setup.secret | setup.files,
        )
        for field in fields_of(provider)
    )


def _channels(provider: str, account: ProviderAccount | None) -> tuple[tuple[str, str, bool], ...]:
    mine = [channel.value for channel in PROVIDERS[provider].channels]
    on = mine if account is None else channels_of(account)
    return tuple((one, _(CHANNELS.get(one, one)), one in on) for one in mine)
