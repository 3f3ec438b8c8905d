"""``make demo-check``: the main job and the ways it fails, without a person, each step with its time.

What is claimed is looked for where it must be: the coil of a board, a row of the database.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from demo.people import Refused, until
from demo.processes import Failed, answers, local_http
from demo.seed import READERS, ROOMS
from demo.sight import Sight, quarter
from demo.stage import Stage

GRACE_S = 600
VACATED_S = 65  # a sensor flickers: a room counts as left after a minute without a sign
OFF_WITHIN_S = 10.0
BEFORE_WH, USED_WH = 12_500, 412  # on the meter of 竹间
ENDS_IN_5 = 4  # the file that the voice plays five minutes before the end
Say = Callable[[str], None]


def run_check(folder: Path, say: Say) -> bool:
    """Start a stage in ``folder``, walk through everything, stop it; whether all was well."""
    stage = Stage(folder, host="127.0.0.1", fixed_ports=False)
    began = time.monotonic()
    walk: Walk | None = None
    try:
        stage.prepare()
        stage.up(lambda part: None)
        say(f"  {time.monotonic() - began:6.2f} s  everything is up")
        walk = Walk(stage, say)
        for step in walk.steps():
            walk.do(step)
        say(f"\nAll {walk.done} steps are well ({time.monotonic() - began:.0f} s).")
        return True
    except Failed as error:
        say(f"\nFAILED: a part did not come up: {error}")
        return False
    except (AssertionError, Refused, httpx.HTTPError, KeyError) as error:
        where = walk.now if walk is not None else "start"
        say(f"\nFAILED at “{where}”: {type(error).__name__}: {error}")
        for child in stage.children.values():
            say(f"\n--- {child.name}\n{child.tail(15)}")
        return False
    finally:
        if walk is not None:
            walk.close()
        stage.down()


class Walk(Sight):
    """One walk over a stage that is up."""

    def __init__(self, stage: Stage, say: Say) -> None:
        super().__init__(stage)
        self.say = say
        self.done = 0
        self.now = ""

    def steps(self) -> list[Callable[[], None]]:
        """The walk, in order; the first line of each docstring is what is printed."""
        return [
            self.log_in,
            self.unpaid_is_told,
            self.pays,
            self.too_early,
            self.anothers_order,
            self.wrong_room,
            self.enters,
            self.double_tap,
            self.claim_is_refused,
            self.owner_switches,
            self.controller_dies,
            self.broker_dies,
            self.cloud_dies,
            self.voice_reminds,
            self.grace_keeps_power,
            self.power_goes_off,
            self.overtime_counts,
            self.usage_is_reported,
            self.overtime_is_paid,
            self.over,
            self.next_guest,
            self.dead_board,
            self.store_offline,
            self.pass_without_cloud,
            self.nothing_lost,
            self.platform_code,
        ]

    def do(self, step: Callable[[], None]) -> None:
        """One step, printed with its time."""
        self.now = (step.__doc__ or step.__name__).splitlines()[0].rstrip(".")
        began = time.monotonic()
        step()
        self.done += 1
        self.say(f"  {time.monotonic() - began:6.2f} s  {self.now}")

    # ------------------------------------------------------------------------------- the main job

    def log_in(self) -> None:
        """Two guests and the owner log in with codes from their phones."""
        for person in (self.guest, self.other, self.owner):
            person.log_in()
        self.learn_the_store()
        assert set(self.rooms) == {plan.name for plan in ROOMS}, self.rooms

    def unpaid_is_told(self) -> None:
        """竹间 is booked for two hours; unpaid, the door says so."""
        starts = quarter(self.clock.now() + timedelta(minutes=50))
        self.order = self.guest.book(self.rooms["竹间"], starts, 2)
        assert self.order["state"] == "pending_payment", self.order
        assert sum(line["amount_fen"] for line in self.order["lines"]) == self.order["total_fen"]
        self.expect_case(self.guest, "竹间门", "unpaid")
        self.expect_refusal(self.guest, "竹间门")

    def pays(self) -> None:
        """Paid in the cashier's page; the signed callback makes the order ready."""
        self.order = self.guest.pay(self.order)
        assert self.order["paid_fen"] == self.order["total_fen"]
        until(lambda: self.claim().state, lambda state: state == "confirmed", "the claim")

    def platform_code(self) -> None:
        """A voucher of Meituan's demonstration shop is a room tomorrow; a second time it is told as used."""
        shop = local_http().post(
            f"{self.stage.url('meituan', local=True)}/buy/993507001", timeout=10
        )
        code = shop.text.partition("data-code='")[2].partition("'")[0]
        ways = self.other.get("/platform-vouchers/ways", store_id=self.stage.store_id)["items"]
        (way,) = [one for one in ways if one["family"] == "meituan" and not one["manual"]]
        starts = quarter(self.clock.now() + timedelta(days=1))
        wish = {
            "account_id": way["account_id"],
            "code": code,
            "room_id": self.rooms["梅间"],
            "starts_at": starts.isoformat(),
        }
        done = self.other.post("/platform-vouchers/redeem", wish)
        assert (done["state"], done["room"]) == ("confirmed", "梅间"), done
        refused = refusal(lambda: self.guest.post("/platform-vouchers/redeem", wish))
        assert (refused.code, refused.body["room"]) == ("platform.used", "梅间"), refused.body

    def too_early(self) -> None:
        """Too early: the door says from when, and does not open."""
        view = self.expect_case(self.guest, "竹间门", "early")
        assert view["opens_at"] < view["starts_at"] or view["opens_at"] == view["starts_at"]
        self.expect_refusal(self.guest, "竹间门")
        assert self.pulses("竹间") == 0

    def anothers_order(self) -> None:
        """Somebody else sees no way in, and what is free."""
        self.to_window()
        view = self.guest.get(f"/doors/{self.doors['竹间门'].token}")
        assert view["case"] == "ready", view
        case = self.other.get(f"/doors/{self.doors['竹间门'].token}")["case"]
        assert case in {"none_taken", "none_free"}, case
        self.expect_refusal(self.other, "竹间门")
        assert self.pulses("竹间") == 0

    def wrong_room(self) -> None:
        """At 梅间's door the guest is led to 竹间."""
        view = self.expect_case(self.guest, "梅间门", "other_room")
        assert view["right_room"]["name"] == "竹间", view
        self.expect_refusal(self.guest, "梅间门")
        assert self.pulses("梅间") == 0

    def enters(self) -> None:
        """In the window one tap: one pulse of the lock, then table, light and AC go on."""
        answer = self.guest.unlock(self.doors["竹间门"].token)
        assert answer["state"] == "done", answer
        assert self.pulses("竹间") == 1
        for role in ("table", "light", "ac"):
            self.expect_power("竹间", role, on=True)
        until(lambda: self.seen()["state"], lambda state: state == "in_use", "the stay")
        self.draw(watts=420.0, counted_wh=BEFORE_WH)

    def double_tap(self) -> None:
        """Five taps at once: one pulse more, not five."""
        time.sleep(3.1)  # the last pulse counts as this one's answer for three seconds
        before = self.pulses("竹间")
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            taps = [pool.submit(self.guest.unlock, self.doors["竹间门"].token) for _ in range(5)]
            states = [tap.result()["state"] for tap in taps]
        assert "done" in states, states
        assert self.pulses("竹间") == before + 1, (before, self.pulses("竹间"))

    def claim_is_refused(self) -> None:
        """The same time cannot be booked by another."""
        starts = datetime.fromisoformat(self.order["starts_at"]) + timedelta(minutes=30)
        refused = refusal(lambda: self.other.book(self.rooms["竹间"], starts, 1))
        assert refused.status == 409, refused

    def owner_switches(self) -> None:
        """The owner opens a door with a reason and switches a light from afar."""
        door = self.doors["梅间门"]
        refused = refusal(lambda: self.owner.post(f"/console/doors/{door.id}/unlock", {"why": ""}))
        assert refused.status == 422, refused
        answer = self.owner.post(f"/console/doors/{door.id}/unlock", {"why": "客人手机没电"})
        assert answer["state"] == "done", answer
        assert self.pulses("梅间") == 1
        light = self.binding("梅间", "light")
        self.owner.post(
            f"/console/bindings/{light}/set",
            {"on": True, "for_s": 3600, "why": "打扫", "force": False},
        )
        self.expect_power("梅间", "light", on=True)
        self.owner.post(f"/console/bindings/{light}/clear", {"why": "打扫好了"})
        self.expect_power("梅间", "light", on=False)

    # ------------------------------------------------------------------------------ parts are killed

    def controller_dies(self) -> None:
        """The controller is killed under a running stay: power stays, and no pulse is repeated."""
        before = self.pulses("竹间")
        child = self.stage.children["controller"]
        child.kill()
        self.expect_power("竹间", "table", on=True)
        child.start()
        self.online()
        time.sleep(2.0)  # long enough for a controller that switches off at start to show it
        self.expect_power("竹间", "table", on=True)
        assert self.pulses("竹间") == before

    def broker_dies(self) -> None:
        """The broker is killed and comes back: power stays, and the door opens again."""
        child = self.stage.children["broker"]
        child.kill()
        time.sleep(1.0)
        self.expect_power("竹间", "table", on=True)
        child.start()
        before = self.pulses("竹间")

        def tapped() -> str:
            """How a tap ends; refused while the cloud knows that the store is away."""
            try:
                return str(self.guest.unlock(self.doors["竹间门"].token)["state"])
            except Refused as refused:
                if refused.code != "store.offline":
                    raise
                return refused.code

        until(tapped, lambda state: state == "done", "both sides to find the broker again", 60)
        assert self.pulses("竹间") == before + 1

    def cloud_dies(self) -> None:
        """The cloud is killed and comes back: power stays, the order is as it was."""
        child = self.stage.children["cloud"]
        child.kill()
        self.draw(watts=420.0, counted_wh=BEFORE_WH + USED_WH)  # read long before the stay ends
        self.expect_power("竹间", "table", on=True)
        child.start()
        ready = f"{self.stage.url('web', local=True)}/readyz"
        until(lambda: answers(ready), bool, "the cloud", 120)
        self.online(60)
        assert self.seen()["state"] == "in_use"

    # -------------------------------------------------------------------------------------- the end

    def voice_reminds(self) -> None:
        """Five minutes before the end the room's voice says so, once."""
        before = self.said().count(ENDS_IN_5)
        ends = datetime.fromisoformat(self.order["ends_at"])
        self.advance_to(ends - timedelta(seconds=298))
        until(lambda: self.said().count(ENDS_IN_5), lambda n: n == before + 1, "the voice", 30)

    def grace_keeps_power(self) -> None:
        """The end: in grace the power stays on."""
        self.sense("竹间", taken=True)
        self.advance_to(datetime.fromisoformat(self.order["ends_at"]) + timedelta(seconds=30))
        time.sleep(3.0)
        self.expect_power("竹间", "table", on=True)

    def power_goes_off(self) -> None:
        """After grace table, light and AC go off within 10 s."""
        self.advance_to(datetime.fromisoformat(self.order["ends_at"]) + timedelta(seconds=GRACE_S))
        began = time.monotonic()
        for role in ("table", "light", "ac"):
            self.expect_power("竹间", role, on=False, seconds=OFF_WITHIN_S)
        assert time.monotonic() - began < OFF_WITHIN_S
        self.draw(watts=95.0, counted_wh=BEFORE_WH + USED_WH)  # a kettle of the guests' own

    def overtime_counts(self) -> None:
        """The guests stay on for five minutes: overtime runs while the sensor sees them."""
        time.sleep(1.5)
        self.clock.advance(300)
        time.sleep(2.5)
        self.sense("竹间", taken=False)
        time.sleep(2.5)
        self.clock.advance(VACATED_S)

    def usage_is_reported(self) -> None:
        """Usage, energy and overtime with its evidence and price reach the cloud."""
        self.order = until(
            self.seen,
            lambda seen: seen["state"] == "completed" and seen["used_s"] is not None,
            "the usage report",
            30,
        )
        assert 6000 < self.order["used_s"] < 9000, self.order["used_s"]
        assert 280 < self.order["overtime_s"] < 420, self.order["overtime_s"]
        assert self.order["energy_wh"] == USED_WH, self.order["energy_wh"]
        owed = self.order["overtime"]
        assert (owed["state"], owed["amount_fen"]) == ("due", 600), owed
        assert "按 15 分钟 ¥6 计 ¥6" in owed["text"], owed
        assert {sign for seen in owed["evidence"] for sign in seen["signs"]} >= {"presence"}, owed
        self.draw(watts=0.0, counted_wh=BEFORE_WH + USED_WH)

    def overtime_is_paid(self) -> None:
        """What is due comes before the next booking; it is paid in the cashier's page."""
        starts = quarter(self.clock.now() + timedelta(hours=4))
        refused = refusal(lambda: self.guest.book(self.rooms["梅间"], starts, 1))
        assert (refused.status, refused.code) == (409, "order.overtime_due"), refused
        self.order = self.guest.pay(
            self.order, there=lambda seen: seen["overtime"]["state"] == "paid"
        )
        assert self.order["paid_fen"] == self.order["total_fen"], self.order

    def over(self) -> None:
        """Over: the door says so and does not open."""
        before = self.pulses("竹间")
        self.expect_case(self.guest, "竹间门", "ended")
        self.expect_refusal(self.guest, "竹间门")
        assert self.pulses("竹间") == before

    def next_guest(self) -> None:
        """The room is free for the next claim, and the next guest gets in."""
        self.clock.advance(1200)  # cleaning is over
        time.sleep(0.5)
        starts = quarter(self.clock.now() + timedelta(minutes=15))
        order = self.other.pay(self.other.book(self.rooms["竹间"], starts, 1))
        self.order = order
        self.to_window()
        before = self.pulses("竹间")
        view = until(
            lambda: self.other.get(f"/doors/{self.doors['竹间门'].token}"),
            lambda seen: seen["case"] == "ready",
            "the door",
        )
        assert view["can_unlock"]
        answer = self.other.unlock(self.doors["竹间门"].token)
        assert answer["state"] == "done", answer
        assert self.pulses("竹间") == before + 1
        self.expect_power("竹间", "table", on=True)

    # ------------------------------------------------------------------------------ things are broken

    def dead_board(self) -> None:
        """A dead board: the guest is told at once, nothing is lost, and it heals."""
        self.fault("竹间", dead=True)
        time.sleep(3.1)
        answer = self.other.unlock(self.doors["竹间门"].token)
        assert answer["state"] in {"failed", "unknown"}, answer
        until(
            lambda: self.other.get(f"/doors/{self.doors['竹间门'].token}")["case"],
            lambda case: case == "lock_dead",
            "the door to know of its dead lock",
        )
        before = self.pulses("竹间")
        self.fault("竹间", dead=False)
        until(
            lambda: self.other.get(f"/doors/{self.doors['竹间门'].token}")["case"],
            lambda case: case == "ready",
            "the lock to be well again",
            90,
        )
        assert self.pulses("竹间") == before
        self.expect_power("竹间", "table", on=True)

    def store_offline(self) -> None:
        """A store offline: the door says so, no command waits, and the power stays."""
        child = self.stage.children["controller"]
        child.kill()
        token = self.doors["竹间门"].token
        view = until(
            lambda: self.other.get(f"/doors/{token}"),
            lambda seen: seen["case"] == "store_offline",
            "the cloud to notice",
            60,
        )
        assert not view["can_unlock"]
        before = self.pulses("竹间")
        self.expect_refusal(self.other, "竹间门")
        self.expect_power("竹间", "table", on=True)
        child.start()
        self.online(90)
        time.sleep(1.0)
        assert self.pulses("竹间") == before, "a command of before was delivered late"

    def pass_without_cloud(self) -> None:
        """The cloud unreachable: the phone's pass, scanned at the door, opens it; told of later."""
        held = self.other.get(f"/orders/{self.order['id']}/pass")
        cloud = self.stage.children["cloud"]
        cloud.kill()
        before = self.pulses("竹间")
        reader = next(port for port, door in READERS.items() if door == "竹间门")
        self.scan(reader, f"K1:{held['pass'][4:]}A")  # one that is not whole opens nothing
        self.scan(reader, held["pass"])
        until(lambda: self.pulses("竹间"), lambda seen: seen > before, "the lock", 15)
        time.sleep(1.5)
        assert self.pulses("竹间") == before + 1
        cloud.start()
        ready = f"{self.stage.url('web', local=True)}/readyz"
        until(lambda: answers(ready), bool, "the cloud", 120)
        self.online(60)
        until(
            lambda: self.entries("pass"),
            lambda seen: seen == ["refused", "done"],
            "the entries to be told",
            60,
        )

    def nothing_lost(self) -> None:
        """All events of the store are in the database, in order, once; every command has an end."""
        cursor, count, highest = until(
            self.journal,
            lambda seen: seen[0] == seen[1] == seen[2] > 0,
            "the events",
            30,
        )
        assert cursor == count == highest
        # One that a store never answered (it went offline with it) is "unknown" 40 s after it was sent.
        until(self.open_commands, lambda seen: seen == 0, "an end for every command", 60)


def refusal(act: Callable[[], object]) -> Refused:
    """How the cloud refuses an act. Raises AssertionError if it does not."""
    try:
        done = act()
    except Refused as refused:
        return refused
    raise AssertionError(f"this should have been refused: {done}")
