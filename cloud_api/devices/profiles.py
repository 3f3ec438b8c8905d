"""Which boards can be named: the one place of the cloud that knows the catalog of profiles."""

from __future__ import annotations

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


def is_known(profile: str) -> bool:
    """Whether a board may have this profile id."""
    return profile in Catalog.built_in().profiles
