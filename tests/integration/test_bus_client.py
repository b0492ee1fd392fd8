"""Requests that share a client: each is answered or fails at its own time, whatever its neighbours do."""

import time
from collections.abc import Iterator

import pytest

from bus.protocol.addresses import Address
from bus.protocol.control import ControlError
from bus.transport import sockets
from bus.transport.client import RequestClient
from bus.transport.loop import TURN_SECONDS, Loop
from bus.transport.sockets import Request, Socket
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, deadline
from tests.support.workspace import steady_ports

SOON = 0.2 * TIME_FACTOR
LATE = PATIENCE * TIME_FACTOR


class Asked:
    """A client, and what its requests came to, by their names."""

    def __init__(self, loop: Loop, address: str) -> None:
        """Connect."""
        self.loop, self.client = loop, RequestClient(loop, address)
        self.answers: dict[str, str] = {}

    def ask(self, name: str, timeout: float) -> None:
        """Send a request that carries its name."""

        def answered(reply: dict[str, str]) -> None:
            self.answers[name] = reply["name"]

        def failed(error: ControlError) -> None:
            self.answers[name] = error.code

        self.client.ask("echo", {"name": name}, dict[str, str], answered, failed, timeout)

    def run(self, count: int) -> dict[str, str]:
        """Wait until so many requests have ended, and return their answers."""
        limit = deadline()
        while len(self.answers) < count:
            assert not limit.passed, self.answers
            self.loop.step(0.05)
        return self.answers


@pytest.fixture
def service(no_leaks: None) -> Iterator[tuple[Socket, str]]:  # noqa: ARG001 - it looks after us
    """Yield a control socket that the test answers by hand, and its address."""
    socket, address = sockets.bind_control(LOCALHOST)
    yield socket, str(address)
    socket.close(0)


@pytest.fixture
def asked(loop: Loop, service: tuple[Socket, str]) -> Iterator[Asked]:
    """Yield a client of it."""
    asked = Asked(loop, service[1])
    yield asked
    asked.client.close()


def requests(socket: Socket, count: int) -> list[Request]:
    """Wait for so many requests."""
    limit, found = deadline(), list[Request]()
    while len(found) < count:
        assert not limit.passed, f"{len(found)} of {count} requests came"
        socket.poll(50)
        while request := sockets.receive_request(socket, 3, secure=False):
            found.append(request)
    return found


def answer(socket: Socket, request: Request) -> None:
    """Send back what was asked."""
    assert sockets.send_frames(socket, [request.sender, request.frames[0], b"ok", request.frames[2]])


@pytest.mark.fault(item="F49")
def test_the_timeout_of_one_request_leaves_its_neighbours_their_answers(
    service: tuple[Socket, str], asked: Asked
) -> None:
    """The service is busy with the first for too long, and answers the others in time."""
    asked.ask("q0", SOON)
    for number in range(1, 9):
        asked.ask(f"q{number}", LATE)
    waiting = requests(service[0], 9)
    assert asked.run(1) == {"q0": "unavailable"}

    for request in waiting:
        answer(service[0], request)

    assert asked.run(9) == {"q0": "unavailable", **{f"q{number}": f"q{number}" for number in range(1, 9)}}


@pytest.mark.fault(item="F49")
def test_each_request_fails_at_its_own_time(service: tuple[Socket, str], asked: Asked) -> None:
    """Nothing answers: each waits as long as it was told, no longer for its neighbours, and new ones are answered."""
    began = time.monotonic()
    for number in range(1, 4):
        asked.ask(f"q{number}", SOON * number)
    requests(service[0], 3)  # what has not arrived when they fail never does
    for number in range(1, 4):
        asked.run(number)
        assert time.monotonic() - began >= SOON * number
    asked.ask("new", LATE)

    (new,) = requests(service[0], 1)
    answer(service[0], new)

    assert asked.run(4) == {"q1": "unavailable", "q2": "unavailable", "q3": "unavailable", "new": "new"}


@pytest.mark.fault(item="F49")
def test_a_request_that_failed_is_not_delivered_when_the_service_comes_back(loop: Loop) -> None:
    """It waited for a connection; its user has been told that nobody is there."""
    address = Address(LOCALHOST.host, steady_ports()[0])
    asked = Asked(loop, str(address))
    for number in range(3):
        asked.ask(f"q{number}", SOON)
    asked.run(3)
    socket, _ = sockets.bind_control(address)
    try:
        asked.ask("new", LATE)
        (only,) = requests(socket, 1)
        answer(socket, only)
        assert asked.run(4)["new"] == "new"
        assert sockets.receive_request(socket, 3, secure=False) is None
    finally:
        asked.client.close()
        socket.close(0)


def test_closing_with_requests_on_two_connections_leaves_nothing(service: tuple[Socket, str], asked: Asked) -> None:
    """One of them was replaced; the fixture finds what is left open."""
    asked.ask("q0", SOON)
    asked.ask("q1", LATE)
    asked.run(1)
    asked.ask("q2", LATE)
    requests(service[0], 3)


def test_answers_that_cause_long_work_are_taken_one_in_a_turn(
    loop: Loop, asked: Asked, service: tuple[Socket, str]
) -> None:
    """What is done with one may bring the next one, so that others would never have their turn."""
    turns: list[int] = []
    turn = 0

    def work(_reply: dict[str, str]) -> None:
        turns.append(turn)
        time.sleep(2 * TURN_SECONDS)

    for number in range(3):
        asked.client.ask("echo", {"name": str(number)}, dict[str, str], work, lambda _: None, LATE)
    for one in requests(service[0], 3):
        answer(service[0], one)
    limit = deadline()
    while len(turns) < 3:
        assert not limit.passed, turns
        turn += 1
        loop.step(0.05)

    assert len(set(turns)) == 3
