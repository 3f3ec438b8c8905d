"""/console/notifications: channels, words, rules, log. /me/notices: what a person was told."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.seen import Saw, marked
from cloud_api.notifications import channel_service, choices, inbox, template_service
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.schemas import (
    STATE_NAMES,
    ChannelIn,
    ChannelOut,
    ChannelsIn,
    ChannelsOut,
    ChoiceIn,
    ChoicesOut,
    ConsentIn,
    ConsentOut,
    DeliveriesOut,
    EventRuleIn,
    InboxOut,
    NoticeOut,
    PreviewOut,
    RuleIn,
    RulesIn,
    RulesOut,
    SettingsIn,
    TemplateForm,
    TemplateIn,
    TemplatesOut,
    TestIn,
    TestOut,
)
from cloud_api.notifications.texts import TEXTS
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["notifications"])
Who = Annotated[Staff, Depends(staff_actor)]
Person = Annotated[Customer, Depends(customer)]
_HERE = "/console/notifications"


def kinds() -> list[dict[str, Any]]:
    """The kinds of channels and the fields each wants."""
    return [
        {
            "kind": port.kind,
            "name": port.name,
            "needs_template": port.needs_template,
            "fields": [
                {
                    "name": name,
                    "title": field.title or name,
                    "secret": name in port.credentials.SECRET,
                    "required": field.is_required(),
                }
                for name, field in port.credentials.model_fields.items()
            ],
        }
        for port in CHANNELS.values()
    ]


@router.get(f"{_HERE}/channels")
async def list_channels(request: Request, who: Who) -> ChannelsOut:
    """The merchant's channels and the kinds there are. Needs notice.read."""
    async with cloud_of(request).db.read() as session:
        found = await channel_service.list_channels(session, who)
    return ChannelsOut(items=[ChannelOut.of(channel) for channel in found], kinds=kinds())


@router.put(f"{_HERE}/channels")
async def set_channels(request: Request, body: ChannelsIn, who: Who) -> ChannelsOut:
    """All channels there are from now on, by name. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await channel_service.set_channels(session, who, body.items, cloud.clocks)
    return ChannelsOut(items=[ChannelOut.of(channel) for channel in found], kinds=kinds())


@router.post(f"{_HERE}/channels", response_model=ChannelOut)
async def put_channel(request: Request, body: ChannelIn, who: Who) -> Response:
    """Add a channel, or change the one of this name. Needs notice.edit."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            channel = await channel_service.put_channel(session, who, body, cloud.clocks)
            return JSONResponse(ChannelOut.of(channel).model_dump(mode="json"))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.delete(f"{_HERE}/channels/{{channel_id}}", status_code=204)
async def remove_channel(channel_id: str, request: Request, who: Who) -> None:
    """Take a channel away with its secrets. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await channel_service.remove_channel(session, who, channel_id, cloud.clocks)


@router.post(f"{_HERE}/channels/{{channel_id}}/test", response_model=TestOut)
async def test_channel(channel_id: str, body: TestIn, request: Request, who: Who) -> Response:
    """Send an example now and say how it went. Needs notice.edit."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        outcome = await channel_service.test(cloud, who, channel_id, body.event)
        state = "retrying" if outcome.state == "later" else outcome.state
        told = TestOut(
            state=outcome.state,
            state_name=STATE_NAMES[state],
            code=outcome.code,
            detail=outcome.detail,
        )
        return JSONResponse(told.model_dump(mode="json"))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get(f"{_HERE}/templates")
async def list_templates(request: Request, who: Who) -> TemplatesOut:
    """Every event with our words and the merchant's. Needs notice.read."""
    async with cloud_of(request).db.read() as session:
        return TemplatesOut(items=await template_service.list_templates(session, who))


@router.put(f"{_HERE}/templates")
async def set_templates(request: Request, body: list[TemplateIn], who: Who) -> TemplatesOut:
    """Keep own words; one with nothing in it takes ours again. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await template_service.set_templates(session, who, body[:100], cloud.clocks)
        return TemplatesOut(items=await template_service.list_templates(session, who))


@router.post(f"{_HERE}/templates/preview")
async def preview(request: Request, body: TemplateIn, who: Who) -> PreviewOut:
    """The words filled with an example. Needs notice.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return await template_service.preview(session, who, body, cloud.clocks.now)


@router.get(f"{_HERE}/rules")
async def list_rules(request: Request, who: Who) -> RulesOut:
    """Which channels each event takes, and the quiet hours. Needs notice.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        rules, settings = await template_service.list_rules(session, who, cloud.clocks)
    return RulesOut(rules=rules, settings=settings)


@router.put(f"{_HERE}/rules")
async def set_rules(request: Request, body: RulesIn, who: Who) -> RulesOut:
    """Say which channels events take, and when it is quiet. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await template_service.set_rules(session, who, body.rules, body.settings, cloud.clocks)
        rules, settings = await template_service.list_rules(session, who, cloud.clocks)
    return RulesOut(rules=rules, settings=settings)


@router.put(f"{_HERE}/templates/{{event}}", status_code=204)
async def set_template(
    event: str,
    request: Request,
    response: Response,
    body: TemplateForm,
    who: Who,
    saw: Saw = None,
) -> None:
    """Keep own words for one event and channel. Needs notice.edit."""
    cloud = cloud_of(request)
    _known(event)
    asked = body.of(event)
    async with cloud.db.write() as session:
        await template_service.set_templates(session, who, [asked], cloud.clocks, saw)
        row = await template_service.template_of(session, who, event, asked.channel, asked.language)
        marked(response, template_service.words_of(row))


@router.put(f"{_HERE}/rules/{{event}}", status_code=204)
async def set_rule(
    event: str,
    request: Request,
    response: Response,
    body: EventRuleIn,
    who: Who,
    saw: Saw = None,
) -> None:
    """Say which channels one event takes. Needs notice.edit."""
    cloud = cloud_of(request)
    _known(event)
    rule = RuleIn(event=event, enabled=body.enabled, channels=body.channels)
    async with cloud.db.write() as session:
        await template_service.set_rules(session, who, [rule], None, cloud.clocks, saw)
    channels = [str(one) for one in dict.fromkeys(body.channels)]
    marked(response, {"enabled": body.enabled, "channels": channels})


def _known(event: str) -> None:
    if event not in TEXTS:
        raise NotFound("event", "没有这种通知")


@router.put(f"{_HERE}/settings", status_code=204)
async def set_settings(
    request: Request, response: Response, body: SettingsIn, who: Who, saw: Saw = None
) -> None:
    """Say when it is quiet, and how much is too much. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await template_service.set_rules(session, who, [], body, cloud.clocks, saw)
    marked(response, body.model_dump())


@router.get(f"{_HERE}/log")
async def delivery_log(
    request: Request,
    who: Who,
    state: Annotated[str, Query(max_length=20)] = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> DeliveriesOut:
    """What was sent by which channel, and how it went. Needs notice.read."""
    async with cloud_of(request).db.read() as session:
        found, following = await inbox.delivery_log(
            session, who, state=state, kind=kind, cursor=cursor, limit=limit
        )
    return DeliveriesOut(items=found, next_cursor=following)


@router.get("/me/notices")
async def my_notices(
    request: Request,
    who: Person,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> InboxOut:
    """What one was told, the newest first."""
    async with cloud_of(request).db.read() as session:
        found, following = await inbox.inbox(session, who.account_id, cursor=cursor, limit=limit)
        count = await inbox.unread(session, who.account_id)
    return InboxOut(
        items=[NoticeOut.of(notice) for notice in found], unread=count, next_cursor=following
    )


@router.post("/me/notices/read", status_code=204)
async def read_all(request: Request, who: Person) -> None:
    """One has seen all of them; doing it twice is fine."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await inbox.mark_read(cloud, session, who.account_id)


@router.get("/me/notice-choices")
async def my_choices(request: Request, who: Person) -> ChoicesOut:
    """What one wants to be told of outside the app: booking, time, offers."""
    async with cloud_of(request).db.read() as session:
        return ChoicesOut(choices=await choices.choices(session, who.account_id))


@router.put("/me/notice-choices")
async def choose(request: Request, body: ChoiceIn, who: Person) -> ChoicesOut:
    """Say yes or no to one kind. 422 ``notice.kind`` for one that there is not."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await choices.choose(session, who.account_id, body.kind, body.wanted, cloud.clocks.now)
        return ChoicesOut(choices=await choices.choices(session, who.account_id))


@router.post("/me/wechat-consents", response_model=ConsentOut)
async def agree(request: Request, body: ConsentIn, who: Person) -> Response:
    """Keep what one agreed to in the mini program: each is good for one message."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        taken = await inbox.consent(cloud, who, body.merchant_id, body.code, body.templates)
        return JSONResponse({"taken": taken})

    return await once(cloud, who.ref, request, await request.body(), act)
