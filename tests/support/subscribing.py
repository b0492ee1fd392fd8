"""What tests of subscribers share: events to publish, waiting, and a publisher that is started again."""

from collections.abc import Callable
from pathlib import Path

from bus.protocol.addresses import Address
from bus.subscriber.sync import Subscriber
from bus.transport.keys import Keys
from bus.transport.sockets import BindError
from tests.support.helpers import LOCALHOST, TIME_FACTOR, Service, deadline, wait_until

Serve = Callable[..., Service]
MOMENT = 0.05 * TIME_FACTOR  # long enough to see that nothing more comes


def fill(service: Service, first: int, last: int, topic: str = "a.") -> None:
    """Publish the events `first` to `last`, each in its own transaction."""
    for number in range(first, last + 1):
        service.append((topic, number))


def ready(subscriber: Subscriber) -> Subscriber:
    """Wait until all subscriptions are active."""
    assert subscriber.wait_ready(10.0 * TIME_FACTOR)
    return subscriber


def restart(serve: Serve, service: Service, path: Path) -> Service:
    """Start a service on the ports of one that ends."""
    service.stop()
    return serve_again(serve, path, service.publisher.control, service.publisher.feed)


def serve_again(
    serve: Serve, path: Path, control: Address = LOCALHOST, feed: Address = LOCALHOST, keys: Keys | None = None
) -> Service:
    """Start a service where one has ended; a connection of another program may have the port for a moment."""
    started: list[Service] = []

    def bound() -> bool:
        try:
            started.append(serve(path, feed=feed, control=control, keys=keys))
        except BindError:
            return False
        return True

    wait_until(bound, what=f"free ports {control.port} and {feed.port}")
    return started[0]


def wait_for_queue(subscriber: Subscriber) -> None:
    """Wait until the subscriber has an event that nobody has taken, which pauses it if its queue is full."""
    limit = deadline()
    while not subscriber._queue:
        assert not limit.passed, "no event came"
        subscriber._loop.step(limit.left)


def text(first: int, last: int) -> list[str]:
    """Return the names of the events `first` to `last`."""
    return [str(number) for number in range(first, last + 1)]
