"""Rules, changes, friends, waiting and asking as pages are tried out with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_api.claims.booking_rules import Blocked, Rules
from cloud_api.web.view_models import ConsoleShell, FeeLine, Fees, PayMethod, Shell
from cloud_api.web.view_models.booking import StoreReview, StoreReviewsPage
from cloud_api.web.view_models.booking_rules import BlockedRow, BookingRulesPage, PlaceTab
from cloud_api.web.view_models.changes import (
    ChangeHead,
    ChangePage,
    ExtendChoice,
    ExtendPage,
    Nearby,
    PayChangePage,
)
from cloud_api.web.view_models.desk import BookForPage, WeekRow
from cloud_api.web.view_models.friends import FriendsPage, JoinPage
from cloud_api.web.view_models.orders import ExportRow, ExportsPage
from cloud_api.web.view_models.other_room import FreeRoom, OtherRoomPage
from cloud_api.web.view_models.support import (
    HelpPage,
    Proof,
    ReviewPage,
    ReviewRow,
    ReviewsPage,
    Said,
    TicketPage,
    TicketRow,
    TicketsPage,
)
from cloud_api.web.view_models.waiting import WaitForm, WaitingPage, WaitRow
from tests.web.samples import NOW, STORE_PAGE

_END = NOW + timedelta(hours=2)
_HEAD = ChangeHead("o1", "2611231200000001", "竹间", NOW, _END)
_DAYS = (("2026-11-23", "今天 11-23"),)
_TIMES = ("12:00", "12:30")
_LONG = ((120, "2 小时"), (180, "3 小时"))
_CHOICE = ExtendChoice(30, "30 分钟", _END + timedelta(minutes=30), 1900, "?minutes=30", on=True)
_NEAR = (Nearby("梅间 14:00", "?room=2"),)
_TICKET = TicketRow("/me/tickets/t1", "投诉", "open", "等回复", "麻将机卡牌", NOW, "静安店")
_SAID = (Said("麻将机卡牌", True, NOW), Said("马上到", False, NOW), Said("常客", False, NOW, True))
_CHANGE = ChangePage(
    _HEAD, (("r1", "竹间"),), _DAYS, _TIMES, _LONG, "r1", "2026-11-23", "12:00", 120
)
_OTHER = OtherRoomPage(
    "o1", "2611231200000001", "竹间", NOW, _END,
    (FreeRoom("r2", "云间", 4), FreeRoom("r3", "听雨", 6)), phone="021-5555 0142",
)  # fmt: skip
_PAY = PayChangePage(
    _HEAD, "c1", "续时", "竹间", NOW, _END, 1900, _END, (PayMethod("cashier", "page", "收银台"),)
)
_FRIENDS = FriendsPage(
    "o1", "2611231200000001", "竹间", NOW, _END, "http://x/join/t", "/q.svg", 8, (("g1", "尾号 1"),)
)
_JOIN = JoinPage("t", "静安店", "南京西路", "竹间", "room-scroll", NOW, _END, False, "/d/t")
_WAIT = WaitForm(
    "r1", "竹间", "s1", _DAYS, (("12:00", "12:00"),), _LONG, "2026-11-23", "12:00", 120
)
_ROW = WaitRow("w1", "静安店", "竹间", NOW, _END, 2)
_BOOK = BookForPage(
    (("s1", "静安店"),), (("r1", "竹间"),), _DAYS, (("12:00", "12:00"),), _LONG, "s1", "r1",
    "2026-11-23", "12:00", 120, 60,
)  # fmt: skip
_WEEKS = replace(
    _BOOK, room_name="竹间", begins=NOW, ends=_END, body="{}", times=2,
    repeats=((1, "就这一次"), (2, "每周一次，2 周")),
    weeks=(WeekRow(NOW, _END, 7600), WeekRow(NOW, _END, None, "这段时间已经有人订了")),
)  # fmt: skip
_RULES = BookingRulesPage(
    "静安店",
    "",
    "/api/v1/console/stores/s1/booking-rules",
    Rules(blocked=(Blocked.model_validate({"from": "03:00", "until": "07:00"}),)),
    frozenset({"blocked"}),
    (),
    (PlaceTab("整店", "?", True), PlaceTab("竹间", "?room=r1", False, "1 条不同")),
    "开始 2 小时前免费取消",
    True,
    (
        BlockedRow("b1", "尾号 4821", "多次没到店", NOW),
        BlockedRow("b2", "尾号 1", "扰民", NOW, _END),
    ),
    True,
)
_SAID_OF = (StoreReview(5, "新桌子", "竹间", NOW, "谢谢"), StoreReview(3, "", "梅间", NOW))
_REVIEW = ReviewRow("v1", 4, "不错", "竹间", "静安店", NOW, "谢谢", "", "/console/orders/o1")
_EXPORT = ExportRow(
    NOW, "done", "好了", "Excel", 120, None, "/api/v1/console/order-exports/x1/file", _END, "14 KB"
)
_CUSTOMER: dict[str, tuple[str, object]] = {
    "extend": ("customer/extend.html", ExtendPage(_HEAD, (_CHOICE,), _CHOICE, _END)),
    "extend-no": ("customer/extend.html", ExtendPage(_HEAD, (), None, None, "后面有人", True)),
    "change": ("customer/change.html", _CHANGE),
    "change-no": ("customer/change.html", replace(_CHANGE, why_not="有人用", nearby=_NEAR)),
    "change-barred": (
        "customer/change.html",
        replace(_CHANGE, why_not="已经开始或已经结束，不能再改", barred=True, phone="021-5555 0142"),
    ),
    "change-offer": (
        "customer/change.html",
        replace(
            _CHANGE, new_room="梅间", new_from=NOW, new_until=_END, diff_fen=-900, fee_fen=100,
            body="{}",
        ),
    ),
    "other-room": ("customer/other_room.html", _OTHER),
    "other-room-none": ("customer/other_room.html", replace(_OTHER, rooms=())),
    "other-room-no": (
        "customer/other_room.html",
        replace(_OTHER, rooms=(), why_not="已经进去用了，或这单已经结束。门打不开请打给店家"),
    ),
    "pay-change": ("customer/pay_change.html", _PAY),
    "pay-change-wait": ("customer/pay_change.html", replace(_PAY, waiting=True, open_href="/c")),
    "friends": ("customer/friends.html", _FRIENDS),
    "friends-none": ("customer/friends.html", replace(_FRIENDS, url="", friends=())),
    "join": ("customer/join.html", _JOIN),
    "joined": ("customer/join.html", replace(_JOIN, joined=True)),
    "join-over": ("customer/join.html", replace(_JOIN, over_href="/s/s1")),
    "friends-over": ("customer/friends.html", replace(_FRIENDS, url="", over=True)),
    "wait": ("customer/wait.html", _WAIT),
    "waiting": ("customer/waiting.html", WaitingPage((_ROW,))),
    "waiting-offer": ("customer/waiting.html", WaitingPage((replace(_ROW, until=_END),))),
    "waiting-missed": ("customer/waiting.html", WaitingPage((replace(_ROW, missed=True),))),
    "waiting-none": ("customer/waiting.html", WaitingPage(())),
    "tickets": ("customer/tickets.html", TicketsPage((_TICKET,), (("s1", "静安店"),))),
    "ticket": ("customer/ticket.html", TicketPage(_TICKET, "t1", _SAID[:2], "/orders/o1")),
    "help": ("customer/help.html", HelpPage("o1", "26", "021", (("inquiry", "咨询"),), "inquiry")),
    "review": ("customer/review.html", ReviewPage("o1", "竹间", NOW, _END)),
    "store-reviewed": (
        "customer/store.html",
        replace(STORE_PAGE, stars=4.0, reviews_total=9, reviews=_SAID_OF, reviews_href="/s/s1/reviews"),
    ),
    "store-reviews": (
        "customer/store_reviews.html", StoreReviewsPage("静安店", "/s/s1", 4.0, 9, _SAID_OF, "?before=x")
    ),
    "store-reviews-end": ("customer/store_reviews.html", StoreReviewsPage("静安店", "/s/s1", 4, 9, ())),
    "reviewed": (
        "customer/review.html",
        ReviewPage("o1", "竹间", NOW, _END, 4, "不错", "谢谢", (Proof("/a.webp", "/a.jpg"),)),
    ),
}  # fmt: skip
_CONSOLE: dict[str, tuple[str, object]] = {
    "rules": ("console/booking_rules.html", _RULES),
    "rules-read": ("console/booking_rules.html", replace(_RULES, can_edit=False, room_name="竹间")),
    "book": ("console/book.html", replace(_BOOK, why_not="有人用", nearby=_NEAR)),
    "book-price": (
        "console/book.html",
        replace(
            _BOOK, room_name="竹间", begins=NOW, ends=_END, body="{}",
            fees=Fees((FeeLine("平日 12:00–14:00", 7600, 120, 0),), 7600),
        ),
    ),
    "book-weeks": ("console/book.html", _WEEKS),
    "book-weeks-none": ("console/book.html", replace(_WEEKS, body="", weeks=_WEEKS.weeks[1:])),
    "tickets": ("console/tickets.html", TicketsPage((_TICKET,))),
    "tickets-none": ("console/tickets.html", TicketsPage(())),
    "ticket": ("console/ticket.html", TicketPage(_TICKET, "t1", _SAID, "/console/orders/o1")),
    "reviews": (
        "console/reviews.html", ReviewsPage((_REVIEW, replace(_REVIEW, hidden_why="广告")), True)
    ),
    "reviews-none": ("console/reviews.html", ReviewsPage((), False)),
    "exports": (
        "console/order_exports.html",
        ExportsPage((replace(_EXPORT, state="running", word="正在写", part=40), _EXPORT), True),
    ),
    "exports-none": ("console/order_exports.html", ExportsPage(())),
}  # fmt: skip


def customer_pages() -> dict[str, tuple[str, dict[str, object]]]:
    """By name: the template and what it is given."""
    return {f"booking-{k}": (template, {"page": page}) for k, (template, page) in _CUSTOMER.items()}


def console_pages(nav: ConsoleShell, shell: Shell) -> dict[str, tuple[str, dict[str, object]]]:
    """By name: the template and what it is given."""
    around = {"nav": replace(nav, here="orders"), "shell": shell, "state": ""}
    return {
        f"console-booking-{name}": (template, {"page": page, **around})
        for name, (template, page) in _CONSOLE.items()
    }
