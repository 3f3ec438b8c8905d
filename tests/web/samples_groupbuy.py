"""Group-buy for templates: a campaign for four, its team with one chair free, orders and vouchers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_api.groupbuy.schemas import (
    AdviceOut,
    CampaignPageOut,
    ConsoleCampaignOut,
    GroupOrderOut,
    RedemptionOut,
    ReportRow,
    TeamOut,
    VoucherFullOut,
    VoucherOut,
)
from cloud_api.web.customer.groupbuy import LOOKS as ORDER_LOOKS
from cloud_api.web.customer.vouchers import LOOKS
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing, PayMethod
from cloud_api.web.view_models.campaigns import (
    CampaignForm,
    CampaignReportPage,
    CampaignRow,
    ConsoleCampaignsPage,
    DeskPage,
    RedemptionRow,
)
from cloud_api.web.view_models.groupbuy import (
    CampaignPage,
    CampaignsPage,
    GiftPage,
    GroupOrderPage,
    GroupOrdersPage,
    TeamPage,
    VoucherPage,
    VoucherRoom,
    VouchersPage,
)
from tests.web.samples import NOW, STORE, at

TEAM = TeamOut(
    token="team-1",
    campaign_id="c1",
    state="open",
    size=4,
    paid=2,
    missing=2,
    seats_left=1,
    deadline=NOW + timedelta(hours=5),
)
CAMPAIGN = CampaignPageOut(
    id="c1",
    name="四人下午场",
    tagline="竹间、梅间任选，送一壶龙井",
    state="published",
    price_fen=5800,
    list_fen=8800,
    team_size=4,
    team_hours=24,
    starts_at=at(8, day=20),
    ends_at=at(22, day=30),
    left=8,
    most_per_customer=2,
    most_per_order=2,
    valid_days=60,
    minutes=180,
    people=4,
    store_ids=["s1"],
    stores=[STORE],
    room_ids=["r1", "r3"],
    rooms=["竹间", "梅间"],
    when="周一至周五 10:00–18:00",
    extras=["龙井一壶", "瓜子一碟"],
    story="<p>工作日的下午，<b>安静</b>。</p>",
    picture="room-moon-bamboo",
    rules="不与其他优惠同享\n超时按店里的价补",
    on_fail="refund",
    refundable=True,
    refund_on_expiry=True,
    teams=[TEAM],
)
ORDER = GroupOrderOut(
    id="g1",
    number="G7F3Q",
    campaign_id="c1",
    name=CAMPAIGN.name,
    store_id="s1",
    status="pending_payment",
    state="待支付",
    quantity=1,
    price_fen=5800,
    total_fen=5800,
    refunded_fen=0,
    hold_expires_at=at(14, 25),
    created_at=at(14, 10),
    paid_at=None,
    team=TEAM,
    vouchers=[],
)
PAID = ORDER.model_copy(update={"status": "paid", "state": "已支付", "paid_at": at(14, 11)})
ISSUED = PAID.model_copy(update={"status": "issued", "state": "待使用", "vouchers": ["v1"]})
VOUCHER = VoucherOut(
    id="v1",
    name=CAMPAIGN.name,
    status="issued",
    state="待使用",
    minutes=180,
    people=4,
    value_fen=5800,
    when=CAMPAIGN.when,
    rules=CAMPAIGN.rules,
    store_ids=["s1"],
    stores=[STORE],
    room_ids=[],
    rooms=[],
    valid_from=at(14),
    valid_until=NOW + timedelta(days=60),
    source="groupbuy:g1",
)
FULL = VoucherFullOut(**VOUCHER.model_dump(), code="1234 5678 9012", qr="KV1.x", qr_refresh_s=60)
USED = VOUCHER.model_copy(update={"status": "redeemed", "state": "已核销", "redeemed_at": at(13)})
ROOMS = (
    VoucherRoom("r1", "竹间", STORE, "room-moon-bamboo", True, "", "+08:00"),
    VoucherRoom("r3", "梅间", STORE, "room-plum-branch", False, "现在有人", "+08:00"),
)
TEAM_PAGE = TeamPage(CAMPAIGN, TEAM, "3 小时", "https://shop.test/g/team-1")
ORDER_PAGE = GroupOrderPage(
    ORDER,
    "名额给你留着，付好就算数",
    "is-held",
    "hourglass",
    pay="choose",
    methods=(PayMethod("cashier", "page", "收银台", "不动真钱"),),
    share_url=TEAM_PAGE.share_url,
)
VOUCHER_PAGE = VoucherPage(
    FULL,
    "is-free",
    "ticket",
    "3 小时",
    rooms=ROOMS,
    first_day="2026-11-22T14:12",
    last_day="2027-01-20T14:12",
    may_return=True,
)
ADVICE = (
    AdviceOut(
        kind="campaign", id="c1", name="四人下午场", stores=[STORE], minutes=180, price_fen=5800,
        full_fen=8800, when="周一至周五 10:00–18:00", picture="room-moon-bamboo", room_id="",
        reason="比单独买省 ¥30，还剩 3 张",
    ),
    AdviceOut(
        kind="package", id="p1", name="三小时畅打", stores=[STORE], minutes=180, price_fen=8800,
        full_fen=11400, when="", picture="room-plum-branch", room_id="r2",
        reason="和你在雀友会·静安店常玩的差不多长，省 ¥26",
    ),
)  # fmt: skip
PAGES: dict[str, tuple[str, dict[str, object]]] = {
    "groupbuy": ("customer/groupbuy.html", {"page": CampaignsPage((CAMPAIGN,), "/groupbuy?c=1", ADVICE)}),
    "offers": ("customer/_offers.html", {"page": ADVICE}),
    "groupbuy-none": ("customer/groupbuy.html", {"page": CampaignsPage(())}),
    "campaign": ("customer/campaign.html", {"page": CampaignPage(CAMPAIGN, "3 小时")}),
    "campaign-closed": (
        "customer/campaign.html",
        {"page": CampaignPage(CAMPAIGN, "3 小时", "这个活动已经结束，看看别的套餐")},
    ),
    "team": ("customer/team.html", {"page": TEAM_PAGE}),
    "team-mine": (
        "customer/team.html",
        {"page": replace(TEAM_PAGE, team=TEAM.model_copy(update={"mine": True}))},
    ),
    "team-over": ("customer/team.html", {"page": replace(TEAM_PAGE, closed="这个团满了")}),
    "group-orders": (
        "customer/group_orders.html",
        {"page": GroupOrdersPage((ORDER, PAID)), "looks": ORDER_LOOKS},
    ),
    "group-orders-none": (
        "customer/group_orders.html",
        {"page": GroupOrdersPage(()), "looks": ORDER_LOOKS},
    ),
    "group-order": ("customer/group_order.html", {"page": ORDER_PAGE}),
    "group-order-waits": (
        "customer/group_order.html",
        {"page": replace(ORDER_PAGE, pay="waiting", go_on_href="/pay", provider_name="收银台")},
    ),
    "group-order-paid": ("customer/group_order.html", {"page": replace(ORDER_PAGE, one=PAID, pay="")}),
    "group-order-done": (
        "customer/group_order.html",
        {"page": replace(ORDER_PAGE, one=ISSUED, pay="", tone="is-free", icon="ticket")},
    ),
    "vouchers": (
        "customer/vouchers.html",
        {"page": VouchersPage((VOUCHER, USED), (PAID,)), "looks": LOOKS},
    ),
    "vouchers-none": ("customer/vouchers.html", {"page": VouchersPage(()), "looks": LOOKS}),
    "voucher": ("customer/voucher.html", {"page": VOUCHER_PAGE}),
    "voucher-door": (
        "customer/voucher.html",
        {"page": replace(VOUCHER_PAGE, door_room=ROOMS[0], door_href="/d/door-r1")},
    ),
    "voucher-used": (
        "customer/voucher.html",
        {
            "page": replace(
                VOUCHER_PAGE,
                one=FULL.model_copy(update={"status": "redeemed", "state": "已核销"}),
                used="这张券 11月22日 13:00 在雀友会·静安店竹间用过了",
                order_href="/orders/o1",
                rooms=(),
                may_return=False,
            )
        },
    ),
    "gift": (
        "customer/gift.html",
        {
            "page": GiftPage(
                "gift-1", CAMPAIGN.name, "3 小时", CAMPAIGN.when, STORE, NOW + timedelta(days=60)
            )
        },
    ),
    "gift-gone": ("customer/gift.html", {"page": GiftPage("gift-1", gone=True)}),
}  # fmt: skip


CONSOLE = ConsoleCampaignOut(
    **CAMPAIGN.model_dump(exclude={"teams"}),
    taken=22,
    stock=30,
    weekdays=31,
    from_minute=600,
    until_minute=1080,
    sort=0,
    orders=20,
    paid_fen=127600,
    redeemed=9,
    expired=1,
    refunded=2,
)
ROW = CampaignRow(CONSOLE, "在卖", "is-free", ("pause", "end"), "/console/campaigns/c1")
DRAFT = CampaignRow(
    CONSOLE.model_copy(update={"id": "c2", "state": "draft", "stock": None, "team_size": 1}),
    "草稿",
    "is-done",
    ("publish", "end"),
    "/console/campaigns/c2",
)
LIST: Listing[CampaignRow] = Listing(
    path="/console/campaigns",
    columns=tuple(Column(text) for text in ("活动", "状态", "价格", "卖出 · 核销", "卖到", "")),
    rows=(ROW, DRAFT),
    query={"sort": ""},
    filters=(Filter("state", "chips", "状态", "", (Choice("", "全部"), Choice("draft", "草稿"))),),
    empty=Empty("团购活动会在这里", "新建活动", "/console/campaigns/new"),
)
FORM = CampaignForm(
    one=CONSOLE,
    starts="2026-11-20T08:00",
    ends="2026-11-30T22:00",
    offset="+08:00",
    stores=(("s1", STORE, ""),),
    rooms=(("r1", "竹间", STORE), ("r3", "梅间", STORE)),
    arts=(("room-moon-bamboo", "月洞竹影"),),
    froms=((0, "00:00"), (600, "10:00")),
    untils=((1080, "18:00"), (1440, "24:00")),
    row=ROW,
)
LINE = RedemptionOut(
    id="x1",
    kind="redeem",
    at=at(19, 10),
    voucher_id="v1",
    name=CAMPAIGN.name,
    store=STORE,
    room="竹间",
    order_id="o1",
    order_number="KM-7F3Q",
    way="code",
    by_name="小林",
    why="",
    amount_fen=5800,
    undone=False,
)
DESK = DeskPage(
    rows=(
        RedemptionRow(LINE, "输码", True, "/console/orders/o1"),
        RedemptionRow(LINE.model_copy(update={"id": "x2", "undone": True}), "扫码", False, ""),
    ),
    more=True,
    stores=(("s1", STORE),),
)
NUMBERS = ReportRow(
    key="c1", name=CAMPAIGN.name, sold=22, sold_fen=127600, redeemed=9, redeemed_fen=52200
)
DAYS: Listing[ReportRow] = Listing(
    path="/console/groupbuy/report",
    columns=(
        Column("活动", sort="name"),
        *(
            Column(text, sort=key, number=True)
            for text, key in (("卖出", "sold"), ("金额", "sold_fen"), ("核销", "redeemed"))
        ),
        *(Column(text, sort=text, number=True) for text in ("核销金额", "过期", "退")),
    ),
    rows=(),
    query={"sort": "-sold_fen"},
    sort="-sold_fen",
    filters=(
        Filter("first", "date", "从", "2026-11-01"),
        Filter("last", "date", "到", "2026-11-22"),
    ),
)
REPORT = CampaignReportPage(DAYS, (NUMBERS,), 75400, NUMBERS)


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The console's, full and empty."""
    around = {"nav": nav, "shell": shell}
    pages: dict[str, tuple[str, object]] = {
        "console-campaigns": ("console/campaigns.html", ConsoleCampaignsPage(LIST, True)),
        "console-no-campaigns": (
            "console/campaigns.html",
            ConsoleCampaignsPage(replace(LIST, rows=()), True),
        ),
        "console-campaign": ("console/campaign.html", FORM),
        "console-campaign-new": ("console/campaign.html", replace(FORM, one=None, row=None)),
        "console-redeem": ("console/redeem.html", DESK),
        "console-redeem-none": ("console/redeem.html", replace(DESK, rows=(), more=False)),
        "console-campaign-report": ("console/campaign_report.html", REPORT),
        "console-campaign-report-none": ("console/campaign_report.html", replace(REPORT, rows=())),
    }
    return {name: (template, {"page": page, **around}) for name, (template, page) in pages.items()}
