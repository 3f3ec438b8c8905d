"""Cleaning on the same evening: the board, the cleaner's own list, tasks in every state, a month, rules."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web import view_models as vm
from cloud_api.web.view_models.cleaning import (
    CleaningBoard,
    CleaningCard,
    CleaningColumn,
    CleaningDoor,
    CleaningPhoto,
    CleaningRuleForm,
    CleaningRules,
    CleaningSheet,
    CleaningTaskPage,
    PayLine,
    PayPerson,
)
from tests.web.samples import STORE, at

OPEN = CleaningCard(
    "t1", "/console/cleaning/tasks/t1", "竹间", STORE, "room-moon-bamboo", "", "open", "等人接", "",
    at(18, 4), due="19:45 有客人到", hot=True, pay_fen=2500,
)  # fmt: skip
TAKEN = replace(
    OPEN, id="t2", room="梅间", art="room-plum-branch", state="taken", word="已接", who="刘姐",
    due="", hot=False, mine=True, note="地毯洒了茶",
)  # fmt: skip
NOW = replace(TAKEN, id="t3", room="听雨", art="room-tea-lattice", state="cleaning", word="打扫中")
CHECK = replace(TAKEN, id="t4", room="菊间", state="to_check", word="等验收", note="")
BACK = replace(
    TAKEN, id="t5", room="兰间", state="rejected", word="要返工", why="垃圾没倒", note=""
)
DONE = replace(TAKEN, id="t6", room="荷间", state="done", word="完成", note="")
BOARD = CleaningBoard(
    columns=(
        CleaningColumn("wait", "待做", (OPEN, TAKEN, BACK), "没有要打扫的房间"),
        CleaningColumn("now", "进行中", (NOW,), "现在没有人在打扫"),
        CleaningColumn("check", "待验", (CHECK,), "没有等验收的"),
        CleaningColumn("done", "今天完成", (), "今天还没有完成的"),
    ),
    done_today=3,
    earned_fen=7500,
    rooms=(("r1", "竹间"), ("r2", "听雨")),
    people=(("s1", "刘姐"), ("s2", "王姐")),
)
WORK = CleaningTaskPage(
    card=NOW,
    doors=(
        CleaningDoor("d0", "大门"),
        CleaningDoor(
            "d1",
            "听雨门",
            vm.StoreAnswer((vm.AnswerStep("已送到门店", vm.StepState.DONE, 0.1),), "刘姐 19:21 开门"),
        ),
    ),
    photos=(CleaningPhoto("/pass.svg", "/pass.svg"),),
    photos_wanted=2,
    photo_mb=12,
    happened=(("18:04", "要打扫", "系统"), ("18:10", "派给刘姐", "陈店长"), ("19:20", "开始打扫", "刘姐")),
    can_work=True,
)  # fmt: skip
SHEET = CleaningSheet(
    "2026-11", "2026 年 11 月", "/console/cleaning/sheet?month=2026-10", "",
    (
        PayPerson("刘姐", 2, 43, 5000, (
            PayLine(at(15, 10), STORE, "竹间", 18, 2500, False, "/console/cleaning/tasks/t8"),
            PayLine(at(11), STORE, "梅间", 25, 2500, True, "/console/cleaning/tasks/t9"),
        )),
        PayPerson("王姐", 1, 20, 2500, ()),
    ),
    "/api/v1/console/cleaning/sheet.csv?month=2026-11",
)  # fmt: skip
RULES = CleaningRules(
    (
        CleaningRuleForm(
            STORE, "/api/v1/console/stores/s1/cleaning-rule", True, 60, 30, True, True, 2, 2500,
            "用满 60 分钟的场次，客人一走就派一个任务，做完一个 ¥25，验收过才算",
        ),
    )
)  # fmt: skip
PAGES: dict[str, tuple[str, object]] = {
    "console-cleaning": ("console/cleaning.html", BOARD),
    "console-cleaning-mine": (
        "console/cleaning.html",
        CleaningBoard(mine=(NOW, BACK), free=(OPEN,), done_today=2, earned_fen=5000),
    ),
    "console-cleaning-none": ("console/cleaning.html", CleaningBoard()),
    "console-cleaning-task": ("console/cleaning_task.html", WORK),
    "console-cleaning-grab": (
        "console/cleaning_task.html",
        CleaningTaskPage(card=OPEN, can_grab=True),
    ),
    "console-cleaning-guests": (
        "console/cleaning_task.html",
        replace(WORK, card=TAKEN, guests_in=True, store_online=False, photos_wanted=0, photos=()),
    ),
    "console-cleaning-check": (
        "console/cleaning_task.html",
        replace(
            WORK, card=CHECK, can_work=False, can_check=True, can_assign=True, can_call_off=True,
            people=(("s1", "刘姐"),),
        ),
    ),
    "console-cleaning-pay": ("console/cleaning_sheet.html", SHEET),
    "console-cleaning-pay-none": ("console/cleaning_sheet.html", replace(SHEET, people=())),
    "console-cleaning-rules": ("console/cleaning_rules.html", RULES),
}  # fmt: skip


def console_pages(nav: object, staff: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages for the tests that draw every template."""
    return {
        name: (template, {"page": model, "nav": replace(nav, here="cleaning"), "shell": staff})  # type: ignore[type-var]
        for name, (template, model) in PAGES.items()
    }
