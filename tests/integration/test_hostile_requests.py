"""Requests that are nearly right, to every method of every service."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from tests.fuzz.strategies import changed
from tests.fuzz.targets import check_reply
from tests.support.helpers import PATIENCE, TIME_FACTOR
from tests.support.learning_services import HeldPipeline, Services


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Do not collect a line about every request."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


REQUESTS: Final = [
    {"jobs": [{"job_id": "j", "pipeline": "x", "stage": "y", "config": {"a": 1}, "learning_context": None}]},
    {"job_id": "j", "state": "queued", "before": 3, "limit": 10},
    {"experiment_id": "e-1", "definition": {"name": "n", "variable": {"name": "cfg_scale", "values": [1, 2.5, "x"]}}},
    {"prefix": "a.", "after": 1, "until": 3, "limit": 10, "after_topic": "a."},
]


@pytest.fixture
def hostile() -> list[bytes]:
    """Draw parameters before any service runs: hypothesis watches the random numbers of all threads."""
    drawn: list[bytes] = []

    @settings(max_examples=300)
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        params = data.draw(changed(data.draw(st.sampled_from(REQUESTS))))
        if isinstance(params, dict) and data.draw(st.booleans()):
            params = {key: value for key, value in params.items() if data.draw(st.booleans())}
        drawn.append(msgspec.msgpack.encode(params))

    draw()
    return drawn


@pytest.fixture
def answering(services: Services) -> list[Any]:
    """Return what answers for a runner and a learning service, and what of theirs is called in their threads."""
    runner = services.runner(HeldPipeline())
    learning = services.learning(str(runner.service.publisher.control))
    return [(runner, runner.service.publisher.methods), (learning, learning.service.publisher.methods)]


@pytest.mark.fault(item="B2")
@pytest.mark.fault(item="B9")
@pytest.mark.fault(item="B21")
def test_every_method_of_every_service_answers_anything(hostile: list[bytes], answering: list[Any]) -> None:
    """Parameters that are nearly right, for each method: a reply that can be read, and never an internal error."""
    for service, methods in answering:
        for method in methods._methods:
            ended = Future[None]()
            service.loop.call(partial(service.loop.start, ask_all(methods, method.encode(), hostile, ended)))
            ended.result(PATIENCE * TIME_FACTOR)


def ask_all(methods: MethodServer, method: bytes, hostile: list[bytes], ended: Future[None]) -> Steps[None]:
    """Ask one after another, in the service's loop, as some replies need it."""
    try:
        for params in hostile:
            frames = [b"1", method, params]
            check_reply(frames, (yield from methods.steps(frames)))
    except BaseException as error:  # noqa: BLE001 - the test looks at it
        ended.set_exception(error)
    else:
        ended.set_result(None)
