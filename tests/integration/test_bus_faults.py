"""A feed that loses, repeats and reorders: a relay between publisher and subscriber does it on purpose."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.protocol import topics
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, collect, names
from tests.support.invariants import check_subscriber, read_log, seen
from tests.support.lossy_relay import Policy, Relay, lose_every_third, repeat_everything

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]


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
    check_subscriber(seen(found), read_log(service.address), prefix)
    assert subscriber.receive(0.05 * TIME_FACTOR) == []
    assert between.changed > 0
