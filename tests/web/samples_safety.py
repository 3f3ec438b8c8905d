"""The log of acts, backups and one's own data as pages are tried out with them."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.safety import (
    Act,
    ActRow,
    AuditPage,
    BackupRow,
    BackupsPage,
    Copy,
    PrivacyPage,
)
from tests.web.samples import NOW

ACTS: Listing[ActRow] = Listing(
    path="/console/audit",
    caption="操作记录",
    query={"sort": "-seq"},
    sort="-seq",
    columns=tuple(Column(text) for text in ("操作", "谁", "门店", "时间")),
    rows=(
        ActRow("1", "/console/audit/1", "远程开门", "陈店长", "静安店", "客人忘带手机", NOW),
        ActRow("2", "/console/audit/2", "改门店", "陈店长", "静安店", "", NOW),
    ),
    filters=(
        Filter("who", "select", "谁", "", (Choice("", "所有人"), Choice("staff:1", "陈店长"))),
        Filter("day", "date", "哪天", "2026-11-23"),
    ),
    next_cursor="abc",
    empty=Empty("谁远程开了门、改了价、退了款，都会记在这里"),
)
ACT = Act(
    id="2",
    what="改门店",
    who="陈店长",
    close_href="/console/audit",
    why="假日加长",
    at=NOW,
    facts=(("谁", "陈店长"), ("从哪里", "203.0.113.7")),
    before=(("宽限（秒）", "600"),),
    after=(("宽限（秒）", "900"),),
    mark="0d65d43094af223b",
)
BACKUPS: Listing[BackupRow] = Listing(
    path="/console/backups",
    caption="备份",
    columns=tuple(Column(text) for text in ("时间", "结果", "名称", "大小")),
    rows=(
        BackupRow("1", "running", "进行中", "", "", "已处理 1.2 MB", NOW),
        BackupRow("2", "good", "完好", "kaimen-20261122T193000Z.kmb", "3.4 MB", "", NOW, NOW),
        BackupRow("3", "failed", "失败", "", "", "备份存储出错：disk full", NOW),
    ),
    empty=Empty("每天夜里自动备份一次，结果会出现在这里"),
)
PRIVACY = PrivacyPage(
    "尾号 4821",
    copies=(Copy("可以下载", NOW, "/api/v1/me/exports/1", NOW), Copy("已过期", NOW)),
    error="和你手机号的后四位不一样",
    reasons=("还有没结束的订单，先用完或取消",),
)


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages full and empty, the console's inside its frame; and the customer's own."""
    around = {"nav": nav, "shell": shell}
    bare = BackupsPage(replace(BACKUPS, rows=()), trouble="还没有设置备份放哪里，现在没有备份")
    full = BackupsPage(BACKUPS, (("放在", "/mnt/nas/kaimen"),), "", True)
    return {
        "console-audit": (
            "console/audit.html",
            {"page": AuditPage(ACTS, ACT, "/api/v1/console/audit/export"), **around},
        ),
        "console-no-audit": (
            "console/audit.html",
            {"page": AuditPage(replace(ACTS, rows=(), filters=())), **around},
        ),
        "console-backups": ("console/backups.html", {"page": full, **around}),
        "privacy": ("customer/privacy.html", {"page": PRIVACY}),
        "privacy-none": ("customer/privacy.html", {"page": PrivacyPage("尾号 4821")}),
        "console-no-backups": ("console/backups.html", {"page": bare, **around}),
    }
