"""What is recommended: only what saves money, what fits the guest first, and each with a reason that is so."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cloud_api.groupbuy.recommend import MOST, Habit, Offer, for_guest, habit_of, recommend
from cloud_api.kit.actor import Anyone
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.pricing.models import Package
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop

HERE, THERE = {"s1": "静安店"}, {"s2": "徐汇店"}
CAMPAIGN = Offer("campaign", "c", "四人下午场", HERE | THERE, 180, 5800, 8800)
PACKAGE = Offer("package", "p", "三小时畅打", HERE, 180, 8800, 11400, room_id="r1")


def test_the_reason_is_what_is_known_of_the_guest():
    assert [a.reason for a in recommend(Habit(), [CAMPAIGN, PACKAGE])] == [
        "比单独买省 ¥30",
        "比按小时订至少省 ¥26",
    ]
    knows = habit_of([("s1", 120)])
    assert recommend(knows, [PACKAGE])[0].reason == "你去过静安店，这样省 ¥26"
    usual = habit_of([("s1", 180), ("s1", 200), ("s2", 60)])
    best, other = recommend(usual, [CAMPAIGN, PACKAGE])
    assert best.reason == "和你在静安店常玩的差不多长，省 ¥30"
    assert other.reason == "和你在静安店常玩的差不多长，省 ¥26"
    # A habit that another store has is none of this offer's.
    assert recommend(habit_of([("s2", 180), ("s2", 180)]), [PACKAGE])[0].reason.startswith("比按")


def test_what_fits_comes_before_what_saves_more_and_what_saves_nothing_never_comes():
    fits = replace(PACKAGE, id="fits", price_fen=11000)
    usual = habit_of([("s1", 180), ("s1", 180)])
    longer = replace(PACKAGE, id="longer", minutes=480, price_fen=9000, full_fen=30400)
    assert [a.offer.id for a in recommend(usual, [longer, fits])] == ["fits", "longer"]
    dear = replace(PACKAGE, price_fen=PACKAGE.full_fen)
    assert recommend(usual, [dear, replace(CAMPAIGN, left=0)]) == []
    few = recommend(Habit(), [replace(CAMPAIGN, left=3)])[0].reason
    assert few == "比单独买省 ¥30，还剩 3 张"


@given(
    st.lists(
        st.tuples(
            st.integers(15, 600), st.integers(0, 50_000), st.integers(1, 50_000),
            st.sampled_from([HERE, THERE, HERE | THERE]), st.none() | st.integers(0, 30),
        ),
        max_size=12,
    ),
    st.lists(st.tuples(st.sampled_from(["s1", "s2", "gone"]), st.integers(1, 900)), max_size=9),
)  # fmt: skip
def test_never_more_than_a_few_never_a_loss_and_always_a_reason(rows, stays):
    offers = [
        Offer("campaign", str(n), "x", places, minutes, price, full, left=left)
        for n, (minutes, price, full, places, left) in enumerate(rows)
    ]
    told = recommend(habit_of(stays), offers)
    assert len(told) == min(MOST, sum(o.saves_fen > 0 and o.left != 0 for o in offers))
    assert all(a.offer.saves_fen > 0 and a.reason and a.offer.left != 0 for a in told)
    assert recommend(habit_of(stays), offers[::-1]) == told


async def test_a_package_is_recommended_to_the_last_minute_of_its_last_day_there(
    db: Database, shop: Shop, clocks: Clocks, business: ManualClock
) -> None:
    """The day is the store's: in Shanghai it begins and ends eight hours before it does in UTC."""
    monday = clocks.now.astimezone(ZoneInfo(shop.store.tz)).date()
    async with db.write() as session:
        session.add(
            Package(
                name="三小时畅打", minutes=180, price_fen=100, weekdays=1 << monday.weekday(),
                valid_from=monday, valid_until=monday, merchant_id=shop.merchant.id,
                store_id=shop.store.id, created_at=clocks.real,
            )
        )  # fmt: skip

    async def told() -> list[str]:
        async with db.read() as session:
            found = await for_guest(session, Anyone(), clocks, shop.store.id)
        return [one.offer.name for one in found]

    assert await told() == ["三小时畅打"]
    business.pass_time(12 * 3600 - 1)  # 23:59:59
    assert await told() == ["三小时畅打"]
    business.pass_time(1)
    assert await told() == []
