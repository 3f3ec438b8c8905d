"""Every test of the contract runs on every broker; servers are shared within a kind."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.brokers.parties import Cloud, Controller
from tests.brokers.sites import SITES, Credential, Site


@pytest.fixture(
    scope="package",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(f"broker-{kind}")) for kind in SITES],
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A running broker. A test that kills one of its servers starts it again."""
    made = SITES[request.param](tmp_path_factory.mktemp(request.param))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
async def enter(site: Site) -> AsyncIterator[Callable[..., Awaitable[Controller]]]:
    """Connect a controller with a credential; ended with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(who: Credential, **options: str) -> Controller:
            made = Controller(site, who, **options)
            await made.up()
            stack.push_async_callback(made.down)
            return made

        yield connect


@pytest.fixture
async def store(site: Site, enter: Callable[..., Awaitable[Controller]]) -> Controller:
    """A store that is online."""
    return await enter(await site.enrol())


@pytest.fixture
async def cloud(site: Site) -> AsyncIterator[Cloud]:
    """A cloud process that hears all stores."""
    made = Cloud(site)
    try:
        yield await made.up()
    finally:
        await made.side.stop()
