"""A command is told at once that nobody listens; whoever waits for a service has its answer once it is there."""

import socket as sockets_of_the_system
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from bus.protocol.addresses import parse_address
from bus.transport import sockets
from bus.transport.attempts import impatience
from bus.transport.client import NoAnswerError, request
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, deadline, wait_until

LONG = 6 * PATIENCE * TIME_FACTOR  # a request that waits for its answer
SHORT = 0.2  # instead of REFUSED_SECONDS
PAUSE = 2 * SHORT  # in which an impatient request for a service that is not there has failed
FAMILIES = {"127.0.0.1": sockets_of_the_system.AF_INET, "[::1]": sockets_of_the_system.AF_INET6}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose the patience sooner than people do."""
    monkeypatch.setattr("bus.transport.client.REFUSED_SECONDS", SHORT)


@pytest.fixture
def closed(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield an address whose port is taken, and where nobody listens."""
    host: str = getattr(request, "param", "127.0.0.1")
    with sockets_of_the_system.socket(FAMILIES.get(host, sockets_of_the_system.AF_INET)) as held:
        held.bind((host.strip("[]") if host in FAMILIES else "127.0.0.1", 0))
        yield f"tcp://{host}:{held.getsockname()[1]}"


def echo(address: str, seconds: float = LONG, *, impatient: bool = True) -> str:
    """Ask a service that answers with what it was told."""
    if impatient:
        with impatience():
            return request(address, "echo", "hello", str, seconds)
    return request(address, "echo", "hello", str, seconds)


def free_address() -> str:
    """Return an address where nobody listens, and a service can."""
    socket, address = sockets.bind_control(LOCALHOST)
    socket.close(0)
    wait_until_refused(str(address))
    return str(address)


def wait_until_refused(address: str) -> None:
    """Wait for the end of a socket, which libzmq closes in its own time: until then it takes requests to its grave."""
    host, port = parse_address(address)

    def refused() -> bool:
        with sockets_of_the_system.socket() as probe:
            return probe.connect_ex((host, port)) != 0

    wait_until(refused, what="the end of the socket")


def answer(address: str) -> None:
    """Be a service: answer one request, and end."""
    socket, _ = sockets.bind_control(parse_address(address))
    with socket:
        assert socket.poll(int(deadline().left * 1000)), "no request has arrived"
        found = sockets.receive_request(socket, 3, secure=False)
        assert found
        sockets.send_frames(socket, [found.sender, found.frames[0], b"ok", found.frames[2]])


def in_thread(address: str, *, impatient: bool) -> Future[str]:
    """Ask in another thread."""
    future: Future[str] = Future()

    def ask() -> None:
        try:
            future.set_result(echo(address, impatient=impatient))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result has it
            future.set_exception(error)

    threading.Thread(target=ask).start()
    return future


@pytest.mark.fault(item="F155")
@pytest.mark.parametrize("closed", ["127.0.0.1", "localhost", "[::1]", "no-such-host.invalid"], indirect=True)
def test_a_command_is_told_at_once_that_nobody_listens(no_leaks: None, closed: str) -> None:  # noqa: ARG001
    """By number or name, and also where the name is not known; the error is that of a service that is not there."""
    begin = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"^no answer from tcp://.*: no connection can be made") as caught:
        echo(closed)
    assert time.monotonic() - begin < LONG / 3
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize("impatient", [True, False])
def test_a_service_that_says_nothing_is_given_its_time(no_leaks: None, impatient: bool) -> None:  # noqa: ARG001
    """It is there, so it may be busy."""
    socket, address = sockets.bind_control(LOCALHOST)
    seconds = 2 * SHORT
    with socket, pytest.raises(NoAnswerError, match=rf"no answer from tcp://.* within {seconds:g} s"):
        echo(str(address), seconds, impatient=impatient)


def test_a_program_waits_for_a_service_that_starts(no_leaks: None) -> None:  # noqa: ARG001
    """A request that is not impatient arrives once there is somebody."""
    address = free_address()
    asked = in_thread(address, impatient=False)
    time.sleep(PAUSE)
    answer(address)
    assert asked.result(LONG) == "hello"


@pytest.mark.fault(item="F155")
def test_a_command_survives_a_restart_of_its_service(no_leaks: None) -> None:  # noqa: ARG001
    """A service that has answered its first request is there: a later one waits until it is there again."""
    address = free_address()
    first = in_thread(address, impatient=False)
    answer(address)
    assert first.result(LONG) == "hello"
    wait_until_refused(address)

    second = in_thread(address, impatient=True)
    time.sleep(PAUSE)
    assert not second.done()
    answer(address)
    assert second.result(LONG) == "hello"
