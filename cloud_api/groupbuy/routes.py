"""/groupbuy, /me/vouchers and /vouchers for customers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import wechat_share
from cloud_api.auth.deps import actor, customer
from cloud_api.groupbuy import back, buy, campaigns, recommend, redeem, views
from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.groupbuy.schemas import (
    AdviceOut,
    AdvicesOut,
    BuyIn,
    CampaignPageOut,
    CampaignsOut,
    GiftOut,
    GroupOrderOut,
    GroupOrdersOut,
    JoinIn,
    RedeemedOut,
    RedeemIn,
    ShareConfigOut,
    TeamOut,
    VoucherFullOut,
    VoucherOut,
    VouchersOut,
)
from cloud_api.kit import throttle
from cloud_api.kit.actor import Actor, Customer, System, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import HEADER, once
from cloud_api.kit.paging import page_of
from cloud_api.orders.pay_ways import with_balance
from cloud_api.orders.schemas import PayIn, PayOut, PayWayOut
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.payer_codes import payer_of
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.stored_value.service import wallet_of
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers import service as vouchers

router = APIRouter(tags=["group-buy"])
Who = Annotated[Customer, Depends(customer)]
TRIES = 10  # wrong codes of one person in ten minutes
_WINDOW_S = 600


@router.get("/groupbuy/campaigns")
async def list_campaigns(
    request: Request,
    store_id: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> CampaignsOut:
    """What may be bought now, in its merchant's order; ``store_id``: only what that store honours."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found, following = await campaigns.on_sale(
            session, store_id, cloud.clocks, cursor=cursor, limit=limit
        )
        return CampaignsOut(items=await views.campaigns(session, found), next_cursor=following)


@router.get("/groupbuy/recommendations")
async def recommendations(
    request: Request,
    who: Annotated[Actor, Depends(actor)],
    store_id: Annotated[str | None, Query(max_length=64)] = None,
) -> AdvicesOut:
    """Packages and campaigns that save this guest money, each with its reason; at most three."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await recommend.for_guest(session, who, cloud.clocks, store_id)
    return AdvicesOut(items=[advice_out(one) for one in found])


def advice_out(one: recommend.Advice) -> AdviceOut:
    """As the API and the pages tell it."""
    offer = one.offer
    return AdviceOut(
        kind=offer.kind,
        id=offer.id,
        name=offer.name,
        stores=list(offer.stores.values()),
        minutes=offer.minutes,
        price_fen=offer.price_fen,
        full_fen=offer.full_fen,
        when=offer.when,
        picture=offer.picture,
        room_id=offer.room_id,
        reason=one.reason,
    )


@router.get("/groupbuy/campaigns/{campaign_id}")
async def get_campaign(campaign_id: str, request: Request) -> CampaignPageOut:
    """One campaign, with the teams that may be joined."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        query = scoped(System(), Campaign).where(
            col(Campaign.id) == campaign_id, col(Campaign.state) != "draft"
        )
        found = (await session.exec(query)).first()
        if found is None:
            raise NotFound("campaign", "没有这个团购活动")
        (shown,) = await views.campaigns(session, [found])
        teams = await views.open_teams(session, found, cloud.clocks)
        return CampaignPageOut(**shown.model_dump(), teams=teams)


@router.post("/groupbuy/campaigns/{campaign_id}/orders", response_model=GroupOrderOut)
async def buy_campaign(campaign_id: str, body: BuyIn, request: Request, who: Who) -> Response:
    """Buy: in a new team, where the campaign has teams; ``alone`` at the list price."""
    cloud = cloud_of(request)

    async def act() -> GroupOrderOut:
        async with cloud.db.write() as session:
            order = await buy.buy(
                session,
                who,
                campaign_id,
                body.quantity,
                cloud.clocks,
                alone=body.alone,
                shared_by=body.shared_by,
            )
            return (await views.orders(session, [order], who))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/groupbuy/teams/{token}")
async def get_team(token: str, request: Request, who: Annotated[Actor, Depends(actor)]) -> TeamOut:
    """The team of a shared link: how many are missing, until when."""
    async with cloud_of(request).db.read() as session:
        found = (await session.exec(scoped(System(), Team).where(col(Team.token) == token))).first()
        if found is None:
            raise NotFound("team", "没有这个团")
        mine = scoped(who, GroupOrder).where(
            col(GroupOrder.team_id) == found.id,
            col(GroupOrder.status).in_(("pending_payment", "paid", "issued")),
        )
        inside = isinstance(who, Customer) and (await session.exec(mine)).first() is not None
        return views.team(found, mine=inside)


@router.post("/groupbuy/teams/{token}/join", response_model=GroupOrderOut)
async def join_team(token: str, body: JoinIn, request: Request, who: Who) -> Response:
    """Take a seat in somebody's team; it is held while one pays."""
    cloud = cloud_of(request)

    async def act() -> GroupOrderOut:
        async with cloud.db.write() as session:
            found = (
                await session.exec(scoped(System(), Team).where(col(Team.token) == token))
            ).first()
            if found is None:
                raise NotFound("team", "没有这个团，自己开一个吧")
            order = await buy.buy(
                session,
                who,
                found.campaign_id,
                body.quantity,
                cloud.clocks,
                team_token=token,
                shared_by=body.shared_by,
            )
            return (await views.orders(session, [order], who))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/wechat/share-config")
async def share_config(
    request: Request, url: Annotated[str, Query(min_length=8, max_length=500)]
) -> ShareConfigOut:
    """The signed configuration with which WeChat's script shares one of our pages (JS-SDK)."""
    signed = await wechat_share.signed_for(cloud_of(request), url)
    return ShareConfigOut(
        app_id=signed.app_id,
        timestamp=signed.timestamp,
        nonce=signed.nonce,
        signature=signed.signature,
    )


@router.get("/groupbuy/orders")
async def list_orders(
    request: Request,
    who: Who,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> GroupOrdersOut:
    """One's own group orders, newest first."""
    async with cloud_of(request).db.read() as session:
        found, following = await page_of(
            session,
            scoped(who, GroupOrder),
            by=GroupOrder.created_at,
            key=GroupOrder.id,
            cursor=cursor,
            limit=limit,
        )
        return GroupOrdersOut(items=await views.orders(session, found, who), next_cursor=following)


@router.get("/groupbuy/orders/{order_id}")
async def get_order(order_id: str, request: Request, who: Who) -> GroupOrderOut:
    """One group order."""
    async with cloud_of(request).db.read() as session:
        query = scoped(who, GroupOrder).where(col(GroupOrder.id) == order_id)
        found = (await session.exec(query)).first()
        if found is None:
            raise NotFound("group_order", "没有这个团购订单")
        (shown,) = await views.orders(session, [found], who)
        attempts = await payments.payments_of(session, buy.pays(order_id))
        newest = attempts[-1].state if attempts else None
        ways = await pay_with(session, found, cloud_of(request).clocks.real)
        return shown.model_copy(update={"payment_state": newest, "pay_with": ways})


@router.post("/groupbuy/orders/{order_id}/pay", response_model=PayOut)
async def pay_order(order_id: str, body: PayIn, request: Request, who: Who) -> Response:
    """Open a payment, or give back the one that is open."""
    cloud = cloud_of(request)

    async def act() -> PayOut:
        payment = await buy.pay(
            cloud,
            who,
            order_id,
            provider=body.provider,
            channel=body.channel,
            return_path=body.return_path,
            payer=payer_of(request, who),
            balance_fen=body.balance_fen,
        )
        return PayOut(
            payment_id=payment.id,
            number=payment.number,
            provider=payment.provider,
            state=payment.state,
            amount_fen=payment.amount_fen,
            redirect_url=payment.redirect_url if payment.state == "pending" else None,
            step=payment.step if payment.state == "pending" else None,
            expires_at=payment.expires_at,
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/groupbuy/orders/{order_id}/check-payment")
async def check_payment(order_id: str, request: Request, who: Who) -> GroupOrderOut:
    """Ask the provider now where an open payment stands; the answer is the order."""
    cloud = cloud_of(request)
    await get_order(order_id, request, who)
    async with cloud.db.read() as session:
        attempts = await payments.payments_of(session, buy.pays(order_id))
    for attempt in attempts:
        if attempt.state in OPEN_PAYMENT:
            attempt = await payments.look(cloud, attempt.id)
        if attempt.state == "succeeded" and attempt.applied is None:
            async with cloud.db.write() as session:
                await dispatch.settle(session, attempt.id, cloud.clocks)
    return await get_order(order_id, request, who)


@router.post("/groupbuy/orders/{order_id}/cancel", response_model=GroupOrderOut)
async def cancel_order(order_id: str, request: Request, who: Who) -> Response:
    """Give an unpaid group order up."""
    cloud = cloud_of(request)

    async def act() -> GroupOrderOut:
        async with cloud.db.write() as session:
            order = await buy.cancel(session, who, order_id, cloud.clocks)
            return (await views.orders(session, [order], who))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/me/vouchers")
async def my_vouchers(
    request: Request,
    who: Who,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> VouchersOut:
    """One's own vouchers, newest first."""
    async with cloud_of(request).db.read() as session:
        found, following = await vouchers.mine(session, who, cursor=cursor, limit=limit)
        return VouchersOut(items=await views.vouchers(session, found), next_cursor=following)


@router.get("/me/vouchers/{voucher_id}")
async def my_voucher(voucher_id: str, request: Request, who: Who) -> VoucherFullOut:
    """One voucher with its code and its QR of this minute."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await vouchers.get(session, who, voucher_id)
        return await views.voucher(session, found, cloud.clocks)


@router.post("/me/vouchers/{voucher_id}/gift", response_model=GiftOut)
async def give(voucher_id: str, request: Request, who: Who) -> Response:
    """A link for a friend; the one before it is worth nothing from now on."""
    cloud = cloud_of(request)

    async def act() -> GiftOut:
        async with cloud.db.write() as session:
            token = await vouchers.offer(session, who, voucher_id)
        return GiftOut(url=f"{cloud.settings.public_url.rstrip('/')}/gifts/{token}")

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/gifts/{token}/take", response_model=VoucherOut)
async def take_gift(token: str, request: Request, who: Who) -> Response:
    """Make a voucher that was given away one's own."""
    cloud = cloud_of(request)

    async def act() -> VoucherOut:
        async with cloud.db.write() as session:
            found = await vouchers.take_gift(session, who, token, cloud.clocks)
            return (await views.vouchers(session, [found]))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/me/vouchers/{voucher_id}/refund", response_model=VoucherOut)
async def refund_voucher(voucher_id: str, request: Request, who: Who) -> Response:
    """Give a voucher back that was not used."""
    cloud = cloud_of(request)

    async def act() -> VoucherOut:
        async with cloud.db.write() as session:
            found = await back.give_back(session, who, voucher_id, cloud.clocks)
            return (await views.vouchers(session, [found]))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/vouchers/redeem", response_model=RedeemedOut)
async def redeem_voucher(body: RedeemIn, request: Request, who: Who) -> Response:
    """Use one's own voucher for a room: its order is ready at once."""
    cloud = cloud_of(request)
    if body.code is not None:
        async with cloud.db.write() as session:
            await throttle.hit(
                session, f"voucher:{who.account_id}", TRIES, _WINDOW_S, cloud.clocks.real
            )

    async def act() -> RedeemedOut:
        async with cloud.db.write() as session:
            done = await redeem.redeem(
                session,
                who,
                text=body.code,
                voucher_id=body.voucher_id,
                room_id=body.room_id,
                starts_at=body.starts_at,
                way=body.way if body.way in ("online", "door") else "online",
                nonce=nonce_of(request, who.ref),
                clocks=cloud.clocks,
            )
            room = await session.get_one(Room, done.order.room_id)
            (shown,) = await views.vouchers(session, [done.voucher])
            return RedeemedOut(
                redemption_id=done.redemption.id,
                voucher=shown,
                order_id=done.order.id,
                order_number=done.order.number,
                room=room.name,
                starts_at=done.order.starts_at,
                ends_at=done.order.ends_at,
            )

    return await once(cloud, who.ref, request, await request.body(), act)


async def pay_with(session: AsyncSession, order: GroupOrder, real: datetime) -> list[PayWayOut]:
    """The ways to pay an order, one's balance among them; none where nothing is to be paid."""
    if order.status != "pending_payment":
        return []
    store = await session.get_one(Store, order.store_id)
    wallet = await wallet_of(session, order.merchant_id, order.account_id)
    accounts = await payments.accounts_of(session, store)
    has = 0 if wallet is None else wallet.total_fen
    return with_balance(accounts, order.total_fen, has, real, part=True)


def nonce_of(request: Request, ref: str) -> str | None:
    """The redemption's number from the client's key: the same try, also after a crash in the middle."""
    key = request.headers.get(HEADER)
    return None if key is None else f"{ref}:{key}"[:180]
