"""A house that takes money, for tests of balances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from tests.cloud_api.factories import Shop
from tests.cloud_api.house import House, running_house
from tests.support.cashier import Till, running_till


@pytest.fixture
def till(clocks: Clocks) -> Iterator[Till]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_till(now=now) as running:
        yield running


@pytest.fixture
async def house(cloud: Cloud, shop: Shop, till: Till) -> AsyncIterator[House]:
    async with running_house(cloud, shop, till) as running:
        yield running
