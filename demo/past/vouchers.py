"""Group-buy of the past: who bought which voucher, alone or in a team, and what it was used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_api.groupbuy import books, terms
from cloud_api.groupbuy.buy import HOLD_FOR, KIND, pays
from cloud_api.groupbuy.models import Bought, Campaign, GroupOrder, Team
from cloud_api.kit.ids import new_token
from cloud_api.kit.money import yuan
from cloud_api.kit.writing import made
from cloud_api.payments.models import PaymentAttempt
from cloud_api.vouchers import codes
from cloud_api.vouchers.models import Redemption, Voucher
from demo.past.orders import House, Story, place
from demo.past.plan import IN_A_TEAM, Visit

_BEFORE: Final = timedelta(hours=20)  # a voucher is bought so long before it is used first
_NEXT: Final = timedelta(minutes=25)  # until the next one joins a team


@dataclass(slots=True)
class _Sold:
    order: GroupOrder
    payment: PaymentAttempt
    voucher: Voucher | None = None


@dataclass(slots=True)
class Market:
    """What was bought of the store's campaigns, through ``provider``."""

    house: House
    campaigns: Sequence[Campaign]
    provider: str
    _many: Counter[tuple[str, str]] = field(default_factory=Counter)  # campaign and account
    _for: dict[int, _Sold] = field(default_factory=dict)  # by id() of the visit

    def sell(self, visits: Sequence[Visit]) -> None:
        """Have those who come with a voucher buy it before."""
        by_voucher = [one for one in visits if one.way == "voucher"]
        team: list[Visit] = []
        for one in by_voucher:
            campaign = self.campaigns[one.campaign]
            if not self._may(campaign, one.guest):
                continue
            if one.campaign != IN_A_TEAM:
                at = one.placed_at - _BEFORE / 2
                self._many[campaign.id, self._account(one.guest)] += 1
                self._issue(campaign, [self._order(campaign, one, at, None)], at)
            elif all(one.guest != other.guest for other in team):
                team.append(one)
                if len(team) == campaign.team_size:
                    self._team(campaign, team)
                    team = []
        for campaign in self.campaigns:
            campaign.taken += sum(n for (of, _), n in self._many.items() if of == campaign.id)
        for (campaign_id, account_id), count in self._many.items():
            self.house.pages.keep(
                made(
                    Bought, campaign_id=campaign_id, account_id=account_id, count=count,
                    merchant_id=self.house.pages.store.merchant_id,
                )
            )  # fmt: skip

    def redeem(self, visit: Visit) -> Story | None:
        """The visit's order, paid by its voucher; None where none was bought for it."""
        sold = self._for.get(id(visit))
        if sold is None or sold.voucher is None:
            return None
        voucher, pages, at = sold.voucher, self.house.pages, visit.placed_at
        story = place(self.house, visit, _lines(visit, voucher))
        use = pages.add(
            Redemption,
            at,
            voucher_id=voucher.id,
            campaign_id=voucher.campaign_id,
            order_id=story.order.id,
            room_id=story.order.room_id,
            way="online",
            by=story.guest,
            amount_fen=voucher.value_fen,
            at=at,
            **pages.own,
        )
        voucher.state, voucher.redemption_id, voucher.version = "redeemed", use.id, 1
        self._follow(sold, at)
        story.ready(at, "nothing_to_pay")
        return story

    def _may(self, campaign: Campaign, guest: int) -> bool:
        most = campaign.most_per_customer
        has = self._many[campaign.id, self._account(guest)]
        taken = sum(n for (of, _), n in self._many.items() if of == campaign.id)
        stock = campaign.stock
        return (most is None or has < most) and (stock is None or taken + 3 <= stock - 10)

    def _account(self, guest: int) -> str:
        return self.house.guests[guest].id

    def _team(self, campaign: Campaign, visits: Sequence[Visit]) -> None:
        pages = self.house.pages
        opened = min(one.placed_at for one in visits) - _BEFORE
        full = opened + (len(visits) - 1) * _NEXT
        team = pages.add(
            Team,
            opened,
            merchant_id=campaign.merchant_id,
            campaign_id=campaign.id,
            token=new_token(128),
            opened_by=self._account(visits[0].guest),
            size=campaign.team_size,
            reserved=len(visits),
            paid=len(visits),
            state="full",
            deadline=opened + timedelta(hours=campaign.team_hours),
            ended_at=full,
            created_at=opened,
        )
        for one in visits:
            self._many[campaign.id, self._account(one.guest)] += 1
        sold = [
            self._order(campaign, one, opened + n * _NEXT, team.id) for n, one in enumerate(visits)
        ]
        self._issue(campaign, sold, full)

    def _order(self, campaign: Campaign, visit: Visit, at: datetime, team: str | None) -> _Sold:
        pages, guest = self.house.pages, self._account(visit.guest)
        order = pages.add(
            GroupOrder,
            at,
            account_id=guest,
            campaign_id=campaign.id,
            team_id=team,
            number=f"G{pages.number_at(at)}",
            status="issued",
            quantity=1,
            price_fen=campaign.price_fen,
            total_fen=campaign.price_fen,
            terms=terms.bought(campaign),
            hold_expires_at=at + HOLD_FOR,
            why="issued",
            paid_at=at,
            created_at=at - timedelta(minutes=1),
            version=2,
            **pages.own,
        )
        payment = self.house.pay(
            self.provider, at, guest=guest, what=pays(order.id), part=pays(order.id),
            number=f"{order.number}-1", fen=order.total_fen, subject=f"{campaign.name} ×1",
            applied=KIND,
        )  # fmt: skip
        self._for[id(visit)] = sold = _Sold(order, payment)
        return sold

    def _issue(self, campaign: Campaign, orders: Sequence[_Sold], at: datetime) -> None:
        for sold in orders:
            kept = dict(sold.order.terms)
            days = int(kept.pop("valid_days"))
            code = codes.new_code()
            sold.voucher = self.house.pages.add(
                Voucher,
                at,
                merchant_id=campaign.merchant_id,
                account_id=sold.order.account_id,
                source=pays(sold.order.id),
                campaign_id=campaign.id,
                code=code,
                code_index=codes.index_of(code),
                value_fen=sold.order.price_fen,
                valid_from=at,
                valid_until=at + timedelta(days=days),
                created_at=at,
                **kept,
            )
            self._follow(sold, at)

    def _follow(self, sold: _Sold, at: datetime) -> None:
        assert sold.voucher is not None
        found = books.targets([sold.payment], [], [sold.voucher])
        self.house.pages.carry(pays(sold.order.id), found, "groupbuy", at)


def _lines(visit: Visit, voucher: Voucher) -> list[dict[str, Any]]:
    """As groupbuy/redeem.py prices it: the package, and the voucher that pays it."""
    span = {
        "from": visit.starts_at.isoformat(),
        "to": visit.ends_at.isoformat(),
        "minutes": voucher.minutes,
        "hourly_fen": 0,
        "tariff_id": "",
    }
    fen = voucher.value_fen
    return [
        {**span, "kind": "room_time", "text": voucher.name, "amount_fen": fen},
        {
            **span,
            "kind": "voucher",
            "text": f"团购券抵 {yuan(fen)}",
            "amount_fen": -fen,
            "voucher_id": voucher.id,
            "source": KIND,
        },
    ]
