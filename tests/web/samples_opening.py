"""The way to a store that is open: one with gaps, one that is ready; its wiring."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web.view_models.opening import BoardCard, OpeningPage, Step, WireRow, WiringPage
from cloud_api.web.view_models.prices import Pick

PICKS = (
    Pick("静安店", "/console/opening?store=s1", True),
    Pick("徐汇店", "/console/opening?store=s2", False),
)
STEPS = (
    Step(1, "门店资料", "店名、地址、电话", (), "/console/house", "去填"),
    Step(2, "包间", "名字、几个人、有什么", (), "/console/house", "加包间"),
    Step(3, "控制器", "店里那台小电脑用接入码连上来", ("还没接上",), "/console/controllers", "看控制器"),
    Step(4, "设备", "选板子的型号", tuple(f"{n} 号房没有接通电的开关" for n in range(1, 9)), "/console/wiring", "去接线"),
    Step(6, "规则", "多早能订", (), "/console/booking-rules", "看规则", optional=True),
)  # fmt: skip
OPENING = OpeningPage("s1", "静安店", PICKS, STEPS, can_enrol=True, can_add=True)
WIRING = WiringPage(
    "s1", "静安店", PICKS,
    (
        BoardCard(
            "b1", "一号板", "Waveshare Modbus RTU Relay (8-ch)", "rs485-1 · 地址 1", "在线", "is-free",
            (WireRow("w1", "麻将机", "第 2 路 · 通电的开关", "竹间", "/console/rooms/竹间"),),
            (("switch.set:3", "第 3 路 · 通电的开关"), ("hazard:", "烟感、火警")),
        ),
        BoardCard("b2", "备用", "DY DY-SV17F", "speaker-1 · 地址 –", "没有回应", "is-overtime", (), ()),
    ),
    (("waveshare.modbus-rtu-relay-8ch", "Waveshare Modbus RTU Relay (8-ch)"),),
    (("r1", "竹间"), ("r2", "听雨")), (("竹间门", "竹间 · 门锁"),), (("w2", "门锁"),),
    (("table", "麻将机"), ("light", "灯")),
)  # fmt: skip
PAGES = {
    "console-opening": ("console/opening.html", OPENING),
    "console-opening-ready": (
        "console/opening.html",
        replace(OPENING, steps=STEPS[:2], can_enrol=False, can_add=False, stores=PICKS[:1]),
    ),
    "console-wiring": ("console/wiring.html", WIRING),
    "console-wiring-none": (
        "console/wiring.html", replace(WIRING, boards=(), doors=(), rooms=(), locks=()),
    ),
}  # fmt: skip


def console_pages(nav: object, staff: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages for the tests that draw every template."""
    return {
        name: (template, {"page": model, "nav": replace(nav, here="opening"), "shell": staff})  # type: ignore[type-var]
        for name, (template, model) in PAGES.items()
    }
