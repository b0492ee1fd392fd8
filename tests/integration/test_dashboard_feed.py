"""The feed of the dashboard: what a page has loaded before the bus was followed may be old."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bus.protocol.addresses import Address
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service
from tests.support.workspace import free_ports
from variantbus.dashboard.feed import Feed
from variantbus.dashboard.services import Services

Serve = Callable[..., Service]


async def reloaded(events: AsyncIterator[bytes]) -> None:
    """Wait until the page is asked to load everything again."""
    async with asyncio.timeout(PATIENCE * TIME_FACTOR):
        while b"event: reload" not in await anext(events):
            pass


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_page_loads_again_once_a_service_is_followed(serve: Serve, tmp_path: Path, is_shared: bool) -> None:
    """It may be quicker than that, as after the start of all processes: no event tells of what has happened between."""
    learning, (port,) = serve(tmp_path / "learning.db"), free_ports(1)

    async def run() -> None:
        feed = Feed(Services(f"tcp://127.0.0.1:{port}", learning.address, None), None)
        events = feed.events_for_others("e") if is_shared else feed.events(["e"], "the token")
        assert b"event: hello" in await anext(events)
        async with feed.running():
            await reloaded(events)
            await asyncio.to_thread(serve, tmp_path / "runner.db", control=Address("127.0.0.1", port))
            await reloaded(events)
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator

    asyncio.run(run())
