"""The key of a leader, with answers that come when a test says so."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus.cluster.connection import Connection
from learning_service.cluster import leadership
from learning_service.cluster.leadership import Leader, Lease
from tests.support.helpers import PATIENCE, TIME_FACTOR


class Keys:
    """A bucket that answers each update when it is told to."""

    def __init__(self) -> None:
        """Have no key, and no question."""
        self.revision = 0
        self.holder = b""
        self.asked: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def question(self) -> asyncio.Future[None]:
        """Return the answer of the next question."""
        return await asyncio.wait_for(self.asked.get(), PATIENCE * TIME_FACTOR)

    async def create(self, _key: str, value: bytes) -> int:
        """Take a new value."""
        self.holder = value
        self.revision += 1
        return self.revision

    async def update(self, _key: str, _value: bytes, last: int) -> int:
        """Answer later."""
        assert last == self.revision
        answer = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        await answer
        self.revision += 1
        return self.revision

    async def delete(self, _key: str, last: int) -> None:
        """Forget the value."""
        assert last == self.revision
        self.holder = b""


def lease_of(keys: Keys) -> Lease:
    """Return a lease of such a bucket."""

    async def key_value(_name: str) -> Keys:
        return keys

    connection: Any = SimpleNamespace(js=SimpleNamespace(key_value=key_value))
    return Lease(cast("Connection", connection), Leader(name="one", control="tcp://one:5571"))


@pytest.mark.parametrize("turns", range(5))
def test_an_answer_that_comes_as_the_key_is_given_up_keeps_nothing(monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets a cancellation then, and the key would be renewed for ever."""
    monkeypatch.setattr(leadership, "TURN_SECONDS", 0)

    async def give_up() -> None:
        keys = Keys()
        lease = lease_of(keys)
        await lease.win()
        (await keys.question()).set_result(None)
        (await keys.question()).set_result(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        await lease.release()
        assert (lease.is_held, keys.holder) == (False, b"")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(give_up())


def test_what_the_client_raises_in_surprise_ends_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leads would not hear that it does no more."""
    monkeypatch.setattr(leadership, "TURN_SECONDS", 0)

    async def go_on() -> None:
        keys = Keys()
        lease = lease_of(keys)
        await lease.win()
        (await keys.question()).set_exception(AttributeError("'NoneType' object has no attribute 'write'"))
        (await keys.question()).set_result(None)
        await keys.question()
        assert (lease.is_held, lease._revision) == (True, 2)
        await lease.release()

    asyncio.run(go_on())
