"""One guest's way through the main job, who does what people do when something does not answer: again.

Business time is advanced where the guest would wait; nothing here looks into the cloud's database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from demo.people import Refused
from demo.processes import local_http
from demo.sight import quarter
from tests.faults.site import Site, eventually

PATIENCE_S = 100.0  # with a part that was killed and is on its way back, on a busy machine
OFF_WITHIN_S = 10.0
ROLES = ("table", "light", "ac")
_BUSY = {"idempotency.in_progress", "order.moved", "payment.pending_elsewhere"}
_NOT_NOW = {"store.offline", "door.store_offline", "door.lock_dead", "door.early", "door.unpaid"}


class Job(threading.Thread):
    """A thread that books ``room`` for an hour, pays, enters, stays and leaves.

    ``before(stage)`` is called before ``book``, ``pay``, ``pass``, ``enter``, ``end`` and ``over``.
    What goes wrong is kept in ``failed`` and raised by ``finish``.
    """

    def __init__(self, site: Site, room: str, before: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name=f"guest of {room}")
        self.site = site
        self.room = room
        self.before = before
        self.order: dict[str, Any] = {}
        self.taps = 0
        self.off_within_s = OFF_WITHIN_S
        self.failed: BaseException | None = None
        self.pulses_before = site.pulses(room)
        history = site.history()
        self.history_before = history[-1]["seq"] if history else 0

    def run(self) -> None:
        """The whole way."""
        try:
            for step in (self.book, self.pay, self.get_pass, self.enter, self.end, self.over):
                self.before({"get_pass": "pass"}.get(step.__name__, step.__name__))
                step()
        except BaseException as failed:  # noqa: BLE001  raised by finish()
            self.failed = failed

    def finish(self) -> None:
        """Wait until the guest is out; raise what stopped it."""
        self.join(2.5 * PATIENCE_S)
        assert not self.is_alive(), f"the guest never came to an end\n{self.site.logs()}"
        if self.failed is not None:
            raise AssertionError(f"{self.failed}\n{self.site.logs()}") from self.failed

    # ------------------------------------------------------------------------------------- the way

    def book(self) -> None:
        """The next half hour, for an hour."""
        starts = quarter(self.site.clock.now() + timedelta(minutes=2))
        wanted = {
            "room_id": self.site.rooms[self.room],
            "starts_at": starts.isoformat(),
            "ends_at": (starts + timedelta(hours=1)).isoformat(),
        }
        quote = self._post("/quotes", wanted)
        self.order = self._post("/orders", {"quote_id": quote["id"]})
        assert self.order["state"] == "pending_payment", self.order

    def pay(self) -> None:
        """Open a payment, press the cashier's button once, and wait until the order stands."""
        path = f"/orders/{self.order['id']}"

        def opened() -> Any:
            made = self._post(f"{path}/pay", {"provider": "cashier", "channel": "page"})
            return made["redirect_url"]

        page = eventually(opened, PATIENCE_S, "the cashier's page")
        pressed = local_http().post(page, data={"do": "pay"}, timeout=10.0)
        assert pressed.status_code == 303, pressed.text
        looked = time.monotonic()

        def ready() -> bool:
            nonlocal looked
            if time.monotonic() - looked > 8:  # the page that waits for the money asks as well
                looked = time.monotonic()
                self._post(f"{path}/check-payment", {})
            self.order = self._get(path)
            return bool(self.order["state"] == "ready")

        eventually(ready, PATIENCE_S, "the order to be paid")
        assert self.order["paid_fen"] == self.order["total_fen"]

    def get_pass(self) -> None:
        """The phone keeps a pass for dead spots."""
        held = self._get(f"/orders/{self.order['id']}/pass")
        assert held["pass"].startswith("K1:")

    def enter(self) -> None:
        """In the window: tap until the door has opened. Whoever is told nothing pushes it before tapping again."""
        self.site.advance_to(self.starts - timedelta(minutes=5))
        (door,) = self.site.sql("SELECT token FROM door WHERE name = $1", f"{self.room}门")

        def entered() -> bool:
            if self.site.pulses(self.room) > self.pulses_before:
                return True
            try:
                self.taps += 1
                tap = self._post(f"/doors/{door['token']}/unlock", {})
            except Refused as refused:
                if refused.code not in _NOT_NOW:
                    raise
                time.sleep(1.0)  # the page says: wait a moment
                return False
            if tap["state"] == "done":
                return True
            time.sleep(3.0)  # so long, that a pulse which is still to come has come
            return False

        eventually(entered, PATIENCE_S, "the door to open")
        for role in ROLES:
            self._power(role, True, PATIENCE_S)
        self._order_is("in_use")

    def end(self) -> None:
        """The hour is over: the power stays through the grace."""
        self.site.advance_to(self.ends + timedelta(seconds=30))
        stay = "SELECT state FROM stay WHERE id = ?"
        claim = self.claim()
        eventually(lambda: self.site.journal(stay, claim) == [("grace",)], PATIENCE_S, "the grace")
        for role in ROLES:
            assert self.site.coil(self.room, role)["on"], f"{role} was cut in the grace"
            assert self.switched(role) == [True]

    def over(self) -> None:
        """After the grace it goes off, and the order is completed."""
        self.site.advance_to(self.ends + timedelta(seconds=600))
        self.power_is_off(self.off_within_s)
        self.completed()

    def power_is_off(self, within_s: float) -> None:
        """Table, light and air conditioner."""
        for role in ROLES:
            self._power(role, False, within_s)

    def completed(self) -> None:
        """The guest's page says so, with how long the room was used."""
        self._order_is("completed")
        eventually(
            lambda: self._get(f"/orders/{self.order['id']}")["used_s"] is not None,
            PATIENCE_S,
            "the usage",
        )

    # ------------------------------------------------------------------------------------- looking

    def switched(self, role: str) -> list[bool]:
        """What the coil of a role did since this guest came: True for on."""
        now = self.site.coil(self.room, role)["n"]
        board = self.site.board_of(self.room)
        return [
            event["on"]
            for event in self.site.history(self.history_before)
            if event["board"] == board and event["coil"] == now and event["cause"] == "write"
        ]

    def claim(self) -> str:
        """The claim, which is the stay's name at the store."""
        (row,) = self.site.sql("SELECT claim_id FROM orders WHERE id = $1", self.order["id"])
        return str(row["claim_id"])

    @property
    def starts(self) -> datetime:
        """When the room is the guest's."""
        return datetime.fromisoformat(self.order["starts_at"])

    @property
    def ends(self) -> datetime:
        """Until when it is paid."""
        return datetime.fromisoformat(self.order["ends_at"])

    def _power(self, role: str, on: bool, seconds: float) -> None:
        what = f"{self.room} {role} {'on' if on else 'off'}"
        eventually(lambda: self.site.coil(self.room, role)["on"] is on, seconds, what)

    def _order_is(self, state: str) -> None:
        def so() -> bool:
            return bool(self._get(f"/orders/{self.order['id']}")["state"] == state)

        eventually(so, PATIENCE_S, f"the order to be {state}")

    # ------------------------------------------------------------------------------- asking again

    def _get(self, path: str) -> dict[str, Any]:
        return self._again(lambda: self.site.guest.get(path))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The same key where nothing was heard; a new tap where that one is stuck."""
        key = uuid4().hex

        def post() -> dict[str, Any]:
            nonlocal key
            try:
                return self.site.guest.post(path, body, key)
            except Refused as refused:
                if refused.code not in _BUSY:
                    raise
                key = uuid4().hex
                raise httpx.ReadError("busy") from refused

        return self._again(post)

    @staticmethod
    def _again(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            except Refused as refused:
                if refused.code == "too_often":  # all guests of the matrix have one phone
                    time.sleep(float(refused.body["retry_after"]))
                elif refused.status < 500 or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)
