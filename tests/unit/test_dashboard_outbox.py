"""What waits for a browser: the newest state of each thing, and never without bound."""

import asyncio

from variantbus.dashboard.outbox import Outbox


async def taken(outbox: Outbox) -> list[bytes] | None:
    """Return what is there now."""
    return await outbox.take(0.001)


def test_a_newer_state_takes_the_place_of_an_older_one() -> None:
    """Behind what came before it, so that the order of what happened stays."""

    async def run() -> None:
        outbox = Outbox()
        for key, event in (("a", b"a1"), ("b", b"b1"), ("a", b"a2")):
            outbox.put(key, event)

        assert await taken(outbox) == [b"b1", b"a2"]
        assert await taken(outbox) == []

    asyncio.run(run())


def test_too_much_is_dropped_and_the_browser_asks_anew() -> None:
    """From then on it is as before; what comes until it has been told is part of what it asks for."""

    async def run() -> None:
        outbox = Outbox(limit=2)
        for number in range(5):
            outbox.put(str(number), b"x")

        assert await taken(outbox) is None
        outbox.put("a", b"after")
        assert await taken(outbox) == [b"after"]

    asyncio.run(run())


def test_whoever_waits_gets_an_event_at_once() -> None:
    """Not after the time that it would wait at most."""

    async def run() -> None:
        outbox = Outbox()
        waiting = asyncio.create_task(outbox.take(60))
        await asyncio.sleep(0)
        outbox.put("a", b"a1")

        assert await asyncio.wait_for(waiting, 10) == [b"a1"]

    asyncio.run(run())
