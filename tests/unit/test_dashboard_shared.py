"""Strangers who ask under `/share/`: they do not take all threads, and what they get travels compressed."""

import asyncio
import gzip
import threading
from types import SimpleNamespace
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send

from bus.protocol.control import ControlError
from tests.support.helpers import PATIENCE, TIME_FACTOR
from variantbus.dashboard.feed import Feed
from variantbus.dashboard.services import Services
from variantbus.dashboard.shared import THREADS, SharedPages

ASKED = 40


class Links:
    """Look-ups that wait for a service which is away, and then find nothing."""

    def __init__(self) -> None:
        """Hold all."""
        self.released, self.full = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = 0

    def experiment(self, _token: str) -> str:
        """Count those that wait at the same time."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == THREADS:
                self.full.set()
        self.released.wait(PATIENCE * TIME_FACTOR)
        with self.lock:
            self.now -= 1
        raise ControlError("unavailable", "tcp://10.0.0.5:5571 does not answer")


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stand for the application, which is not asked."""
    raise AssertionError


def test_look_ups_of_strangers_take_some_threads_only() -> None:
    """And the answer to them names no machine."""
    links = Links()
    services = cast("Services", SimpleNamespace(links=links))
    shared = SharedPages(nothing, services, cast("Feed", None), lambda: b"")
    told: list[Any] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        told.append(message.get("body", message.get("status")))

    async def ask_all() -> None:
        scope: Scope = {"type": "http", "method": "GET", "path": "/share/x/api/events", "query_string": b""}
        asked = [asyncio.create_task(shared(dict(scope), receive, send)) for _ in range(ASKED)]
        await asyncio.to_thread(links.full.wait, PATIENCE * TIME_FACTOR)
        links.released.set()
        await asyncio.gather(*asked)

    asyncio.run(ask_all())
    assert links.most == THREADS
    assert told.count(503) == ASKED
    assert not [body for body in told if isinstance(body, bytes) and b"10.0.0.5" in body]


def test_what_a_link_shows_travels_compressed() -> None:
    """As it does for those who have the password: a snapshot may have two thousand pictures."""
    links = SimpleNamespace(experiment=lambda _: "e-1")
    services = SimpleNamespace(links=links, recommendation=lambda _: {"sentence": "s" * 5000})
    shared = SharedPages(nothing, cast("Services", services), cast("Feed", None), lambda: b"")
    told: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        told.append(message)

    path = "/share/x/api/experiments/e-1/recommendation"
    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"accept-encoding", b"gzip")]}
    asyncio.run(shared(scope, receive, send))
    start, body = told
    assert (b"content-encoding", b"gzip") in start["headers"]
    assert len(body["body"]) < 500
    assert b"sssss" in gzip.decompress(body["body"])
