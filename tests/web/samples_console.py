"""The same afternoon, later, as the owner sees it: 19:26 on every console page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cloud_api.web import view_models as vm
from cloud_api.web.view_models.orders import (
    CancelPage,
    CancelRow,
    ConsoleOrder,
    ConsoleOrderRow,
    ConsoleOrdersPage,
    Happened,
)
from cloud_api.web.view_models.overtime import OvertimeRuleForm, OvertimeRulesPage
from tests.web import (
    samples_bills,
    samples_booking,
    samples_cleaning,
    samples_day,
    samples_groupbuy,
    samples_members,
    samples_money,
    samples_notices,
    samples_opening,
    samples_payments,
    samples_people,
    samples_platforms,
    samples_prices,
    samples_running,
    samples_safety,
    samples_software,
    samples_stats,
)
from tests.web.samples import ERROR, SHELL, STORE, at
from tests.web.samples_devices import FANS, MODES

STAFF = replace(SHELL, person="陈店长", now=at(19, 26))
NAV = vm.ConsoleShell(
    sections=(
        vm.NavSection("live", "layout-grid", "实时", (vm.NavItem("live", "实时", "/console"),)),
        vm.NavSection(
            "orders", "calendar-days", "订单", (vm.NavItem("orders", "订单", "/console/orders", 3),)
        ),
        vm.NavSection(
            "devices",
            "cpu",
            "设备",
            (
                vm.NavItem("alarms", "告警", "/console/alarms", 120),
                vm.NavItem("stickers", "门贴", "/console/stickers"),
            ),
        ),
    ),
    here="live",
    alarms=1,
    store_word="静安店",
    merchant="雀友会",
)


def tile(
    name: str,
    state: str,
    number: str,
    note: str,
    foot: str,
    *,
    money_fen: int | None = None,
    warn: tuple[str, str, bool] = ("", "", False),
    progress: float | None = None,
    until: datetime | None = None,
    current: bool = False,
) -> vm.Tile:
    """``warn`` is text, icon and whether it is bad."""
    return vm.Tile(
        room_id=name,
        href=f"/console/rooms/{name}",
        name=name,
        state=vm.RoomState(state),
        number=number,
        number_note=note,
        foot=foot,
        money_fen=money_fen,
        warn=warn[0],
        warn_icon=warn[1],
        warn_bad=warn[2],
        progress=progress,
        until=until,
        current=current,
    )


TILES = (
    tile("竹间", "in_use", "1:24", "后结束", "王* 4821 · 到 20:50", money_fen=15200, progress=65.0,
         until=at(20, 50), current=True),
    tile("兰间", "overtime", "+0:18", "超时", "李** 0937", warn=("已计 ¥19", "zap", True), until=at(19, 8)),
    tile("梅间", "in_use", "0:12", "后结束", "赵* 6610", warn=("接着有人", "arrow-right", False),
         progress=95.0, until=at(19, 38)),
    tile("菊间", "free", "空到 22:00", "", "今天 3 单", money_fen=38600),
    tile("荷间", "cleaning", "约 8 分钟", "", "刘姐在打扫"),
    tile("听雨", "booked", "19:45", "到店", "孙** 3390 · 4 小时", money_fen=23200),
    tile("观山", "held", "03:12", "付款中", "20:00–24:00", money_fen=18800, until=at(19, 29)),
    tile("海一", "grace", "0:04", "宽限剩余", "何* 5521 · 19:20 结束", until=at(19, 30)),
    tile("海四", "maintenance", "明天 10:00 前", "", "麻将机换板"),
)  # fmt: skip
ANSWER = vm.StoreAnswer(
    (
        vm.AnswerStep("已送到门店", vm.StepState.DONE, 0.1),
        vm.AnswerStep("控制器照办", vm.StepState.DONE, 0.3),
        vm.AnswerStep("锁已动作，门开了", vm.StepState.DONE, 0.8),
    ),
    "陈店长 19:21 远程开门 · 原因：客人手机没电",
)
INSPECTOR = vm.Inspector(
    room_id="竹间",
    name="竹间",
    art="room-moon-bamboo",
    state=vm.RoomState.IN_USE,
    meta="静安店 · 4 人 · 25 m²",
    doors=(vm.ConsoleDoor("door1", "包间门", "关着 · 18:02 开过", ANSWER),),
    devices=(
        vm.Device("c1", "麻将机", "plug", "switch", True, vm.DeviceState.OK, "已通电 · 168 W", "/x"),
        vm.Device("c2", "空调", "snowflake", "switch", True, vm.DeviceState.OK, "已通电", "/x"),
        vm.Device("c3", "灯", "lightbulb", "switch", False, vm.DeviceState.PENDING, "正在调…", "/x"),
        vm.Device("c4", "备用", "plug", "switch", None, vm.DeviceState.UNKNOWN, "没有回话", "/x"),
        vm.Device(
            "c5", "空调温度", "thermometer", "climate", True, vm.DeviceState.OK,
            "制冷 25 度 · 风速低 · 手动，到 20:00", "/x", number=25, low=16, high=30, clear_href="/y",
            modes=MODES, fans=FANS,
        ),
        vm.Device(
            "c6", "语音", "volume-2", "speaker", True, vm.DeviceState.OK, "能说 5 句录好的话", "/x",
            clips=(("welcome", "欢迎光临"), ("ends_in_5", "还有 5 分钟")),
        ),
    ),
    stay=vm.ConsoleStay(
        "KM-7F3Q", "/console/orders/o1", "王* · 尾号 4821", at(16, 50), at(20, 50), 65.0, 15200,
        warning="20:50 林** 接着用，没留保洁时间",
    ),
    href="/console/rooms/竹间",
    modes=vm.RoomModes(
        "/api/v1/console/rooms/r1/mode",
        (vm.ModeChoice("normal", "正常"), vm.ModeChoice("open", "常开", current=True)),
        "到 21:00 · 有活动",
        obeyed=False,
    ),
)  # fmt: skip
LIVE = vm.LivePage(
    kpis=(
        vm.Kpi("今日收入", "¥12,486", "", "比上周日 +8.4%", "good"),
        vm.Kpi("使用中", "3", "/9 间", "出租率 50%"),
        vm.Kpi("快到店", "2", "单", "最近 19:45 听雨"),
        vm.Kpi("待处理", "1", "件", "1 件要马上看", "bad"),
        vm.Kpi("设备", "23", "/24 在线", "车公庙店断网", "warn"),
    ),
    stores=(
        vm.StoreBlock("s1", "静安店", True, "", 3, 9, 691800, TILES, bulk=True),
        vm.StoreBlock(
            "s2",
            "徐汇店",
            False,
            "断网 12 分钟 · 门店自行运转",
            1,
            2,
            None,
            (
                tile("徐一", "offline", "0:41", "后结束", "离线前：使用中"),
                tile("徐二", "offline", "空闲", "", "离线前：空闲"),
            ),
            stale_at=at(19, 14),
        ),
    ),
    alarms=(
        vm.Alarm(
            "a1", "door-open", "静安店 竹间 门没关 3 分钟", "客人在里面", "/console/rooms/竹间"
        ),
    ),
    arrivals=(
        vm.Arrival(at(19, 45), "听雨", "静安店", "孙** 3390", "已备好，19:30 起可进", True),
        vm.Arrival(at(20), "荷间", "静安店", "徐* 2951", "等保洁，约 8 分钟", False),
    ),
    inspector=INSPECTOR,
    may_force=True,
    mode_sheets=(
        ("normal", "{name}切到正常", "订单说了算", ()),
        ("open", "{name}切到常开", "谁都能进", (("7200", "2 小时"), ("3600", "1 小时"))),
    ),
    board_href="/console/board",
)
OVERTIME_RULES = OvertimeRulesPage(
    tuple(
        OvertimeRuleForm(
            store_name=name,
            action=f"/api/v1/console/stores/{key}",
            mode=mode,
            free_minutes=0,
            unit_minutes=15,
            unit_fen=600,
            per_cent=100,
            cap_fen=cap,
            resting_w=30,
            example="按现在的规则，¥40 一小时的包间超时 19 分钟收 ¥12",
        )
        for key, name, mode, cap in (
            ("s1", "静安店", "per_unit", 6000),
            ("s2", "徐汇店", "off", None),
        )
    )
)
STICKERS = vm.StickersPage(
    tuple(
        vm.Sticker(STORE, n, f"https://kaimen.example/d/{n}", "/pass.svg")
        for n in ("竹间", "梅间", "听雨")
    )
)

ORDERS: vm.Listing[ConsoleOrderRow] = vm.Listing(
    path="/console/orders",
    columns=(vm.Column("订单"), vm.Column("下单", sort="created"), vm.Column("金额", "total", True)),
    rows=(
        ConsoleOrderRow(
            "o1", "/console/orders/o1?sort=-created", "KM-7F3Q", vm.OrderWord.IN_USE, "尾号 4821",
            "竹间", STORE, at(16, 50), at(20, 50), 15200, at(16, 30),
        ),
        ConsoleOrderRow(
            "o2", "/console/orders/o2", "KM-7F3R", vm.OrderWord.REFUNDING, "尾号 0937",
            "梅间", STORE, at(18), at(20), 7600, at(17, 2), "¥76 退款中",
        ),
    ),
    filters=(
        vm.Filter("state", "chips", "状态", "", (vm.Choice("", "全部"), vm.Choice("unpaid", "待支付"))),
        vm.Filter("store", "select", "门店", "s1", (vm.Choice("s1", STORE),)),
        vm.Filter("day", "date", "使用的日子"),
        vm.Filter("q", "search", "单号或手机尾号"),
    ),
    query={"sort": "-created"},
    sort="-created",
    cursor="abc",
    next_cursor="def",
    empty=vm.Empty("顾客下单以后，订单会出现在这里", "去打印门贴", "/console/stickers"),
    caption="订单",
)  # fmt: skip
ORDER = ConsoleOrder(
    id="o1",
    number="KM-7F3Q",
    word=vm.OrderWord.IN_USE,
    who="尾号 4821",
    room_name="竹间",
    room_href="/console/rooms/竹间",
    store_id="s1",
    store_name=STORE,
    art="room-moon-bamboo",
    starts_at=at(16, 50),
    ends_at=at(20, 50),
    fees=vm.Fees((vm.FeeLine("平日", 15200, 240),), 15200),
    happened=(Happened(at(16, 30), "支付成功"), Happened(at(16, 51), "手机开门", "开了，请推门")),
    close_href="/console/orders",
    href="/console/orders/o1",
    moves=(vm.MoneyMove(at(16, 30), "付款成功", 15200, vm.StepState.DONE),),
    facts=(("进门", "16:51"),),
    cancel_back_fen=15200,
    can_finish=True,
    refund_ask_fen=15200,
)
ORDERS_PAGE = ConsoleOrdersPage(ORDERS, ORDER, "{}", ("confirm", "message", "export", "cancel"))
CANCEL = CancelPage(
    (
        CancelRow(
            "o1", "KM-7F3Q", vm.OrderWord.READY, "尾号 4821", f"{STORE} 竹间", at(18, 0), at(20, 0),
            9600, 9600, 4800, 4800,
        ),
        CancelRow(
            "o2", "KM-8G4R", vm.OrderWord.IN_USE, "尾号 1111", f"{STORE} 梅间", at(16, 0), at(20, 0),
            15200, 0, 0, 0, "顾客已经使用，不能取消", "时间已经开始，不能取消",
        ),
    )
)  # fmt: skip

CONSOLE_PAGES: dict[str, tuple[str, dict[str, object]]] = {
    "console-live": ("console/live.html", {"page": LIVE, "nav": NAV, "shell": STAFF}),
    "console-board": ("console/_board.html", {"page": LIVE, "nav": NAV, "shell": STAFF}),
    "console-inspector": ("console/_inspector.html", {"page": LIVE, "nav": NAV, "shell": STAFF}),
    "console-plain": (
        "console/live.html",
        {"page": replace(LIVE, inspector=None), "nav": NAV, "shell": STAFF},
    ),
    "console-orders": ("console/orders.html", {"page": ORDERS_PAGE, "nav": NAV, "shell": STAFF}),
    "console-order": ("console/_order.html", {"page": ORDERS_PAGE, "nav": NAV, "shell": STAFF}),
    "console-no-orders": (
        "console/orders.html",
        {
            "page": ConsoleOrdersPage(replace(ORDERS, rows=(), filters=(), cursor="")),
            "nav": replace(NAV, here="orders"),
            "shell": STAFF,
        },
    ),
    "console-orders-cancel": (
        "console/orders_cancel.html",
        {"page": CANCEL, "nav": replace(NAV, here="orders"), "shell": STAFF},
    ),
    "console-login": ("console/login.html", {"page": vm.LoginPage("/console")}),
    "console-stickers": ("console/stickers.html", {"page": STICKERS}),
    "console-schedules": (
        "console/schedules.html",
        {"page": samples_running.SCHEDULES, "nav": replace(NAV, here="schedules"), "shell": STAFF},
    ),
    "console-schedules-none": (
        "console/schedules.html",
        {
            "page": replace(samples_running.SCHEDULES, rows=()),
            "nav": replace(NAV, here="schedules"),
            "shell": STAFF,
        },
    ),
    "console-schedule": (
        "console/schedule_form.html",
        {"page": samples_running.FORM, "nav": replace(NAV, here="schedules"), "shell": STAFF},
    ),
    "console-scenes": (
        "console/scenes.html",
        {"page": samples_running.SCENES, "nav": replace(NAV, here="scenes"), "shell": STAFF},
    ),
    "console-doors": (
        "console/doors.html",
        {"page": samples_running.DOORS, "nav": replace(NAV, here="doors"), "shell": STAFF},
    ),
    "console-keys": (
        "console/keys.html",
        {"page": samples_running.KEYS, "nav": replace(NAV, here="staff-keys"), "shell": STAFF},
    ),
    "console-key-new": (
        "console/key_form.html",
        {"page": samples_running.KEY_FORM, "nav": replace(NAV, here="staff-keys"), "shell": STAFF},
    ),
    "console-key": (
        "console/key.html",
        {"page": samples_running.KEY, "nav": replace(NAV, here="staff-keys"), "shell": STAFF},
    ),
    "console-controllers": (
        "console/controllers.html",
        {
            "page": samples_running.CONTROLLERS,
            "nav": replace(NAV, here="controllers"),
            "shell": STAFF,
        },
    ),
    "console-overtime": (
        "console/overtime.html",
        {"page": OVERTIME_RULES, "nav": replace(NAV, here="overtime"), "shell": STAFF},
    ),
    "console-error": ("console/error.html", {"page": ERROR, "shell": STAFF}),
    **samples_notices.console_pages(NAV, STAFF),
    **samples_people.console_pages(NAV, STAFF),
    **samples_safety.console_pages(NAV, STAFF),
    **samples_payments.pages(NAV, STAFF),
    **samples_groupbuy.console_pages(NAV, STAFF),
    **samples_platforms.console_pages(NAV, STAFF),
    **samples_bills.console_pages(NAV, STAFF),
    **samples_booking.console_pages(NAV, STAFF),
    **samples_money.console_pages(NAV, STAFF),
    **samples_stats.console_pages(NAV, STAFF),
    **samples_prices.console_pages(NAV, STAFF),
    **samples_cleaning.console_pages(NAV, STAFF),
    **samples_members.console_pages(NAV, STAFF),
    **samples_opening.console_pages(NAV, STAFF),
    **samples_day.console_pages(NAV, STAFF),
    **samples_software.console_pages(NAV, STAFF),
}
