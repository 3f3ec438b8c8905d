"""Platform vouchers over HTTP: guests look and redeem; at the desk staff do, and decide what is open."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import phones
from cloud_api.auth.deps import customer
from cloud_api.auth.service import account_of_phone, make_account
from cloud_api.groupbuy import platform, platform_hand, platform_views
from cloud_api.groupbuy.routes import nonce_of
from cloud_api.kit import throttle
from cloud_api.kit.actor import Customer, Staff, scoped
from cloud_api.kit.calendar import Day
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders.cancel import cancel_by_staff
from cloud_api.platform_vouchers import matching, service
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.schemas import (
    ConsoleUseOut,
    ConsoleUsesOut,
    DeskRedeemIn,
    DifferenceOut,
    DifferencesOut,
    LookIn,
    LookOut,
    RedeemIn,
    UseOut,
    WaysOut,
    WhyIn,
)
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import VOUCHER_REDEEM
from cloud_api.stores.service import get_store

router = APIRouter(tags=["platform vouchers"])
console = APIRouter(prefix="/console", tags=["console: platform vouchers"])
Who = Annotated[Customer, Depends(customer)]
Worker = Annotated[Staff, Depends(staff_actor)]
_TRIES = 20  # codes of one person in ten minutes: each is asked of the platform
_DESK_TRIES = 120
_WINDOW_S = 600


@router.get("/platform-vouchers/ways")
async def list_ways(
    request: Request, store_id: Annotated[str, Query(min_length=1, max_length=64)]
) -> WaysOut:
    """The platforms whose vouchers a store takes."""
    async with cloud_of(request).db.read() as session:
        return WaysOut(items=await platform_views.ways(session, store_id))


@router.post("/platform-vouchers/look")
async def look(body: LookIn, request: Request, who: Who) -> LookOut:
    """What a platform's code opens here, before anything happens."""
    await _hit(request, f"platform:{who.account_id}", _TRIES)
    return await _look(request, body, who)


@router.post("/platform-vouchers/redeem", response_model=UseOut)
async def redeem(body: RedeemIn, request: Request, who: Who) -> Response:
    """Use a platform's code for a room. ``state`` says whether it is confirmed, unknown or waits."""
    cloud = cloud_of(request)
    await _hit(request, f"platform:{who.account_id}", _TRIES)

    async def act() -> UseOut:
        wish = _wish(body, body.way if body.way in ("online", "door") else "online")
        done = await platform.redeem(cloud, who, who, wish, nonce=nonce_of(request, who.ref))
        async with cloud.db.read() as session:
            return await platform_views.use(session, done)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/platform-vouchers/{use_id}")
async def one_use(use_id: str, request: Request, who: Who) -> UseOut:
    """How one's own use stands."""
    async with cloud_of(request).db.read() as session:
        return await platform_views.use(session, await _mine(session, who, use_id))


@router.post("/platform-vouchers/{use_id}/withdraw", response_model=UseOut)
async def withdraw(use_id: str, request: Request, who: Who) -> Response:
    """Do not wait any longer for somebody to confirm it by hand."""
    cloud = cloud_of(request)

    async def act() -> UseOut:
        async with cloud.db.write() as session:
            found = await platform_hand.withdraw(session, who, use_id, cloud.clocks)
            return await platform_views.use(session, found)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/platform-vouchers/look")
async def desk_look(body: LookIn, request: Request, who: Worker) -> LookOut:
    """What a platform's code opens here, before anything happens. Needs voucher.redeem."""
    await _hit(request, f"desk:{who.account_id}", _DESK_TRIES)
    return await _look(request, body, who)


@console.post("/platform-vouchers/redeem", response_model=ConsoleUseOut)
async def desk_redeem(body: DeskRedeemIn, request: Request, who: Worker) -> Response:
    """Redeem a platform's code for the guest with ``phone``. Needs voucher.redeem."""
    cloud = cloud_of(request)

    async def act() -> ConsoleUseOut:
        number = phones.normal(body.phone)
        async with cloud.db.write() as session:
            account = await account_of_phone(session, number)
            if account is None:
                account = await make_account(session, number, "zh_Hans", cloud.clocks.real)
            guest = Customer(account.id)
        wish = _wish(body, body.way if body.way in ("scan", "code") else "code")
        done = await platform.redeem(
            cloud, who, guest, wish, nonce=nonce_of(request, who.ref), why=body.why
        )
        return await _shown(request, done.id, who)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.get("/platform-vouchers")
async def list_uses(
    request: Request,
    who: Worker,
    state: Annotated[str, Query(max_length=20)] = "",
    day: Day | None = None,
    store_id: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> ConsoleUsesOut:
    """Uses of platform vouchers, newest first; ``state`` waiting: those somebody has to look at."""
    async with cloud_of(request).db.read() as session:
        return await platform_views.uses(
            session, who, state=state, day=day, store_id=store_id, cursor=cursor, limit=limit
        )


@console.post("/platform-vouchers/{use_id}/confirm", response_model=ConsoleUseOut)
async def confirm(use_id: str, body: WhyIn, request: Request, who: Worker) -> Response:
    """It was verified in the platform's own app: the order is made. Needs voucher.redeem."""
    cloud = cloud_of(request)

    async def act() -> ConsoleUseOut:
        async with cloud.db.write() as session:
            await platform_hand.confirm_by_hand(session, who, use_id, body.why, cloud.clocks)
        return await _shown(request, use_id, who)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/platform-vouchers/{use_id}/refuse", response_model=ConsoleUseOut)
async def refuse(use_id: str, body: WhyIn, request: Request, who: Worker) -> Response:
    """It is no good, or was not verified: the room goes back on sale. Needs voucher.redeem."""
    cloud = cloud_of(request)

    async def act() -> ConsoleUseOut:
        async with cloud.db.write() as session:
            await platform_hand.refuse_by_hand(session, who, use_id, body.why, cloud.clocks)
        return await _shown(request, use_id, who)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/platform-vouchers/{use_id}/settle", response_model=ConsoleUseOut)
async def settle(use_id: str, body: WhyIn, request: Request, who: Worker) -> Response:
    """It was taken back in the platform's own app. Needs voucher.redeem."""
    cloud = cloud_of(request)

    async def act() -> ConsoleUseOut:
        async with cloud.db.write() as session:
            await platform_hand.settle_by_hand(session, who, use_id, body.why, cloud.clocks)
        return await _shown(request, use_id, who)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/platform-vouchers/{use_id}/undo", response_model=ConsoleUseOut)
async def undo(use_id: str, body: WhyIn, request: Request, who: Worker) -> Response:
    """Cancel its order; the platform is asked to take the verification back. Needs order.cancel too."""
    cloud = cloud_of(request)

    async def act() -> ConsoleUseOut:
        async with cloud.db.write() as session:
            found = await _mine(session, who, use_id)
            if found.order_id is None or found.state != "confirmed":
                raise Conflict("platform.over", "这张券现在不能撤销，请刷新再看")
            await cancel_by_staff(session, who, found.order_id, body.why, cloud.clocks)
        return await _shown(request, use_id, who)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.get("/platform-differences")
async def list_differences(
    request: Request,
    who: Worker,
    solved: bool = False,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> DifferencesOut:
    """Where a day's records at a platform and ours differ. Needs voucher.redeem."""
    async with cloud_of(request).db.read() as session:
        return await platform_views.differences(
            session, who, solved=solved, cursor=cursor, limit=limit
        )


@console.post("/platform-differences/{difference_id}/solve", response_model=DifferenceOut)
async def solve(difference_id: str, body: WhyIn, request: Request, who: Worker) -> Response:
    """Somebody dealt with it. Needs voucher.redeem."""
    cloud = cloud_of(request)

    async def act() -> DifferenceOut:
        async with cloud.db.write() as session:
            found = await matching.solve(session, who, difference_id, body.why, cloud.clocks)
            return await platform_views.difference(session, found)

    return await once(cloud, who.ref, request, await request.body(), act)


async def _look(request: Request, body: LookIn, who: Customer | Staff) -> LookOut:
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, body.store_id)
        account = await service.account_for(session, body.account_id, store.id)
    prepared = await platform.ask_what(cloud, account, store.id, body.code)
    async with cloud.db.read() as session:
        return await platform_views.coupons(session, who, account, store, prepared, cloud.clocks)


async def _hit(request: Request, key: str, tries: int) -> None:
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await throttle.hit(session, key, tries, _WINDOW_S, cloud.clocks.real)


async def _shown(request: Request, use_id: str, who: Staff) -> ConsoleUseOut:
    who.need(VOUCHER_REDEEM)
    async with cloud_of(request).db.read() as session:
        (shown,) = await platform_views.console(session, [await _mine(session, who, use_id)])
        return shown


async def _mine(session: AsyncSession, who: Customer | Staff, use_id: str) -> PlatformUse:
    query = scoped(who, PlatformUse).where(col(PlatformUse.id) == use_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("platform_use", "没有这条平台券记录")
    return found


def _wish(body: RedeemIn, way: str) -> platform.Wish:
    return platform.Wish(
        account_id=body.account_id,
        code=body.code,
        room_id=body.room_id,
        key=body.key,
        deal_id=body.deal_id,
        starts_at=body.starts_at,
        way=way,
    )
