"""A PaymentProvider on Stripe Checkout: a page of Stripe's, a signed event, queries, refunds.

What is peculiar to it:

- Stripe finds nothing by our number. We read back what was made around the time at which the payment was
  opened, and take the session that carries it. Their search would be late: it is not read-after-write.
- Our number is the idempotency key of each call that makes something. Stripe keeps its first answer for
  a day, also where that was a 500: whoever repeats a failed call asks what became of it instead.
- A session lives half an hour at least, longer than a room is held: we expire it ourselves.
- A refund may be pending, and may fail days later.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.payments.certificates import Fact, fingerprint
from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    BillLine,
    BillState,
    BillView,
    Money,
    Notice,
    PaymentRef,
    PaymentView,
    RefundAsk,
    RefundView,
    Reply,
    Step,
    StepKind,
    Surroundings,
)
from cloud_api.payments.providers.stripe.amounts import NotRepresentable, from_stripe, to_stripe

if TYPE_CHECKING:
    import stripe

TIMEOUT_S: Final = 8.0
FRESH_S: Final = 300
LEAST_LIFE: Final = timedelta(minutes=31)  # Stripe wants thirty, by its own clock
BEFORE: Final = timedelta(minutes=2)
AFTER: Final = timedelta(hours=2)
PAGES: Final = 20
_SIGNATURE: Final = "stripe-signature"
_REFUND: Final = {
    "pending": Back.SUBMITTED,
    "requires_action": Back.ABNORMAL,
    "succeeded": Back.SUCCEEDED,
    "failed": Back.FAILED,
    "canceled": Back.FAILED,
}
_SESSION_EVENTS: Final = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.expired",
    }
)
_REFUND_EVENTS: Final = frozenset(
    {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
)


class StripeAccount(BaseModel):
    """Credentials of an account, as stored (encrypted)."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)
    secret_key: str = Field(pattern=r"^(sk|rk)_(live|test)_\w{8,200}$", title="密钥（sk_ 或 rk_）")
    webhook_secret: str = Field(
        pattern=r"^whsec_[\w+/=]{8,200}$", title="Webhook 签名密钥（whsec_）"
    )
    currency: str = Field(pattern=r"^[a-z]{3}$", title="币种（小写三个字母，如 hkd）")
    base_url: str = Field("https://api.stripe.com", max_length=200, title="接口地址")

    @property
    def live(self) -> bool:
        """Whether real money moves."""
        return "_live_" in self.secret_key[:8]

    def facts(self) -> list[Fact]:
        """What may be shown of it."""
        kind = _("正式") if self.live else _("测试")
        return [
            Fact(
                later("密钥"),
                _("{kind} · 指纹 {print}").format(kind=kind, print=fingerprint(self.secret_key)),
            ),
            Fact(
                later("Webhook 签名密钥"),
                _("指纹 {print}").format(print=fingerprint(self.webhook_secret)),
            ),
        ]


class Stripe:
    """One account at Stripe."""

    def __init__(self, account: StripeAccount, around: Surroundings) -> None:
        from cloud_api.payments.providers.stripe.transport import client_of

        self._account = account
        self._clock = around.clock
        self._client = client_of(account.secret_key, account.base_url, around.http, TIMEOUT_S)

    async def create(self, ask: Ask) -> PaymentView:
        """Make a Checkout Session; the same number again gives the same one."""
        import stripe

        currency = self._account.currency
        try:
            amount = to_stripe(ask.amount_fen, currency)
        except NotRepresentable as error:
            return PaymentView(Money.FAILED, ask.number, detail=str(error))
        try:
            made = await self._client.v1.checkout.sessions.create_async(
                self._session(ask, amount),
                {"idempotency_key": f"pay-{ask.number}"},
            )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            return PaymentView(Money.FAILED, ask.number, detail=_why(error))
        except stripe.StripeError as error:
            return PaymentView(Money.UNKNOWN, ask.number, detail=_why(error))
        return self._payment(made, ask.number)

    async def query(self, payment: PaymentRef) -> PaymentView:
        """The session that carries our number."""
        import stripe

        try:
            found = await self._find(payment)
        except stripe.StripeError as error:
            return PaymentView(Money.UNKNOWN, payment.number, detail=_why(error))
        if found is None:
            return PaymentView(Money.ABSENT, payment.number)
        return self._payment(found, payment.number)

    async def close(self, payment: PaymentRef) -> PaymentView:
        """Expire the session; one that is being paid right now refuses, and is asked about."""
        import stripe

        try:
            found = await self._find(payment)
            if found is None:
                return PaymentView(Money.ABSENT, payment.number)
            if found.status != "open":
                return self._payment(found, payment.number)
            try:
                found = await self._client.v1.checkout.sessions.expire_async(found.id)
            except stripe.InvalidRequestError:
                found = await self._client.v1.checkout.sessions.retrieve_async(found.id)
        except stripe.StripeError as error:
            return PaymentView(Money.UNKNOWN, payment.number, detail=_why(error))
        view = self._payment(found, payment.number)
        if view.state is Money.PENDING:
            return PaymentView(Money.UNKNOWN, payment.number, detail="being paid right now")
        return view

    async def refund(self, ask: RefundAsk) -> RefundView:
        """Give back a part or all of a payment intent."""
        import stripe

        if not ask.payment.provider_txn:
            return RefundView(Back.FAILED, ask.number, detail="the payment has no intent")
        try:
            made = await self._client.v1.refunds.create_async(
                {
                    "payment_intent": ask.payment.provider_txn,
                    "amount": to_stripe(ask.amount_fen, self._account.currency),
                    "reason": "requested_by_customer",
                    "metadata": {"number": ask.number, "payment": ask.payment.number},
                },
                {"idempotency_key": f"refund-{ask.number}"},
            )
        except NotRepresentable as error:
            return RefundView(Back.FAILED, ask.number, detail=str(error))
        except stripe.InvalidRequestError as error:
            return RefundView(Back.FAILED, ask.number, detail=_why(error))
        except stripe.StripeError as error:
            return RefundView(Back.UNKNOWN, ask.number, detail=_why(error))
        return self._refund(made, ask.number)

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """The refund of the payment's intent that carries our number."""
        import stripe

        if not ask.payment.provider_txn:
            return RefundView(Back.ABSENT, ask.number)
        try:
            listed = await self._client.v1.refunds.list_async(
                {"payment_intent": ask.payment.provider_txn, "limit": 100}
            )
            async for one in _through(listed):
                if _number(one) == ask.number:
                    return self._refund(one, ask.number)
        except stripe.StripeError as error:
            return RefundView(Back.UNKNOWN, ask.number, detail=_why(error))
        return RefundView(Back.ABSENT, ask.number)

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """An event: signature over the exact bytes and a time that is five minutes old at most."""
        import stripe

        header = headers.get(_SIGNATURE) or headers.get("Stripe-Signature") or ""
        try:
            stripe.WebhookSignature.verify_header(
                raw.decode(), header, self._account.webhook_secret, tolerance=None
            )
            stamp = int(
                next(v for k, _, v in (p.partition("=") for p in header.split(",")) if k == "t")
            )
            event = json.loads(raw)
            kind, thing = str(event["type"]), event["data"]["object"]
            event_id, live = str(event["id"]), bool(event["livemode"])
        except (
            stripe.SignatureVerificationError,
            UnicodeDecodeError,
            StopIteration,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            raise BadNotification(f"signature or form: {type(error).__name__}") from error
        age = abs(self._clock.now().timestamp() - stamp)
        if age > FRESH_S:
            raise BadNotification(f"stale by {age:.0f} s")
        if live is not self._account.live:
            raise BadNotification("of the other mode (live or test)")
        kept = {"type": kind, "id": thing.get("id"), "status": thing.get("status")}
        about: PaymentView | RefundView | None = None
        metadata = thing.get("metadata") or {}
        if kind in _SESSION_EVENTS and thing.get("client_reference_id"):
            about = self._payment(_Plain(thing), str(thing["client_reference_id"]))
        elif kind in _REFUND_EVENTS and metadata.get("number"):
            about = self._refund(_Plain(thing), str(metadata["number"]))
        return Notice(event_id, about, kept)

    def notification_reply(self, taken: bool) -> Reply:
        """Only the status counts."""
        return Reply(200, b"{}") if taken else Reply(400, b'{"code":"payment.bad_notification"}')

    async def fetch_bill(self, day: date) -> BillView:
        """The balance transactions of a UTC day: charges and refunds, with Stripe's fee."""
        import stripe

        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        lines: list[BillLine] = []
        try:
            listed = await self._client.v1.balance_transactions.list_async(
                {
                    "created": {
                        "gte": int(start.timestamp()),
                        "lt": int((start + timedelta(days=1)).timestamp()),
                    },
                    "limit": 100,
                    "expand": ["data.source", "data.source.payment_intent"],
                }
            )
            async for one in _through(listed):
                line = self._line(one)
                if line is not None:
                    lines.append(line)
        except stripe.StripeError as error:
            return BillView(BillState.UNKNOWN, detail=_why(error))
        except NotRepresentable as error:
            return BillView(BillState.UNKNOWN, detail=f"unreadable: {error}")
        names = json.dumps([(line.provider_no, line.amount_fen, line.state) for line in lines])
        return BillView(BillState.READY, tuple(lines), fingerprint(names))

    async def fetch_keys(self) -> Mapping[str, str]:
        """There are none: events are signed with the account's own secret."""
        return {}

    async def check(self) -> str:
        """``""`` if Stripe lets us in, else what is wrong, in words."""
        import stripe

        try:
            await self._client.v1.checkout.sessions.list_async({"limit": 1})
        except stripe.AuthenticationError:
            return later("Stripe 不认这个密钥：到 Stripe 后台的 API keys 重新复制")
        except stripe.PermissionError:
            return later(
                "这个密钥没有 Checkout 的权限：给受限密钥加上 Checkout Sessions 和 Refunds 的写权限"
            )
        except stripe.StripeError as error:
            return _("连不上 Stripe（{why}）").format(why=_why(error))
        return ""

    def _session(self, ask: Ask, amount: int) -> stripe.params.checkout.SessionCreateParams:
        """What a session is made with; the same at every call, or the idempotency key is refused."""
        life = (ask.expires_at + LEAST_LIFE).replace(second=0, microsecond=0)
        return {
            "mode": "payment",
            "client_reference_id": ask.number,
            "allowed_payment_method_types": ["card"],
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": self._account.currency,
                        "unit_amount": amount,
                        "product_data": {"name": ask.subject[:250] or ask.merchant_name},
                    },
                }
            ],
            "metadata": {"number": ask.number},
            "payment_intent_data": {"metadata": {"number": ask.number}},
            "expires_at": int(life.timestamp()),
            "success_url": ask.return_url,
            "cancel_url": ask.return_url,
        }

    async def _find(self, payment: PaymentRef) -> stripe.checkout.Session | None:
        if payment.provider_txn:
            listed = await self._client.v1.checkout.sessions.list_async(
                {"payment_intent": payment.provider_txn, "limit": 1}
            )
        else:
            listed = await self._client.v1.checkout.sessions.list_async(
                {
                    "created": {
                        "gte": int((payment.opened_at - BEFORE).timestamp()),
                        "lte": int((payment.opened_at + AFTER).timestamp()),
                    },
                    "limit": 100,
                }
            )
        one: stripe.checkout.Session
        async for one in _through(listed):
            if one.client_reference_id == payment.number:
                return one
        return None

    def _payment(self, session: Any, number: str) -> PaymentView:
        if session.client_reference_id != number:
            return PaymentView(Money.UNKNOWN, number, detail="answered about another number")
        if session.status == "expired":
            return PaymentView(Money.CLOSED, number)
        if session.status == "open":
            step = Step(StepKind.REDIRECT, url=session.url) if session.url else None
            return PaymentView(Money.PENDING, number, step=step)
        if session.status != "complete" or session.payment_status != "paid":
            return PaymentView(Money.UNKNOWN, number, detail=f"complete, {session.payment_status}")
        fen = self._hundredths(session.amount_total, session.currency)
        intent = session.payment_intent
        txn = intent if isinstance(intent, str) else getattr(intent, "id", None)
        if fen is None or txn is None:
            return PaymentView(Money.UNKNOWN, number, detail="paid in another currency")
        return PaymentView(Money.SUCCEEDED, number, amount_fen=fen, provider_txn=txn)

    def _refund(self, refund: Any, number: str) -> RefundView:
        fen = self._hundredths(refund.amount, refund.currency)
        state = _REFUND.get(str(refund.status), Back.UNKNOWN)
        if fen is None:
            state = Back.UNKNOWN
        why = getattr(refund, "failure_reason", None)
        return RefundView(state, number, fen, str(refund.id), detail=str(why or ""))

    def _line(self, moved: Any) -> BillLine | None:
        kind = {
            "charge": "payment",
            "payment": "payment",
            "refund": "refund",
            "payment_refund": "refund",
        }
        source, what = moved.source, kind.get(str(moved.type))
        if what is None or source is None or isinstance(source, str):
            return None
        intent = getattr(source, "payment_intent", None)
        mine = _number(intent)
        own = _number(source) or source.id
        return BillLine(
            kind=what,
            number=str(mine or source.id) if what == "payment" else str(own),
            payment_number=str(mine),
            amount_fen=from_stripe(int(source.amount), str(source.currency)),
            at=datetime.fromtimestamp(int(moved.created), UTC),
            provider_no=str(source.id),
            fee_fen=from_stripe(int(moved.fee), str(moved.currency))
            if moved.currency == source.currency
            else 0,
            state="succeeded" if what == "payment" else _bill_state(str(source.status)),
        )

    def _hundredths(self, amount: Any, currency: Any) -> int | None:
        if currency != self._account.currency or not isinstance(amount, int):
            return None
        try:
            return from_stripe(amount, currency)
        except NotRepresentable:
            return None


class _Plain:
    """An object of an event, read by attribute as the library's own are."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        return self._fields.get(name)


def make(credentials: str, around: Surroundings) -> Stripe:
    """From an account's stored credentials (JSON). Raises ValueError if they are broken."""
    return Stripe(StripeAccount.model_validate_json(credentials), around)


async def _through(listed: Any) -> AsyncIterator[Any]:
    """All pages of a list, up to a bound."""
    for _page in range(PAGES):
        for one in listed.data:
            yield one
        if not listed.has_more:
            return
        listed = await listed.next_page_async()


def _number(thing: Any) -> str:
    """Our number, from an object's metadata; the library's objects are no dicts."""
    metadata = getattr(thing, "metadata", None)
    return "" if metadata is None else str(metadata.to_dict().get("number", ""))


def _bill_state(status: str) -> str:
    return {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}.get(
        status, "submitted"
    )


def _why(error: stripe.StripeError) -> str:
    """What went wrong, without anything that was sent."""
    code = getattr(error, "code", None) or error.http_status or ""
    return f"{type(error).__name__} {code}".strip()
