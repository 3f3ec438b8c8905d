"""Which boards can be named: the one place of the cloud that knows the catalog of profiles."""

from __future__ import annotations

from device_profiles import Catalog


def is_known(profile: str) -> bool:
    """Whether a board may have this profile id."""
    return profile in Catalog.built_in().profiles
