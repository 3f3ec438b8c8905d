"""Platform vouchers for templates: accesses and their deals, uses in every state, the phone's pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from cloud_api.platform_vouchers.schemas import (
    ConsoleUseOut,
    DealOut,
    DifferenceOut,
    UseOut,
    WayOut,
)
from cloud_api.web.view_models.platforms import (
    DealRow,
    PlatformCodePage,
    PlatformField,
    PlatformKind,
    PlatformPage,
    PlatformRow,
    PlatformsPage,
    PlatformUsePage,
    PlatformUseRow,
    PlatformUsesPage,
)
from tests.web.samples import at

DEAL = DealOut(id="d1", account_id="p1", deal="1234500001", name="四人三小时", minutes=180)
ROWS = (
    PlatformRow("p1", "抖音来客", "抖音来客", "静安店", "在用", "is-free", "", 2, "/console/platforms/p1"),
    PlatformRow(
        "p2", "手工确认", "手工确认", "静安店", "没有商品", "is-grace", "说好每个平台商品能开哪间",
        0, "/console/platforms/p2", True,
    ),
)  # fmt: skip
KINDS = (PlatformKind("抖音来客", "在抖音开放平台建应用", "/console/platforms/new?kind=douyin"),)
ACCOUNT = PlatformPage(
    id="p1",
    kind="douyin",
    kind_name="抖音来客",
    guide="在抖音开放平台建应用",
    name="抖音来客",
    enabled=True,
    fields=(
        PlatformField("client_key", "应用 ID（client_key）", False, "aw1k", False, False),
        PlatformField("client_secret", "应用密钥", True, "", False, True),
    ),
    place="POI ID",
    one_store=False,
    stores=(("s1", "静安店", "6601136930455291912"),),
    checked="通了，可以核销",
    good=True,
    checked_at=at(13, 0),
    deals=(DealRow(DEAL, "3 小时", "每天", "每一间", "deal-d1"),),
    rooms=(("r1", "竹间", "静安店"),),
    froms=((0, "00:00"),),
    untils=((1440, "24:00"),),
)
USE = UseOut(
    id="u1",
    state="asked",
    word="等店家确认",
    label="美团",
    name="四人三小时",
    code_tail="7766",
    store_id="s1",
    store="静安店",
    room_id="r1",
    room="竹间",
    starts_at=at(14, 0),
    ends_at=at(17, 0),
    worth_fen=5900,
    order_id=None,
    why="",
    waiting=True,
    expires_at=at(14, 20),
    created_at=at(14, 0),
)
STAFF_USE = ConsoleUseOut(
    **USE.model_dump(),
    code="8888777766",
    phone_tail="5678",
    way="online",
    by_name="",
    order_number="",
    receipt="",
    verified_at=None,
    may=["confirm", "refuse"],
)
USES = (
    PlatformUseRow(STAFF_USE, "顾客在手机上", "is-grace", ""),
    PlatformUseRow(
        STAFF_USE.model_copy(
            update={
                "id": "u2", "state": "confirmed", "word": "已核销", "order_id": "o1", "code": "",
                "order_number": "2611231200000001", "may": ["undo"], "waiting": False,
            }
        ),
        "输码", "is-in_use", "/console/orders/o1",
    ),
    PlatformUseRow(
        STAFF_USE.model_copy(
            update={"id": "u3", "state": "stuck", "word": "退不回平台", "why": "核销超过1小时", "may": ["settle"]}
        ),
        "扫码", "is-overtime", "",
    ),
)  # fmt: skip
DIFFERENCE = DifferenceOut(
    id="x1",
    day=date(2026, 11, 22),
    account="抖音来客",
    category="missing_here",
    category_name="平台核销了，这里没有",
    receipt="7034567890123456789",
    name="四人三小时",
    theirs_fen=5800,
    ours_fen=None,
    use_id=None,
    solved_at=None,
    solved_why="",
)
WAYS = (
    WayOut(
        account_id="p1",
        family="douyin",
        label="抖音",
        manual=False,
        least_digits=12,
        most_digits=15,
        deals=[],
    ),
    WayOut(
        account_id="p2",
        family="meituan",
        label="美团",
        manual=True,
        least_digits=6,
        most_digits=20,
        deals=[DEAL],
    ),
)
CODE = PlatformCodePage(
    store_id="s1",
    store_name="静安店",
    ways=WAYS,
    back_href="/s/s1",
    offset="+08:00",
    first_day="2026-11-23T14:08",
    last_day="2026-12-23T14:08",
    cancel_words="开始 2 小时前取消，券整张退回；再晚取消，券算用掉",
)
WAITING = PlatformUsePage(
    USE,
    "房间给你留着，店员正在美团核对",
    "is-grace",
    "hourglass",
    "",
    "/platform-code?store=s1",
    True,
)

PAGES: dict[str, tuple[str, dict[str, object]]] = {
    "platform-code": ("customer/platform_code.html", {"page": CODE}),
    "platform-code-door": (
        "customer/platform_code.html",
        {"page": replace(CODE, room_id="r1", room_name="竹间", door_href="/d/x")},
    ),
    "platform-code-none": ("customer/platform_code.html", {"page": replace(CODE, ways=())}),
    "platform-use": ("customer/platform_use.html", {"page": WAITING}),
    "platform-use-over": (
        "customer/platform_use.html",
        {
            "page": replace(
                WAITING,
                one=USE.model_copy(update={"state": "confirmed", "waiting": False}),
                order_href="/orders/o1",
                may_withdraw=False,
            )
        },
    ),
}


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The console's, full and empty."""
    around = {"nav": nav, "shell": shell}
    stores = {"stores": (("s1", "静安店"), ("s2", "徐汇店"))}
    pages: dict[str, tuple[str, object]] = {
        "console-platforms": ("platforms", PlatformsPage(ROWS, KINDS)),
        "console-no-platforms": ("platforms", PlatformsPage((), KINDS)),
        "console-platform": ("platform_account", ACCOUNT),
        "console-platform-new": (
            "platform_account",
            replace(ACCOUNT, id="", deals=(), checked="", one_store=True, place=""),
        ),
        "console-platform-uses": ("platform_vouchers", PlatformUsesPage("waiting", USES)),
        "console-platform-differences": (
            "platform_vouchers",
            PlatformUsesPage("differences", differences=(DIFFERENCE,), open_differences=1),
        ),
        "console-no-platform-uses": ("platform_vouchers", PlatformUsesPage("all")),
        "console-platform-desk": ("platform_desk", CODE),
    }
    return {
        name: (f"console/{template}.html", {"page": page, **around, **stores})
        for name, (template, page) in pages.items()
    }
