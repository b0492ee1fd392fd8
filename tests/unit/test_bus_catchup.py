"""Catching up: under the bad network of `tests.support.simulated_network`, and step by step."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from bus.config.limits import DEFAULT_LIMITS
from bus.protocol import recovery
from bus.protocol.frames import Epochs
from bus.protocol.recovery import Check, Damaged, Fetch, Info, Latest, Recovery, Request, Rewound, resume_offset
from tests.support.simulated_network import PREFIXES, STARTS, TOPICS, BadPublisher, Event, Network

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


WRONG: list[tuple[type[Recovery[Event]], type[Network]]] = [
    (Careless, Network),
    (Deaf, Network),
    (Gullible, BadPublisher),
    (Stubborn, BadPublisher),
    (Trusting, BadPublisher),
    (Forgetful, BadPublisher),
    (Hasty, BadPublisher),
]


@pytest.mark.parametrize(("wrong", "kind"), WRONG)
def test_the_checker_finds_a_wrong_catch_up(wrong: type[Recovery[Event]], kind: type[Network]) -> None:
    """Negative control: the check fails for classes that ignore the chain, heartbeats, late replies, epochs or gaps."""
    control = type("Control", (kind,), {"follower_class": wrong})

    def play_until_it_fails() -> None:
        for seed in range(HISTORIES):
            play(control, seed)

    with pytest.raises(AssertionError):
        play_until_it_fails()


def test_the_state_machine_finds_a_wrong_catch_up() -> None:
    """Negative control for hypothesis' part: it too finds that a class ignores the chain."""

    class Control(Network):
        follower_class = Careless

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Control, settings=CONTROL)


CONTROL = settings(
    max_examples=300,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


EPOCHS: Epochs = [(11, 0), (12, 7), (13, 5), (14, 9)]


@pytest.mark.parametrize(
    ("epoch", "offset", "resumed"),
    [
        (14, 12, 12),  # the present one
        (13, 8, 8),  # nothing was lost
        (13, 12, 9),  # seen beyond what survived
        (12, 6, 5),  # the next one began at 5
        (12, 4, 4),
        (11, 20, 5),  # the lowest start on the way counts
        (11, 3, 3),
        (99, 3, 0),  # another log
        (None, 3, 0),
    ],
)
def test_a_consumer_resumes_at_the_lowest_point_that_survived(epoch: int | None, offset: int, resumed: int) -> None:
    """Every epoch behind the consumer's own may have begun below its position."""
    assert resume_offset(epoch, offset, EPOCHS) == resumed


def follow(epoch: int | None = 1, offset: int = 0, head: int = 0, *, everything: bool = False) -> Recovery[str]:
    """Make a CatchUp that has heard the heartbeat of epoch 1."""
    follower: Recovery[str] = Recovery(epoch=epoch, offset=offset, everything=everything)
    follower.heartbeat(1, head, 1, [(1, 0)])
    return follower


def test_a_message_that_follows_the_last_one_is_delivered_without_a_question() -> None:
    """The chain proves that nothing is missing, also across offsets of other prefixes."""
    follower = follow()
    follower.message(1, 3, 0, "three")
    follower.message(1, 9, 3, "nine")

    assert follower.take() == ["three", "nine"]
    assert follower.take() == []
    assert follower.request() is None
    assert (follower.epoch, follower.offset) == (1, 9)


def test_a_gap_is_fetched_just_as_far_as_the_chain_says() -> None:
    """What came behind the gap waits, and is not fetched again."""
    follower = follow()
    follower.message(1, 9, 4, "nine")
    request = follower.request()

    assert request == Fetch(0, 4)
    assert follower.request() is None
    assert follower.take() == []
    assert isinstance(request, Fetch)
    follower.fetched(request, 1, 1, 4, [(2, "two"), (4, "four")])
    assert follower.take() == ["two", "four", "nine"]
    assert follower.refetched == 2


def test_a_message_without_a_chain_makes_the_consumer_ask() -> None:
    """The publisher may have forgotten the prefix: then everything before the message is fetched."""
    follower = follow()
    follower.message(1, 9, None, "nine")

    assert follower.request() == Fetch(0, 8)


def test_a_lost_last_message_is_found_by_the_heartbeat() -> None:
    """Behind the head, a narrow prefix asks first whether that concerns it; everything fetches at once."""
    narrow, everything = follow(head=5), follow(head=5, everything=True)
    request = narrow.request()

    assert everything.request() == Fetch(0, 5)
    assert request == Check(0)
    assert isinstance(request, Check)
    narrow.checked(request, 1, 5, 1, 3)
    assert narrow.request() == Fetch(0, 3)


def test_a_head_that_does_not_concern_the_prefix_moves_the_position_on() -> None:
    """So an idle prefix does not fall behind retention."""
    follower = follow(head=5)
    request = follower.request()
    assert isinstance(request, Check)
    follower.checked(request, 1, 6, 1, 0)

    assert follower.offset == 6
    assert follower.request() is None


def test_a_request_that_failed_is_asked_again() -> None:
    """Nothing is forgotten when the publisher does not answer; its late answer is ignored."""
    follower = follow(head=2, everything=True)
    first = follower.request()
    assert isinstance(first, Fetch)
    follower.failed(first)
    second = follower.request()

    assert second == first
    follower.fetched(first, 1, 1, 2, [(1, "late"), (2, "late")])
    assert follower.take() == []
    assert isinstance(second, Fetch)
    follower.fetched(second, 1, 1, 2, [(1, "one"), (2, "two")])
    assert follower.take() == ["one", "two"]


def test_messages_before_the_first_heartbeat_are_fetched_later() -> None:
    """Until the epoch is settled, nothing is trusted: the consumer asks which one it is."""
    follower: Recovery[str] = Recovery(epoch=7, offset=1)
    follower.message(8, 2, 1, "two")
    request = follower.request()

    assert follower.take() == []
    assert isinstance(request, Info)
    follower.informed(request, 8, 2, 1, [(7, 0), (8, 1)])
    assert follower.request() == Check(1)


def test_a_power_cut_takes_the_consumer_back_to_what_survived() -> None:
    """It is told, and gets what the publisher gave the same offsets to."""
    follower = follow(offset=10, head=10)
    follower.heartbeat(2, 8, 1, [(1, 0), (2, 7)])

    assert follower.take_notices() == [Rewound(10, 7)]
    assert follower.take_notices() == []
    assert (follower.epoch, follower.offset) == (2, 7)
    follower.message(2, 8, 7, "eight again")
    assert follower.take() == ["eight again"]


def test_a_new_epoch_that_lost_nothing_is_no_news() -> None:
    """A consumer that had not seen beyond the start of the new epoch just goes on."""
    follower = follow(offset=7, head=7)
    follower.message(1, 9, 8, "of the old epoch")
    follower.heartbeat(2, 7, 1, [(1, 0), (2, 7)])

    assert follower.take_notices() == []
    assert follower.request() is None
    follower.message(2, 8, 0, "eight")
    assert follower.take() == ["eight"]


def test_a_straggling_heartbeat_of_an_old_epoch_changes_nothing() -> None:
    """It may come from a dead process or from a restored backup: only asking tells."""
    follower = follow()
    follower.heartbeat(2, 0, 1, [(1, 0), (2, 0)])
    follower.heartbeat(1, 5, 1, [(1, 0)])
    request = follower.request()

    assert follower.epoch == 2
    assert isinstance(request, Info)
    follower.informed(request, 2, 0, 1, [(1, 0), (2, 0)])
    assert follower.request() is None


@pytest.mark.fault(item="F20")
def test_a_restored_backup_takes_the_consumer_back_to_its_end() -> None:
    """The same epoch with a head before our position: only asking tells that it is so, then its offsets are read."""
    follower = follow(offset=10, head=10)
    follower.heartbeat(1, 5, 1, [(1, 0)])

    request = follower.request()
    assert request == Info(10)
    follower.informed(request, 1, 5, 1, [(1, 0)])

    assert follower.take_notices() == [Rewound(10, 5)]
    follower.message(1, 6, 5, "six")
    assert follower.take() == ["six"]


def test_a_heartbeat_that_a_reply_has_overtaken_takes_nothing_back() -> None:
    """Its head is old, which the answer to `info` shows."""
    follower = follow(offset=10, head=10)
    follower.heartbeat(1, 9, 1, [(1, 0)])

    request = follower.request()
    assert isinstance(request, Info)
    follower.informed(request, 1, 10, 1, [(1, 0)])

    assert (follower.take_notices(), follower.offset) == ([], 10)


def test_a_damaged_record_is_told_and_passed_over() -> None:
    """Its offset is named, and what follows is delivered."""
    follower = follow(head=3)
    request = follower.request()
    assert request == Check(0)
    follower.checked(request, 1, 3, 1, 3)
    request = follower.request()
    assert isinstance(request, Fetch)

    follower.fetched(request, 1, 1, 3, [(1, "one"), (3, "three")], [2])

    assert (follower.take(), follower.take_notices()) == (["one", "three"], [Damaged(2)])


def test_a_newest_event_that_is_damaged_is_told() -> None:
    """Of what lies behind our offset; with the beginner's listing it is all."""
    follower = Recovery[str](offset=None, latest=True)
    follower.heartbeat(1, 9, 1, [(1, 0)])
    request = follower.request()
    assert isinstance(request, Latest)

    follower.listed(request, 1, 9, 1, [(4, "four")], "", [7])

    assert (follower.take(), follower.take_notices()) == (["four"], [Damaged(7)])


def test_only_so_many_messages_wait_for_a_gap_to_close() -> None:
    """What is dropped beyond the limit is fetched later."""
    follower = follow()
    last = DEFAULT_LIMITS.pending_messages + 50
    for offset in range(2, last + 1):
        follower.message(1, offset, offset - 1, str(offset))
    assert len(follower._pending) == DEFAULT_LIMITS.pending_messages

    request = follower.request()
    assert isinstance(request, Fetch)
    follower.fetched(request, 1, 1, 1, [(1, "1")])
    assert len(follower.take()) == DEFAULT_LIMITS.pending_messages + 1
    assert follower.request() == Check(DEFAULT_LIMITS.pending_messages + 1)


def test_the_next_offset_needs_no_chain() -> None:
    """A publisher that has forgotten the prefix cannot make the consumer ask where the offsets themselves prove it."""
    follower = follow(offset=4, head=4)
    follower.message(1, 5, None, "five")

    assert follower.take() == ["five"]
    assert follower.request() is None
