"""A feed that loses, repeats and reorders: a relay between publisher and subscriber does it on purpose."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from bus import sockets, topics
from bus.sockets import Address
from bus.source import Start
from bus.subscriber import Subscriber
from tests.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, Service, collect, names

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
Policy = Callable[[list[bytes]], list[list[bytes]]]
POLL_MS = 20


class Relay:
    """Stands between a feed and its subscribers: what the policy makes of each message is sent on."""

    def __init__(self, feed: Address, policy: Policy) -> None:
        """Start the thread and wait until it is bound."""
        self._feed, self._policy = feed, policy
        self._bound, self._ended = threading.Event(), threading.Event()
        self.changed = 0
        self.thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.thread.start()
        assert self._bound.wait(PATIENCE * TIME_FACTOR)

    def close(self) -> None:
        """End the thread, which closes its sockets."""
        self._ended.set()
        self.thread.join(PATIENCE * TIME_FACTOR)

    def _run(self) -> None:
        source = sockets.connect_feed(str(self._feed))
        source.subscribe(b"")
        sink, self.address = sockets.bind_feed(LOCALHOST)
        self._bound.set()
        while not self._ended.is_set():
            if source.poll(POLL_MS, zmq.POLLIN):
                frames = source.recv_multipart()
                sent = self._policy(frames)
                self.changed += sent != [frames]
                for message in sent:
                    sink.send_multipart(message)
        source.close()
        sink.close()


@pytest.fixture
def relay(no_leaks: None) -> Iterator[Callable[[Service, Policy], Relay]]:  # noqa: ARG001 - it looks after us
    """Put relays before services: their `info` reports the relay's address as the feed."""
    relays: list[Relay] = []

    def make(service: Service, policy: Policy) -> Relay:
        relays.append(Relay(service.publisher.feed, policy))
        service.publisher.feed = relays[-1].address
        return relays[-1]

    yield make
    for one in relays:
        one.close()


def lose_every_third() -> Policy:
    """Lose every third message, heartbeats too."""
    count = iter(range(1, 1 << 30))
    return lambda frames: [frames] if next(count) % 3 else []


def repeat_everything() -> Policy:
    """Send everything twice, the second time late."""
    old: list[list[bytes]] = []

    def policy(frames: list[bytes]) -> list[list[bytes]]:
        old.append(frames)
        return [frames, old.pop(0)] if len(old) > 5 else [frames]

    return policy


def reverse_blocks() -> Policy:
    """Send blocks of seven messages in reverse order; the heartbeat flushes the rest."""
    block: list[list[bytes]] = []

    def policy(frames: list[bytes]) -> list[list[bytes]]:
        block.append(frames)
        if len(block) < 7 and frames[0] != topics.HEARTBEAT.encode():
            return []
        sent = block[::-1]
        block.clear()
        return sent

    return policy


def all_at_once() -> Policy:
    """Lose, repeat and hold back at random."""
    rng = random.Random(random.getrandbits(32))  # noqa: S311 - no secret; pytest-randomly prints the seed
    held: list[list[bytes]] = []

    def policy(frames: list[bytes]) -> list[list[bytes]]:
        held.append(frames)
        sent = []
        while held and rng.random() < 0.6:
            one = held.pop(rng.randrange(len(held)))
            sent += [one] * rng.choice([0, 1, 1, 1, 2])
        return sent

    return policy


def lose_all_but_heartbeats() -> Policy:
    """No event arrives at all by the feed."""
    return lambda frames: [frames] if frames[0] == topics.HEARTBEAT.encode() else []


@pytest.mark.parametrize("prefix", ["", "a.", "a.x."])
@pytest.mark.parametrize(
    "policy", [lose_every_third, repeat_everything, reverse_blocks, all_at_once, lose_all_but_heartbeats]
)
def test_a_bad_feed_changes_nothing_for_the_subscriber(
    serve: Serve,
    subscribe: Subscribe,
    relay: Callable[[Service, Policy], Relay],
    tmp_path: Path,
    policy: Callable[[], Policy],
    prefix: str,
) -> None:
    """Whatever the feed loses, repeats or reorders: each event is delivered once and in order."""
    service = serve(tmp_path / "test.sqlite")
    between = relay(service, policy())
    subscriber = subscribe([service.address], [prefix], start=Start.BEGINNING)
    wanted = []
    for number in range(150):
        topic = ("a.x.", "a.y.", "b.")[number % 3]
        service.append((topic, number))
        if number == 20:
            assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
        if topic.startswith(prefix):
            wanted.append(str(number))

    found = collect(subscriber, len(wanted))

    assert names(found) == wanted
    assert subscriber.receive(0.05 * TIME_FACTOR) == []
    assert between.changed > 0
