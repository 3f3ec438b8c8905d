"""What stores do by themselves, staff's keys and the controllers, as pages are tried out with them."""

from __future__ import annotations

from datetime import timedelta

from cloud_api.web.view_models.prices import Pick
from cloud_api.web.view_models.running import (
    AirForm,
    BundleRow,
    ControllerCard,
    ControllersPage,
    DeviceTimes,
    DoorForm,
    DoorPart,
    DoorsPage,
    KeyForm,
    KeyRow,
    KeyShown,
    KeysPage,
    ScenesPage,
    ScheduleForm,
    ScheduleRow,
    SchedulesPage,
    StoreHabits,
)
from tests.web.samples import NOW

_DEVICES = (("b1", "公共 招牌", ""), ("b2", "公共 走廊灯", ""), ("b3", "竹间、兰亭 新风", ""))
SCHEDULES = SchedulesPage(
    (
        ScheduleRow(
            "1",
            "招牌",
            "/console/schedules/1",
            "静安店",
            "每天 17:30–次日 02:00",
            "公共 招牌",
            True,
        ),
        ScheduleRow(
            "2",
            "新风",
            "/console/schedules/2",
            "静安店",
            "周五六、节假日 10:00–23:00",
            "竹间、兰亭 新风",
            False,
        ),
    ),
    (("加一个定时", "/console/schedules/new?store=s1"),),
)
FORM = ScheduleForm(
    "1", "静安店", "/api/v1/console/stores/s1/schedules/1", "招牌", _DEVICES, ("b1",),
    ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"), "17:30", "02:00", True,
)  # fmt: skip
_PHASES = (
    ("arrival", "到店前", "门能开了、人还没进来", ("light",)),
    ("in_use", "使用中", "", ("table", "light", "ac", "fan")),
    ("grace", "宽限", "时间到了，收拾东西的几分钟", ("table", "light")),
    ("after", "结束后", "人走了以后", ()),
    ("cleaning", "保洁", "", ("light",)),
)
SCENES = ScenesPage(
    "静安店",
    "静安店",
    (
        ("静安店", "/console/scenes?store=s1", True),
        ("竹间", "/console/scenes?store=s1&room=r1", False),
    ),
    "/api/v1/console/stores/s1/scenes",
    False,
    True,
    _PHASES,
    600,
    StoreHabits("/api/v1/console/stores/s1", "cut", True, False, "22:00", "08:00", 0, 0),
    AirForm(
        "/api/v1/console/stores/s1/air",
        True,
        (
            ("summer", "夏季", "一般制冷", "cool", 26, "auto", "06-01", "09-30"),
            ("winter", "冬季", "一般制热", "heat", 22, "", "11-15", "03-15"),
            ("rest", "其他时候", "不在上面两段里的日子", "", None, "", "", ""),
            ("cleaning", "保洁时", "切换到保洁时，比如送风换气", "fan", None, "high", "", ""),
        ),
        (16, 30),
    ),
    (
        DeviceTimes("竹间 空调", "/api/v1/console/bindings/b4/times", 900, None),
        DeviceTimes("竹间 排风", "/api/v1/console/bindings/b5/times", None, 600),
    ),
)
KEYS = KeysPage(
    (
        KeyRow("1", "/console/keys/1", "王阿姨", "卡", "…91", "大门、竹间", "06:00–12:00", None),
        KeyRow(
            "2",
            "/console/keys/2",
            "李师傅",
            "开门码",
            "…02",
            "管的门店的所有门",
            "什么时候都行",
            NOW + timedelta(days=3),
        ),
    ),
    True,
)
DOORS = DoorsPage(
    (
        Pick("静安店", "/console/doors?store=s1", True),
        Pick("徐汇店", "/console/doors?store=s2", False),
    ),
    (
        DoorForm(
            "d0",
            "大门",
            "/api/v1/console/doors/d0",
            1000,
            (
                DoorPart("lock_binding_id", "门锁", "", (("", "没有"), ("b1", "大门锁")), "b1"),
                DoorPart(
                    "reader_binding_id",
                    "扫码器或密码键盘",
                    "客人的通行码和密码在这里认",
                    (("", "没有"), ("b2", "大门读码器")),
                    "b2",
                ),
                DoorPart(
                    "cards_binding_id",
                    "读卡器",
                    "员工的门卡在这里刷",
                    (("", "没有"), ("b3", "大门读卡器")),
                    "",
                ),
                DoorPart("contact_binding_id", "门磁", "知道门开着还是关着", (("", "没有"),), ""),
            ),
        ),
    ),
)
KEY_FORM = KeyForm((("1", "王阿姨"), ("2", "李师傅")), (("d0", "大门", ""), ("d1", "竹间", "")))
KEY = KeyShown("2", "李师傅", "code", "7391 4402", "管的门店的所有门", "什么时候都行")
CONTROLLERS = ControllersPage(
    (
        ControllerCard(
            "s1", "静安店", "在线", "is-free", "0.1.0", False, "对准了", 0, "1.42", "3 块都在线",
            NOW - timedelta(seconds=12), NOW + timedelta(days=300), False,
            (BundleRow("/api/v1/console/diagnostics/1", "门不开", NOW - timedelta(hours=2), True),),
        ),
        ControllerCard(
            "s2", "徐汇店", "离线", "is-offline", "0.0.9", True, "靠自己走着", 214, "1.7",
            "2 块，1 块不在线", NOW - timedelta(hours=5), NOW + timedelta(days=9), True, (),
        ),
    ),
    "0.1.0",
    True,
)  # fmt: skip
