"""I3 at the door's scanner: real broker, controller and virtual GM65; a phone and the scanner race for one
voucher, and a store whose cable is out leaves it whole.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from demo.people import Refused
from demo.processes import local_http
from demo.seed import READERS
from tests.faults.site import Site, eventually

pytestmark = pytest.mark.xdist_group("faults")
ROOM, OTHER = "竹间", "梅间"
SCANNER = next(port for port, door in READERS.items() if door == f"{ROOM}门")
PATIENCE_S = 60.0


def _voucher(site: Site) -> dict[str, Any]:
    """Bought alone at the list price, and paid at the cashier."""
    on_sale = site.guest.get("/groupbuy/campaigns")["items"]
    campaign = next(one for one in on_sale if one["team_size"] > 1)  # good at any hour
    order = site.guest.post(
        f"/groupbuy/campaigns/{campaign['id']}/orders", {"quantity": 1, "alone": True}
    )
    paid = site.guest.post(f"/groupbuy/orders/{order['id']}/pay", {"provider": "cashier"})
    local_http().post(paid["redirect_url"], data={"do": "pay"}, timeout=10.0)
    told = eventually(
        lambda: site.guest.get(f"/groupbuy/orders/{order['id']}")["vouchers"],
        PATIENCE_S,
        "the voucher",
    )
    return site.guest.get(f"/me/vouchers/{told[0]}")


def _free(site: Site) -> None:
    """Nobody is in either room: whoever is in leaves, and what is booked or being cleaned is past."""
    rooms = [site.rooms[ROOM], site.rooms[OTHER]]
    for _ in range(12):
        for order in _inside(site, rooms):
            with contextlib.suppress(Refused):
                site.guest.post(f"/orders/{order['id']}/finish")
        later = site.clock.now() + timedelta(hours=1)
        site.advance_to(max(later, _busy_until(site, rooms) or later))
        with contextlib.suppress(AssertionError):
            eventually(
                lambda: not _inside(site, rooms) and _busy_until(site, rooms) is None,
                10,
                "the rooms to be free",
            )
            return
    raise AssertionError("the rooms never came free")


def _inside(site: Site, rooms: list[str]) -> list[Any]:
    query = "SELECT id FROM orders WHERE status = 'in_use' AND room_id = ANY($1)"
    return site.sql(query, rooms)


def _busy_until(site: Site, rooms: list[str]) -> datetime | None:
    """The end of the last claim that blocks one of them from now on."""
    (row,) = site.sql(
        "SELECT max(block_until) AS until FROM room_claim WHERE state <> 'released'"
        " AND room_id = ANY($1) AND block_until > $2",
        rooms,
        site.clock.now(),
    )
    until: datetime | None = row["until"]
    return until


def _uses(site: Site, voucher: dict[str, Any]) -> list[Any]:
    query = "SELECT way, order_id FROM redemption WHERE voucher_id = $1 AND kind = 'redeem'"
    return site.sql(query, voucher["id"])


def test_a_phone_and_the_scanner_at_once(site: Site) -> None:
    _free(site)
    voucher = _voucher(site)
    pulses = site.pulses(ROOM)
    said: list[str] = []

    def tap() -> None:
        body = {"voucher_id": voucher["id"], "room_id": site.rooms[OTHER], "way": "online"}
        try:
            site.guest.post("/vouchers/redeem", body)
            said.append("redeemed")
        except Refused as refused:
            said.append(str(refused))

    phone = threading.Thread(target=tap, daemon=True)
    site.scan(SCANNER, voucher["qr"])
    phone.start()
    phone.join(60)
    (use,) = eventually(lambda: _uses(site, voucher), PATIENCE_S, "somebody to win")
    if use["way"] == "scanner":
        eventually(lambda: site.pulses(ROOM) == pulses + 1, PATIENCE_S, "the door to open")
        assert "redeemed" not in said
    else:
        assert (use["way"], said) == ("online", ["redeemed"])

    # By the scanner alone: it is used, and the door opens; held up once more, nothing more is used.
    _free(site)
    voucher, pulses = _voucher(site), site.pulses(ROOM)
    site.scan(SCANNER, voucher["qr"])
    eventually(lambda: site.pulses(ROOM) == pulses + 1, PATIENCE_S, "the door to open")
    site.scan(SCANNER, voucher["qr"])
    (use,) = _uses(site, voucher)
    assert use["way"] == "scanner"
    assert site.guest.get(f"/me/vouchers/{voucher['id']}")["status"] == "redeemed"


def test_a_store_without_its_cable_leaves_the_voucher_whole(site: Site) -> None:
    _free(site)
    voucher, pulses = _voucher(site), site.pulses(ROOM)
    downs = site.said("controller", "link_down")
    site.wire.cut()
    site.scan(SCANNER, f"K1:{uuid4().hex}")  # something to report, so that the silence is noticed
    eventually(lambda: site.said("controller", "link_down") > downs, 60, "the store to notice")
    offline = site.said("controller", "voucher_shown_offline")
    site.scan(SCANNER, voucher["qr"])
    eventually(
        lambda: site.said("controller", "voucher_shown_offline") > offline, 30, "the store's word"
    )
    site.wire.mend()
    eventually(lambda: site.online, PATIENCE_S, "the store to be back")
    assert (_uses(site, voucher), site.pulses(ROOM)) == ([], pulses)
    assert site.guest.get(f"/me/vouchers/{voucher['id']}")["status"] == "issued"
