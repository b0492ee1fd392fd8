"""Recovery under the bad network of `tests.support.simulated_network`, with wrong ones as negative controls."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from bus.protocol import recovery
from bus.protocol.frames import Epochs
from bus.protocol.recovery import Check, Fetch, Latest, Recovery, Request
from tests.support.model_publisher import Event
from tests.support.simulated_network import PREFIXES, STARTS, TOPICS, BadPublisher, Network

SETTINGS = settings(max_examples=100, stateful_step_count=30)
HISTORIES = 1500
STEPS = 120


def play(kind: type[Network], seed: int) -> None:
    """Play one long random history: hypothesis finds short ones, this reaches states that need many steps."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    network = kind()
    network.begin(
        rng.choices(TOPICS, k=rng.randint(0, 8)), rng.choice(PREFIXES), rng.getrandbits(16), rng.choice(STARTS)
    )

    def some() -> int:
        return rng.getrandbits(16)

    def coin() -> bool:
        return rng.random() < 0.5

    actions: dict[str, tuple[float, Callable[[], None]]] = {
        "publish": (8, lambda: network.publish(rng.choice(TOPICS), rng.random() < 0.2, coin())),
        "beat": (3, network.beat),
        "arrive": (8, lambda: network.arrive(some(), coin())),
        "lose": (1, lambda: network.lose(some())),
        "ask": (4, lambda: network.ask(rng.random() < 0.7, rng.randint(1, 3))),
        "answer": (3, lambda: network.answer(some(), rng.randint(1, 3), coin())),
        "reply": (4, lambda: network.reply(some(), rng.random() < 0.2)),
        "fail": (1, lambda: network.fail(some())),
        "reconnect": (0.1, network.reconnect),
        "take": (2, network.take),
        "consumer_restarts": (0.2, network.consumer_restarts),
        "quiet": (0.2, lambda: network.quiet(rng.randint(1, 3))),
    }
    if isinstance(network, BadPublisher):
        actions["power_cut"] = (0.8, lambda: network.power_cut(rng.randint(0, 4), rng.random() < 0.3))
        actions["wipe"] = (0.1, network.wipe)
        actions["retain"] = (0.3, lambda: network.retain(rng.randint(1, 5)))
    weights = [weight for weight, _ in actions.values()]
    possible: dict[str, Callable[[], object]] = {
        "arrive": lambda: network.feed,
        "lose": lambda: network.feed,
        "answer": lambda: network.asked,
        "reply": lambda: network.replies,
        "fail": lambda: network.under_way,
    }
    for name in rng.choices(list(actions), weights, k=STEPS):
        if possible.get(name, lambda: True)():
            actions[name][1]()
            network.pending_is_bounded()
    network.teardown()


@pytest.mark.parametrize("kind", [Network, BadPublisher])
def test_nothing_is_lost_or_repeated_in_long_histories(kind: type[Network]) -> None:
    """Many long random histories end with the consumer having what the log has; a failure names its seed."""
    for seed in random.sample(range(1 << 32), HISTORIES):
        try:
            play(kind, seed)
        except Exception as error:
            raise AssertionError(f"replay it with play({kind.__name__}, {seed})") from error


def test_nothing_is_lost_repeated_or_reordered_by_a_bad_network() -> None:
    """Feed messages, heartbeats and replies may be lost, repeated, late and reordered, for any prefix and start."""
    run_state_machine_as_test(Network, settings=SETTINGS)


def test_nothing_is_lost_or_repeated_when_the_publishers_log_changes() -> None:
    """After power cuts, a wiped log and retention the consumer has what the log has, and was told what it has not."""
    run_state_machine_as_test(BadPublisher, settings=SETTINGS)


class Careless(Recovery[Event]):
    """Ignores the chain: hands over every newer message at once."""

    def message(self, epoch: int, offset: int, previous: int | None, item: Event) -> None:
        """Claim that the message before was handed over."""
        super().message(epoch, offset, None if previous is None else 0, item)


class Deaf(Recovery[Event]):
    """Ignores heartbeats once it knows the epoch, so that a lost last message stays lost."""

    def heartbeat(self, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        """Take the first one only."""
        if not self._adopted:
            super().heartbeat(epoch, head, first, epochs)


class Gullible(Recovery[Event]):
    """Takes any reply for the answer that it waits for, whatever epoch it is of."""

    def _answers(self, request: Request, epoch: int) -> bool:
        del request, epoch
        self._outstanding = None
        return True


class Stubborn(Recovery[Event]):
    """Keeps its offset whatever epoch the publisher is in."""

    def _adopt(self, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        if self._adopted:
            self.epoch = epoch
        super()._adopt(epoch, head, first, epochs)


class Trusting(Recovery[Event]):
    """Takes a check that found nothing as proof that there was nothing, whatever retention has taken."""

    def checked(self, request: Check, epoch: int, head: int, first: int, last: int) -> None:
        """Ignore `first`."""
        del first
        super().checked(request, epoch, head, 1, last)

    def heartbeat(self, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        """Ignore `first`."""
        del first
        super().heartbeat(epoch, head, 1, epochs)


class Forgetful(Recovery[Event]):
    """Tells what retention has taken, and does not take what compaction has kept."""

    def _take_over(self, listing: recovery._Listing[Event]) -> None:
        if self.offset is not None:
            listing.events.clear()
        super()._take_over(listing)


class Hasty(Recovery[Event]):
    """Takes of the newest events also those that the log still has, and so gets them twice."""

    def listed(
        self,
        request: Latest,
        epoch: int,
        head: int,
        first: int,
        events: list[tuple[int, Event]],
        next_topic: str,
        damaged: Sequence[int] = (),
    ) -> None:
        """Keep all, and go on at `first` all the same."""
        super().listed(request, epoch, head, first, events, next_topic, damaged)
        if not next_topic and self.offset is not None:
            self._ready += [event for offset, event in events if offset > self.offset]


class Leaping(Recovery[Event]):
    """Takes a page that was asked for ahead, wherever the one before it has ended."""

    def fetched(
        self,
        request: Fetch,
        epoch: int,
        first: int,
        next_: int,
        events: list[tuple[int, Event]],
        damaged: Sequence[int] = (),
    ) -> None:
        """Go on where the page begins."""
        if self.offset is not None and epoch == self.epoch:
            self.offset = max(self.offset, request.after)
        super().fetched(request, epoch, first, next_, events, damaged)


WRONG: list[tuple[type[Recovery[Event]], type[Network]]] = [
    (Careless, Network),
    (Deaf, Network),
    (Gullible, BadPublisher),
    (Stubborn, BadPublisher),
    (Trusting, BadPublisher),
    (Forgetful, BadPublisher),
    (Hasty, BadPublisher),
    (Leaping, Network),
]


@pytest.mark.parametrize(("wrong", "kind"), WRONG)
def test_the_checker_finds_a_wrong_recovery(wrong: type[Recovery[Event]], kind: type[Network]) -> None:
    """Negative control: the check fails for classes that ignore the chain, heartbeats, late replies, epochs or gaps."""
    control = type("Control", (kind,), {"recovery_class": wrong})

    def play_until_it_fails() -> None:
        for seed in range(HISTORIES):
            play(control, seed)

    with pytest.raises(AssertionError):
        play_until_it_fails()


def test_the_state_machine_finds_a_wrong_recovery() -> None:
    """Negative control for hypothesis' part: it too finds that a class ignores the chain."""

    class Control(Network):
        recovery_class = Careless

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Control, settings=CONTROL)


CONTROL = settings(
    max_examples=300,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
