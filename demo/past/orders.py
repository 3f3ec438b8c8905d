"""An order of the past, from its placing to its end: what each step would have left in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_api.auth.models import Account
from cloud_api.claims.booking_rules import Rules
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import Customer
from cloud_api.kit.money import yuan
from cloud_api.kit.writing import made
from cloud_api.ledger.accounts import Account as Held
from cloud_api.ledger.money import CASH
from cloud_api.ledger.service import Line
from cloud_api.members.models import MemberLevel
from cloud_api.orders.books import part_of, targets
from cloud_api.orders.cancel_rules import decide
from cloud_api.orders.models import Order, OrderLine, OvertimeCharge, RefundRequest
from cloud_api.orders.money import HOLD_EXPIRED, pays
from cloud_api.orders.overtime import pays as pays_overtime
from cloud_api.orders.overtime import rule_of
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.pricing import lines as pricing
from cloud_api.pricing.lines import Book
from cloud_api.pricing.models import Extra, Package, Quote, Slot, Tariff
from cloud_api.pricing.overtime import price
from cloud_api.stores.models import Room
from demo.past.books import Pages
from demo.past.plan import Visit
from store_link.clock import ms

METER_W: Final = 410  # what a table, light and air conditioner draw on the average
_VALID: Final = timedelta(minutes=10)
_WORDS: Final = ("麻将机中途卡了两次牌", "空调不太凉", "隔壁有点吵", "茶台的水壶坏了")


@dataclass(slots=True)
class House:
    """What the store sells and who works there; ``at`` are its accounts by provider."""

    pages: Pages
    rooms: Sequence[Room]
    tariffs: Sequence[Tariff]
    slots: Mapping[str, Slot]
    packages: Mapping[str, Package]
    tea: Extra
    owner: str
    at: Mapping[str, ProviderAccount]
    guests: Sequence[Account]
    levels: Mapping[str, MemberLevel]  # by account
    metered: frozenset[str]  # rooms with a meter
    payments: list[PaymentAttempt] = field(default_factory=list)
    refunds: list[RefundAttempt] = field(default_factory=list)

    def pay(
        self,
        provider: str,
        at: datetime,
        *,
        guest: str,
        what: str,
        part: str,
        number: str,
        fen: int,
        subject: str,
        applied: str,
    ) -> PaymentAttempt:
        """A payment that came at ``at``, in the books."""
        account = self.at[provider]
        online = provider in _CHANNEL
        came = self.pages.add(
            PaymentAttempt,
            at,
            account_id=guest,
            account_ref=account.id,
            provider=provider,
            channel=_CHANNEL.get(provider, "house"),
            subject=subject,
            pays=what,
            part_of=part,
            number=number,
            amount_fen=fen,
            state="succeeded",
            provider_txn=self._txn(at) if online else None,
            paid_at=at if online else None,
            expires_at=at + timedelta(minutes=9),
            created_at=at - timedelta(seconds=25),
            succeeded_at=at,
            applied=applied,
            **self.pages.own,
        )
        self.payments.append(came)
        self.pages.post(
            "payment",
            f"payment:{came.id}",
            part,
            [self._where(came, fen), Line(Held.ADVANCE, -fen)],
            at,
            number,
        )
        return came

    def give_back(
        self, paid: PaymentAttempt, fen: int, reason: str, asked_at: datetime
    ) -> RefundAttempt:
        """A refund that was asked for and has arrived; ``arrives`` books it."""
        asked = self.pages.add(
            RefundAttempt,
            asked_at,
            account_id=paid.account_id,
            payment_id=paid.id,
            number=f"{paid.number}-R1",
            amount_fen=fen,
            reason=reason,
            state="submitted",
            provider_refund=self._txn(asked_at),
            created_at=asked_at,
            **self.pages.own,
        )
        self.refunds.append(asked)
        return asked

    def arrives(self, refund: RefundAttempt, paid: PaymentAttempt, at: datetime) -> None:
        """The refund is there."""
        refund.state, refund.succeeded_at = "succeeded", at
        fen = refund.amount_fen
        self.pages.post(
            "refund",
            f"refund:{refund.id}",
            paid.part_of,
            [Line(Held.ADVANCE, fen), self._where(paid, -fen)],
            at,
            refund.number,
        )

    def _where(self, payment: PaymentAttempt, fen: int) -> Line:
        if payment.provider == CASH:
            return Line(Held.CASH, fen)
        return Line(Held.CLEARING, fen, payment.account_ref)

    def _txn(self, at: datetime) -> str:
        return f"42{int(at.timestamp())}{self.pages.dice.randrange(10**14):014d}"


_CHANNEL: Final = {"wechat": "h5", "alipay": "wap"}


@dataclass(slots=True)
class Story:
    """One order as it goes on: each step keeps the order, its history, its money and the books together."""

    house: House
    visit: Visit
    order: Order
    claim: RoomClaim
    paid: list[PaymentAttempt] = field(default_factory=list)
    back: list[RefundAttempt] = field(default_factory=list)
    _later: list[tuple[datetime, PaymentAttempt]] = field(default_factory=list)

    @property
    def guest(self) -> str:
        """Who booked."""
        return Customer(self.order.account_id).ref

    @property
    def subject(self) -> str:
        """What the payer reads."""
        zone = self.house.pages.zone
        local = self.order.starts_at.astimezone(zone)
        return f"{self.house.rooms[self.visit.room].name} {local:%m-%d %H:%M}"

    def move(self, to: str, at: datetime, by: str, why: str, **body: Any) -> None:
        """A change of status with its event and its books."""
        order, was = self.order, self.order.status
        order.status, order.version = to, order.version + 1
        self.house.pages.event(order.id, "status", at, by, why, was=was, now=to, **body)
        self.follow(at)

    def follow(self, at: datetime) -> None:
        """The books as they stand now."""
        found = targets(self.order, self.paid, self.back, None)
        self.house.pages.carry(part_of(self.order.id), found, "order", at)

    def pay(self, provider: str, at: datetime) -> PaymentAttempt:
        """The price comes; the order is ready."""
        order, pages = self.order, self.house.pages
        number = f"{order.number}-{'M' if provider == CASH else ''}1"
        came = self.house.pay(
            provider, at, guest=order.account_id, what=pays(order.id), part=part_of(order.id),
            number=number, fen=order.total_fen, subject=self.subject, applied="order",
        )  # fmt: skip
        self.paid.append(came)
        body = {"payment": number, "amount_fen": order.total_fen}
        if provider == CASH:
            pages.event(order.id, "cash_taken", at, self.house.owner, "现金", **body)
        elif provider in _CHANNEL:
            opened = at - timedelta(seconds=25)
            pages.event(
                order.id, "payment_opened", opened, self.guest, payment=number, provider=provider
            )
        order.paid_fen = order.total_fen
        self.ready(at, "payment", **body)
        return came

    def ready(self, at: datetime, why: str, **body: Any) -> None:
        """pending_payment → paid → ready."""
        self.move("paid", at, "system", why, **body)
        self.move("ready", at, "system", why)
        self.claim.state = "confirmed"

    def use(self) -> datetime:
        """Guests come, stay and go; when it was over."""
        order, visit, dice = self.order, self.visit, self.house.pages.dice
        store = self.house.pages.store
        by = f"store:{order.store_id}"
        late_s = visit.late_min * 60 + dice.randrange(50) if visit.late_min else 0
        entered = order.starts_at + timedelta(seconds=dice.randint(-240, 540))
        after_s = store.grace_s + late_s if late_s else dice.randint(-600, 420)
        ended = order.ends_at + timedelta(seconds=after_s)
        used_s = int((ended - entered).total_seconds())
        order.entered_at, order.ended_at, order.used_s = entered, ended, used_s
        order.power_on_s, order.overtime_s = used_s - dice.randrange(60), late_s
        watts = METER_W + dice.randint(-60, 90)
        evidence: dict[str, Any] = {"presence": [], "power": [], "door": [], "signs": []}
        if late_s:
            evidence["overtime"] = {
                "from": ms(ended - timedelta(seconds=late_s)),
                "until": ms(ended),
            }
        order.usage = {
            "stay": self.claim.id,
            "room": order.room_id,
            "entered_at": ms(entered),
            "ended_at": ms(ended),
            "used_s": used_s,
            "power_on_s": order.power_on_s,
            "overtime_s": late_s,
            "grace_used_s": min(store.grace_s, max(0, after_s)),
            "evidence": evidence,
            "energy_wh": watts * used_s // 3600 if order.room_id in self.house.metered else None,
        }
        self.move("in_use", entered, by, "unlock")
        self.house.pages.event(order.id, "usage", ended, by, used_s=used_s, overtime_s=late_s)
        if late_s:
            self._overtime(late_s, ended, by)
        self.move("completed", ended, by, "usage")
        self.claim.state, self.claim.released_why = "released", "ended"
        self.claim.ends_at = self.claim.block_until = max(ended, self.claim.starts_at)
        return ended

    def _overtime(self, seconds: int, ended: datetime, by: str) -> None:
        order, pages = self.order, self.house.pages
        priced = price(rule_of(pages.store), seconds, 0)
        settled = ended + timedelta(minutes=pages.dice.randint(2, 50))
        charge = pages.add(
            OvertimeCharge,
            ended,
            account_id=order.account_id,
            order_id=order.id,
            state="paid",
            seconds=seconds,
            minutes=priced.minutes,
            free_minutes=priced.free_minutes,
            units=priced.units,
            unit_minutes=priced.unit_minutes,
            unit_fen=priced.unit_fen,
            amount_fen=priced.amount_fen,
            covered_fen=priced.amount_fen,
            capped=priced.capped,
            left_at=ended,
            settled_at=settled,
            created_at=ended,
            **pages.own,
        )
        amount: dict[str, Any] = {"amount_fen": charge.amount_fen}
        pages.event(order.id, "overtime_due", ended, by, **amount)
        provider = next(one for one in _CHANNEL if one in self.house.at)
        came = self.house.pay(
            provider, settled, guest=order.account_id, what=pays_overtime(order.id),
            part=part_of(order.id), number=f"{order.number}-O1", fen=charge.amount_fen,
            subject=self.subject, applied="overtime",
        )  # fmt: skip
        pages.event(order.id, "overtime_paid", settled, "system", payment=came.number, **amount)
        self._later.append((settled, came))

    def settle(self) -> None:
        """What was paid after the stay is in the books too."""
        for at, came in self._later:
            self.paid.append(came)
            self.follow(at)

    def refund(self, fen: int, reason: str, at: datetime, by: str) -> None:
        """Money goes back and is there two minutes later."""
        order, pages = self.order, self.house.pages
        (paid, *_rest) = self.paid
        refund = self.house.give_back(paid, fen, reason, at)
        self.back.append(refund)
        pages.event(order.id, "refund_asked", at, by, amount_fen=fen)
        self.follow(at)
        arrived = at + timedelta(seconds=pages.dice.randint(70, 200))
        self.house.arrives(refund, paid, arrived)
        order.refunded_fen = fen
        pages.event(
            order.id, "refund_succeeded", arrived, "system", number=refund.number, amount_fen=fen
        )
        self.follow(arrived)

    def cancel(self, at: datetime) -> None:
        """The guest cancels under the store's rules."""
        order = self.order
        decision = decide(order, Rules(), at)
        assert decision.allowed, (order.number, decision)
        order.cancel_why, order.cancel_fee_fen = "customer", decision.fee_fen
        order.refunding_fen = 0
        self.claim.state, self.claim.released_why = "released", "cancelled:customer"
        self.move("cancelled", at, self.guest, "customer")
        if decision.fee_fen:
            self.house.pages.event(
                order.id, "cancel_fee", at, self.guest,
                amount_fen=decision.fee_fen, back_fen=decision.refund_fen,
            )  # fmt: skip
        self.refund(decision.refund_fen, "订单取消", at, self.guest)

    def lapse(self) -> None:
        """Nobody paid in time."""
        self.order.cancel_why = HOLD_EXPIRED
        self.claim.state, self.claim.released_why = "released", HOLD_EXPIRED
        self.move("cancelled", self.order.hold_expires_at, "system", HOLD_EXPIRED)

    def complain(self, at: datetime) -> None:
        """The guest asks for money back and gets half an hour's price or so."""
        order, pages = self.order, self.house.pages
        fen = min(order.paid_fen, 500 * pages.dice.randint(3, 6))
        why = pages.dice.choice(_WORDS)
        decided = at + timedelta(minutes=pages.dice.randint(6, 50))
        pages.add(
            RefundRequest,
            at,
            account_id=order.account_id,
            order_id=order.id,
            state="approved",
            why=why,
            asked_fen=order.paid_fen,
            approved_fen=fen,
            decided_by=self.house.owner,
            decided_why=f"{why}，补偿 {yuan(fen)}",
            created_at=at,
            decided_at=decided,
            **pages.own,
        )
        pages.event(order.id, "refund_requested", at, self.guest, why, amount_fen=order.paid_fen)
        self.refund(fen, why, decided, self.house.owner)


def place(house: House, visit: Visit, lines: list[dict[str, Any]] | None = None) -> Story:
    """The quote, the held room and the order; ``lines`` where a voucher pays."""
    pages, room, at = house.pages, house.rooms[visit.room], visit.placed_at
    account = house.guests[visit.guest]
    kind, product_id = "hourly", None
    if lines is None:
        kind, product_id, lines = _priced(house, visit, room, account.id)
    total = sum(int(line["amount_fen"]) for line in lines)
    own = {**pages.own, "room_id": room.id}
    span: dict[str, Any] = {"starts_at": visit.starts_at, "ends_at": visit.ends_at}
    quote = pages.add(
        Quote, at, kind=kind, product_id=product_id, total_fen=total, lines=lines,
        created_at=at, expires_at=at + _VALID, **own, **span,
    )  # fmt: skip
    order_id = pages.id_at(at)
    claim = pages.add(
        RoomClaim, at, order_id=order_id, block_from=visit.starts_at, state="held",
        block_until=visit.ends_at + timedelta(seconds=pages.store.cleaning_s),
        created_at=at, **own, **span,
    )  # fmt: skip
    order = made(
        Order,
        id=order_id,
        account_id=account.id,
        claim_id=claim.id,
        quote_id=quote.id,
        number=pages.number_at(at),
        hold_expires_at=at + timedelta(seconds=pages.store.hold_s),
        total_fen=total,
        source="staff" if visit.by_staff else "app",
        made_by=house.owner if visit.by_staff else None,
        created_at=at,
        **own,
        **span,
    )
    for position, line in enumerate(lines):
        pages.add(
            OrderLine, at, order_id=order.id, position=position, kind=line["kind"],
            text=line["text"], amount_fen=line["amount_fen"], detail=line, **pages.own,
        )  # fmt: skip
    pages.keep(order)
    story = Story(house, visit, order, claim)
    pages.event(order.id, "placed", at, house.owner if visit.by_staff else story.guest)
    return story


def _priced(
    house: House, visit: Visit, room: Room, account_id: str
) -> tuple[str, str | None, list[dict[str, Any]]]:
    """The price by the store's own tariffs and products, as a quote would say it."""
    level = house.levels.get(account_id)
    book = Book.of(house.pages.store, room, house.tariffs, None, level)
    span = (visit.starts_at, visit.ends_at)
    kind, product_id = "hourly", None
    if (slot := house.slots.get(visit.product)) is not None:
        kind, product_id, lines = "slot", slot.id, [pricing.slot_line(slot, *span, book.zone)]
    elif (package := house.packages.get(visit.product)) is not None:
        kind, product_id, lines = "package", package.id, [pricing.package_line(package, *span)]
    else:
        lines = pricing.hourly(book, *span)
    if level is not None:
        off = pricing.member_line(level.name, level.per_cent, lines)
        lines += [] if off is None else [off]
    if visit.tea:
        lines.append(pricing.extra_line(house.tea, visit.tea))
    return kind, product_id, [line.stored() for line in lines]
