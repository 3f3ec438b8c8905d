"""The guests of the past: who they are, what level they have, and their balances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from cloud_api.auth.models import Account
from cloud_api.kit.actor import Customer
from cloud_api.kit.crypto import vault
from cloud_api.kit.writing import made
from cloud_api.ledger.accounts import Account as Held
from cloud_api.ledger.service import Line
from cloud_api.members.models import MemberLevel, MemberProfile, Membership
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt
from cloud_api.stored_value.models import GiftLot, Topup, TopupPlan, Wallet, WalletMove
from cloud_api.stored_value.paying import BALANCE
from cloud_api.stored_value.split import Parts, split
from cloud_api.stored_value.topup import KIND as TOPUP
from demo.past.books import Pages
from demo.past.orders import House
from demo.past.plan import GUESTS, REGULARS, SOMETIMES

LEVELS: Final = (("银卡", 95), ("金卡", 90))
PLANS: Final = (("充 300 送 30", 30_000, 3_000), ("充 500 送 60", 50_000, 6_000),
                ("充 1000 送 150", 100_000, 15_000))  # fmt: skip
NAMES: Final = ("王姐", "老周", "陈先生", "林小姐", "阿强", "赵老师", "小吴", "孙姐", "郑总")
TAGS: Final[tuple[list[str], ...]] = (
    ["老牌友"],
    ["老牌友", "爱喝茶"],
    [],
    ["要安静"],
    [],
    ["靠窗"],
    [],
    ["老牌友"],
    [],
)


def accounts(pages: Pages, opened: datetime) -> list[Account]:
    """The guests, by numbers that no operator has given out (…0100xx)."""
    found = []
    for n in range(GUESTS):
        phone = f"+86139{n % 7}010{n:04d}"
        found.append(
            pages.add(
                Account,
                opened + timedelta(minutes=n),
                phone=phone,
                phone_index=vault().index(phone),
                phone_tail=phone[-4:],
                created_at=opened + timedelta(minutes=n),
            )
        )
    return found


def levels(
    pages: Pages, guests: Sequence[Account], owner: str, opened: datetime
) -> dict[str, MemberLevel]:
    """Two levels, and who has which: the regulars, and some of those who come now and then."""
    merchant = pages.store.merchant_id
    silver, gold = (
        pages.add(
            MemberLevel, opened, merchant_id=merchant, name=name, per_cent=per_cent, sort=n,
            created_at=opened,
        )
        for n, (name, per_cent) in enumerate(LEVELS)
    )  # fmt: skip
    found = {
        guest.id: gold if n < REGULARS // 2 else silver
        for n, guest in enumerate(guests[: REGULARS + (SOMETIMES - REGULARS) // 3])
    }
    for account_id, level in found.items():
        pages.add(
            Membership, opened, merchant_id=merchant, account_id=account_id, level_id=level.id,
            by=owner, created_at=opened,
        )  # fmt: skip
    return found


def plans(pages: Pages, opened: datetime) -> list[TopupPlan]:
    """What there is to top up."""
    return [
        pages.add(
            TopupPlan, opened, merchant_id=pages.store.merchant_id, name=name, pay_fen=fen,
            gift_fen=gift, sort=n, created_at=opened,
        )
        for n, (name, fen, gift) in enumerate(PLANS)
    ]  # fmt: skip


@dataclass(slots=True)
class Purse:
    """A member's balance; gifts are spent first, the oldest before the others."""

    house: House
    account_id: str
    provider: str  # what tops it up
    _wallet: Wallet | None = None
    _lots: list[GiftLot] = field(default_factory=list)

    @property
    def has_fen(self) -> int:
        """What can be spent."""
        return 0 if self._wallet is None else self._wallet.total_fen

    def top_up(self, plan: TopupPlan, at: datetime) -> None:
        """Buy a plan."""
        pages = self.house.pages
        if self._wallet is None:
            self._wallet = pages.add(
                Wallet, at, merchant_id=pages.store.merchant_id, account_id=self.account_id,
                created_at=at,
            )  # fmt: skip
        bought = pages.add(
            Topup,
            at,
            account_id=self.account_id,
            plan_id=plan.id,
            number=f"V{pages.number_at(at)}",
            state="done",
            pay_fen=plan.pay_fen,
            gift_fen=plan.gift_fen,
            created_at=at,
            done_at=at,
            **pages.own,
        )
        what = f"{TOPUP}:{bought.id}"
        self.house.pay(
            self.provider, at, guest=self.account_id, what=what, part=what,
            number=f"{bought.number}-1", fen=plan.pay_fen,
            subject=f"{pages.store.name} {plan.name}", applied=TOPUP,
        )  # fmt: skip
        lot = pages.add(
            GiftLot, at, account_id=self.account_id, wallet_id=self._wallet.id,
            amount_fen=plan.gift_fen, left_fen=plan.gift_fen, created_at=at, **pages.own,
        )  # fmt: skip
        self._lots.append(lot)
        self._wallet.paid_fen += plan.pay_fen
        self._wallet.gift_fen += plan.gift_fen
        self._move(
            "topup", f"topup:{bought.id}", Parts(plan.pay_fen, plan.gift_fen), what, plan.name,
            {lot.id: plan.gift_fen},
            [
                Line(Held.ADVANCE, plan.pay_fen),
                Line(Held.BALANCE_PAID, -plan.pay_fen),
                Line(Held.GIFT_COST, plan.gift_fen),
                Line(Held.BALANCE_GIFT, -plan.gift_fen),
            ],
            at,
        )  # fmt: skip

    def spend(self, payment: PaymentAttempt, at: datetime) -> None:
        """What ``payment`` took out of it."""
        wallet = self._wallet
        assert wallet is not None
        parts = split("gift_first", wallet.paid_fen, wallet.gift_fen, payment.amount_fen)
        left, taken = parts.gift, {}
        for lot in self._lots:
            if part := min(left, lot.left_fen):
                lot.left_fen -= part
                left -= part
                taken[lot.id] = part
        wallet.paid_fen -= parts.paid
        wallet.gift_fen -= parts.gift
        self._move(
            "pay", f"payment:{payment.id}", Parts(-parts.paid, -parts.gift), payment.part_of,
            payment.subject, taken,
            [
                Line(Held.BALANCE_PAID, parts.paid),
                Line(Held.BALANCE_GIFT, parts.gift),
                Line(Held.CLEARING, -sum(parts), self.house.at[BALANCE].id),
            ],
            at,
        )  # fmt: skip

    def _move(
        self,
        kind: str,
        key: str,
        parts: Parts,
        subject: str,
        text: str,
        lots: dict[str, int],
        lines: list[Line],
        at: datetime,
    ) -> None:
        wallet, pages, by = self._wallet, self.house.pages, Customer(self.account_id).ref
        assert wallet is not None
        pages.add(
            WalletMove, at, account_id=self.account_id, wallet_id=wallet.id, key=key, kind=kind,
            paid_fen=parts.paid, gift_fen=parts.gift, paid_after_fen=wallet.paid_fen,
            gift_after_fen=wallet.gift_fen, subject=subject, text=text, by=by, lots=lots, at=at,
            **pages.own,
        )  # fmt: skip
        pages.post("balance", f"wallet:{wallet.id}:{key}", subject, lines, at, text, by)


def profiles(pages: Pages, guests: Sequence[Account]) -> None:
    """What the house knows of its guests: figures as orders/guests.py counts them, some names."""
    mine: dict[str, list[Order]] = {}
    for order in pages.rows(Order):
        mine.setdefault(order.account_id, []).append(order)
    for n, guest in enumerate(guests):
        orders = mine.get(guest.id, [])
        if not orders:
            continue
        live = [one for one in orders if one.status != "cancelled"]
        first = min(one.created_at for one in orders)
        pages.keep(
            made(
                MemberProfile,
                id=pages.id_at(first),
                merchant_id=pages.store.merchant_id,
                account_id=guest.id,
                name=NAMES[n] if n < REGULARS else None,
                tags=TAGS[n] if n < REGULARS else [],
                phone_tail=guest.phone_tail,
                orders=len(orders),
                visits=sum(one.status == "completed" for one in orders),
                spent_fen=sum(one.paid_fen - one.refunded_fen for one in live),
                first_at=first,
                last_at=max(one.starts_at for one in orders),
            )
        )


def plan_for(dice: Random, offered: Sequence[TopupPlan]) -> TopupPlan:
    """The one in the middle is the one most buy."""
    return dice.choices(offered, (2, 5, 3))[0]
