"""One event becomes notices: an entry in each person's inbox, and deliveries by the channels there are.

All in one transaction, so a crash leaves all of it or nothing; run again, it adds nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import feed, throttle
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.notifications import choices, wording
from cloud_api.notifications.channels import CHANNELS, SMS
from cloud_api.notifications.models import (
    Delivery,
    Notice,
    NoticeChannel,
    NoticeRule,
    NoticeSettings,
    NoticeTemplate,
)
from cloud_api.notifications.people import Person, recipients
from cloud_api.notifications.quiet import next_loud
from cloud_api.notifications.texts import TEXTS
from cloud_api.orders.models import Order

SEND: Final = "notice.send"  # ref: delivery id
_TIMED: Final = {"order.starting_soon": "starts_at", "order.ending_soon": "ends_at"}
_GROUPS_MORE: Final = 5  # a group hears of all stores and people: so many times a person's limit
_URGENT_MORE: Final = 3


@dataclass(slots=True)
class _Round:
    """What one event's fan-out needs everywhere."""

    cloud: Cloud
    session: AsyncSession
    job: DueJob
    facts: wording.Facts
    own: dict[tuple[str, str], NoticeTemplate]
    settings: NoticeSettings
    useless_after: datetime | None

    @property
    def event(self) -> str:
        return self.facts.event

    @property
    def urgent(self) -> bool:
        return TEXTS[self.event].urgent


async def tell(cloud: Cloud, job: DueJob) -> None:
    """Job ``notice``."""
    body = job.body
    event, data, store_id = body["event"], body["data"], body["store_id"]
    async with cloud.db.write() as session:
        if not await _still_so(session, event, body["subject"], data):
            return
        kinds = await _kinds(session, job.merchant_id, event, body.get("channels"))
        if kinds is None:
            return
        public_url = cloud.settings.public_url
        facts = await wording.facts_of(session, event, data, store_id, body["subject"], public_url)
        about = _Round(
            cloud,
            session,
            job,
            facts,
            await wording.templates_of(session, job.merchant_id, event),
            await settings_of(session, job.merchant_id, cloud.clocks.real),
            _useless_after(event, data),
        )
        open_ones = await _channels(session, job.merchant_id, kinds)
        people = await recipients(session, job.merchant_id, store_id, body["to"])
        for person in people:
            await _one(about, person, [c for c in open_ones if not _is_group(c)])
        groups = [channel for channel in open_ones if _is_group(channel)]
        if groups and TEXTS[event].audience == "staff" and not body["to"].startswith("account:"):
            await _groups(about, groups)


async def _still_so(session: AsyncSession, event: str, subject: str, data: dict[str, Any]) -> bool:
    """Whether what was planned for now still holds: the order runs, with the same times."""
    field = _TIMED.get(event)
    if field is None:
        return True
    order = await session.get(Order, subject.partition(":")[2])
    if order is None or order.status not in {"ready", "in_use"} or order.finished_early:
        return False
    if event == "order.starting_soon" and order.entered_at is not None:
        return False
    at: datetime = getattr(order, field)
    return at == datetime.fromisoformat(str(data[field]))


def _useless_after(event: str, data: dict[str, Any]) -> datetime | None:
    field = _TIMED.get(event)
    return None if field is None else datetime.fromisoformat(str(data[field]))


async def _kinds(
    session: AsyncSession, merchant_id: str, event: str, wanted: list[str] | None
) -> list[str] | None:
    """The kinds of channels for an event; None where the merchant has switched it off."""
    query = scoped(System(), NoticeRule).where(
        col(NoticeRule.merchant_id) == merchant_id, col(NoticeRule.event) == event
    )
    rule = (await session.exec(query)).first()
    if rule is not None and not rule.enabled:
        return None
    if wanted is not None:
        return wanted
    return list(TEXTS[event].channels) if rule is None else [str(one) for one in rule.channels]


async def settings_of(session: AsyncSession, merchant_id: str, now: datetime) -> NoticeSettings:
    """A merchant's quiet hours and limits; the defaults, not stored, where nothing was said."""
    found = await session.get(NoticeSettings, merchant_id)
    if found is not None:
        return found
    return NoticeSettings(merchant_id=merchant_id, updated_at=now)


async def _channels(
    session: AsyncSession, merchant_id: str, kinds: list[str]
) -> list[NoticeChannel]:
    query = scoped(System(), NoticeChannel).where(
        col(NoticeChannel.merchant_id) == merchant_id, col(NoticeChannel.enabled).is_(True)
    )
    found = (await session.exec(query.order_by(col(NoticeChannel.id)))).all()
    chosen = [channel for channel in found if channel.kind in kinds]
    if "sms" in kinds:
        texts = sorted(
            (channel for channel in found if channel.kind in SMS),
            key=lambda channel: SMS.index(channel.kind),
        )
        chosen += [channel for channel in texts[:1] if channel not in chosen]
    return chosen


def _is_group(channel: NoticeChannel) -> bool:
    return CHANNELS[channel.kind].addressed == "group"


async def _one(about: _Round, person: Person, channels: list[NoticeChannel]) -> None:
    notice = await _notice(about, person)
    if notice is None:
        return
    await feed.tell(
        about.session,
        merchant_id=about.job.merchant_id,
        store_id=notice.store_id,
        account_id=person.account_id,
        topic="notice",
        body={"notice_id": notice.id, "event": about.event},
        now=about.cloud.clocks.real,
    )
    if not channels:
        return
    if not await choices.wanted(about.session, person.account_id, about.event):
        channels = [one for one in channels if CHANNELS[one.kind].addressed == "room"]
    over = await _over(about, person.account_id, 1)
    for channel in channels:
        port = CHANNELS[channel.kind]
        mask = _("尾号 {phone_tail}").format(phone_tail=person.phone_tail)
        if port.addressed == "room":
            if not about.facts.data.get("room_id"):
                continue
            mask = about.facts.room
        await _deliver(about, notice, channel, mask, over)


async def _groups(about: _Round, channels: list[NoticeChannel]) -> None:
    notice = await _notice(about, None)
    if notice is None:
        return
    for channel in channels:
        over = await _over(about, channel.id, _GROUPS_MORE)
        await _deliver(about, notice, channel, channel.name, over)


async def _notice(about: _Round, person: Person | None) -> Notice | None:
    """The notice of one recipient; None where it was made before."""
    language = "zh_Hans" if person is None else person.language
    values = about.facts.values(language)
    told = wording.words(about.event, about.own, "in_app", language, values)
    who = "group" if person is None else person.account_id
    fresh: dict[str, Any] = {
        "id": new_id(),
        "merchant_id": about.job.merchant_id,
        "store_id": about.job.body["store_id"],
        "account_id": None if person is None else person.account_id,
        "audience": "group" if person is None else TEXTS[about.event].audience,
        "once": hashlib.sha256(f"{about.job.ref}|{who}".encode()).hexdigest()[:40],
        "event": about.event,
        "subject": about.job.body["subject"],
        "language": language,
        "urgent": about.urgent,
        "title": told.title,
        "body": told.body,
        "values": values | {"room_id": about.facts.data.get("room_id") or ""},
        "created_at": about.cloud.clocks.now,
        "useless_after": about.useless_after,
    }
    if not await insert_or_ignore(about.session, Notice, fresh):
        return None
    return await about.session.get_one(Notice, fresh["id"])


async def _over(about: _Round, who: str, more: int) -> bool:
    """Count a message to ``who``; True where it is one too many in this hour."""
    more *= _URGENT_MORE if about.urgent else 1
    now = about.cloud.clocks.real
    limits = (
        (f"notice:{who}", about.settings.per_hour * more),
        (f"notice-{about.event}:{who}", about.settings.per_event_hour * more),
    )
    try:
        for key, limit in limits:
            await throttle.hit(about.session, key, limit, 3600, now)
    except throttle.TooOften:
        return True
    return False


async def _deliver(
    about: _Round, notice: Notice, channel: NoticeChannel, mask: str, over: bool
) -> None:
    port, now = CHANNELS[channel.kind], about.cloud.clocks.now
    told = wording.words(about.event, about.own, channel.kind, notice.language, {})
    if port.addressed == "openid" and not told.template:
        return  # this event has no subscribe message: nothing to skip
    quiet = about.settings
    tz = about.facts.store.tz if about.facts.store is not None else quiet.tz
    due = now if about.urgent else next_loud(now, quiet.quiet_from, quiet.quiet_until, tz)
    why = None
    if over:
        why = "too_many"
    elif port.needs_template and not told.template:
        why = "no_template"
    elif about.useless_after is not None and due >= about.useless_after:
        why = "too_late"
    delivery = Delivery(
        merchant_id=notice.merchant_id,
        store_id=notice.store_id,
        notice_id=notice.id,
        channel_id=channel.id,
        kind=channel.kind,
        recipient=mask,
        state="waiting" if why is None else "skipped",
        code=why,
        due_at=due,
        created_at=about.cloud.clocks.real,
        final_at=None if why is None else about.cloud.clocks.real,
    )
    about.session.add(delivery)
    await about.session.flush()
    if why is None:
        await schedule(
            about.session,
            merchant_id=notice.merchant_id,
            kind=SEND,
            ref=delivery.id,
            run_at=due,
            max_attempts=40,
        )
