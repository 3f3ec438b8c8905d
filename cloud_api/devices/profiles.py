"""Which boards can be named: the one place of the cloud that knows the catalog of profiles."""

from __future__ import annotations

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from device_profiles import Catalog


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


def need_degrees(profile: str, channel: int | None, setpoint: int) -> None:
    """Raise KaimenError ``climate.out_of_range`` (422) for what such a board cannot aim at (°C)."""
    limits = degrees(profile, channel)
    if limits is not None and not limits[0] <= setpoint <= limits[1]:
        raise KaimenError(
            "climate.out_of_range",
            _("这台空调可以设 {low} 到 {high} 度").format(low=limits[0], high=limits[1]),
            status=422,
            field="setpoint",
        )


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
