"""Prices, coupons, and a store's set-up, as the pages are given them: full, and with nothing yet."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web.view_models.house import (
    HousePage,
    RoomFormPage,
    RoomRow,
    Shot,
    SpecialDayRow,
    Weekday,
)
from cloud_api.web.view_models.parts import Segment
from cloud_api.web.view_models.prices import (
    CouponCard,
    CouponsPage,
    Pick,
    PriceCell,
    PriceDay,
    PriceForm,
    PriceLine,
    PricesPage,
)

API = "/api/v1/console/stores/s1"
ALL = ("0", "1", "2", "3", "4", "5", "6")
FORM = PriceForm(
    "t1", f"{API}/tariffs/t1", "平日", "全部包间", "每天 00:00–24:00", 3800, weekdays=ALL
)
PRICES = PricesPage(
    store_id="s1",
    store_name="雀友会·静安店",
    stores=(Pick("静安店", "/console/prices?store=s1", True), Pick("徐汇店", "/console/prices")),
    rooms=(Pick("竹间", "/console/prices?room=r1", True),),
    days=(
        PriceDay(
            "今天", "11月23日", "春节", "/console/prices?day=2026-11-23", True,
            (PriceCell(36, 0, "¥38", "平日"), PriceCell(12, 4, "¥48", "晚间")),
        ),
        PriceDay("明天", "11月24日", "", "/console/prices?day=2026-11-24", False, ()),
    ),
    legend=((0, "¥38"), (4, "¥48")),
    seen_day="2026-11-23",
    bar=(Segment(0, 75, "0"), Segment(75, 25, "1")),
    lines=(PriceLine("平日 00:00–18:00", 3800, 0), PriceLine("晚间 18:00–24:00", 4800, 1)),
    products=(("通宵", "22:00–08:00", 16800),),
    tariffs=(FORM,),
    slots=(replace(FORM, id="s", action=f"{API}/slots/s", name="通宵", active=False),),
    packages=(replace(FORM, id="p", action=f"{API}/packages/p", name="四小时"),),
    extras=(replace(FORM, id="e", action=f"{API}/extras/e", name="茶水"),),
    room_choices=(("r1", "竹间", "小包"),),
    kinds=("小包",),
    room_id="r1",
    room_options=(("", "全部包间"), ("r1", "竹间")),
    kind_options=(("", "不按房型"), ("小包", "小包")),
    rule={
        "unit_minutes": 1, "least_minutes": 0, "payg": True, "payg_unit_minutes": 15,
        "payg_least_minutes": 60, "payg_prepay_minutes": 240,
    },
    levels=(("l1", "金卡", 90, 1),),
    api=API,
)  # fmt: skip
COUPONS = CouponsPage(
    coupons=(
        CouponCard("c1", "满百减二十", "满 ¥100 减 ¥20", "到 2026-12-31", "发了 3 / 100", 1, "HELLO", False),
        CouponCard("c2", "八五折", "8.5 折", "长期有效", "发了 9", 4, "", True),
    ),
    next_href="/console/coupons?cursor=x",
    levels=(("l1", "金卡"),),
    stores=(("s1", "静安店", ""), ("s2", "徐汇店", "")),
)  # fmt: skip
SHOTS = (
    Shot("m1", "/media/m1/640.webp", "窗边", "photo", None),
    Shot("m2", "", "", "video", 12),
)
HOUSE = HousePage(
    store_id="s1",
    stores=(Pick("静安店", "/console/house", True), Pick("徐汇店", "/console/house?store=s2")),
    facts=dict.fromkeys(
        ("name", "address", "phone", "contact", "about", "notice", "wifi_name", "wifi_password",
         "lat", "lon"), "x",
    ) | {"holidays": "CN"},
    hours=tuple(Weekday(f"周{d}", d == "日", (("10:00", "02:00"),)) for d in "一二三四五六日"),
    special=(SpecialDayRow("2027-02-06", "春节 · 休息"),),
    shots=SHOTS,
    rooms=(RoomRow("r1", "竹间", "/console/house/rooms/r1", "4 人 · 25 m²", "", "room-scroll", "不对外"),),
    retired=(("r9", "旧间"),),
    can_edit=True,
    video_mb=100,
    photo_mb=10,
)  # fmt: skip
ROOM = RoomFormPage(
    id="r1",
    store_id="s1",
    store_name="静安店",
    action="/api/v1/console/rooms/r1",
    values={
        "name": "竹间", "capacity": "4", "area_m2": "25", "style": "中式", "kind": "小包",
        "art": "room-scroll", "about": "", "selling": "bookable", "tags": "", "facilities": "",
    },
    equipment=(("table", "雀友", "T8"),),
    kinds=(("table", "麻将机"), ("other", "其他")),
    arts=(("room-scroll", "画轴"),),
    shots=SHOTS,
    retired=False,
    can_edit=True,
    video_mb=100,
    photo_mb=10,
)  # fmt: skip


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages inside the console's frame."""
    around = {"nav": nav, "shell": shell}
    bare = replace(PRICES, tariffs=(), slots=(), packages=(), extras=(), levels=(), kinds=())
    empty = replace(HOUSE, rooms=(), shots=(), special=(), retired=())
    return {
        "console-prices": ("console/prices.html", {"page": PRICES, **around}),
        "console-no-prices": ("console/prices.html", {"page": bare, **around}),
        "console-coupons": ("console/coupons.html", {"page": COUPONS, **around}),
        "console-no-coupons": ("console/coupons.html", {"page": CouponsPage(()), **around}),
        "console-house": ("console/house.html", {"page": HOUSE, **around}),
        "console-no-house": ("console/house.html", {"page": empty, **around}),
        "console-room": ("console/room_form.html", {"page": ROOM, **around}),
        "console-new-room": (
            "console/room_form.html",
            {"page": replace(ROOM, id="", retired=True, shots=()), **around},
        ),
    }
