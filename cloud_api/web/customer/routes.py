"""The customer's pages: each reads what it shows in one transaction and is rendered after it."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession as Session

from cloud_api.access import service as access
from cloud_api.access.situation import door_of_room
from cloud_api.auth import service as auth
from cloud_api.auth.csrf import LOGIN_COOKIE, set_cookie
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.asgi import CSP
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.members import levels
from cloud_api.orders import service as orders
from cloud_api.orders import views
from cloud_api.orders.money import pays
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import StepKind
from cloud_api.pricing.lines import level_words
from cloud_api.pricing.models import Quote
from cloud_api.pricing.service import take_quote
from cloud_api.staff import service as staff
from cloud_api.stored_value import office
from cloud_api.stores import service as stores
from cloud_api.stores.models import Store
from cloud_api.support import reviews
from cloud_api.web import qr, room_days
from cloud_api.web.customer import (
    checkout,
    choose,
    find,
    mini,
    outside_login,
    paying,
    wechat_payer,
)
from cloud_api.web.customer import orders as order_pages
from cloud_api.web.customer import visit as visits
from cloud_api.web.customer.look_for import Looked
from cloud_api.web.customer.readers import Reader, reader_of_room
from cloud_api.web.customer.whose import merchant_of
from cloud_api.web.language import speak
from cloud_api.web.pages import (
    CUSTOMER_EVENTS,
    THEME_COOKIE,
    THEMES,
    Visit,
    go,
    local_path,
    page,
    svg,
    visit,
)
from cloud_api.web.view_models import LoginPage, MePage, PayForm, StayCard
from cloud_api.web.view_models.visit import ScanPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Word = Annotated[str, Query(max_length=60)]
_YEAR_S = 365 * 86400
SYSTEM = "system"  # the theme that the device wishes


# ------------------------------------------------------------------------------------------- find


@router.get("/")
async def home(
    seen: Seen,
    q: Word = "",
    when: Word = "",
    seats: Annotated[int, Query(ge=0, le=100)] = 0,
    most_fen: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    day: Word = "",
    time: Word = "",
    minutes: Annotated[int, Query(ge=0, le=1440)] = 0,
    facility: Annotated[list[Word] | None, Query(max_length=20)] = None,
    cursor: Annotated[str | None, Query(max_length=700)] = None,
    house: Word = "",
) -> Response:
    """Stores; the running stay or the next booking on top. ``house``: of one merchant, in its look."""
    looked = Looked(q, when, seats, most_fen, day, time, minutes, tuple(facility or ()), house)
    seen = seen.of(house)
    async with seen.cloud.db.read() as session:
        href, card = await door_tab(session, seen)
        model = await find.stores_page(session, seen, looked, card, cursor)
    return page(
        seen, "customer/stores.html", model, shell=seen.shell(events=_mine(seen), stay_href=href)
    )


@router.get("/s/{store_id}")
async def store(seen: Seen, store_id: str, show: Word = "", seats: Word = "") -> Response:
    """One store, room by room."""
    return await _store(seen, store_id, show, seats, "customer/store.html")


@router.get("/s/{store_id}/rooms")
async def store_rooms(seen: Seen, store_id: str, show: Word = "", seats: Word = "") -> Response:
    """The list of rooms alone, for the live page."""
    return await _store(seen, store_id, show, seats, "customer/_rooms.html")


async def _store(seen: Visit, store_id: str, show: str, seats: str, template: str) -> Response:
    async with seen.cloud.db.read() as session:
        stars = reviews.rating_columns(store_id)
        found, told, rating = await room_days.store_now(
            session, seen.who, store_id, seen.cloud.clocks, *stars
        )
        here = seen.at_store(found)
        model = await find.store_page(
            session, here, found, show, seats, online=told.online, rating=reviews.rated(*rating)
        )
    return page(here, template, model, shell=here.shell(events=_of_store(found)))


@router.get("/rooms/{room_id}")
async def room(seen: Seen, room_id: str) -> Response:
    """One room."""
    async with seen.cloud.db.read() as session:
        found = await stores.get_room(session, seen.who, room_id)
        its_store = await stores.get_store(session, seen.who, found.store_id)
        here = seen.at_store(its_store)
        model = await find.room_page(session, here, its_store, found)
    return page(here, "customer/room.html", model, shell=here.shell(events=_of_store(its_store)))


@router.get("/rooms/{room_id}/book")
async def book(
    seen: Seen,
    room_id: str,
    day: Word = "",
    from_: Annotated[str, Query(alias="from", max_length=60)] = "",
    to: Word = "",
) -> Response:
    """Choose a time; ``from`` and ``to`` propose one."""
    async with seen.cloud.db.read() as session:
        found = await stores.get_room(session, seen.who, room_id)
        its_store = await stores.get_store(session, seen.who, found.store_id)
        here = seen.at_store(its_store)
        model = await choose.timeline_page(session, here, its_store, found, day, (from_, to))
    return page(here, "customer/book.html", model, shell=here.shell(events=_of_store(its_store)))


# -------------------------------------------------------------------------------------- check out


@router.get("/quotes/{quote_id}")
async def confirm(seen: Seen, quote_id: str) -> Response:
    """What is about to be ordered. Whoever is not logged in logs in first and comes back."""
    async with seen.cloud.db.read() as session:
        try:
            quote = await take_quote(session, seen.who, quote_id, seen.cloud.clocks)
        except KaimenError as error:
            if error.code != "quote.expired":
                raise
            return await _choose_again(session, seen, quote_id)
        seen.need_login()
        its_store = await stores.get_store(session, System(), quote.store_id)
        here = seen.at_store(its_store)
        model = await checkout.confirm_page(session, here, quote)
    return page(here, "customer/confirm.html", model, shell=here.shell())


async def _choose_again(session: Session, seen: Visit, quote_id: str) -> Response:
    """The price is too old: back to the choice of time, with the same time proposed."""
    quote = (await session.exec(scoped(seen.who, Quote).where(col(Quote.id) == quote_id))).one()
    found = await stores.get_room(session, System(), quote.room_id)
    its_store = await stores.get_store(session, System(), quote.store_id)
    return go(checkout.back_href(seen.at_store(its_store), found, quote.starts_at, quote.ends_at))


@router.get("/orders/{order_id}/pay")
async def pay(seen: Seen, order_id: str) -> Response:
    """Pay, or wait for the result; where the provider's page leads back to."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        told = await views.one(session, order, seen.cloud.clocks)
        open_one = paying.running(await payments.payments_in(session, pays(order.id)))
        its_store = await stores.get_store(session, System(), order.store_id)
        its_room = await stores.get_room(session, System(), order.room_id)
        accounts = await payments.accounts_of(session, its_store, "wechat")
    owes = told.overtime is not None and told.overtime.state == "due"
    if told.state != "pending_payment" and not owes and not checkout.came_late(told):
        return go(f"/orders/{order_id}{'?paid=1' if told.state in ('paid', 'ready') else ''}")
    here = seen.at_store(its_store)
    if open_one is None and (away := wechat_payer.lead(here, accounts)) is not None:
        return away
    openid = wechat_payer.knows(here, accounts)
    model = checkout.pay_page(here, told, its_store, its_room, open_one, openid=openid)
    return page(here, "customer/pay.html", model, shell=here.shell(events=CUSTOMER_EVENTS))


@router.get("/orders/{order_id}/pay/go")
async def pay_go(seen: Seen, order_id: str) -> Response:
    """On to a provider that wants a form posted by the browser; its policy lets it go there alone."""
    step = paying.step_of(await _open_payment(seen, order_id), StepKind.FORM)
    if step is None:
        return go(f"/orders/{order_id}/pay")
    model = PayForm(str(step["url"]), tuple(dict(step.get("fields") or {}).items()))
    answer = page(seen, "customer/pay_go.html", model, shell=seen.shell())
    answer.headers["Content-Security-Policy"] = paying.form_policy(CSP, model.action)
    return answer


@router.get("/orders/{order_id}/pay/code.svg")
async def pay_code(seen: Seen, order_id: str) -> Response:
    """The code of an open payment, to be scanned with another device."""
    step = paying.step_of(await _open_payment(seen, order_id), StepKind.QR)
    if step is None:
        raise NotFound("payment", "这笔支付没有要扫的码，或已经有结果了")
    return svg(qr.svg(str(step["text"])))


@router.api_route("/pay/back", methods=["GET", "POST"])
async def pay_back(to: Annotated[str, Query(max_length=300)] = "") -> Response:
    """Where a provider's page leads back to by a form of its own. What it says is not believed."""
    return go(local_path(to, "/orders"))


async def _open_payment(seen: Visit, order_id: str) -> PaymentAttempt | None:
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        return paying.running(await payments.payments_in(session, pays(order.id)))


# ------------------------------------------------------------------------------------------ orders


@router.get("/orders")
async def my_orders(seen: Seen, cursor: Word = "", state: Word = "") -> Response:
    """One's own orders, all or of one state."""
    async with seen.cloud.db.read() as session:
        model = await order_pages.orders_page(session, seen, cursor or None, state)
        href, _card = await door_tab(session, seen)
    return page(
        seen, "customer/orders.html", model, shell=seen.shell(events=_mine(seen), stay_href=href)
    )


@router.get("/orders/{order_id}")
async def my_order(seen: Seen, order_id: str, paid: Word = "") -> Response:
    """One order."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        its_store = await stores.get_store(session, System(), order.store_id)
        here = seen.at_store(its_store)
        model = await order_pages.order_page(session, here, order, its_store, fresh=bool(paid))
    return page(here, "customer/order.html", model, shell=here.shell(events=CUSTOMER_EVENTS))


@router.get("/orders/{order_id}/stay")
async def stay(
    seen: Seen, order_id: str, tapped: Annotated[Word, Query(alias="tap")] = ""
) -> Response:
    """The running stay; before and after it, the order says what is so. ``tap``: as on a door's page."""
    came: dict[str, Any] = {}
    if tapped:
        async with seen.cloud.db.read() as session:
            order = await orders.get_order(session, seen.customer, order_id)
            its_door = await door_of_room(session, order.store_id, order.room_id)
        came = {} if its_door is None else await visits.came_of(seen, its_door.id, tapped)
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        if order.status != "in_use":
            return go(f"/orders/{order_id}")
        its_store = await stores.get_store(session, System(), order.store_id)
        here = seen.at_store(its_store)
        model = await visits.stay_page(session, here, order, its_store, came)
    events = f"{CUSTOMER_EVENTS}?order={order.id}"
    return page(here, "customer/stay.html", model, shell=here.shell(events=events))


@router.get("/orders/{order_id}/pass")
async def my_pass(seen: Seen, order_id: str) -> Response:
    """The pass for the reader at the door; only rooms that have one have this page."""
    reader = await _need_reader(seen, order_id)
    async with seen.cloud.db.write() as session:
        made = await access.order_pass(
            session, seen.customer, order_id, seen.cloud.clocks, seen.cloud.settings.data_dir
        )
        order = await orders.get_order(session, seen.customer, order_id)
        its_store = await stores.get_store(session, System(), order.store_id)
    here = seen.at_store(its_store)
    model = visits.pass_page(here, made, its_store, reader)
    return page(here, "customer/door.html", model, shell=here.shell())


@router.get("/orders/{order_id}/pass.svg")
async def pass_code(seen: Seen, order_id: str) -> Response:
    """The pass as a QR code, made anew each time."""
    await _need_reader(seen, order_id)
    async with seen.cloud.db.write() as session:
        made = await access.order_pass(
            session, seen.customer, order_id, seen.cloud.clocks, seen.cloud.settings.data_dir
        )
    return svg(qr.svg(made.pass_))


async def _need_reader(seen: Visit, order_id: str) -> Reader:
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        reader = await reader_of_room(session, order.store_id, order.room_id)
    if not reader.passes:
        raise NotFound("pass", "这间的门不用通行码，扫门上的码开门")
    return reader


# -------------------------------------------------------------------------------------------- door


@router.get("/scan")
async def scan(seen: Seen) -> Response:
    """The scanner."""
    host = urlsplit(seen.cloud.settings.public_url).netloc
    return page(seen, "customer/scan.html", ScanPage(host), shell=seen.shell())


# ---------------------------------------------------------------------------------------------- me


@router.get("/login")
async def login(
    seen: Seen, next_: Annotated[str, Query(alias="next", max_length=500)] = "/", tried: Word = ""
) -> Response:
    """Log in by phone and code, or by the app one is in; leads back to ``next``, a path of this site."""
    href = local_path(next_, "/")
    if seen.account is not None:
        return go(href)
    if bind := mini.to_bind(seen, href):
        return go(bind)
    reasons = (
        ("/d/", _("登录后就能看这扇门")),
        ("/quotes/", _("登录后下单，选好的时间还在")),
        ("/orders", _("登录后看订单")),
    )
    reason = next((text for start, text in reasons if href.startswith(start)), "")
    async with seen.cloud.db.read() as session:
        seen = seen.of(await merchant_of(session, href))
    inside = outside_login.provider_here(seen)
    model = LoginPage(
        next_href=href,
        reason=reason,
        outside=outside_login.name_of(inside),
        outside_href=outside_login.start_href(inside, href) if inside else "",
        failed=bool(inside and tried == inside),
    )
    return page(seen, "customer/login.html", model, shell=seen.shell())


@router.get("/me")
async def me(seen: Seen) -> Response:
    """Who is logged in, how pages look, and the way out."""
    async with seen.cloud.db.read() as session:
        href, _card = await door_tab(session, seen)
        works = await staff.workplaces(session, seen.customer.account_id)
        mine = await levels.of_customer(session, seen.customer)
        money = await office.at_a_glance(session, seen.customer.account_id)
    shell = seen.shell(stay_href=href)
    model = MePage(
        phone=shell.person,
        console_href="/console" if works else "",
        levels=tuple((name, level_words(one.name, one.per_cent)) for name, one in mine),
        balances=tuple(money),
    )
    return page(seen, "customer/me.html", model, shell=shell)


@router.post("/me/settings")
async def settings(
    seen: Seen,
    theme: Annotated[str, Form(max_length=10)] = "",
    lang: Annotated[str, Form(max_length=10)] = "",
    next_: Annotated[str, Form(alias="next", max_length=500)] = "/me",
) -> Response:
    """Keep light or dark and the language in this browser; from any page, also of who is nobody."""
    answer = go(local_path(next_, "/me"))
    secure = seen.cloud.settings.cookie_secure
    if theme in (*THEMES, SYSTEM):
        kept = 0 if theme == SYSTEM else _YEAR_S
        made = set_cookie(THEME_COOKIE, theme, max_age_s=kept, secure=secure)
        answer.headers.append("Set-Cookie", made)
    return await speak(seen, lang, answer)


@router.post("/logout")
async def logout(request: Request, seen: Seen) -> Response:
    """End this login at once."""
    return await log_out(request, seen, "/")


async def log_out(request: Request, seen: Visit, href: str) -> Response:
    """End the login, take its cookie away, and go on."""
    if seen.account is not None:
        async with seen.cloud.db.write() as session:
            await auth.revoke(session, request.state.login_id, seen.cloud.clocks.real)
    answer = go(href)
    secure = seen.cloud.settings.cookie_secure
    answer.headers.append("Set-Cookie", set_cookie(LOGIN_COOKIE, "", max_age_s=0, secure=secure))
    return answer


async def door_tab(session: Session, seen: Visit) -> tuple[str, StayCard | None]:
    """Where the raised door tab leads, and the card of the same visit."""
    if seen.account is None:
        return "", None
    coming = await order_pages.next_visit(session, seen.customer, seen.cloud.clocks.now)
    if coming is None:
        return "", None
    order, its_store, its_room = coming
    href = await order_pages.visit_href(session, order)
    return href, order_pages.stay_card(seen, order, its_store, its_room, href)


def _mine(seen: Visit) -> str:
    return CUSTOMER_EVENTS if seen.account is not None else ""


def _of_store(found: Store) -> str:
    return f"{CUSTOMER_EVENTS}?store={found.id}"
