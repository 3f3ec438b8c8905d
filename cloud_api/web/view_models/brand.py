"""The page on which an owner chooses how guests see the merchant."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_api.branding.looks import Look
from cloud_api.branding.schemas import BrandOut, RampOut


@dataclass(frozen=True)
class BrandPage:
    """``merchant`` is the name where none is chosen; ``ramp`` of the chosen colour, None for Kaimen's.

    ``store`` and ``room`` stand in the preview: a real one of the merchant's where there is one.
    """

    values: BrandOut
    look: Look
    merchant: str
    ramp: RampOut | None
    store: str
    room: str
    shared: bool
    """Whether other merchants are on this server, so that root pages are nobody's."""
    front_href: str
