"""What an event of a store does to the business, by its kind. Effects run in the event's transaction.

An effect that raises is rolled back alone and tried again (ingest.py); so effects must be idempotent
by state, and must change nothing outside the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.models import Grant
from cloud_api.kit import feed
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.orders import store_events
from cloud_api.store_channel import outcomes, shown_vouchers
from cloud_api.stores.models import Store
from store_link.clock import from_ms
from store_link.messages import (
    AccessBody,
    ClimateBody,
    CommandOutcome,
    DeviceBody,
    Event,
    EventKind,
    ModeBody,
    PowerBody,
    StayBody,
    UsageBody,
    VoucherBody,
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an effect acts."""

    cloud: Cloud
    session: AsyncSession
    store: Store


Body = TypeVar("Body", bound=BaseModel)
Effect = Callable[[Scene, Event], Awaitable[None]]


async def command(scene: Scene, event: Event) -> None:
    """The outcome of a command, where its acknowledgement did not bring it before."""
    body = _body(event, CommandOutcome)
    reason = None if body.reason is None else body.reason.value
    outcome = outcomes.outcome_of(body.state, reason, body.evidence)
    if outcome is not None:
        await outcomes.settle(scene.session, scene.cloud, scene.store.id, body.command, outcome)


async def stay(scene: Scene, event: Event) -> None:
    """A stay went from one state to another: the order follows."""
    body = _body(event, StayBody)
    body = body.model_copy(update={"stay": await _begun_by_pass(scene, body.stay)})
    await store_events.apply_stay(
        scene.session, scene.store, body, from_ms(event.at), scene.cloud.clocks
    )


async def _begun_by_pass(scene: Scene, stay_id: str) -> str:
    """The claim of a stay that a store began by a pass before its document knew of it.

    Such a stay bears the id of the grant in the pass; any other id is given back as it is.
    """
    query = scoped(System(), Grant).where(
        col(Grant.id) == stay_id, col(Grant.store_id) == scene.store.id
    )
    grant = (await scene.session.exec(query)).one_or_none()
    return stay_id if grant is None else grant.claim_id


async def usage(scene: Scene, event: Event) -> None:
    """A stay's measured use: the order keeps it."""
    body = _body(event, UsageBody)
    body = body.model_copy(update={"stay": await _begun_by_pass(scene, body.stay)})
    await store_events.apply_usage(
        scene.session, scene.store, body, from_ms(event.at), scene.cloud.clocks
    )


async def access(scene: Scene, event: Event) -> None:
    """A door was opened for, or refused to, somebody: shown live."""
    body = _body(event, AccessBody)
    store = scene.store
    if not event.historical:
        await outcomes.door_answered(
            scene.session,
            store.merchant_id,
            store.id,
            body.door,
            body.outcome.value,
            None if body.reason is None else body.reason.value,
            scene.cloud.clocks.real,
        )
    await _tell(scene, event, "access", body)


async def voucher(scene: Scene, event: Event) -> None:
    """A voucher was held before a reader: it is used for the room behind, or nothing happens."""
    body = _body(event, VoucherBody)
    fresh = not event.historical
    await shown_vouchers.use(
        scene.session, scene.cloud, scene.store, body, event.id, from_ms(event.at), fresh=fresh
    )


SHOWN: Final[Mapping[EventKind, tuple[str, type[BaseModel]]]] = {
    EventKind.ACCESS: ("access", AccessBody),
    EventKind.DEVICE: ("device", DeviceBody),  # a board came, went or refused
    EventKind.POWER: ("device", PowerBody),  # a binding was switched
    EventKind.MODE: ("room", ModeBody),  # a room's mode began or ended in the store
    EventKind.CLIMATE: ("device", ClimateBody),  # a temperature was set
}
"""Kinds that are shown live (topic of the feed, shape of the body) and change nothing else; but an
opened or refused door that is no history (``access``)."""


async def show(scene: Scene, event: Event) -> None:
    """Shown live."""
    topic, model = SHOWN[event.kind]
    await _tell(scene, event, topic, _body(event, model))


def shown_alone(event: Event) -> bool:
    """Whether an event's kind is to be shown, and nothing more."""
    kind = event.kind
    return kind in SHOWN and (kind is not EventKind.ACCESS or event.historical)


def only_shown(event: Event) -> tuple[str, str] | None:
    """Topic and body (JSON) of the feed's line that is all an event does; None where it does more.

    Raises pydantic's ValidationError for a body that is not of its kind.
    """
    kind = event.kind
    shown = SHOWN.get(kind)
    if shown is None or (kind is EventKind.ACCESS and not event.historical):
        return None
    topic, model = shown
    body = model.__pydantic_serializer__.to_json(
        model.__pydantic_validator__.validate_python(event.body)
    )
    # As _told has it, without taking it apart into values: a body of one of these kinds is never empty.
    return topic, f'{{"event":"{kind}","at":{event.at},{body[1:].decode()}'


EFFECTS: Mapping[EventKind, Effect] = {
    EventKind.COMMAND: command,
    EventKind.STAY: stay,
    EventKind.USAGE: usage,
    EventKind.ACCESS: access,
    EventKind.DEVICE: show,
    EventKind.POWER: show,
    EventKind.MODE: show,
    EventKind.CLIMATE: show,
    EventKind.VOUCHER: voucher,
}


def _body(event: Event, model: type[Body]) -> Body:
    return model.model_validate(event.body)


def _told(event: Event, body: BaseModel) -> dict[str, Any]:
    return {"event": event.kind.value, "at": event.at, **body.model_dump(mode="json")}


async def _tell(scene: Scene, event: Event, topic: str, body: BaseModel) -> None:
    await feed.tell(
        scene.session,
        merchant_id=scene.store.merchant_id,
        store_id=scene.store.id,
        topic=topic,
        body=_told(event, body),
        now=scene.cloud.clocks.real,
    )
