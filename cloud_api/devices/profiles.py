"""Which boards can be named: the one place of the cloud that knows the catalog of profiles."""

from __future__ import annotations

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from device_profiles import Catalog
from store_link.rules import AirAim


def clips(profile: str) -> tuple[str, ...]:
    """What a speaker of this profile can say; nothing where it is none."""
    known = Catalog.built_in().profiles.get(profile)
    if known is None:
        return ()
    return tuple(known.clips) if ("speaker.say", None) in known.services else ()


def degrees(profile: str, channel: int | None) -> tuple[int, int] | None:
    """The temperatures (°C) that a board of this profile can be told to aim at."""
    known = Catalog.built_in().profiles.get(profile)
    service = None if known is None else known.services.get(("climate.set", channel))
    if service is None or service.low is None or service.high is None:
        return None
    return service.low, service.high


def air_words(profile: str, channel: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modes and the fan speeds that an air conditioner of this profile can be told; none where it
    takes none.
    """
    known = Catalog.built_in().profiles.get(profile)
    service = None if known is None else known.services.get(("climate.set", channel))
    if service is None:
        return (), ()
    return (
        () if service.mode is None else service.mode.words,
        () if service.fan is None else service.fan.words,
    )


def need_aim(profile: str, channel: int | None, aim: AirAim) -> None:
    """Raise KaimenError (422) for what such a board cannot be told: ``climate.out_of_range`` (°C),
    ``climate.no_mode``, ``climate.no_fan`` with the words there are, ``climate.nothing``.
    """
    if aim.empty:
        raise KaimenError("climate.nothing", "要调温度、模式还是风速，选一样", status=422)
    limits = degrees(profile, channel)
    setpoint = aim.setpoint
    if setpoint is not None and limits is not None and not limits[0] <= setpoint <= limits[1]:
        raise KaimenError(
            "climate.out_of_range",
            _("这台空调可以设 {low} 到 {high} 度").format(low=limits[0], high=limits[1]),
            status=422,
            field="setpoint",
        )
    modes, fans = air_words(profile, channel)
    for field, word, known, sentence in (
        ("mode", aim.mode, modes, _("这台空调没有这个模式")),
        ("fan", aim.fan, fans, _("这台空调没有这档风速")),
    ):
        if word is not None and word not in known:
            code = f"climate.no_{field}"
            more = {f"{field}s": list(known)}
            raise KaimenError(code, sentence, status=422, field=field, extra=more)


def is_known(profile: str) -> bool:
    """Whether a board may have this profile id."""
    return profile in Catalog.built_in().profiles


def can(profile: str, capability: str, channel: int | None) -> bool:
    """Whether a channel of a board of this profile serves a capability."""
    known = Catalog.built_in().profiles.get(profile)
    return known is not None and (capability, channel) in known.services


def choices() -> list[tuple[str, str]]:
    """Every profile's id, and its maker and model, by maker."""
    known = Catalog.built_in().profiles.values()
    made = [(one.id, f"{one.vendor} {one.model}") for one in known]
    return sorted(made, key=lambda one: one[1].lower())


def name_of(profile: str) -> str:
    """Maker and model; the id itself of a profile that is not in the catalog."""
    known = Catalog.built_in().profiles.get(profile)
    return profile if known is None else f"{known.vendor} {known.model}"


def uses(profile: str) -> dict[str, list[int | None]]:
    """By capability the channels of a profile that serve it; None where it is no channel's."""
    known = Catalog.built_in().profiles.get(profile)
    found: dict[str, list[int | None]] = {}
    for capability, channel in () if known is None else known.services:
        found.setdefault(capability, []).append(channel)
    return found
