"""/console: campaigns, the desk where vouchers are redeemed, and what came of it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import col

from cloud_api.audit import service as audit
from cloud_api.groupbuy import campaigns, desk, longer, redeem, report, views
from cloud_api.groupbuy.models import Campaign
from cloud_api.groupbuy.routes import nonce_of
from cloud_api.groupbuy.schemas import (
    CampaignIn,
    ConsoleCampaignOut,
    ConsoleCampaignsOut,
    ExtendIn,
    LookIn,
    LookOut,
    RedeemedOut,
    RedeemIn,
    RedemptionsOut,
    ReportOut,
    VoucherOut,
    WhyIn,
)
from cloud_api.kit import throttle
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.calendar import Day
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.kit.paging import page_of
from cloud_api.orders import export_sheet
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.models import Room

router = APIRouter(prefix="/console", tags=["console: group-buy"])
Who = Annotated[Staff, Depends(staff_actor)]
_TURNS = {"publish": "published", "pause": "paused", "end": "ended"}
_TRIES = 60  # codes of one desk in ten minutes


@router.get("/campaigns")
async def list_campaigns(
    request: Request,
    who: Who,
    state: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ConsoleCampaignsOut:
    """One's campaigns, newest first, with what came of each."""
    query = scoped(who, Campaign)
    if state:
        query = query.where(col(Campaign.state) == state)
    async with cloud_of(request).db.read() as session:
        found, following = await page_of(
            session, query, by=Campaign.created_at, key=Campaign.id, cursor=cursor, limit=limit
        )
        items = await views.for_merchant(session, found)
    return ConsoleCampaignsOut(items=items, next_cursor=following)


@router.post("/campaigns", response_model=ConsoleCampaignOut)
async def create_campaign(body: CampaignIn, request: Request, who: Who) -> Response:
    """A new draft."""
    cloud = cloud_of(request)

    async def act() -> ConsoleCampaignOut:
        async with cloud.db.write() as session:
            made = await campaigns.create(session, who, body.model_dump(), cloud.clocks)
            return (await views.for_merchant(session, [made]))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/campaigns/{campaign_id}")
async def get_campaign(campaign_id: str, request: Request, who: Who) -> ConsoleCampaignOut:
    """One campaign."""
    async with cloud_of(request).db.read() as session:
        query = scoped(who, Campaign).where(col(Campaign.id) == campaign_id)
        found = (await session.exec(query)).first()
        if found is None:
            raise NotFound("campaign", "没有这个团购活动")
        return (await views.for_merchant(session, [found]))[0]


@router.put("/campaigns/{campaign_id}", response_model=ConsoleCampaignOut)
async def edit_campaign(
    campaign_id: str, body: CampaignIn, request: Request, who: Who
) -> ConsoleCampaignOut:
    """Change a campaign; what was sold keeps the terms it was sold under."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await campaigns.edit(session, who, campaign_id, body.model_dump(), cloud.clocks)
        return (await views.for_merchant(session, [found]))[0]


@router.post("/campaigns/{campaign_id}/{turn}", response_model=ConsoleCampaignOut)
async def turn_campaign(
    campaign_id: str,
    turn: Literal["publish", "pause", "end", "copy"],
    request: Request,
    who: Who,
) -> Response:
    """Publish, pause, end or copy a campaign."""
    cloud = cloud_of(request)

    async def act() -> ConsoleCampaignOut:
        async with cloud.db.write() as session:
            if turn == "copy":
                found = await campaigns.copy(session, who, campaign_id, cloud.clocks)
            else:
                found = await campaigns.turn(session, who, campaign_id, _TURNS[turn], cloud.clocks)
            return (await views.for_merchant(session, [found]))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/vouchers/look")
async def look(body: LookIn, request: Request, who: Who) -> LookOut:
    """What a code or a scanned QR is worth, before anything happens."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await throttle.hit(session, f"desk:{who.account_id}", _TRIES, 600, cloud.clocks.real)
    async with cloud.db.read() as session:
        return await desk.look(session, who, body.code, body.store_id, cloud.clocks)


@router.post("/vouchers/redeem", response_model=RedeemedOut)
async def redeem_voucher(body: RedeemIn, request: Request, who: Who) -> Response:
    """Redeem for a guest: by scan, by code, or picked from a list."""
    cloud = cloud_of(request)

    async def act() -> RedeemedOut:
        async with cloud.db.write() as session:
            done = await redeem.redeem(
                session,
                who,
                text=body.code,
                voucher_id=body.voucher_id,
                room_id=body.room_id,
                starts_at=body.starts_at,
                way=body.way if body.way in ("scan", "code", "pick") else "code",
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


@router.post("/vouchers/{voucher_id}/extend", response_model=VoucherOut)
async def extend_voucher(voucher_id: str, body: ExtendIn, request: Request, who: Who) -> VoucherOut:
    """Let a voucher be good for longer, for a reason."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await longer.extend(session, who, voucher_id, body.until, body.why, cloud.clocks)
        return (await views.vouchers(session, [found]))[0]


@router.get("/redemptions")
async def list_redemptions(
    request: Request,
    who: Who,
    store_id: Annotated[str | None, Query(max_length=64)] = None,
    campaign_id: Annotated[str | None, Query(max_length=64)] = None,
    day: Day | None = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> RedemptionsOut:
    """Who redeemed what, when and where, newest first; what was undone stands there too."""
    async with cloud_of(request).db.read() as session:
        return await desk.log_of(
            session, who, store_id=store_id, campaign_id=campaign_id, day=day,
            cursor=cursor, limit=limit,
        )  # fmt: skip


@router.post("/redemptions/{redemption_id}/undo", response_model=VoucherOut)
async def undo_redemption(redemption_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """Take a redemption back while the guests are not in."""
    cloud = cloud_of(request)

    async def act() -> VoucherOut:
        async with cloud.db.write() as session:
            found = await redeem.undo(session, who, redemption_id, body.why, cloud.clocks)
            return (await views.vouchers(session, [found]))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/groupbuy/report")
async def groupbuy_report(
    request: Request,
    who: Who,
    first: Day,
    last: Day,
    by: Annotated[
        Literal["campaign", "store", "staff", "day", "way", "channel"], Query()
    ] = "campaign",
) -> ReportOut:
    """Sold, redeemed, expired and refunded between two days, by one dimension."""
    async with cloud_of(request).db.read() as session:
        return await report.report(session, who, first, last, by)


@router.get("/groupbuy/report.{form}")
async def groupbuy_sheet(
    form: Literal["csv", "xlsx"],
    request: Request,
    who: Who,
    first: Day,
    last: Day,
    by: Annotated[
        Literal["campaign", "store", "staff", "day", "way", "channel"], Query()
    ] = "campaign",
) -> Response:
    """The same as a sheet to take along; who took it is written down."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        told = await report.report(session, who, first, last, by)
        await audit.record(
            session,
            who,
            "groupbuy.export",
            merchant_id=who.merchant_id,
            subject=f"groupbuy_report:{first}:{last}",
            after={"by": by, "form": form, "rows": len(told.rows)},
            clocks=cloud.clocks,
        )
    head, *rows = report.sheet(told)
    name = f"groupbuy-{by}-{first}-{last}.{form}"
    return Response(
        export_sheet.write(form, rows, [str(one) for one in head], _("团购统计")),
        media_type=export_sheet.FORMS[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
