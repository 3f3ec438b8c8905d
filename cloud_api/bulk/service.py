"""One act on many: each row in a transaction of its own, with its own outcome, and the way back where there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons import manage as coupons
from cloud_api.groupbuy import campaigns
from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.members import levels, profiles
from cloud_api.orders import guests
from cloud_api.staff.permissions import CUSTOMER_EDIT
from cloud_api.support import tickets

MOST: Final = 200
State = Literal["done", "same", "refused"]
Act = Callable[[AsyncSession, str], Awaitable[bool]]
"""Does it to one row; False where it was so already."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; ``code`` and ``message`` of a refusal."""

    id: str
    state: State
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """All rows; ``undo`` is the body that takes the changed ones back, by the same route."""

    items: list[Outcome]
    undo: dict[str, Any] | None

    @property
    def message(self) -> str:
        """One sentence: how many, and why the first was refused."""
        done = sum(one.state == "done" for one in self.items)
        same = sum(one.state == "same" for one in self.items)
        refused = [one for one in self.items if one.state == "refused"]
        told = [_("做好 {n} 项").format(n=done)]
        if same:
            told.append(_("{n} 项本来就是").format(n=same))
        if refused:
            told.append(_("{n} 项没做成：{why}").format(n=len(refused), why=refused[0].message))
        return _("，").join(told)


async def each(cloud: Cloud, ids: Sequence[str], act: Act) -> list[Outcome]:
    """``act`` on each of ``ids``: a refusal of one is no refusal of the others."""
    told = []
    for one in dict.fromkeys(ids):
        try:
            async with cloud.db.write() as session:
                changed = await act(session, one)
            told.append(Outcome(one, "done" if changed else "same"))
        except KaimenError as refusal:
            told.append(Outcome(one, "refused", refusal.code, _(refusal.message)))
    return told


def _back(items: list[Outcome], body: dict[str, Any]) -> Told:
    changed = [one.id for one in items if one.state == "done"]
    return Told(items, {"ids": changed, **body} if changed and body else None)


async def tag(cloud: Cloud, actor: Staff, ids: Sequence[str], word: str, *, put: bool) -> Told:
    """Give members a tag, or take it away. Needs customer.edit."""
    actor.need(CUSTOMER_EDIT)

    async def act(session: AsyncSession, account_id: str) -> bool:
        await guests.one(session, actor, account_id)
        profile = await profiles.lock_profile(
            session, actor.merchant_id, account_id, cloud.clocks.now
        )
        had = [str(one) for one in profile.tags]
        if (word in had) == put:
            return False
        wanted = [*had, word] if put else [one for one in had if one != word]
        await profiles.edit(
            session, actor, account_id, name=profile.name or "", note=profile.note or "",
            tags=wanted, clocks=cloud.clocks,
        )  # fmt: skip
        return True

    items = await each(cloud, ids, act)
    return _back(items, {"act": "untag" if put else "tag", "tag": word})


async def level(cloud: Cloud, actor: Staff, ids: Sequence[str], level_id: str | None) -> Told:
    """Give members a level, or none. Needs customer.edit. What each had before differs: no way back."""
    actor.need(CUSTOMER_EDIT)

    async def act(session: AsyncSession, account_id: str) -> bool:
        await guests.one(session, actor, account_id)
        had = await levels.level_of(session, actor.merchant_id, account_id)
        if (had.id if had is not None else None) == level_id:
            return False
        await profiles.set_level(session, actor, account_id, level_id, cloud.clocks)
        return True

    return Told(await each(cloud, ids, act), None)


async def coupon(cloud: Cloud, actor: Staff, ids: Sequence[str], coupon_id: str) -> Told:
    """Give members a coupon of the house. Needs coupon.edit. Given is given."""

    async def act(session: AsyncSession, account_id: str) -> bool:
        await guests.one(session, actor, account_id)
        found = await coupons.one(session, actor, coupon_id)
        told = await coupons.issue(session, actor, found, [account_id], "member", cloud.clocks)
        return bool(told.given)

    return Told(await each(cloud, ids, act), None)


async def turn_campaigns(cloud: Cloud, actor: Staff, ids: Sequence[str], to: str) -> Told:
    """Pause campaigns or sell them again. Needs campaign.edit."""

    async def act(session: AsyncSession, campaign_id: str) -> bool:
        query = scoped(actor, Campaign).where(col(Campaign.id) == campaign_id)
        found = (await session.exec(query)).first()
        if found is None:
            raise NotFound("campaign", "没有这个活动")
        was = found.state
        done = await campaigns.turn(session, actor, campaign_id, to, cloud.clocks)
        return done.state != was

    items = await each(cloud, ids, act)
    return _back(items, {"act": "resume" if to == "paused" else "pause"})


async def assign(cloud: Cloud, actor: Staff, ids: Sequence[str], staff_id: str | None) -> Told:
    """Give tickets to somebody, or to nobody. Needs ticket.handle."""

    async def act(session: AsyncSession, ticket_id: str) -> bool:
        return await tickets.assign(session, actor, ticket_id, staff_id, cloud.clocks)

    items = await each(cloud, ids, act)
    return _back(items, {"act": "assign", "staff_id": None} if staff_id is not None else {})


async def close_tickets(cloud: Cloud, actor: Staff, ids: Sequence[str]) -> Told:
    """Settle tickets. Needs ticket.handle; a guest's next message opens one again."""

    async def act(session: AsyncSession, ticket_id: str) -> bool:
        ticket, _said = await tickets.read(session, actor, ticket_id)
        if ticket.state == "closed":
            return False
        await tickets.close(session, actor, ticket_id, cloud.clocks)
        return True

    return Told(await each(cloud, ids, act), None)
