"""One realistic afternoon in 雀友会·静安店, for every template: Sunday 22 November 2026, 14:12."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_api.web import view_models as vm
from cloud_api.web.view_models import booking as vm_booking
from cloud_api.web.view_models.visit import LinkedRow, LoginsPage, ScanPage
from tests.web.samples_devices import DEVICES

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 14, 12, tzinfo=ZONE)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=ZONE)
STORE = "雀友会·静安店"


def at(hour: int, minute: int = 0, day: int = 22) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE)


SHELL = vm.Shell(now=NOW, csrf="sample-token", person="138****4821")


def span(a: datetime, b: datetime, state: str) -> vm.Span:
    return vm.Span(a, b, vm.SpanState(state))


def strip(*spans: vm.Span) -> vm.Strip:
    """The free time between the spans is filled in, as the builder of the real page does."""
    filled, cursor = [], NOW
    for one in spans:
        if one.starts_at > cursor:
            filled.append(span(cursor, one.starts_at, "free"))
        filled.append(one)
        cursor = one.ends_at
    if cursor < MIDNIGHT:
        filled.append(span(cursor, MIDNIGHT, "free"))
    return vm.Strip(NOW, MIDNIGHT, NOW, tuple(filled))


BAMBOO = vm.RoomCard(
    id="r1",
    href="/rooms/r1",
    book_href="/stores/s1/book?room=r1",
    name="竹间",
    art="room-moon-bamboo",
    seats=4,
    price_from_fen=3800,
    facts=("中式", "25 m²", "雀友 T8", "新风", "茶台"),
    state=vm.RoomState.FREE,
    strip=strip(span(at(19, 45), at(23, 0), "booked")),
    free_until=at(19, 30),
)
RAIN = replace(
    BAMBOO,
    id="r2",
    href="/rooms/r2",
    name="听雨",
    art="room-tea-lattice",
    seats=6,
    price_from_fen=5800,
    facts=("茶室", "32 m²", "智能茶台", "投影"),
    strip=strip(span(at(21, 0), MIDNIGHT, "booked")),
    free_until=at(21),
)
PLUM = replace(
    BAMBOO,
    id="r3",
    href="/rooms/r3",
    name="梅间",
    art="room-plum-branch",
    price_from_fen=3600,
    facts=("中式", "22 m²", "雀友 T8", "空调"),
    state=vm.RoomState.IN_USE,
    strip=strip(
        span(NOW, at(14, 30), "in_use"),
        span(at(14, 30), at(14, 45), "cleaning"),
        span(at(18), at(21), "booked"),
    ),
    free_until=None,
    next_free_at=at(14, 45),
)
STORE_CARD = vm.StoreCard(
    id="s1",
    href="/stores/s1",
    name=STORE,
    sign="雀友会",
    address="武定路 327 号 2 楼",
    rooms_total=3,
    rooms_free=2,
    price_from_fen=3600,
    next_free_at=at(14, 45),
    next_free_room="梅间",
)
STORES = vm.StoresPage(
    stores=(
        STORE_CARD,
        replace(STORE_CARD, id="s2", name="雀友会·徐汇店", address="肇嘉浜路 789 号", rooms_free=0),
        replace(
            STORE_CARD, id="s3", name="竹里棋牌", sign="竹里棋牌", online=False, price_from_fen=4200
        ),
    ),
    pinned=vm.StayCard(
        "/stays/o1", "竹间", STORE, "room-moon-bamboo", at(15), at(19), running=False
    ),
)
STORE_PAGE = vm.StorePage(
    store=STORE_CARD,
    rooms=(BAMBOO, RAIN, PLUM),
    book_href="/stores/s1/book",
    filters=(
        vm.FilterChip("全部", "/stores/s1", on=True, count=3),
        vm.FilterChip("现在能进", "/stores/s1?show=now"),
        vm.FilterChip("今晚", "/stores/s1?show=tonight"),
        vm.FilterChip("4 人", "/stores/s1?seats=4"),
        vm.FilterChip("6 人", "/stores/s1?seats=6"),
    ),
    phone="021-5555 0142",
    hours="全天 24 小时",
    notice="室内不吸烟，走廊尽头有吸烟区",
    rooms_href="/stores/s1/rooms",
)
ROOM_PAGE = vm.RoomPage(
    store_name=STORE,
    store_href="/stores/s1",
    address="静安区南京西路 1618 号 3 楼",
    room=BAMBOO,
    facilities=(
        vm.Facility("layout-grid", "雀友 T8"),
        vm.Facility("armchair", "4 把座椅"),
        vm.Facility("wind", "新风"),
        vm.Facility("snowflake", "空调"),
        vm.Facility("wifi", "WiFi"),
        vm.Facility("lightbulb", "灯光可调"),
    ),
    rules=(
        "平时 ¥38/小时，18 点后 ¥48/小时，跨时段分开算",
        "到点后 10 分钟内离开不加钱，之后按 ¥48/小时计",
        "开始前 2 小时可免费取消",
    ),
)
TIMELINE = vm.TimelinePage(
    month_href="/api/v1/stores/s1/calendar",
    book_href="/rooms/r1/book",
    far="2026-12-20",
    store_name=STORE,
    back_href="/stores/s1",
    days=tuple(
        vm.DayChip(
            f"/stores/s1/book?day=2026-11-{22 + n}",
            NOW + timedelta(days=n),
            (2, 3, 3, 3, 2, 1, 0)[n],
            on=n == 0,
        )
        for n in range(7)
    ),
    rows=(
        vm.TimelineRow(
            "r1", "竹间", "4 人", "room-moon-bamboo", 4, (span(at(19, 45), at(23), "booked"),)
        ),
        vm.TimelineRow(
            "r2", "听雨", "茶 6 人", "room-tea-lattice", 6, (span(at(21), MIDNIGHT, "booked"),)
        ),
        vm.TimelineRow(
            "r3",
            "梅间",
            "4 人",
            "room-plum-branch",
            4,
            (
                span(at(12), at(14, 30), "in_use"),
                span(at(14, 30), at(14, 45), "cleaning"),
                span(at(15, 30), at(17, 30), "held"),
                span(at(18), at(21), "booked"),
            ),
        ),
    ),
    starts_at=at(13, 30),
    ends_at=datetime(2026, 11, 23, 2, tzinfo=ZONE),
    room_id="r1",
    clean_min=15,
    preset=(at(15), at(19)),
)
FEES = vm.Fees(
    (
        vm.FeeLine("15:00–18:00 平时价 ¥38 × 3", 11400, 180, 0),
        vm.FeeLine("18:00–19:00 晚间价 ¥48 × 1", 4800, 60, 1),
        vm.FeeLine("新客券 满 100 减 10", -1000),
    ),
    15200,
    16200,
)
CONFIRM = vm.ConfirmPage(
    quote_id="q1",
    store_name=STORE,
    address="武定路 327 号 2 楼",
    room_name="竹间",
    art="room-moon-bamboo",
    starts_at=at(15),
    ends_at=at(19),
    fees=FEES,
    phone="138****4821",
    cancel_rule="今天 13:00 前取消全退，之后收一半",
    overtime_rule="到点后 10 分钟内离开不加钱；超时每 15 分钟加 ¥12，不满也算",
    expires_at=at(14, 20),
    back_href="/stores/s1/book?room=r1",
    extras=(
        vm_booking.ExtraRow("x1", "龙井一壶", "壶", 3800, 5, 1),
        vm_booking.ExtraRow("x2", "瓜子", "碟", 800, 9),
    ),
    coupons=(
        vm_booking.CouponRow("g1", "新客券", "满 100 减 10", 1000, "", True, True),
        vm_booking.CouponRow("g2", "老友券", "满 300 减 50", 0, "要满 ¥300 才能用"),
    ),
    coupon_word="新客券，省 ¥10，这是最省的一张",
    weekly_href="/rooms/r1/weekly?from=x&to=y",
)
WEEKLY = vm_booking.WeeklyPage(
    room_name="竹间", store_name=STORE, art="room-moon-bamboo", starts_at=at(15), ends_at=at(19), times=4,
    choices=((2, "2 周"), (4, "4 周"), (8, "8 周")),
    weeks=(
        vm_booking.WeekRow(at(15), at(19), 15200),
        vm_booking.WeekRow(at(15, day=29), at(19, day=29), None, "这段时间已经有人订了"),
    ),
    bookable=1, total_fen=15200, body="{}", back_href="/rooms/r1/book",
)  # fmt: skip
COUPONS = vm_booking.CouponsPage(
    (vm_booking.CouponCard("新客券", "满 100 减 10", "unused", until=at(23, day=30)),),
    (vm_booking.CouponCard("老友券", "9 折", "used", "用过了", order_href="/orders/o1"),),
)
PAY = vm.PayPage(
    order_id="o1",
    number="KM-7F3Q",
    state=vm.PayState.CHOOSE,
    amount_fen=15200,
    store_name=STORE,
    room_name="竹间",
    art="room-moon-bamboo",
    starts_at=at(15),
    ends_at=at(19),
    hold_expires_at=at(14, 21),
    methods=(
        vm.PayMethod("wechat", "jsapi", "微信支付"),
        vm.PayMethod("alipay", "wap", "支付宝"),
        vm.PayMethod("cashier", "page", "演示收银台", "不动真钱"),
    ),
    provider_name="微信",
    order_href="/orders/o1",
    asked_at=at(14, 11),
)
ORDER = vm.OrderPage(
    id="o1",
    number="KM-7F3Q",
    word=vm.OrderWord.PAID,
    next_line="14:45 起可以进门",
    store_name=STORE,
    address="武定路 327 号 2 楼",
    room_name="竹间",
    art="room-moon-bamboo",
    starts_at=at(15),
    ends_at=at(19),
    fees=FEES,
    moves=(vm.MoneyMove(at(14, 12), "微信支付", 15200, vm.StepState.DONE),),
    next_text="去开门",
    next_href="/d/door-r1",
    pass_href="/orders/o1/pass",
    pin="482913",
    door_word="今天 14:45 起可以进",
    phone="021-5555 0142",
    cancel_fee_fen=7600,
    cancel_back_fen=7600,
)
ORDERS = vm.OrdersPage(
    tuple(
        vm.OrderRow(f"/orders/{n}", word, name, STORE, art, at(15, day=day), at(19, day=day), 15200)
        for n, (word, name, art, day) in enumerate(
            (
                (vm.OrderWord.PAID, "竹间", "room-moon-bamboo", 22),
                (vm.OrderWord.UNPAID, "听雨", "room-tea-lattice", 23),
                (vm.OrderWord.DONE, "梅间", "room-plum-branch", 15),
                (vm.OrderWord.REFUNDED, "梅间", "room-plum-branch", 8),
            )
        )
    ),
    filters=(
        vm.FilterChip("全部", "/orders", on=True),
        vm.FilterChip("待支付", "/orders?state=unpaid", count=1),
        vm.FilterChip("取消、退款", "/orders?state=cancelled"),
    ),
)
STAY = vm.StayPage(
    order_id="o1",
    room_name="竹间",
    store_name=STORE,
    phase=vm.StayPhase.RUNNING,
    starts_at=at(11, 36),
    ends_at=at(15, 36),
    grace_ends_at=at(15, 46),
    door_token="door-r1",
    order_href="/orders/o1",
    devices=DEVICES,
    phone="021-5555 0142",
    extend_to=at(19, 30),
)
DOOR = vm.DoorPage(
    case=vm.DoorCase.READY,
    token="door-r1",
    door_name="竹间",
    store_name=STORE,
    starts_at=at(15),
    ends_at=at(19),
    ways=(
        vm.Way("qr-code", "通行码", "/orders/o1/pass"),
        vm.Way("receipt-text", "订单", "/orders/o1"),
        vm.Way("headphones", "打不开？", "tel:02155550142"),
    ),
)
CALL = vm.Way("phone", "打给店家", "tel:02155550142")
DOORS = {
    "ready": DOOR,
    "early": replace(
        DOOR,
        case=vm.DoorCase.EARLY,
        until=at(14, 35),
        ways=(
            vm.Way("calendar", "改时间", "/orders/o1"),
            vm.Way("headphones", "找店家", CALL.href),
        ),
    ),
    "other_room": replace(
        DOOR,
        case=vm.DoorCase.OTHER_ROOM,
        door_name="梅间",
        line="你订的是竹间，往右第 2 间",
        main=vm.Way("arrow-right", "带我去竹间", "/orders/o1"),
        ways=(vm.Way("headphones", "找店家", CALL.href),),
    ),
    "none_free": replace(
        DOOR,
        case=vm.DoorCase.NONE_FREE,
        art="room-moon-bamboo",
        line="空到 19:30，¥38/小时起",
        main=vm.Way("", "订这间", "/stores/s1/book?room=r1"),
        ways=(),
    ),
    "none_taken": replace(
        DOOR,
        case=vm.DoorCase.NONE_TAKEN,
        door_name="梅间",
        art="room-plum-branch",
        room_state=vm.RoomState.IN_USE,
        line="竹间、听雨现在空着",
        main=vm.Way("", "订竹间", "/stores/s1/book?room=r1"),
        ways=(),
    ),
    "unpaid": replace(
        DOOR,
        case=vm.DoorCase.UNPAID,
        until=at(14, 21),
        line="竹间给你留到 14:21，付好就能开门",
        main=vm.Way("", "付 ¥152", "/orders/o1/pay"),
        ways=(vm.Way("calendar", "改时间", "/stores/s1/book"),),
    ),
    "store_offline": replace(
        DOOR,
        case=vm.DoorCase.STORE_OFFLINE,
        qr_svg_url="/pass.svg",
        pin="482913",
        valid_from=at(14, 45),
        valid_until=at(19, 10),
        ways=(vm.Way("receipt-text", "看订单", "/orders/o1"), CALL),
    ),
    "lock_dead": replace(
        DOOR,
        case=vm.DoorCase.LOCK_DEAD,
        line="14:02 已经告诉店家。可以免费换到听雨",
        main=vm.Way("", "免费换到听雨", "/orders/o1/change"),
        ways=(CALL,),
    ),
    "ended": replace(
        DOOR,
        case=vm.DoorCase.ENDED,
        line="14:00 就结束了。东西落在里面？打给店家",
        main=vm.Way("phone", "打给店家", CALL.href),
        ways=(vm.Way("receipt-text", "看订单", "/orders/o1"),),
    ),
    "closed": replace(
        DOOR,
        case=vm.DoorCase.CLOSED,
        headline="正在保洁，约 8 分钟",
        art="room-moon-bamboo",
        room_state=vm.RoomState.CLEANING,
        line="你的时段 15:00 开始，不会晚",
        main=vm.Way("", "看订单", "/orders/o1"),
        ways=(CALL,),
    ),
}
ERROR = vm.ErrorPage(
    404,
    "没有找到这一页",
    "可能已经删除，或者不属于你",
    "订单和钱都不受影响",
    vm.Way("", "回到找店", "/"),
    "7F3Q",
    "021-5555 0142",
)
PAGES: dict[str, tuple[str, dict[str, object]]] = {
    "stores": ("customer/stores.html", {"page": STORES}),
    "stores-empty": ("customer/stores.html", {"page": vm.StoresPage((), query="没有的")}),
    "store": ("customer/store.html", {"page": STORE_PAGE}),
    "rooms": ("customer/_rooms.html", {"page": STORE_PAGE}),
    "room": ("customer/room.html", {"page": ROOM_PAGE}),
    "book": ("customer/book.html", {"page": TIMELINE}),
    "confirm": ("customer/confirm.html", {"page": CONFIRM}),
    "weekly": ("customer/weekly.html", {"page": WEEKLY}),
    "coupons": ("customer/coupons.html", {"page": COUPONS}),
    "coupons-none": ("customer/coupons.html", {"page": vm_booking.CouponsPage(())}),
    "pay": ("customer/pay.html", {"page": PAY}),
    "pay-waiting": ("customer/pay.html", {"page": replace(PAY, state=vm.PayState.WAITING)}),
    "pay-code": (
        "customer/pay.html",
        {"page": replace(PAY, state=vm.PayState.WAITING, code_href="/orders/o1/pay/code.svg")},
    ),
    "pay-failed": ("customer/pay.html", {"page": replace(PAY, state=vm.PayState.FAILED)}),
    "pay-late": ("customer/pay.html", {"page": replace(PAY, state=vm.PayState.LATE)}),
    "order": ("customer/order.html", {"page": ORDER}),
    "order-fresh": ("customer/order.html", {"page": replace(ORDER, fresh=True)}),
    "orders": ("customer/orders.html", {"page": ORDERS}),
    "orders-empty": ("customer/orders.html", {"page": vm.OrdersPage(())}),
    "stay": ("customer/stay.html", {"page": STAY}),
    "stay-grace": (
        "customer/stay.html",
        {
            "page": replace(
                STAY, phase=vm.StayPhase.GRACE, ends_at=at(14, 6), grace_ends_at=at(14, 16)
            )
        },
    ),
    "stay-over": (
        "customer/stay.html",
        {
            "page": replace(
                STAY,
                phase=vm.StayPhase.OVERTIME,
                ends_at=at(13, 44),
                grace_ends_at=at(13, 54),
                overtime_fen=1900,
            )
        },
    ),
    "login": (
        "customer/login.html",
        {"page": vm.LoginPage("/d/door-r1", reason="登录后就能看这扇门")},
    ),
    "login-inside": (
        "customer/login.html",
        {
            "page": vm.LoginPage(
                "/me", outside="微信", outside_href="/oauth/wechat/start", failed=True
            )
        },
    ),
    "logins": (
        "customer/logins.html",
        {"page": LoginsPage("尾号 4821", (LinkedRow("i1", "微信", at(13, 44)),), "连上了", True)},
    ),
    "logins-none": (
        "customer/logins.html",
        {
            "page": LoginsPage(
                "尾号 4821", here="微信", href="/oauth/wechat/start", places=("支付宝",)
            )
        },
    ),
    "me": (
        "customer/me.html",
        {
            "page": vm.MePage(
                "138****4821",
                levels=(("雀友会", "金卡会员 9 折"),),
                balances=(("听竹轩棋牌茶社二十四小时自助连锁总店", 12_650), ("雀友会", 35_000)),
            )
        },
    ),
    "scan": ("customer/scan.html", {"page": ScanPage("shop.test")}),
    "offline": ("customer/offline.html", {}),
    "error": ("customer/error.html", {"page": ERROR}),
    **{f"door-{case}": ("customer/door.html", {"page": page}) for case, page in DOORS.items()},
}
