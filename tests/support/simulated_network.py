"""An adversarial network between a model publisher and a consumer, for tests of recovery.

The model publisher keeps a log for each epoch; the network holds back, repeats, reorders and loses whatever is
sent in either direction. The consumer applies what `Recovery` hands over the way a service does: it appends, and a
`Rewound` makes it drop what it had beyond. After every hand-over the consumer must have exactly what the log of the
epoch held up to `Recovery.offset`, but for what a `Truncated` has named.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bus.config.limits import DEFAULT_LIMITS
from bus.protocol.recovery import Check, Fetch, Info, Latest, Recovery, Request, Rewound, Truncated
from tests.support.model_publisher import Beat, Checked, Event, Listed, Message, ModelPublisher, Page, Reply

TOPICS = ["a.", "a.x.", "a.y.", "a.x.1.", "b.", "b.x."]
PREFIXES = ["", "a.", "a.x.", "b.x."]
STARTS = ["stored", "stored", "now", "latest"]
pick = st.integers(0, 1_000_000)  # chooses one of what there is, whatever its number


class Consumer:
    """Applies what a `Recovery` hands over, and checks it against the publisher's logs."""

    def __init__(self, publisher: ModelPublisher, recovery: Recovery[Event], prefix: str) -> None:
        """Begin where the `Recovery` begins."""
        self.publisher, self.recovery, self.prefix = publisher, recovery, prefix
        self.start: int | None = recovery.offset
        self.epoch = recovery.epoch
        self.view: list[Event] = []
        self.gone: list[Truncated] = []
        self.reopened: list[Truncated] = []  # gone, and then a power cut made old events the newest ones again

    def take(self) -> None:
        """Take notices, then events, as `bus.subscriber.source` does, and check what we have now."""
        for notice in self.recovery.take_notices():
            if isinstance(notice, Rewound):
                assert notice.to == min(notice.at, self.surviving()) < notice.at
                assert self.view == [] or self.view[-1].offset <= notice.at
                self.view = [event for event in self.view if event.offset <= notice.to]
                self.gone = [Truncated(gone.after, min(gone.first, notice.to + 1)) for gone in self.gone]
                assert self.start is not None
                self.start = min(notice.to, self.start)
            elif isinstance(notice, Truncated):
                assert notice.count >= 1
                assert notice.first <= max(log.first for log in self.publisher.logs.values())
                self.gone.append(notice)
        self.view += self.recovery.take()
        if self.recovery.epoch != self.epoch:
            self.reopened += self.gone
        self.epoch = self.recovery.epoch
        self.check()

    def surviving(self) -> int:
        """Count the events that the log of our old epoch and that of the new one have in common."""
        old, new = self.publisher.logs.get(self.epoch or 0), self.publisher.logs[self.recovery.epoch or 0]
        if old is None:
            return 0
        assert new.epoch not in dict(old.epochs), "a dead epoch, known as such, was taken up again"
        pairs = zip(old.events, new.events, strict=False)
        return next((index for index, (one, other) in enumerate(pairs) if one != other), min(old.head, new.head))

    def hear(self, beat: Beat) -> None:
        """Take a heartbeat; whoever starts now, starts at the head of the first one."""
        self.take()  # before the epoch may change
        self.recovery.heartbeat(*beat)
        self.begin_at(beat)

    def learn(self, request: Request, reply: Reply) -> None:
        """Take a reply."""
        self.take()
        give(self.recovery, request, reply)
        if isinstance(reply, Beat):
            self.begin_at(reply)
        elif isinstance(reply, Listed) and self.start is None and self.recovery.offset is not None:
            # the newest events were listed: only they are here of what came up to the position
            self.start = 0
            self.gone.append(Truncated(0, self.recovery.offset + 1))

    def begin_at(self, beat: Beat) -> None:
        """Record the start position of a consumer that starts now."""
        if self.start is None and self.recovery.offset is not None:
            assert self.recovery.offset == beat.head
            self.start = beat.head

    def check(self) -> None:
        """Everything of the prefix up to the position is here, once and in order, or was named as gone."""
        epoch, offset = self.recovery.epoch, self.recovery.offset
        if epoch is None or offset is None:
            assert self.view == []
            return
        assert self.start is not None
        wanted = self.publisher.logs[epoch].matching(self.prefix, self.start, offset)
        kept = [event for event in wanted if not self._is_gone(event.offset)]
        assert [event for event in self.view if not self._is_gone(event.offset)] == kept
        assert [event for event in self.view if event not in wanted] == []
        offsets = [event.offset for event in self.view]
        assert offsets == sorted(set(offsets))

    def check_state(self) -> None:
        """Whatever retention took, the newest event of every compacted topic is here."""
        log, start = self.publisher.log, self.start
        assert start is not None
        for event in log.newest(self.prefix):
            if event.offset > start and not any(one.after < event.offset < one.first for one in self.reopened):
                assert event in self.view

    def _is_gone(self, offset: int) -> bool:
        return any(gone.after < offset < gone.first for gone in self.gone)


def settle(publisher: ModelPublisher, consumer: Consumer, limit: int) -> None:
    """Let the quiet phase happen: one heartbeat, then every request is answered."""
    recovery = consumer.recovery
    consumer.hear(publisher.beat())
    for _ in range(6 * publisher.log.head + 20):
        consumer.take()
        request = recovery.request(limit)
        if request is None:
            return
        consumer.learn(request, publisher.answer(consumer.prefix, request, limit))
    pytest.fail("the questions do not end")


def give(recovery: Recovery[Event], request: Request, reply: Reply) -> None:
    """Hand a reply in."""
    match request, reply:
        case Info(), Beat():
            recovery.informed(request, *reply)
        case Check(), Checked():
            recovery.checked(request, *reply)
        case Fetch(), Page():
            recovery.fetched(request, *reply)
        case Latest(), Listed():
            recovery.listed(request, *reply)


class Network(RuleBasedStateMachine):
    """Every interleaving of a publisher, a consumer and a bad network, with one epoch and no retention."""

    recovery_class: type[Recovery[Event]] = Recovery

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
        how=st.sampled_from(STARTS),
    )
    def begin(self, before: list[str], prefix: str, start: int, how: str) -> None:
        """Start behind a log of some events: at its beginning or a stored position, now, or with the newest events."""
        for topic in before:
            self.publisher.publish(topic, prefix, forgotten=False)
        at = start % (len(before) + 1)
        epoch, offset = (self.publisher.log.epoch, at) if at and how == "stored" else (None, 0)
        recovery = self.recovery_class(
            epoch=epoch,
            offset=offset if how == "stored" else None,
            everything=not prefix,
            latest=how == "latest",
        )
        self.consumer = Consumer(self.publisher, recovery, prefix)

    @property
    def recovery(self) -> Recovery[Event]:
        """The class under test."""
        return self.consumer.recovery

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
            self.recovery.message(*thing)
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
        request = self.recovery.request(limit)
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
        self.recovery.failed([*self.asked, *(request for request, _ in self.replies)][which % self.under_way])

    @property
    def under_way(self) -> int:
        """Count the questions and answers on the network."""
        return len(self.asked) + len(self.replies)

    @rule()
    def reconnect(self) -> None:
        """The connection is made anew: what was under way is lost, but for answers that were read already."""
        self.recovery.forget()
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
        old = self.recovery
        new = self.recovery_class(
            epoch=old.epoch, offset=old.offset, everything=not self.consumer.prefix, latest=old._latest
        )
        self.consumer.recovery = new
        self.reconnect()  # it has new sockets, which nothing old can reach
        self.replies.clear()

    @rule(limit=st.integers(1, 3))
    def quiet(self, limit: int) -> None:
        """Let the network work for a while: then nothing is missing."""
        self.recovery.forget()  # open questions run into their time limit
        settle(self.publisher, self.consumer, limit)
        assert self.recovery.epoch == self.publisher.log.epoch
        assert self.recovery.offset == self.publisher.log.head
        self.consumer.check_state()

    @invariant()
    def pending_is_bounded(self) -> None:
        """No more than the limit waits."""
        if hasattr(self, "consumer"):
            assert len(self.recovery._pending) <= DEFAULT_LIMITS.pending_messages

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
