"""What networks do to TCP connections: delay, silence, resets, single bytes, cuts in mid-frame, flipped bits."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bus.contracts.messages import encode_body
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Delivery, Subscriber
from tests.support.helpers import TIME_FACTOR, Service, deadline, job, wait_until
from tests.support.invariants import (
    RECOVERY_SECONDS,
    check_never_reused,
    check_subscriber,
    check_writes,
    read_log,
    seen,
)
from tests.support.tcp_proxy import NetworkFaults, Proxy

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
TIMERS = Path("/proc/net/tcp")
ESTABLISHED, KEEP_ALIVE = "01", "02:"  # the state of a connection, and the kind of its timer
SILENCE = 3.5 + 1.0  # seconds until a subscriber gives a silent connection up: see `bus.subscriber.source`


class Line:
    """A publisher, and proxies before its two ports."""

    def __init__(self, service: Service) -> None:
        """Make `info` return the proxy's address as the feed, so that a client of the proxy stays with it."""
        self.service = service
        self.feed, self.control = Proxy(service.publisher.feed), Proxy(service.publisher.control)
        service.publisher.feed = self.feed.address
        self.address = str(self.control.address)
        self.published = 0

    def set_faults(self, faults: NetworkFaults) -> None:
        """Change what happens on both connections."""
        self.feed.faults = self.control.faults = faults

    def publish(self, count: int) -> None:
        """Log some events, of which each has a size of its own."""
        names = [f"{self.published + number} {'x' * (self.published + number)}" for number in range(count)]
        self.service.append(*(("a.", name) for name in names))
        self.published += count

    def check(self, deliveries: list[Delivery]) -> None:
        """Check that a subscriber has every event, once, in order, unchanged."""
        log = read_log(self.service.address)
        bodies = [encode_body(job(f"{number} {'x' * number}")) for number in range(self.published)]
        check_writes(log, bodies, bodies)
        check_subscriber(seen(deliveries), log)
        check_never_reused(seen(deliveries), log)

    def close(self) -> None:
        """Stop the proxies."""
        self.feed.close()
        self.control.close()


@pytest.fixture
def line(serve: Serve, tmp_path: Path) -> Iterator[Line]:
    """Yield a publisher behind proxies."""
    line = Line(serve(tmp_path / "test.db"))
    yield line
    line.close()


def drain(subscriber: Subscriber, line: Line, found: list[Delivery], seconds: float = RECOVERY_SECONDS) -> None:
    """Receive until there is everything that was published: recovery has a limit."""
    limit = deadline(seconds)
    while not found or found[-1].offset < line.published:
        assert not limit.passed, f"{len(found)} of {line.published} events after {seconds:g} s"
        found += subscriber.receive(min(0.2, limit.left))


@pytest.mark.fault(item="F25")
@pytest.mark.fault(item="F26")
@pytest.mark.parametrize(
    "faults",
    [
        NetworkFaults(latency=0.1),
        NetworkFaults(slice=1),
        NetworkFaults(slice=7, latency=0.02),
        NetworkFaults(cut_after=3000),
    ],
    ids=["latency", "one byte at a time", "slices", "cut in mid-frame"],
)
def test_a_bad_line_delays_and_breaks_and_nothing_is_lost(
    line: Line, subscribe: Subscribe, faults: NetworkFaults
) -> None:
    """While the line is bad and after it has healed: all events, once, in order, and no part of one."""
    subscriber = subscribe([line.address], start=Start.BEGINNING)
    line.publish(20)
    found: list[Delivery] = []
    drain(subscriber, line, found)
    line.set_faults(faults)
    for _ in range(10):
        line.publish(10)
        found += subscriber.receive(0.05)
    line.set_faults(NetworkFaults())

    drain(subscriber, line, found)

    line.check(found)


@pytest.mark.fault(item="F26")
def test_connections_that_are_reset_again_and_again_lose_nothing(line: Line, subscribe: Subscribe) -> None:
    """Both connections are reset twenty times under load."""
    subscriber = subscribe([line.address], start=Start.BEGINNING)
    assert subscriber.wait_ready(RECOVERY_SECONDS * TIME_FACTOR)  # so that there is something to reset
    found: list[Delivery] = []
    for _ in range(20):
        line.publish(10)
        found += subscriber.receive(0.05)
        line.feed.reset_all()
        line.control.reset_all()

    drain(subscriber, line, found)

    line.check(found)
    wait_until(lambda: line.feed.connections > 1, what="another connection")


@pytest.mark.fault(item="F24")
@pytest.mark.parametrize("kind", ["blackhole", "hold"])
def test_a_partition_without_a_word_is_noticed_and_healed(line: Line, subscribe: Subscribe, kind: str) -> None:
    """Nobody is told that bytes are lost, or wait: silence is noticed, and after the end nothing is missing.

    What was held back arrives all at once, on connections that nobody uses any more: it counts for nothing.
    """
    subscriber = subscribe([line.address], start=Start.BEGINNING)
    line.publish(10)
    found: list[Delivery] = []
    drain(subscriber, line, found)
    assert subscriber.wait_ready()
    line.set_faults(NetworkFaults(blackhole=kind == "blackhole", hold=kind == "hold"))
    began = time.monotonic()
    while subscriber.ready:
        line.publish(1)
        found += subscriber.receive(0.1)
        assert time.monotonic() - began < 2 * SILENCE * TIME_FACTOR, "the silence was not noticed"
    line.publish(100)
    line.set_faults(NetworkFaults())

    drain(subscriber, line, found)

    line.check(found)
    assert subscriber.wait_ready()


@pytest.mark.fault(item="F24")
def test_the_publisher_gives_up_a_connection_when_the_proxy_before_it_does(line: Line, subscribe: Subscribe) -> None:
    """Behind a proxy only the proxy can know that the other end has gone without a word."""
    subscriber = subscribe([line.address], start=Start.BEGINNING)
    assert subscriber.wait_ready()
    assert len(connections(line)) == 2
    line.set_faults(NetworkFaults(blackhole=True, refuse=True))
    subscriber.close()
    line.feed.reset_all()
    line.control.reset_all()

    wait_until(lambda: not connections(line), what="the end of the half-open connections")


@pytest.mark.fault(item="F24")
@pytest.mark.skipif(not TIMERS.exists(), reason="only Linux lists the timers of connections")
def test_the_system_looks_after_silent_connections_on_both_sides(line: Line, subscribe: Subscribe) -> None:
    """Keep-alive finds a peer that has vanished, where nothing but silence is on the way; here its timer is seen."""
    subscriber = subscribe([line.service.address], start=Start.BEGINNING)
    assert subscriber.wait_ready()
    port = f":{line.service.publisher.control.port:04X}"

    def kept_alive() -> list[bool]:
        rows = [row.split() for row in TIMERS.read_text(encoding="ascii").splitlines()]
        ours = [row for row in rows if port in row[1] + row[2] and row[3] == ESTABLISHED]
        return [row[5].startswith(KEEP_ALIVE) for row in ours]

    wait_until(lambda: kept_alive() == [True, True], what="a timer on both sides")


def connections(line: Line) -> list[object]:
    """Return the open connections at the two ports of a publisher in this process."""
    ports = {line.service.publisher.control.port, line.feed.target.port}
    own = psutil.Process().net_connections("tcp")
    return [one for one in own if one.laddr.port in ports and one.status == psutil.CONN_ESTABLISHED]


@pytest.mark.fault(item="F26")
def test_flipped_bits_never_end_a_subscriber(line: Line, subscribe: Subscribe) -> None:
    """A bit that TCP's checksum lets through may change an event, as nothing but CURVE proves bytes on the wire.

    What is promised all the same: nobody crashes or hangs, and a line that has healed delivers.
    """
    subscriber = subscribe([line.address], start=Start.BEGINNING)
    line.publish(20)
    found: list[Delivery] = []
    drain(subscriber, line, found)
    line.set_faults(NetworkFaults(flip=0.2))
    for _ in range(60):
        line.publish(5)
        subscriber.receive(0.01)
    line.set_faults(NetworkFaults())
    after = subscribe([line.address], start=Start.BEGINNING)

    healed: list[Delivery] = []
    drain(after, line, healed)

    line.check(healed)
    newest = line.published
    line.publish(5)
    limit = deadline(2 * RECOVERY_SECONDS)
    while not any(one.offset > newest for one in subscriber.receive(0.2)):
        assert not limit.passed, "a subscriber behind a line that has healed gets nothing new"
