"""A merchant's channels: kept with their secrets encrypted, tried out by a test message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.auth.models import Account
from cloud_api.branding import service as branding
from cloud_api.kit import throttle
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.notifications import wording
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.channels.base import Letter, Outcome
from cloud_api.notifications.models import NoticeChannel
from cloud_api.notifications.schemas import ChannelIn, shown
from cloud_api.notifications.sending import attempt
from cloud_api.notifications.template_service import example
from cloud_api.notifications.texts import TEXTS
from cloud_api.staff.permissions import NOTICE_EDIT, NOTICE_READ

TESTS: Final = (10, 600)  # a test costs money and reaches people: so many in so many seconds


async def list_channels(session: AsyncSession, actor: Staff) -> Sequence[NoticeChannel]:
    """The merchant's channels. Needs notice.read."""
    actor.need(NOTICE_READ)
    return (await session.exec(scoped(actor, NoticeChannel).order_by(col(NoticeChannel.id)))).all()


async def set_channels(
    session: AsyncSession, actor: Staff, asked: Sequence[ChannelIn], clocks: Clocks
) -> Sequence[NoticeChannel]:
    """Make the merchant's channels those of ``asked``, by name. Needs notice.edit.

    A secret field left empty keeps what it was, unless the secret would go to somebody else. Raises KaimenError ``channel.kind``,
    ``channel.twice``, ``channel.fields`` (with ``field``).
    """
    actor.need(NOTICE_EDIT)
    before = {channel.name: channel for channel in await _all(session, actor)}
    names = [one.name for one in asked]
    if len(set(names)) < len(names):
        raise KaimenError("channel.twice", "两个渠道不能同名", status=422, field="name")
    for one in asked:
        await _put(session, actor, before.get(one.name), one, clocks)
    for name, channel in before.items():
        if name not in names:
            await session.delete(channel)
            await _record(session, actor, channel, "channel.remove", clocks)
    await session.flush()
    return await _all(session, actor)


async def put_channel(
    session: AsyncSession, actor: Staff, asked: ChannelIn, clocks: Clocks
) -> NoticeChannel:
    """Add a channel, or change the one of this name. Needs notice.edit."""
    actor.need(NOTICE_EDIT)
    known = {channel.name: channel for channel in await _all(session, actor)}
    return await _put(session, actor, known.get(asked.name), asked, clocks)


async def remove_channel(
    session: AsyncSession, actor: Staff, channel_id: str, clocks: Clocks
) -> None:
    """Take a channel away with its secrets; its log stays. Needs notice.edit."""
    actor.need(NOTICE_EDIT)
    channel = await _one(session, actor, channel_id)
    await session.delete(channel)
    await _record(session, actor, channel, "channel.remove", clocks)


async def _put(
    session: AsyncSession,
    actor: Staff,
    known: NoticeChannel | None,
    asked: ChannelIn,
    clocks: Clocks,
) -> NoticeChannel:
    port = CHANNELS.get(asked.kind)
    if port is None:
        raise KaimenError("channel.kind", "没有这种渠道", status=422, field="kind")
    if known is not None and known.kind != asked.kind:
        raise KaimenError("channel.kind", "这个名字的渠道是另一种", status=422, field="kind")
    given = dict(asked.fields)
    if known is not None:
        old = json.loads(known.credentials)
        same = all(
            str(given.get(name, "")).strip() == old[name] for name in port.credentials.GOES_TO
        )
        for name in port.credentials.SECRET:
            if same and not given.get(name) and name in old:
                given[name] = old[name]
    credentials = _checked(asked.kind, given)
    if known is None:
        known = NoticeChannel(
            merchant_id=actor.merchant_id,
            kind=asked.kind,
            name=asked.name,
            credentials=credentials,
            created_at=clocks.real,
        )
    elif known.credentials != credentials:
        known.checked = known.checked_at = None
    known.credentials, known.enabled = credentials, asked.enabled
    session.add(known)
    await session.flush()
    await _record(session, actor, known, "channel.change", clocks)
    return known


def _checked(kind: str, given: dict[str, Any]) -> str:
    """The fields as JSON. Raises KaimenError naming the field at fault, never its value."""
    try:
        return CHANNELS[kind].credentials.model_validate(given).model_dump_json()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        info = CHANNELS[kind].credentials.model_fields.get(field)
        name = info.title if info is not None and info.title else field
        raise KaimenError(
            "channel.fields",
            _("{name}：没填或者不对").format(name=name),
            status=422,
            field=f"fields.{field}",
        ) from None


async def test(cloud: Cloud, actor: Staff, channel_id: str, event: str) -> Outcome:
    """Send an example of ``event`` by a channel: to its group, or to the tester's own phone.

    Needs notice.edit. Raises KaimenError ``test.event``, ``test.template``, ``test.addressee``; 429.
    """
    actor.need(NOTICE_EDIT)
    async with cloud.db.write() as session:
        channel = await _one(session, actor, channel_id)
        if event not in TEXTS:
            raise KaimenError("test.event", "没有这种通知", status=422, field="event")
        await throttle.hit(session, f"notice-test:{actor.merchant_id}", *TESTS, cloud.clocks.real)
        letter = await _example(cloud, session, actor, channel, event)
    outcome = await attempt(cloud, channel, letter)
    async with cloud.db.write() as session:
        row = await _one(session, actor, channel_id)
        row.checked_at = cloud.clocks.real
        row.checked = (
            "ok" if outcome.state == "sent" else f"{outcome.code} {outcome.detail}".strip()
        )
        session.add(row)
        await _record(session, actor, row, "channel.test", cloud.clocks)
    return outcome


async def _example(
    cloud: Cloud, session: AsyncSession, actor: Staff, channel: NoticeChannel, event: str
) -> Letter:
    port = CHANNELS[channel.kind]
    if port.addressed in {"openid", "room"}:
        raise KaimenError("test.addressee", "这种渠道只能由真实的订单来触发", status=422)
    account = await session.get_one(Account, actor.account_id)
    own = await wording.templates_of(session, actor.merchant_id, event)
    values = example(event, cloud.clocks.now, account.locale)
    words = wording.words(event, own, channel.kind, account.locale, values)
    if port.needs_template and not words.template:
        raise KaimenError(
            "test.template", "先填写这个渠道的模板编号", status=422, field="provider_template"
        )
    return Letter(
        ref=new_id(),
        merchant_id=actor.merchant_id,
        store_id=None,
        event=event,
        title=words.title,
        body=words.body,
        language=account.locale,
        address=account.phone if port.addressed == "phone" else channel.name,
        template=words.template,
        params=words.params,
        sender=await branding.name_of(session, actor.merchant_id),
    )


async def _all(session: AsyncSession, actor: Staff) -> Sequence[NoticeChannel]:
    return (await session.exec(scoped(actor, NoticeChannel).order_by(col(NoticeChannel.id)))).all()


async def _one(session: AsyncSession, actor: Staff, channel_id: str) -> NoticeChannel:
    query = scoped(actor, NoticeChannel).where(col(NoticeChannel.id) == channel_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("channel", "没有这个渠道")
    return found


async def _record(
    session: AsyncSession, actor: Staff, channel: NoticeChannel, action: str, clocks: Clocks
) -> None:
    await record(
        session,
        actor,
        action,
        merchant_id=actor.merchant_id,
        subject=f"channel:{channel.id}",
        after={
            "kind": channel.kind,
            "name": channel.name,
            "enabled": channel.enabled,
            "fields": sorted(shown(channel)),
            "checked": channel.checked,
        },
        clocks=clocks,
    )
