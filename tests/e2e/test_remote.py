"""The owner's hands from afar, seen at the coils of the running demonstration."""

from __future__ import annotations

import pytest

from demo.people import Refused, until
from tests.e2e.hands import Hands

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(240)]


def test_a_room_set_open_is_powered_and_lets_anybody_in_until_it_is_taken_back(hands: Hands):
    stranger = hands.person()
    path = f"/console/rooms/{hands.room('梅间')}/mode"
    door = hands.stage.doors["梅间门"]
    with pytest.raises(Refused):
        stranger.unlock(door)
    before = hands.eyes.pulses("梅间")
    told = hands.owner.post(path, {"mode": "open", "for_s": 1800, "why": "开放日"})
    assert (told["mode"], told["booked"]) == ("open", [])
    hands.eyes.expect_power("梅间", "table", on=True)
    hands.eyes.expect_power("梅间", "light", on=True)
    assert stranger.unlock(door)["state"] == "done"
    assert hands.eyes.pulses("梅间") == before + 1
    hands.owner.post(path, {"mode": "cleaning", "why": "打扫"})
    hands.eyes.expect_power("梅间", "table", on=False)
    hands.eyes.expect_power("梅间", "light", on=True)
    hands.owner.post(path, {"mode": "normal"})
    hands.eyes.expect_power("梅间", "light", on=False)
    with pytest.raises(Refused):
        stranger.unlock(door)


def test_a_whole_store_is_switched_and_a_paid_stay_is_spared(hands: Hands):
    """Every device answers for itself; under the guest nothing goes off, and that is said (I5)."""
    guest = hands.person()
    hands.in_window(guest, "竹间")
    assert guest.unlock(hands.stage.doors["竹间门"])["state"] == "done"
    hands.eyes.expect_power("竹间", "table", on=True)
    path = f"/console/stores/{hands.stage.store_id}/bulk"
    lit = hands.owner.post(path, {"what": "lights_on", "for_s": 600, "why": "看看灯"})
    assert lit["done"] == lit["total"] > 0
    hands.eyes.expect_power("梅间", "light", on=True)
    dark = hands.owner.post(path, {"what": "all_off", "for_s": 600, "why": "打烊"})
    spared = [one for one in dark["items"] if one["reason"] == "stay_running"]
    assert spared
    assert {one["state"] for one in dark["items"]} <= {"done", "refused"}
    hands.eyes.expect_power("梅间", "light", on=False)
    hands.eyes.expect_power("竹间", "table", on=True)
    for one in dark["items"]:
        hands.owner.post(f"/console/bindings/{one['binding_id']}/clear", {"why": "测完了"})
    devices = f"/console/stores/{hands.stage.store_id}/devices"
    until(
        lambda: [one for one in hands.owner.get(devices)["bindings"] if one["override_until"]],
        lambda held: not held,
        "nothing held by hand",
        20,
    )
