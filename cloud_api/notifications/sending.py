"""One delivery: the state before the call, the call outside any transaction, its outcome after it.

A call whose outcome nobody wrote down (a crash, a time-out after the provider took it) is repeated only
where the provider sends one ``ref`` once, or where the notice is urgent: an alarm twice is better than
an alarm lost, a text message twice costs and annoys.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.branding import service as branding
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again
from cloud_api.kit.models import DueJob
from cloud_api.notifications import wording
from cloud_api.notifications.channels import CHANNELS, wechat
from cloud_api.notifications.channels.base import Letter, Outcome, failed, unknown
from cloud_api.notifications.models import Delivery, Notice, NoticeChannel, WechatConsent
from cloud_api.notifications.transitions import FINAL, move

BACK_OFF_S: Final = (5, 30, 120, 600, 1800, 3600, 7200)
MOST_UNKNOWN: Final = 3  # so often is an urgent notice sent without knowing
_CALL_S: Final = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """What one try needs."""

    channel: NoticeChannel
    letter: Letter
    urgent: bool
    attempts: int


async def send(cloud: Cloud, job: DueJob) -> None:
    """Job ``notice.send``: one try. Raises Again for another one later."""
    async with cloud.db.write() as session:
        call = await _begin(cloud, session, job.ref)
    if call is None:
        return
    outcome = await attempt(cloud, call.channel, call.letter)
    async with cloud.db.write() as session:
        after_s = await _end(cloud, session, job.ref, call, outcome)
    if after_s is not None:
        raise Again(after_s, outcome.code)


async def attempt(cloud: Cloud, channel: NoticeChannel, letter: Letter) -> Outcome:
    """Call the provider once; whatever goes wrong in an adapter is an unknown outcome."""
    port = CHANNELS[channel.kind]
    try:
        credentials = port.credentials.model_validate_json(channel.credentials)
    except ValidationError:  # its text would hold the secrets
        return failed("bad_credentials")
    try:
        async with asyncio.timeout(_CALL_S):
            return await port.send(cloud, credentials, letter)
    except TimeoutError:
        return unknown("no_answer")
    except Exception as error:  # noqa: BLE001  an adapter's fault is an outcome like any other
        _log.error("notice.adapter_failed", kind=channel.kind, error=type(error).__name__)
        return unknown("adapter", type(error).__name__)


async def _begin(cloud: Cloud, session: AsyncSession, delivery_id: str) -> _Call | None:
    query = select(Delivery).where(col(Delivery.id) == delivery_id).with_for_update()
    delivery = (await session.exec(query)).first()
    if delivery is None or delivery.state in FINAL:
        return None
    notice = await session.get_one(Notice, delivery.notice_id)
    channel = await session.get(NoticeChannel, delivery.channel_id)
    now = cloud.clocks.real
    if delivery.state == "sending" and not _repeats(delivery.kind, notice, delivery.attempts):
        await move(session, delivery, "unknown", final_at=now, code="interrupted")
        return None
    if channel is None or not channel.enabled:
        to = "unknown" if delivery.state == "sending" else "failed"
        await move(session, delivery, to, final_at=now, code="channel_off")
        return None
    late = notice.useless_after is not None and cloud.clocks.now >= notice.useless_after
    if late and delivery.state != "sending":
        await move(session, delivery, "skipped", final_at=now, code="too_late")
        return None
    own = await wording.templates_of(session, notice.merchant_id, notice.event)
    words = wording.words(notice.event, own, channel.kind, notice.language, notice.values)
    address = await _address(cloud, session, delivery, notice, words.template)
    if address is None:
        if delivery.state == "sending":
            await move(session, delivery, "unknown", final_at=now, code="interrupted")
        else:
            await move(session, delivery, "skipped", final_at=now, code="no_address")
        return None
    attempts = delivery.attempts + 1
    if not await move(session, delivery, "sending", attempts=attempts):
        return None
    letter = Letter(
        ref=delivery.id,
        merchant_id=notice.merchant_id,
        store_id=notice.store_id,
        event=notice.event,
        title=words.title,
        body=words.body,
        language=notice.language,
        address=address,
        urgent=notice.urgent,
        template=words.template,
        params=words.params,
        room_id=str(notice.values.get("room_id") or "") or None,
        sender=await branding.name_of(session, notice.merchant_id),
    )
    return _Call(channel, letter, notice.urgent, attempts)


def _repeats(kind: str, notice: Notice, attempts: int) -> bool:
    """Whether a try of unknown outcome is made again."""
    return CHANNELS[kind].idempotent or (notice.urgent and attempts < MOST_UNKNOWN)


async def _address(
    cloud: Cloud, session: AsyncSession, delivery: Delivery, notice: Notice, template: str
) -> str | None:
    how = CHANNELS[delivery.kind].addressed
    if how == "phone":
        account = await session.get(Account, notice.account_id or "")
        return None if account is None else account.phone
    if how == "openid":
        consent = await _take_consent(cloud, session, delivery, notice, template)
        return None if consent is None else consent.openid
    return delivery.recipient


async def _take_consent(
    cloud: Cloud, session: AsyncSession, delivery: Delivery, notice: Notice, template: str
) -> WechatConsent | None:
    """The consent this delivery uses up: its own from an earlier try, else the oldest free one."""
    mine = select(WechatConsent).where(col(WechatConsent.used_by) == delivery.id)
    found = (await session.exec(mine)).first()
    if found is not None:
        return found
    free = (
        select(col(WechatConsent.id))
        .where(
            col(WechatConsent.merchant_id) == notice.merchant_id,
            col(WechatConsent.account_id) == notice.account_id,
            col(WechatConsent.template_id) == template,
            col(WechatConsent.used_at).is_(None),
        )
        .order_by(col(WechatConsent.id))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    consent_id = (await session.exec(free)).first()
    if consent_id is None:
        return None
    taken = await session.exec(
        update(WechatConsent)
        .where(col(WechatConsent.id) == consent_id, col(WechatConsent.used_at).is_(None))
        .values(used_at=cloud.clocks.real, used_by=delivery.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.exec(mine)).first() if taken.rowcount == 1 else None


async def _end(
    cloud: Cloud, session: AsyncSession, delivery_id: str, call: _Call, outcome: Outcome
) -> float | None:
    """Write the outcome down; seconds until the next try, or None where it is over."""
    delivery = await session.get(Delivery, delivery_id, with_for_update=True)
    if delivery is None or delivery.state != "sending":
        return None
    said: dict[str, Any] = {"code": outcome.code or None, "detail": outcome.detail or None}
    again = outcome.state == "later" and call.attempts <= len(BACK_OFF_S)
    if outcome.state == "unknown":
        port = CHANNELS[delivery.kind]
        most = len(BACK_OFF_S) if port.idempotent else MOST_UNKNOWN - 1
        again = (port.idempotent or call.urgent) and call.attempts <= most
    if again:
        await move(session, delivery, "retrying", **said)
        wait = BACK_OFF_S[min(call.attempts, len(BACK_OFF_S)) - 1]
        return float(max(wait, outcome.after_s or 0))
    to = "failed" if outcome.state == "later" else outcome.state
    if to == "sent":
        said["provider_ref"] = outcome.provider_ref
    await move(session, delivery, to, final_at=cloud.clocks.real, **said)
    if to == "failed" and delivery.kind == "wechat" and outcome.code != wechat.REFUSED:
        await _give_back_consent(session, delivery)
    level = _log.info if to == "sent" else _log.warning
    level("notice.delivered", kind=delivery.kind, state=to, code=outcome.code, ref=delivery.id)
    return None


async def _give_back_consent(session: AsyncSession, delivery: Delivery) -> None:
    """WeChat took no message, so the consent still stands there."""
    await session.exec(
        update(WechatConsent)
        .where(col(WechatConsent.used_by) == delivery.id)
        .values(used_at=None, used_by=None)
        .execution_options(synchronize_session=False)
    )
