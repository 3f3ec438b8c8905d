"""What goes in and out of orders. Money in fen, instants ISO-8601 in UTC."""

from datetime import date
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.orders.money_schemas import DepositOut, RefundRequestOut
from cloud_api.orders.overtime_out import OvertimeOut
from cloud_api.orders.words import Word
from cloud_api.payments.models import PaymentAttempt


class OrderIn(BaseModel):
    """Order what was quoted."""

    model_config = ConfigDict(extra="forbid")
    quote_id: Annotated[str, Field(min_length=1, max_length=64)]


class PayIn(BaseModel):
    """How to pay. ``return_path`` is where the provider's page leads back to, on this site.

    ``payer_code`` says who pays, where the channel must know it: what ``wx.login`` gave a mini-program
    (``mini``), or WeChat's authorize page (``jsapi``). Pages of this site bring it by themselves.
    """

    model_config = ConfigDict(extra="forbid")
    provider: Annotated[str, Field(min_length=1, max_length=40)] = "cashier"
    channel: Annotated[str, Field(min_length=1, max_length=40)] = "page"
    return_path: Annotated[str, Field(max_length=200)] | None = None
    balance_fen: Annotated[int, Field(ge=0, le=100_000_000)] = 0  # of the balance, beside it
    payer_code: Annotated[str, Field(max_length=200)] | None = None


class WhyIn(BaseModel):
    """A reason."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200)] = ""


class ByHandIn(WhyIn):
    """A refund that was paid by other means."""

    proof: Annotated[str, Field(max_length=200)] = ""


class PayOut(BaseModel):
    """Where a payment stands. ``pending``: do ``step``; ``unknown``: being asked for.

    ``step`` is what the page does: ``{kind: redirect, url}``, ``{kind: form, url, fields}`` (post them),
    ``{kind: qr, text}`` (show it as a code) or ``{kind: jsapi, fields}`` (for WeixinJSBridge).
    """

    payment_id: str
    number: str
    provider: str
    state: str
    amount_fen: int
    redirect_url: str | None
    step: dict[str, Any] | None = None
    expires_at: AwareDatetime

    @classmethod
    def of(cls, payment: PaymentAttempt) -> "PayOut":
        """From the attempt."""
        pending = payment.state == "pending"
        return cls(
            payment_id=payment.id,
            number=payment.number,
            provider=payment.provider,
            state=payment.state,
            amount_fen=payment.amount_fen,
            redirect_url=payment.redirect_url if pending else None,
            step=payment.step if pending else None,
            expires_at=payment.expires_at,
        )


class RoomBrief(BaseModel):
    """The room of an order."""

    id: str
    name: str
    art: str


class StoreBrief(BaseModel):
    """The store of an order."""

    id: str
    name: str
    address: str
    phone: str
    tz: str


class LineOut(BaseModel):
    """A line of the price."""

    kind: str
    text: str
    amount_fen: int
    detail: dict[str, Any]


class PaymentOut(BaseModel):
    """A try to pay."""

    id: str
    number: str
    state: str
    provider: str
    purpose: str = "order"  # or overtime, change, extension
    amount_fen: int
    at: AwareDatetime
    applied: str | None
    redirect_url: str | None


class RefundOut(BaseModel):
    """Money going back."""

    number: str
    state: str
    amount_fen: int
    reason: str
    at: AwareDatetime
    arrived_at: AwareDatetime | None


class EventOut(BaseModel):
    """A line of the history."""

    at: AwareDatetime
    kind: str
    text: str


class NextOut(BaseModel):
    """The one thing to do next."""

    action: str
    label: str


class CancelOut(BaseModel):
    """Whether it can be cancelled now, and what comes back.

    ``waits``: the guest could still get in, so it comes back once the store says that nobody did.
    ``voucher``: what becomes of a voucher that paid: ``whole`` again, ``part`` of its value comes back to who
    bought it (``voucher_back_fen``), ``used``, ``late`` where the platform takes it back by itself no more;
    None where none did.
    """

    allowed: bool
    refund_fen: int
    fee_fen: int
    code: str
    message: str
    waits: bool = False
    voucher: str | None = None
    voucher_back_fen: int = 0


class PayWayOut(BaseModel):
    """A way to pay at this store."""

    provider: str
    channel: str
    name: str
    note: str = ""
    icon: str = "credit-card"
    balance_fen: int = 0  # of the guest's balance, to be sent along with it


class OrderOut(BaseModel):
    """An order. ``state`` is the status; ``word`` and ``words`` what people call it."""

    id: str
    number: str
    state: str
    word: Word
    words: str
    refund_words: str | None
    room: RoomBrief
    store: StoreBrief
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    opens_at: AwareDatetime
    hold_expires_at: AwareDatetime
    created_at: AwareDatetime
    total_fen: int
    paid_fen: int
    refunded_fen: int
    refunding_fen: int
    waiting_fen: int  # of a cancelled order: comes back once the store says that nobody used it
    lines: list[LineOut]
    payments: list[PaymentOut]
    refunds: list[RefundOut]
    events: list[EventOut]
    pay_with: list[PayWayOut]
    cancel: CancelOut
    cancel_why: str | None
    entered_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    finished_early: bool
    used_s: int | None
    overtime_s: int | None
    overtime: OvertimeOut | None = None
    to_pay_fen: int = 0  # now: price and deposit, or overtime
    balance_fen: int = 0  # what the guest's balance could pay of it
    deposit: DepositOut | None = None
    refund_request: RefundRequestOut | None = None
    energy_wh: int | None = None
    next: NextOut


class FinishOut(BaseModel):
    """The order, and the command to the store; None when the store is offline and told later."""

    order: OrderOut
    command_id: str | None
    message: str


class OrdersOut(BaseModel):
    """A page of orders, newest first; ``next_cursor`` goes into the next request."""

    items: list[OrderOut]
    next_cursor: str | None


class ConsoleOrderOut(OrderOut):
    """What staff see more: whose order it is (masked), and its device evidence."""

    phone_tail: str
    usage: dict[str, Any] | None


class ConsoleOrdersOut(BaseModel):
    """A page of a store's orders."""

    items: list[ConsoleOrderOut]
    next_cursor: str | None


class SpanOrderOut(BaseModel):
    """The order behind a stretch of a room's day, for staff."""

    id: str
    number: str
    state: str
    word: Word
    words: str
    total_fen: int
    phone_tail: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class TimelineSpanOut(BaseModel):
    """A stretch of a room's day."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    state: str
    order: SpanOrderOut | None


class TimelineRoomOut(BaseModel):
    """A room's day."""

    id: str
    name: str
    mode: str
    art: str
    capacity: int
    spans: list[TimelineSpanOut]


class TimelineOut(BaseModel):
    """A store's day, local midnight to midnight."""

    store_id: str
    day: date
    tz: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    now: AwareDatetime
    rooms: list[TimelineRoomOut]
