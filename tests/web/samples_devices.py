"""Devices of a room, each in a state of its own."""

from __future__ import annotations

from cloud_api.web import view_models as vm

MODES = tuple(
    vm.Chip(key, text, key == "cool")
    for key, text in (
        ("cool", "制冷"),
        ("heat", "制热"),
        ("dry", "除湿"),
        ("fan", "送风"),
        ("auto", "自动"),
    )
)
FANS = tuple(
    vm.Chip(key, text, key == "low")
    for key, text in (("auto", "自动"), ("low", "低"), ("mid", "中"), ("high", "高"))
)
DEVICES = (
    vm.Device("d1", "麻将机", "plug", "view", True, vm.DeviceState.OK, "已通电"),
    vm.Device("d2", "灯", "lightbulb", "switch", True, vm.DeviceState.OK, "已开", "/api/v1/x"),
    vm.Device(
        "d3", "空调", "snowflake", "switch", False, vm.DeviceState.PENDING, "正在调…", "/api/v1/x"
    ),
    vm.Device("d4", "新风", "wind", "view", None, vm.DeviceState.UNKNOWN, "没有回话"),
    vm.Device(
        "d5",
        "空调温度",
        "thermometer",
        "climate",
        True,
        vm.DeviceState.OK,
        "制冷 25 度 · 风速低",
        "/api/v1/x",
        number=25,
        low=16,
        high=30,
        modes=MODES,
        fans=FANS,
    ),
)
