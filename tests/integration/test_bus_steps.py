"""Long work in steps: what else the loop does in between, and how a request that takes steps is answered."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bus.eventlog.errors import StorageError
from bus.protocol.control import ControlError, MetricsReply, NoParams
from bus.publisher import LONG_REQUESTS
from bus.transport import sockets
from bus.transport.client import RequestClient, request
from bus.transport.loop import TURN_SECONDS, Loop
from bus.transport.steps import Steps, complete, in_thread, wait
from tests.support.helpers import PATIENCE, REPLY_SECONDS, TIME_FACTOR, Service, deadline, wait_until

LONG: Final = 40  # steps
STEP: Final = TURN_SECONDS / 2  # seconds


def long_work(seen: list[str], name: str, steps: int = LONG) -> Steps[str]:
    """Work for some milliseconds in each step."""
    for _ in range(steps):
        time.sleep(STEP)
        seen.append(name)
        yield None
    return name


def noted(seen: list[str], steps: Steps[str]) -> Steps[None]:
    """Note the result."""
    seen.append(f"{(yield from steps)} is done")


def step_until(loop: Loop, done: Callable[[], bool], seen: object) -> None:
    """Step until something is done."""
    limit = deadline()
    while not done():
        assert not limit.passed, f"only {seen}"
        loop.step(min(limit.left, 0.01))


def run_until(loop: Loop, seen: list[str], *last: str) -> None:
    """Step until something has been seen."""
    step_until(loop, lambda: set(last) <= set(seen), seen)


def test_timers_and_calls_have_their_turns_between_the_steps(loop: Loop) -> None:
    """A timer that is always due is called in each turn, and no turn is as long as all of the work."""
    seen: list[str] = []
    ticks: list[float] = []
    timer = loop.every(0, lambda: ticks.append(time.monotonic()))
    began = time.monotonic()
    loop.start(noted(seen, long_work(seen, "a")))
    run_until(loop, seen, "a is done")
    seconds = time.monotonic() - began
    timer.cancel()

    assert len(ticks) >= LONG / 4  # two or three steps fit into one turn
    assert STEP <= loop.longest_turn < seconds - LONG / 2 * STEP  # most steps had other turns, however long each took


def test_long_work_shares_each_turn(loop: Loop) -> None:
    """Step by step, in the order in which it began; what is short ends early."""
    seen: list[str] = []
    for name, steps in (("a", 3), ("b", 1)):
        loop.start(noted(seen, long_work(seen, name, steps)))
    run_until(loop, seen, "a is done", "b is done")

    assert seen == ["a", "b", "a", "b is done", "a", "a is done"]


def test_work_waits_for_a_thread_without_keeping_the_loop_busy(loop: Loop) -> None:
    """The result comes back into the loop's thread, as do errors."""
    seen: list[str] = []
    gate, begun = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        gate.wait(PATIENCE * TIME_FACTOR)
        return threading.current_thread().name

    def failing() -> str:
        raise ValueError("no luck")

    def steps() -> Steps[None]:
        seen.append((yield from wait(in_thread(work, "counting"))))
        try:
            yield from wait(in_thread(failing, "failing"))
        except ValueError as error:
            seen.append(str(error))
        seen.append(threading.current_thread().name)

    loop.start(steps())
    step_until(loop, begun.is_set, seen)
    wait_until(lambda: not loop.step(0), what="nothing to do")
    gate.set()
    run_until(loop, seen, threading.current_thread().name)

    assert seen == ["counting", "no luck", threading.current_thread().name]


def test_an_error_of_work_in_steps_comes_out_of_the_loop(loop: Loop) -> None:
    """As that of any callback, and other work goes on."""
    seen: list[str] = []

    def fails() -> Steps[None]:
        yield None
        raise ValueError("no luck")

    loop.start(fails())
    loop.start(noted(seen, long_work(seen, "other", 3)))
    with pytest.raises(ValueError, match="no luck"):
        run_until(loop, seen, "never")
    run_until(loop, seen, "other is done")


def test_work_ends_with_its_loop() -> None:
    """What it holds is let go."""
    seen: list[str] = []

    def steps() -> Steps[None]:
        seen.append("begun")
        try:
            while True:
                yield None
        finally:
            seen.append("let go")

    loop = Loop()
    loop.start(steps())
    run_until(loop, seen, "begun")
    loop.close()

    assert seen == ["begun", "let go"]


def test_all_steps_in_one_go_wait_for_threads() -> None:
    """As a test without a loop does them."""

    def steps() -> Steps[int]:
        yield None
        return 1 + (yield from wait(in_thread(lambda: 2, "two")))

    assert complete(steps()) == 3


@pytest.mark.fault(item="F161")
def test_work_for_a_thread_is_done_in_the_loop_where_there_is_none(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is if the system allows no further one."""

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def steps() -> Steps[None]:
        seen.append((yield from wait(in_thread(lambda: threading.current_thread().name, "two"))))

    seen: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", refused)
    loop.start(steps())
    here = threading.current_thread().name
    run_until(loop, seen, here)

    assert seen == [here]


class Params(msgspec.Struct, frozen=True):
    """What a test asks for."""

    name: str = "a"


class Asked:
    """A service with a method that takes steps, and waits in between until the test lets it go on."""

    def __init__(self, service: Service) -> None:
        """Add the method."""
        self.service, self.address = service, service.address
        self.gate: Future[None] = Future()
        self.begun: list[str] = []
        service.call(lambda: service.publisher.methods.add_steps("long", Params, self.steps, role="read"))

    def open(self) -> None:
        """Let it go on."""
        if not self.gate.done():
            self.gate.set_result(None)

    def steps(self, params: Params) -> Steps[dict[str, str]]:
        """Answer, or fail as the name says."""
        self.begun.append(params.name)
        yield from wait(self.gate)
        if params.name == "refused":
            raise ControlError("conflict", "not now")
        if params.name == "full":
            raise StorageError("no room")
        if params.name == "crash":
            raise ValueError("oh")
        return {"name": params.name}


@pytest.fixture
def asked(serve: Callable[..., Service], tmp_path: Path) -> Iterator[Asked]:
    """Yield the service."""
    asked = Asked(serve(tmp_path / "asked.db"))
    yield asked
    asked.open()


@pytest.mark.fault(item="F110")
def test_other_requests_are_answered_meanwhile(asked: Asked, loop: Loop) -> None:
    """Each reply goes to whoever asked, whichever comes first."""
    replies: dict[str, Any] = {}
    client = RequestClient(loop, asked.address)
    for name in ("a", "b"):
        client.ask("long", {"name": name}, dict, partial(replies.__setitem__, name), replies_error)
    step_until(loop, lambda: asked.begun == ["a", "b"], asked.begun)
    metrics = request(asked.address, "metrics", NoParams(), MetricsReply, REPLY_SECONDS).metrics
    assert replies == {}
    asked.open()
    step_until(loop, lambda: len(replies) == 2, replies)
    client.close()

    assert replies == {"a": {"name": "a"}, "b": {"name": "b"}}
    assert "variantbus_loop_longest_turn_seconds" in [metric.name for metric in metrics]


def replies_error(error: ControlError) -> None:
    """Fail: no error is expected."""
    raise AssertionError(error)


@pytest.mark.parametrize(
    ("name", "code"), [("refused", "conflict"), ("full", "unavailable"), ("crash", "internal"), (1, "invalid_request")]
)
def test_what_a_step_raises_is_the_reply(asked: Asked, name: object, code: str) -> None:
    """With the codes and words of a method that is answered at once; the service goes on."""
    asked.open()
    with pytest.raises(ControlError) as refused:
        request(asked.address, "long", {"name": name}, dict, REPLY_SECONDS)
    assert refused.value.code == code
    assert request(asked.address, "long", {}, dict, REPLY_SECONDS) == {"name": "a"}


@pytest.mark.fault(item="F110")
def test_only_so_many_long_requests_are_worked_on_at_a_time(asked: Asked, loop: Loop) -> None:
    """Further ones are refused at once, and taken again when those have ended."""
    refusals: list[str] = []
    replies: list[object] = []
    client = RequestClient(loop, asked.address)
    for _ in range(LONG_REQUESTS + 2):
        client.ask("long", {}, dict, replies.append, lambda error: refusals.append(error.code), REPLY_SECONDS)
        loop.step(0)
    step_until(loop, lambda: len(refusals) == 2, refusals)
    assert (refusals, replies) == (["unavailable"] * 2, [])
    asked.open()
    step_until(loop, lambda: len(replies) == LONG_REQUESTS, replies)
    client.close()

    assert request(asked.address, "long", {}, dict, REPLY_SECONDS) == {"name": "a"}


def test_the_reply_to_a_client_that_is_gone_is_dropped(asked: Asked) -> None:
    """And the service goes on."""
    socket = sockets.connect_control(asked.address)
    socket.send_multipart([b"1", b"long", b""])
    wait_until(lambda: bool(asked.begun))
    socket.close()
    request(asked.address, "info", {}, dict, REPLY_SECONDS)  # by now its end has arrived, too, or does so soon
    asked.open()

    assert request(asked.address, "long", {}, dict, REPLY_SECONDS) == {"name": "a"}
