"""Catching up against a model publisher and an adversarial network.

The model publisher below keeps a log for each epoch; the network holds back, repeats, reorders and loses whatever is
sent in either direction. The consumer applies what `CatchUp` hands over the way a service does: it appends, and a
`Rewound` makes it drop what it had beyond. After every hand-over the consumer must have exactly what the log of the
epoch held up to `CatchUp.offset`, but for what a `Truncated` has named.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bus import catchup
from bus.catchup import CatchUp, Check, Fetch, Info, Request, Rewound, Truncated, resume_offset
from bus.wire import Epochs

TOPICS = ["a.", "a.x.", "a.y.", "a.x.1.", "b.", "b.x."]
PREFIXES = ["", "a.", "a.x.", "b.x."]
pick = st.integers(0, 1_000_000)  # chooses one of what there is, whatever its number


class Event(NamedTuple):
    """What is delivered. `serial` tells apart events that got the same offset after a power cut."""

    offset: int
    topic: str
    serial: int


class Message(NamedTuple):
    """A feed message as one subscriber sees it."""

    epoch: int
    offset: int
    previous: int | None
    event: Event


class Beat(NamedTuple):
    """A heartbeat, and the answer to `info`."""

    epoch: int
    head: int
    epochs: Epochs


class Page(NamedTuple):
    """The answer to `fetch`."""

    epoch: int
    first: int
    next: int
    events: list[tuple[int, Event]]


class Checked(NamedTuple):
    """The answer to `check`."""

    epoch: int
    head: int
    last: int


Reply = Beat | Page | Checked


@dataclass
class ModelLog:
    """The log of one epoch, with what retention has left of it."""

    epoch: int
    epochs: Epochs
    events: list[Event] = field(default_factory=list)
    first: int = 1

    @property
    def head(self) -> int:
        """The newest offset."""
        return len(self.events)

    def matching(self, prefix: str, after: int, until: int) -> list[Event]:
        """Give what was ever logged with a prefix in (after, until]."""
        return [event for event in self.events[after:until] if event.topic.startswith(prefix)]


class ModelPublisher:
    """A publisher in a few lines, true to the protocol, that remembers all its logs for the check."""

    def __init__(self) -> None:
        """Start with an empty log."""
        self.serial = 0
        self.logs: dict[int, ModelLog] = {}
        self.begin([], [])

    def begin(self, events: list[Event], before: Epochs) -> None:
        """Start an epoch with these events kept."""
        epoch = 1000 + len(self.logs)
        first = self.log.first if events else 1
        self.log = ModelLog(epoch, [*before, (epoch, len(events))], events, min(first, len(events) + 1))
        self.logs[epoch] = self.log

    log = ModelLog(0, [])

    def publish(self, topic: str, prefix: str, *, forgotten: bool) -> Message | None:
        """Log an event, and give the feed message if a subscriber to `prefix` gets it."""
        self.serial += 1
        before = self.log.matching(prefix, 0, self.log.head)
        event = Event(self.log.head + 1, topic, self.serial)
        self.log.events.append(event)
        previous = before[-1].offset if before else 0
        if not prefix:
            previous, forgotten = event.offset - 1, False
        return (
            Message(self.log.epoch, event.offset, None if forgotten else previous, event)
            if (topic.startswith(prefix))
            else None
        )

    def beat(self) -> Beat:
        """Say where the log is."""
        return Beat(self.log.epoch, self.log.head, list(self.log.epochs))

    def fetch(self, prefix: str, request: Fetch, limit: int) -> Page:
        """Answer as `Log.fetch` does."""
        log = self.log
        after = max(request.after, log.first - 1)
        until = min(request.until, log.head)
        found = log.matching(prefix, after, max(until, after))
        page = found[:limit]
        reached = page[-1].offset if len(page) == limit else max(after, until)
        return Page(log.epoch, log.first, reached, [(event.offset, event) for event in page])

    def check(self, prefix: str, request: Check) -> Checked:
        """Answer as `Publisher` does."""
        found = self.log.matching(prefix, request.after, self.log.head)
        return Checked(self.log.epoch, self.log.head, found[-1].offset if found else 0)

    def answer(self, prefix: str, request: Request, limit: int) -> Reply:
        """Answer a request as things stand now."""
        match request:
            case Info():
                return self.beat()
            case Check():
                return self.check(prefix, request)
            case Fetch():
                return self.fetch(prefix, request, limit)


class Consumer:
    """Applies what a CatchUp hands over, and checks it against the publisher's logs."""

    def __init__(self, publisher: ModelPublisher, follower: CatchUp[Event], prefix: str) -> None:
        """Begin where the CatchUp begins."""
        self.publisher, self.follower, self.prefix = publisher, follower, prefix
        self.start: int | None = follower.offset
        self.epoch = follower.epoch
        self.view: list[Event] = []
        self.gone: list[Truncated] = []

    def take(self) -> None:
        """Take notices, then events, as `bus.source` does, and check what we have now."""
        for notice in self.follower.take_notices():
            if isinstance(notice, Rewound):
                assert notice.to == min(notice.at, self.surviving()) < notice.at
                assert self.view == [] or self.view[-1].offset <= notice.at
                self.view = [event for event in self.view if event.offset <= notice.to]
                self.gone = [Truncated(gone.after, min(gone.first, notice.to + 1)) for gone in self.gone]
                assert self.start is not None
                self.start = min(notice.to, self.start)
            else:
                assert notice.count >= 1
                assert notice.first <= max(log.first for log in self.publisher.logs.values())
                self.gone.append(notice)
        self.view += self.follower.take()
        self.epoch = self.follower.epoch
        self.check()

    def surviving(self) -> int:
        """Count the events that the log of our old epoch and that of the new one have in common."""
        old, new = self.publisher.logs.get(self.epoch or 0), self.publisher.logs[self.follower.epoch or 0]
        if old is None:
            return 0
        assert new.epoch not in dict(old.epochs), "a dead epoch, known as such, was taken up again"
        pairs = zip(old.events, new.events, strict=False)
        return next((index for index, (one, other) in enumerate(pairs) if one != other), min(old.head, new.head))

    def hear(self, beat: Beat) -> None:
        """Take a heartbeat; whoever starts now, starts at the head of the first one."""
        self.take()  # before the epoch may change
        self.follower.heartbeat(*beat)
        self.begin_at(beat)

    def learn(self, request: Request, reply: Reply) -> None:
        """Take a reply."""
        self.take()
        give(self.follower, request, reply)
        if isinstance(reply, Beat):
            self.begin_at(reply)

    def begin_at(self, beat: Beat) -> None:
        """Note where a consumer that starts now has started."""
        if self.start is None and self.follower.offset is not None:
            assert self.follower.offset == beat.head
            self.start = beat.head

    def check(self) -> None:
        """Everything of the prefix up to the position is here, once and in order, or was named as gone."""
        epoch, offset = self.follower.epoch, self.follower.offset
        if epoch is None or offset is None:
            assert self.view == []
            return
        assert self.start is not None
        wanted = self.publisher.logs[epoch].matching(self.prefix, self.start, offset)
        kept = [event for event in wanted if not self._is_gone(event.offset)]
        assert [event for event in self.view if not self._is_gone(event.offset)] == kept
        assert [event for event in self.view if event not in wanted] == []

    def _is_gone(self, offset: int) -> bool:
        return any(gone.after < offset < gone.first for gone in self.gone)


def settle(publisher: ModelPublisher, consumer: Consumer, limit: int) -> None:
    """Let the quiet phase happen: one heartbeat, then every request is answered."""
    follower = consumer.follower
    consumer.hear(publisher.beat())
    for _ in range(6 * publisher.log.head + 20):
        consumer.take()
        request = follower.request()
        if request is None:
            return
        consumer.learn(request, publisher.answer(consumer.prefix, request, limit))
    pytest.fail("the questions do not end")


def give(follower: CatchUp[Event], request: Request, reply: Reply) -> None:
    """Hand a reply in."""
    match request, reply:
        case Info(), Beat():
            follower.informed(request, *reply)
        case Check(), Checked():
            follower.checked(request, *reply)
        case Fetch(), Page():
            follower.fetched(request, *reply)


class Network(RuleBasedStateMachine):
    """Every interleaving of a publisher, a consumer and a bad network, with one epoch and no retention."""

    follower_class: type[CatchUp[Event]] = CatchUp

    def __init__(self) -> None:
        """Start with nothing under way."""
        super().__init__()
        self.publisher = ModelPublisher()
        self.feed: list[Message | Beat] = []
        self.asked: list[Request] = []
        self.replies: list[tuple[Request, Reply]] = []

    @initialize(
        before=st.lists(st.sampled_from(TOPICS), max_size=8),
        prefix=st.sampled_from(PREFIXES),
        start=pick,
        now=st.booleans(),
    )
    def begin(self, before: list[str], prefix: str, start: int, now: bool) -> None:
        """Start behind a log of some events: at its beginning, at a stored position, or now."""
        for topic in before:
            self.publisher.publish(topic, prefix, forgotten=False)
        at = start % (len(before) + 1)
        self.connect(prefix, self.publisher.log.epoch if at else None, None if now else at)

    def connect(self, prefix: str, epoch: int | None, offset: int | None) -> None:
        """Make the CatchUp; the epoch of a stored position is known."""
        follower = self.follower_class(epoch=epoch if offset else None, offset=offset, everything=not prefix)
        self.consumer = Consumer(self.publisher, follower, prefix)

    @property
    def follower(self) -> CatchUp[Event]:
        """The class under test."""
        return self.consumer.follower

    @rule(topic=st.sampled_from(TOPICS), forgotten=st.booleans(), arrives=st.booleans())
    def publish(self, topic: str, forgotten: bool, arrives: bool) -> None:
        """Log an event; its message arrives at once, or is under way."""
        message = self.publisher.publish(topic, self.consumer.prefix, forgotten=forgotten)
        if message is not None:
            self.feed.append(message)
            if arrives:
                self.arrive(-1, repeated=False)

    @rule()
    def beat(self) -> None:
        """Send a heartbeat."""
        self.feed.append(self.publisher.beat())

    @precondition(lambda self: self.feed)
    @rule(which=pick, repeated=st.booleans())
    def arrive(self, which: int, repeated: bool) -> None:
        """Anything under way arrives, in any order, and perhaps again later."""
        which %= len(self.feed)
        thing = self.feed[which] if repeated else self.feed.pop(which)
        if isinstance(thing, Message):
            self.follower.message(*thing)
        else:
            self.consumer.hear(thing)

    @precondition(lambda self: self.feed)
    @rule(which=pick)
    def lose(self, which: int) -> None:
        """Something under way is lost."""
        self.feed.pop(which % len(self.feed))

    @rule(answered=st.booleans(), limit=st.integers(1, 3))
    def ask(self, answered: bool, limit: int) -> None:
        """Send what the consumer wants to know; the answer may come at once."""
        request = self.follower.request()
        if request is not None:
            self.asked.append(request)
            if answered:
                self.answer(-1, limit, arrives=True)

    @precondition(lambda self: self.asked)
    @rule(which=pick, limit=st.integers(1, 3), arrives=st.booleans())
    def answer(self, which: int, limit: int, arrives: bool) -> None:
        """The publisher answers an open question, in small pages; also one that was given up."""
        request = self.asked.pop(which % len(self.asked))
        self.replies.append((request, self.publisher.answer(self.consumer.prefix, request, limit)))
        if arrives:
            self.reply(-1, repeated=False)

    @precondition(lambda self: self.replies)
    @rule(which=pick, repeated=st.booleans())
    def reply(self, which: int, repeated: bool) -> None:
        """An answer arrives, perhaps late, perhaps twice."""
        which %= len(self.replies)
        request, reply = self.replies[which] if repeated else self.replies.pop(which)
        self.consumer.learn(request, reply)

    @precondition(lambda self: self.asked or self.replies)
    @rule(which=pick)
    def fail(self, which: int) -> None:
        """A request is given up, though its answer may still come."""
        self.follower.failed([*self.asked, *(request for request, _ in self.replies)][which % self.under_way])

    @property
    def under_way(self) -> int:
        """Count the questions and answers on the network."""
        return len(self.asked) + len(self.replies)

    @rule()
    def reconnect(self) -> None:
        """The connection is made anew: what was under way is lost, but for answers that were read already."""
        self.follower.forget()
        self.feed.clear()
        self.asked.clear()

    @rule()
    def take(self) -> None:
        """The consumer takes what is ready."""
        self.consumer.take()

    @rule()
    def consumer_restarts(self) -> None:
        """The consumer is killed after it stored its position, and goes on from there."""
        self.consumer.take()
        old = self.follower
        new = self.follower_class(epoch=old.epoch, offset=old.offset, everything=not self.consumer.prefix)
        self.consumer.follower = new
        self.reconnect()  # it has new sockets, which nothing old can reach
        self.replies.clear()

    @rule(limit=st.integers(1, 3))
    def quiet(self, limit: int) -> None:
        """Let the network work for a while: then nothing is missing."""
        self.follower.forget()  # open questions run into their time limit
        settle(self.publisher, self.consumer, limit)
        assert self.follower.epoch == self.publisher.log.epoch
        assert self.follower.offset == self.publisher.log.head

    @invariant()
    def pending_is_bounded(self) -> None:
        """No more than the limit waits."""
        if hasattr(self, "consumer"):
            assert len(self.follower._pending) <= catchup.PENDING_LIMIT

    def teardown(self) -> None:
        """End with the quiet phase."""
        if hasattr(self, "consumer"):
            self.quiet(2)


class BadPublisher(Network):
    """The same, and the publisher's log has a life too: power cuts, a wiped log, retention."""

    @rule(lost=st.integers(0, 4), survives=st.booleans())
    def power_cut(self, lost: int, survives: bool) -> None:
        """A new epoch begins, with the log rolled back or not; old messages may be under way."""
        log = self.publisher.log
        kept = log.head if survives else max(log.first - 1, log.head - lost)
        self.publisher.begin(log.events[:kept], log.epochs)
        assert self.publisher.log.first <= kept + 1

    @rule()
    def wipe(self) -> None:
        """The log is another one, which knows nothing of the old epochs."""
        self.publisher.begin([], [])

    @rule(count=st.integers(1, 5))
    def retain(self, count: int) -> None:
        """Retention takes the oldest events."""
        log = self.publisher.log
        log.first = min(log.first + count, log.head + 1)


SETTINGS = settings(max_examples=100, stateful_step_count=30)
HISTORIES = 1500
STEPS = 120


def play(kind: type[Network], seed: int) -> None:
    """Play one long random history: hypothesis finds short ones, this reaches states that need many steps."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    network = kind()
    network.begin(
        rng.choices(TOPICS, k=rng.randint(0, 8)), rng.choice(PREFIXES), rng.getrandbits(16), rng.random() < 0.2
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


class Careless(CatchUp[Event]):
    """Ignores the chain: hands over every newer message at once."""

    def message(self, epoch: int, offset: int, previous: int | None, item: Event) -> None:
        """Claim that the message before was handed over."""
        super().message(epoch, offset, None if previous is None else 0, item)


class Deaf(CatchUp[Event]):
    """Ignores heartbeats once it knows the epoch, so that a lost last message stays lost."""

    def heartbeat(self, epoch: int, head: int, epochs: Epochs) -> None:
        """Take the first one only."""
        if not self._adopted:
            super().heartbeat(epoch, head, epochs)


class Gullible(CatchUp[Event]):
    """Takes any reply for the answer that it waits for, whatever epoch it is of."""

    def _answers(self, request: Request, epoch: int) -> bool:
        del request, epoch
        self._outstanding = None
        return True


class Stubborn(CatchUp[Event]):
    """Keeps its offset whatever epoch the publisher is in."""

    def _adopt(self, epoch: int, head: int, epochs: Epochs) -> None:
        if self._adopted:
            self.epoch = epoch
        super()._adopt(epoch, head, epochs)


@pytest.mark.parametrize(
    ("wrong", "kind"), [(Careless, Network), (Deaf, Network), (Gullible, BadPublisher), (Stubborn, BadPublisher)]
)
def test_the_checker_finds_a_wrong_catch_up(wrong: type[CatchUp[Event]], kind: type[Network]) -> None:
    """Negative control: the same check fails for classes that ignore the chain, heartbeats, late replies or epochs."""
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


def follow(epoch: int | None = 1, offset: int = 0, head: int = 0, *, everything: bool = False) -> CatchUp[str]:
    """Make a CatchUp that has heard the heartbeat of epoch 1."""
    follower: CatchUp[str] = CatchUp(epoch=epoch, offset=offset, everything=everything)
    follower.heartbeat(1, head, [(1, 0)])
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
    narrow.checked(request, 1, 5, 3)
    assert narrow.request() == Fetch(0, 3)


def test_a_head_that_does_not_concern_the_prefix_moves_the_position_on() -> None:
    """So an idle prefix does not fall behind retention."""
    follower = follow(head=5)
    request = follower.request()
    assert isinstance(request, Check)
    follower.checked(request, 1, 6, 0)

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
    follower: CatchUp[str] = CatchUp(epoch=7, offset=1)
    follower.message(8, 2, 1, "two")
    request = follower.request()

    assert follower.take() == []
    assert isinstance(request, Info)
    follower.informed(request, 8, 2, [(7, 0), (8, 1)])
    assert follower.request() == Check(1)


def test_a_power_cut_takes_the_consumer_back_to_what_survived() -> None:
    """It is told, and gets what the publisher gave the same offsets to."""
    follower = follow(offset=10, head=10)
    follower.heartbeat(2, 8, [(1, 0), (2, 7)])

    assert follower.take_notices() == [Rewound(10, 7)]
    assert follower.take_notices() == []
    assert (follower.epoch, follower.offset) == (2, 7)
    follower.message(2, 8, 7, "eight again")
    assert follower.take() == ["eight again"]


def test_a_new_epoch_that_lost_nothing_is_no_news() -> None:
    """A consumer that had not seen beyond the start of the new epoch just goes on."""
    follower = follow(offset=7, head=7)
    follower.message(1, 9, 8, "of the old epoch")
    follower.heartbeat(2, 7, [(1, 0), (2, 7)])

    assert follower.take_notices() == []
    assert follower.request() is None
    follower.message(2, 8, 0, "eight")
    assert follower.take() == ["eight"]


def test_a_straggling_heartbeat_of_an_old_epoch_changes_nothing() -> None:
    """It may come from a dead process or from a restored backup: only asking tells."""
    follower = follow()
    follower.heartbeat(2, 0, [(1, 0), (2, 0)])
    follower.heartbeat(1, 5, [(1, 0)])
    request = follower.request()

    assert follower.epoch == 2
    assert isinstance(request, Info)
    follower.informed(request, 2, 0, [(1, 0), (2, 0)])
    assert follower.request() is None


def test_what_retention_has_taken_is_told_once_with_its_count() -> None:
    """The consumer goes on at the first event that is kept."""
    follower = follow(offset=3, head=12, everything=True)
    request = follower.request()
    assert isinstance(request, Fetch)
    follower.fetched(request, 1, 10, 11, [(10, "ten"), (11, "eleven")])
    request = follower.request()
    assert isinstance(request, Fetch)
    follower.fetched(request, 1, 10, 12, [(12, "twelve")])
    (notice,) = follower.take_notices()

    assert notice == Truncated(3, 10)
    assert isinstance(notice, Truncated)
    assert notice.count == 6
    assert follower.take() == ["ten", "eleven", "twelve"]
    assert follower.request() is None


def test_only_so_many_messages_wait_for_a_gap_to_close() -> None:
    """What is dropped beyond the limit is fetched later."""
    follower = follow()
    last = catchup.PENDING_LIMIT + 50
    for offset in range(2, last + 1):
        follower.message(1, offset, offset - 1, str(offset))
    assert len(follower._pending) == catchup.PENDING_LIMIT

    request = follower.request()
    assert isinstance(request, Fetch)
    follower.fetched(request, 1, 1, 1, [(1, "1")])
    assert len(follower.take()) == catchup.PENDING_LIMIT + 1
    assert follower.request() == Check(catchup.PENDING_LIMIT + 1)


def test_the_next_offset_needs_no_chain() -> None:
    """A publisher that has forgotten the prefix cannot make the consumer ask where the offsets themselves prove it."""
    follower = follow(offset=4, head=4)
    follower.message(1, 5, None, "five")

    assert follower.take() == ["five"]
    assert follower.request() is None
