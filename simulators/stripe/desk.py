"""What the running Stripe has in hand, and what happens in it when somebody pays or is paid back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from simulators.stripe.book import Book, Refused, Thing
from simulators.stripe.faults import Knobs

FEE_PER_MILLE, FEE_FIXED = 34, 30


class Desk:
    """One Stripe. Its admin token is made at the first start and kept."""

    def __init__(
        self,
        state_dir: Path | None,
        *,
        public_url: str,
        admin_token: str | None = None,
        time_factor: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
        self.book = Book(None if state_dir is None else state_dir / "stripe.db", now)
        self.public_url = public_url.rstrip("/")
        self.time_factor = time_factor
        self.admin_token = admin_token or self.book.setting(
            "admin_token", lambda: secrets.token_urlsafe(24)
        )
        self.knobs = Knobs()

    def session(self, account: str, thing_id: str) -> Thing:
        """A Checkout Session, expired if its time is over. Refused 404."""
        found = self.book.get(account, thing_id)
        if found is None:
            raise Refused(404, "invalid_request_error", "resource_missing", f"No such: {thing_id}")
        if found["status"] == "open" and found["expires_at"] <= self.book.now():
            found = self.expire(account, found)
        return found

    def expire(self, account: str, session: Thing) -> Thing:
        """open → expired."""
        gone = self.book.change(session, status="expired", url=None)
        self.book.tell(account, gone["client_reference_id"], "checkout.session.expired", gone)
        return gone

    def pay(self, account: str, session: Thing) -> Thing:
        """open → complete: an intent, a charge, a balance transaction, an event."""
        if session["status"] != "open":
            return session
        number, currency = session["client_reference_id"], session["currency"]
        amount = session["amount_total"]
        intent = self.book.make(
            account,
            "payment_intent",
            "pi",
            number,
            {
                "amount": amount,
                "amount_received": amount,
                "currency": currency,
                "status": "succeeded",
                "metadata": session["payment_intent_metadata"],
            },
        )
        charge = self.book.make(
            account,
            "charge",
            "ch",
            number,
            {
                "amount": amount,
                "amount_refunded": 0,
                "currency": currency,
                "status": "succeeded",
                "paid": True,
                "payment_intent": intent["id"],
                "metadata": intent["metadata"],
            },
        )
        self._move(
            account, number, "charge", charge, amount, amount * FEE_PER_MILLE // 1000 + FEE_FIXED
        )
        done = self.book.change(
            session, status="complete", payment_status="paid", payment_intent=intent["id"], url=None
        )
        self.book.tell(account, number, "checkout.session.completed", done)
        return done

    def refund(
        self, account: str, intent_id: str, amount: int, metadata: Thing, status: str
    ) -> Thing:
        """Give back. Refused where more would go than came."""
        intent = self.book.get(account, intent_id)
        charges = [c for c in self.book.all(account, "charge") if c["payment_intent"] == intent_id]
        if intent is None or not charges:
            raise Refused(404, "invalid_request_error", "resource_missing", f"No such: {intent_id}")
        given = sum(
            r["amount"]
            for r in self.book.all(account, "refund")
            if r["payment_intent"] == intent_id and r["status"] not in {"failed", "canceled"}
        )
        if given + amount > intent["amount"]:
            raise Refused(
                400, "invalid_request_error", "charge_already_refunded", "more than was charged"
            )
        number = metadata.get("number", "")
        made = self.book.make(
            account,
            "refund",
            "re",
            number,
            {
                "amount": amount,
                "currency": intent["currency"],
                "payment_intent": intent_id,
                "charge": charges[0]["id"],
                "metadata": metadata,
                "status": "pending" if status == "succeeded" else status,
                "reason": "requested_by_customer",
            },
        )
        self.book.tell(account, number, "refund.created", made)
        return self.finish(account, made, status) if status != made["status"] else made

    def finish(self, account: str, refund: Thing, status: str) -> Thing:
        """A refund goes through, or fails."""
        number = refund["metadata"].get("number", "")
        failed = {"failure_reason": "expired_or_canceled_card"} if status == "failed" else {}
        done = self.book.change(refund, status=status, **failed)
        if status == "succeeded":
            self._move(account, number, "refund", done, -done["amount"], 0)
        self.book.tell(account, number, "refund.failed" if failed else "refund.updated", done)
        return done

    def _move(
        self, account: str, number: str, kind: str, source: Thing, amount: int, fee: int
    ) -> None:
        self.book.make(
            account,
            "balance_transaction",
            "txn",
            number,
            {
                "type": kind,
                "amount": amount,
                "fee": fee,
                "net": amount - fee,
                "currency": source["currency"],
                "source": source["id"],
            },
        )
