"""The shape of a profile of a device that is spoken to by messages: MQTT or HTTP, mostly JSON.

In every text and in every text of a JSON value ``{name}`` stands for an install parameter, for a
parameter of the command, or for one of

    seq        a number that counts commands, by which an answer is told to be this command's
    reply_to   MQTT: a topic of ours, for devices that want to be told where to answer
    now_ms     the time in milliseconds since 1970, for interfaces that want it with each request

In golden tests ``seq`` is 1, ``reply_to`` is ``kaimen/reply`` and ``now_ms`` is 1700000000000.

A JSON value that is nothing but ``"{name}"`` becomes the value itself (a number, true), not its text.
``{duration_ms // 1000}`` is worked out as in all profiles.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from device_profiles.sections import ActionParam, Head, Name, Pace, Section
from device_profiles.spoken_schema import (
    Scalar,
    SpokenAction,
    SpokenCapability,
    SpokenPoint,
    SpokenSafety,
)


class Availability(Section):
    """The retained topic by which the device, or the broker for it, says whether it is there.

    ``json`` points at the text in a JSON payload.
    """

    topic: str
    up: str
    down: str
    json_: str | None = Field(default=None, alias="json")


class MqttLocal(Pace):
    """A device on the store's own broker, never on the cloud's. The port names the broker."""

    type: Literal["mqtt_local"]
    qos: Literal[0, 1] = 1
    availability: Availability | None = None
    response_timeout_ms: int = Field(default=2000, ge=50, le=10_000)
    min_gap_ms: int = Field(default=0, ge=0, le=1000)


class HttpLocal(Pace):
    """A device, or the gateway before it, that is asked over HTTP. The port is its base address.

    ``port_example`` shows the installer what that looks like.
    """

    type: Literal["http_local"]
    port_example: str = "http://192.168.1.50"
    response_timeout_ms: int = Field(default=2000, ge=50, le=10_000)
    min_gap_ms: int = Field(default=0, ge=0, le=1000)


class OneOf(Section):
    """A parameter that is one of a few values: ``[true, false]``, ``[Cool, Heat]``."""

    one_of: list[Scalar] = Field(min_length=1)
    default: Scalar

    @model_validator(mode="after")
    def _known(self) -> OneOf:
        if self.default not in self.one_of:
            raise ValueError(f"the default {self.default!r} is not one of them")
        return self


def _sort_of_param(value: Any) -> str:
    """By what it says it is, so that an error is about that."""
    chosen = isinstance(value, OneOf) or (isinstance(value, dict) and "one_of" in value)
    return "[one_of]" if chosen else "[number]"


MessageParam = Annotated[
    Annotated[ActionParam, Tag("[number]")] | Annotated[OneOf, Tag("[one_of]")],
    Discriminator(_sort_of_param),
]


class Publish(Section):
    """A message to the device. Never retained: a retained order would act again at every start."""

    topic: str
    json_: Any = Field(default=None, alias="json")
    text: str | None = None

    @model_validator(mode="after")
    def _one_payload(self) -> Publish:
        if (self.json_ is None) == (self.text is None):
            raise ValueError("give either json or text")
        return self


class HttpRequest(Section):
    """A request to the device; ``json`` or ``form`` is its body."""

    method: Literal["GET", "POST", "PUT"]
    path: str = Field(pattern=r"^/")
    query: dict[str, Scalar] = Field(default={})
    headers: dict[str, str] = Field(default={})
    json_: Any = Field(default=None, alias="json")
    form: dict[str, Scalar] = Field(default={})

    @model_validator(mode="after")
    def _one_body(self) -> HttpRequest:
        if self.json_ is not None and self.form:
            raise ValueError("give json or form, not both")
        if self.method == "GET" and (self.json_ is not None or self.form):
            raise ValueError("a GET has no body")
        return self


class AnswerDoc(Section):
    """Which message is the answer, and whether it says that it was done.

    ``topic`` is for MQTT; of HTTP it is the response (a status of 400 and above is a refusal). All of
    ``match`` (JSON pointer to value) must hold for a message to be the answer at all; then ``error``,
    where it stands and is neither empty nor null, is the device's refusal, and all of ``equals`` must hold for
    it to be done. ``text``: no JSON is awaited, the pointer is the empty one.
    """

    topic: str | None = None
    text: bool = False
    match: dict[str, Scalar] = Field(default={})
    equals: dict[str, Scalar] = Field(default={})
    error: str | None = None


class MessageCommandDoc(Section):
    """One thing that can be said to the device. ``once``: at most once, as whatever acts must be."""

    publish: Publish | None = None
    request: HttpRequest | None = None
    params: dict[Name, MessageParam] = Field(default={})
    answer: AnswerDoc | None = None
    once: bool = False

    @model_validator(mode="after")
    def _one_message(self) -> MessageCommandDoc:
        if (self.publish is None) == (self.request is None):
            raise ValueError("give either publish or request")
        return self


class ReportDoc(Section):
    """What the device says on a topic. ``text``: no JSON."""

    topic: str
    text: bool = False


class MessageAlive(Section):
    """The command whose answer shows that the device is there, and how often it is sent."""

    command: Name
    every_ms: int = Field(ge=500, le=600_000)


class MessageIdentify(Section):
    """A value of an answer that must be right before the device is trusted with anything."""

    command: Name
    field: str
    among: list[Scalar] = Field(min_length=1)
    what: str
    otherwise: str


class MessageSetup(Section):
    """How the device should be set. Compared at the start; what differs is reported as drift, and
    ``set`` is sent only when an installer asks for it.
    """

    command: Name
    field: str
    equals: Scalar
    set_: Name | None = Field(default=None, alias="set")
    what: str


class MessageEvent(Section):
    """Something the device says unasked: the ``field`` of a report, where ``when`` holds in it."""

    type: Literal["string"]
    report: Name
    field: str
    when: dict[str, Scalar] = Field(default={})
    dedup_ms: int = Field(ge=0, le=60_000)


class SimRule(Section):
    """What the virtual device does ``when`` a command comes.

    ``sets`` changes its state, ``says`` names the reports that it publishes, ``answers`` is what it
    answers. ``back`` gives a part of the state back after ``after_ms``: the device's own timer.
    """

    when: Name
    sets: dict[Name, Any] = Field(default={})
    says: list[Name] = Field(default=[])
    answers: Any = None
    back: dict[Name, Any] = Field(default={})
    after_ms: int | str = 0


class MessageSimulator(Section):
    """From which the virtual device is made: its ``state``, and what it says and does.

    ``reports`` are the payloads of its reports, with ``{name}`` for parts of the state.
    """

    state: dict[Name, Any] = Field(default={})
    reports: dict[Name, Any] = Field(default={})
    rules: list[SimRule] = Field(default=[])


class Message(Section):
    """A message as it goes over the wire in a golden test."""

    topic: str | None = None
    method: str | None = None
    path: str | None = None
    query: dict[str, str] = Field(default={})
    form: dict[str, str] = Field(default={})
    status: int | None = None
    json_: Any = Field(default=None, alias="json")
    text: str | None = None


class MessageGolden(Section):
    """Messages from the manual. A ``call`` makes ``sends``; ``comes`` then means ``values``,
    ``events`` and the ``outcome``.
    """

    name: str
    params: dict[str, int | str] = Field(
        default={}
    )  # install params, where not those of the examples
    call: MessageCall | None = None
    sends: Message | None = None
    comes: list[Message] = Field(default=[])
    values: dict[str, bool | int | float | str | None] = Field(default={})
    events: list[dict[Name, str]] = Field(default=[])
    outcome: Literal["done", "refused", "no_answer"] | None = None

    @model_validator(mode="after")
    def _whole(self) -> MessageGolden:
        if (self.call is None) != (self.sends is None) or (self.call is None) != (
            self.outcome is None
        ):
            raise ValueError("call, sends and outcome belong together")
        return self


class MessageCall(Section):
    """What is asked for: a command with its parameters, a point set, or an action."""

    command: Name | None = None
    action: str | None = None
    write: str | None = None
    value: Scalar | None = None
    params: dict[Name, Scalar] = Field(default={})
    known: dict[str, Scalar] = Field(
        default={}
    )  # last values of points, for parameters that are kept

    @model_validator(mode="after")
    def _one_call(self) -> MessageCall:
        if sum(way is not None for way in (self.command, self.action, self.write)) != 1:
            raise ValueError("give exactly one of command, action, write")
        if (self.write is None) != (self.value is None):
            raise ValueError("value belongs to write, and write needs it")
        return self


class MessageDoc(Head):
    """One file of the catalog: one model of a device on the store's broker, or asked over HTTP."""

    transport: MqttLocal | HttpLocal = Field(discriminator="type")
    commands: dict[Name, MessageCommandDoc] = Field(default={})
    reports: dict[Name, ReportDoc] = Field(default={})
    alive: MessageAlive | None = None
    identify: list[MessageIdentify] = Field(default=[])
    setup: list[MessageSetup] = Field(default=[])
    events: dict[Name, MessageEvent] = Field(default={})
    points: dict[Name, SpokenPoint] = Field(default={})
    actions: dict[Name, SpokenAction] = Field(default={})
    capabilities: dict[str, SpokenCapability]
    safety: SpokenSafety
    simulator: MessageSimulator
    tests: list[MessageGolden] = Field(min_length=1)


MessageGolden.model_rebuild()
MessageDoc.model_rebuild()
