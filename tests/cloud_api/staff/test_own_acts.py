"""What nobody does in an owner's name."""

from __future__ import annotations

import pytest

from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.staff.permissions import ALL


def test_money_is_the_owner_s_own() -> None:
    """An administrator who acted for an owner refunded at will: that counted as the owner's fresh login."""
    borrowed = Staff("s", "a", "m", ALL, platform_admin="p")
    for act in (borrowed.need_refund, borrowed.need_waiver):
        act(0)  # a cancellation that costs nothing
        with pytest.raises(KaimenError, match="not_this"):
            act(1)
