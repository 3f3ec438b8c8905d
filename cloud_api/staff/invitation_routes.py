"""Invitations: sent and taken back at the console, looked at and accepted by whom they were sent to."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth import sms
from cloud_api.auth.deps import customer
from cloud_api.auth.service import throttle_setup
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.staff import invitations
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.schemas import (
    InvitationOut,
    InvitationsOut,
    InvitedOut,
    InvitedToOut,
    StaffIn,
    TokenIn,
    WorkplaceOut,
)

router = APIRouter(tags=["staff"])
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.get("/console/staff/invitations")
async def open_invitations(request: Request, who: StaffWho) -> InvitationsOut:
    """Invitations that nobody took yet."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await invitations.list_open(session, who, cloud.clocks)
    return InvitationsOut(items=[InvitationOut.of(one) for one in found])


@router.post("/console/staff/invitations", response_model=InvitedOut, status_code=201)
async def invite(request: Request, body: StaffIn, who: StaffWho) -> Response:
    """Ask somebody by SMS to work here; where the message fails, send the link yourself."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await invitations.invite(
                session,
                who,
                phone=body.phone,
                name=body.name,
                role=body.role,
                store_ids=body.store_ids,
                clocks=cloud.clocks,
            )
        # After the #: neither our logs nor a proxy's ever see it.
        link = f"{cloud.settings.public_url}/invite#{made.token}"
        text = _("【开门】{who} 请你到{merchant}工作，7 天内点开：{link}").format(
            who=who.name, merchant=made.merchant, link=link
        )
        sent = True
        try:
            await sms.send(cloud, made.phone, text, made.invitation.id)
        except sms.SmsFailed:
            sent = False
        told = InvitationOut.of(made.invitation).model_dump()
        out = InvitedOut(**told, link=link, sms_sent=sent)
        return JSONResponse(out.model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/console/staff/invitations/{invitation_id}/revoke", status_code=204)
async def revoke(request: Request, invitation_id: str, who: StaffWho) -> None:
    """Take an invitation back; its link is worth nothing from now on."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await invitations.revoke(session, who, invitation_id, cloud.clocks)


@router.post("/invitations/look")
async def look(request: Request, body: TokenIn) -> InvitedToOut:
    """What a link invites to, for whoever has it."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await throttle_setup(session, client_ip(request), cloud.clocks.real)
    async with cloud.db.read() as session:
        seen = await invitations.look(session, body.token, cloud.clocks)
    return InvitedToOut(
        merchant=seen.merchant,
        role=seen.role,
        name=seen.invitation.name,
        phone_tail=seen.invitation.phone_tail,
        expires_at=seen.invitation.expires_at,
    )


@router.post("/invitations/accept")
async def accept(
    request: Request, body: TokenIn, who: Annotated[Customer, Depends(customer)]
) -> WorkplaceOut:
    """Begin to work there, logged in with the phone that was invited. Good once."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await throttle_setup(session, client_ip(request), cloud.clocks.real)
    async with cloud.db.write() as session:
        member, merchant = await invitations.accept(session, who, body.token, cloud.clocks)
    return WorkplaceOut(merchant_id=member.merchant_id, merchant=merchant, role=member.role)
