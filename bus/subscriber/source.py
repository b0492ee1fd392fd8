"""One publisher as a subscriber sees it: the sockets around the decisions of `bus.protocol.recovery`."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.protocol import topics
from bus.protocol.addresses import Address, AddressError, parse_address
from bus.protocol.control import PAGE_LIMIT, ControlError, InfoReply
from bus.protocol.frames import PROTOCOL, feed_decoder, heartbeat_decoder
from bus.protocol.identity import FeedIdentity, WrongFeed
from bus.protocol.recovery import Notice, Recovery
from bus.protocol.validation import InvalidInputError, decode
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.questions import ASK_SECONDS, Questions
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Point
from bus.transport import sockets
from bus.transport.client import RequestClient
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.sockets import CurveClient, Socket

TICK_SECONDS: Final = 1.0
URGE_SECONDS: Final = 0.05
QUIET_TICKS: Final = 4  # three heartbeats missing: libzmq does not reconnect by itself after a protocol error
RETURN_SECONDS: Final = 0.25  # for the first question after a stop, which may still reach the process that ends
HEARTBEAT: Final = topics.HEARTBEAT.encode()
HELP: Final = {
    "variantbus_consumer_lag_events": "Offsets between a publisher's head and what has been handed over of a prefix.",
    "variantbus_consumer_silence_seconds": "Time since anything was heard of a publisher.",
    "variantbus_consumer_ready": "1 while all subscriptions at a publisher are active.",
    "variantbus_consumer_delivered_total": "Logged events handed over.",
    "variantbus_consumer_gaps_total": "How often events were missing and had to be fetched; so does every catching up.",
    "variantbus_consumer_refetched_total": "Events that came by fetching, not by the feed.",
    "variantbus_consumer_malformed_total": "Messages of the feed that were dropped as they break the protocol.",
    "variantbus_consumer_reconnects_total": "Connections made anew because the publisher was silent.",
    "variantbus_consumer_wrong_feed": "1 while the feed that is connected is another publisher's.",
    "variantbus_consumer_notices_total": "What a publisher could not give: truncated, rewound, damaged, wrongfeed.",
}
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a peer decides how much it sends, not how much we write


class SourceState(Struct, frozen=True):
    """The state of the connection to one publisher."""

    address: str
    ready: bool
    lag: int  # offsets between the publisher's head and what has been handed over
    refetched: int  # events that the feed had lost
    malformed: int  # messages that were dropped as they make no sense
    problem: str = ""  # why it is not ready, if that is known: a sentence


class Source:
    """Follows some prefixes of one publisher and hands over what is ready."""

    def __init__(  # noqa: PLR0913 - what a subscriber was given, handed through
        self,
        loop: Loop,
        address: str,
        starts: dict[str, Position | Start],
        deliver: Callable[[list[Delivery]], None],
        notify: Callable[[str, str, Notice], None],
        limits: Limits = DEFAULT_LIMITS,
        curve: CurveClient | None = None,
        *,
        feed: str = "",
    ) -> None:
        """Connect to the publisher's control address in the background; it tells where its feed is, if `feed` does not.

        `starts` has disjoint prefixes; "" is everything.
        """
        self.address = address
        self.ready = False
        self.delivered = self.malformed = self.reconnects = 0
        self._noticed: Counter[str] = Counter()
        self._loop, self._deliver, self._notify = loop, deliver, notify
        self._limits, self._curve, self._feed_address = limits, curve, feed
        self._recoveries = {prefix: self._new_recovery(prefix, start) for prefix, start in starts.items()}
        self._prefixes = list(starts)
        self._tokens = {prefix: prefix.count(".") for prefix in starts}
        self._pace = Pace(limits.messages_a_turn)
        self._questions = Questions(address, self._flush, self._pace)
        self._identity = FeedIdentity()
        self._problem = ""
        self._connected_feed = ""  # its address
        self._feed: Socket | None = None
        self._heard = time.monotonic()
        self._quiet_ticks = 0
        self._paused = False
        self._was_alone = False  # the last message: at a low rate
        self._asking = False  # for `info`, to connect
        self._info_seconds = ASK_SECONDS  # timeout of its answer
        self._stopped = False  # the publisher has announced that it closes
        self._closed = False
        self._client = RequestClient(loop, address, curve)
        self._timer = loop.every(TICK_SECONDS, self._tick)
        self._ask_info()

    def positions(self) -> dict[str, Position]:
        """Return how far each prefix is handed over; also an idle prefix moves on, as the head is verified."""
        return {
            prefix: Position(recovery.epoch, recovery.offset)
            for prefix, recovery in self._recoveries.items()
            if recovery.offset is not None
        }

    def points(self) -> Iterator[Point]:
        """Yield the points of this source. A lag is not known before the first heartbeat."""
        mine = {"publisher": self.address}
        for prefix, recovery in self._recoveries.items():
            if recovery.offset is not None and recovery.epoch is not None:
                lag = max(0, recovery.head - recovery.offset)
                yield "variantbus_consumer_lag_events", {**mine, "prefix": prefix}, lag
        yield "variantbus_consumer_silence_seconds", mine, time.monotonic() - self._heard
        yield "variantbus_consumer_ready", mine, int(self.ready)
        if self._identity.is_wrong:
            yield "variantbus_consumer_wrong_feed", {**mine, "feed": self._connected_feed}, 1
        yield "variantbus_consumer_delivered_total", mine, self.delivered
        yield "variantbus_consumer_gaps_total", mine, sum(one.gaps for one in self._recoveries.values())
        yield "variantbus_consumer_refetched_total", mine, sum(one.refetched for one in self._recoveries.values())
        yield "variantbus_consumer_malformed_total", mine, self.malformed
        yield "variantbus_consumer_reconnects_total", mine, self.reconnects
        for kind, count in self._noticed.items():
            yield "variantbus_consumer_notices_total", {**mine, "kind": kind}, count

    def state(self) -> SourceState:
        """Return the state of the connection."""
        followed = [recovery for recovery in self._recoveries.values() if recovery.offset is not None]
        return SourceState(
            address=self.address,
            ready=self.ready,
            lag=max((max(0, recovery.head - (recovery.offset or 0)) for recovery in followed), default=0),
            refetched=sum(recovery.refetched for recovery in self._recoveries.values()),
            malformed=self.malformed,
            problem=self._problem,
        )

    def pause(self) -> None:
        """Hand over no more for now, except replies under way; what is published meanwhile waits or is fetched."""
        self._paused = True
        if self._feed is not None:
            self._loop.remove(self._feed)

    def resume(self) -> None:
        """Continue after `pause`."""
        if self._paused:
            self._paused = False
            if self._feed is not None:
                self._loop.add(self._feed, self._on_feed)
            if self._stopped:
                self._await_return()
            else:
                self._pump()

    def close(self) -> None:
        """Release the sockets; what is under way in the present turn of the loop opens none again."""
        self._closed = True
        self._timer.cancel()
        self._close_feed()
        self._client.close()

    def _tick(self) -> None:
        """Once a second: detect silence, and repeat unanswered requests.

        Silence is counted in ticks, not in seconds: the loop may have stood still (a consumer that is busy, a laptop
        that slept), and then what was sent meanwhile waits in the socket and is read before it is missed.
        """
        self._quiet_ticks += 1
        if self._paused:
            self._quiet_ticks = 0
        elif self._feed is None:
            self._ask_info()
        elif self._quiet_ticks >= QUIET_TICKS:
            logger.warning("%s with its feed at %s is silent; connecting anew", self.address, self._connected_feed)
            self._problem = self._problem or f"its feed at {self._connected_feed} is silent"
            self.reconnects += 1
            self._reconnect()
        else:
            self._pump()

    def _reconnect(self) -> None:
        """Replace both sockets, and forget open requests: their answers will not arrive."""
        self._stopped = False
        self._close_feed()
        self._client.close()
        self._client = RequestClient(self._loop, self.address, self._curve)
        self._asking = False
        for recovery in self._recoveries.values():
            recovery.forget()
        self._ask_info()

    def _await_return(self) -> None:
        """Ask `info` of a publisher that has closed, soon and then less often, until it is back."""
        logger.info("%s has stopped; waiting until it is back", self.address)
        self._info_seconds = RETURN_SECONDS
        self._reconnect()

    def _ask_info(self) -> None:
        """Ask `info`, one request at a time: waiting requests would all arrive at once when the publisher starts."""
        if not self._asking:
            self._asking = True
            self._client.ask("info", {}, InfoReply, self._connect, self._not_informed, self._info_seconds)

    def _not_informed(self, error: ControlError) -> None:
        self._asking = False
        self._ignore(error)
        if self._info_seconds < ASK_SECONDS:  # the publisher may have restarted: do not wait for the next tick
            self._info_seconds = min(2 * self._info_seconds, ASK_SECONDS)
            self._ask_info()

    def _connect(self, info: InfoReply) -> None:
        """Subscribe to the prefixes, then to the heartbeat: receiving one proves that all subscriptions are active."""
        self._asking = False
        self._info_seconds = ASK_SECONDS
        if self._feed is not None:
            return
        try:
            address = self._feed_address or str(_reachable(parse_address(info.feed), self.address))
        except AddressError as error:
            logger.warning("%s tells a feed that is none: %s", self.address, error)
            return  # the next tick asks again
        self._identity.connect(info.epoch)
        self._connected_feed = address
        self._feed = sockets.connect_feed(address, self._curve, high_water=self._limits.feed_receive_messages)
        for prefix in self._prefixes:
            self._feed.subscribe(prefix.encode())
        self._feed.subscribe(HEARTBEAT)
        self._quiet_ticks = 0
        if not self._paused:
            self._loop.add(self._feed, self._on_feed)
        self._urge()

    def _urge(self) -> None:
        """Ask for heartbeats until one arrives: earlier ones were sent before our subscription was active."""
        if self._feed is not None and not self.ready:
            if not self._paused:
                self._ask_heartbeat()
            self._loop.later(URGE_SECONDS, self._urge)

    def _ask_heartbeat(self) -> None:
        self._client.ask("heartbeat", {}, dict[str, str], lambda _: None, self._ignore, ASK_SECONDS)

    def _ignore(self, error: ControlError) -> None:
        """Do nothing: the next tick asks again."""
        logger.debug("%s: %s", self.address, error.message)

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._loop.remove(self._feed)
            self._feed.close()
            self._feed = None
        self.ready = False

    def _on_feed(self) -> None:
        ephemeral: list[Delivery] = []
        self._quiet_ticks = 0
        self._heard, began = time.monotonic(), 0.0
        taken, most, receive = 0, self._pace.count, sockets.receive_pair
        while taken < most and (feed := self._feed) and (frames := receive(feed)):
            taken += 1
            topic, frame = frames
            try:
                if topic == HEARTBEAT:
                    self._on_heartbeat(frame)
                else:
                    self._on_message(topic.decode("ascii"), frame, ephemeral)
            except (InvalidInputError, UnicodeDecodeError) as error:
                sockets.drop_rest(feed)  # it may have more or fewer frames than two
                self.malformed += 1
                logger.warning("%s: malformed message dropped: %s", self.address, error)
            if taken == 1:
                if self._was_alone:
                    self._hand_over()  # at once: nothing is likely to come with it
                if self._feed is not feed or not sockets.is_readable(feed):
                    break  # at a low rate it is alone, and to try another one takes longer than to take this one
                began = time.thread_time()
        self._flush()
        if ephemeral:  # after what they may be about: the start of a job comes before its progress
            self._deliver(ephemeral)
        self._was_alone = taken == 1
        if taken > 1:
            self._pace.note(taken, time.thread_time() - began)
        if self._stopped and not self._paused and not self._closed:
            self._await_return()

    def _on_heartbeat(self, frame: bytes) -> None:
        beat = decode(heartbeat_decoder, frame)
        _check_version(beat.version)
        if not self._identity.confirm(beat.epoch):
            self._doubt_feed()
            return
        self._problem = ""
        self._flush()  # what we have is of the old epoch, if this begins a new one
        for recovery in self._recoveries.values():
            recovery.heartbeat(beat.epoch, beat.head, beat.first, beat.info.epochs)
        self._stopped = beat.info.closing  # a heartbeat resets it too: the publisher is back already
        self.ready = not self._stopped

    def _doubt_feed(self) -> None:
        """Connect anew to a feed whose epoch is not the publisher's: that of one restarted will be, another's not."""
        self._reconnect()
        notice = WrongFeed(self._connected_feed)
        if self._identity.is_wrong and self._problem != str(notice):
            self._problem = str(notice)
            self._note("", notice)

    def _note(self, prefix: str, notice: Notice) -> None:
        self._noticed[type(notice).__name__.lower()] += 1
        self._notify(self.address, prefix, notice)

    def _on_message(self, topic: str, frame: bytes, ephemeral: list[Delivery]) -> None:
        if len(topic) > topics.MAX_BYTES:
            raise InvalidInputError("topic: it is too long")
        message = decode(feed_decoder, frame)
        _check_version(message.version)
        epoch, offset, chain = message.epoch, message.offset, message.chain
        prefix = self._prefix_of(topic)
        if prefix is None or epoch != self._identity.epoch:  # the next heartbeat tells whose it is
            return
        delivery = Delivery(self.address, prefix, epoch, offset, topic, message.time_ns, message.body)
        if offset == 0:
            ephemeral.append(delivery)
        else:
            tokens = self._tokens[prefix]
            known = len(chain) >= tokens
            previous = (chain[tokens - 1] if known else None) if tokens else offset - 1
            self._recoveries[prefix].message(epoch, offset, previous, delivery)

    def _prefix_of(self, topic: str) -> str | None:
        """Return which of our prefixes a topic belongs to."""
        if len(self._prefixes) == 1:
            return self._prefixes[0]
        return next((one for one in topics.prefixes(topic) if one in self._recoveries), None)

    def _flush(self) -> None:
        """Deliver ready events; missing ones are requested first, so that they arrive meanwhile."""
        self._pump()
        self._hand_over()

    def _hand_over(self) -> None:
        for prefix, recovery in self._recoveries.items():
            for notice in recovery.take_notices():
                self._note(prefix, notice)
            ready = recovery.take()
            if ready:
                self.delivered += len(ready)
                self._deliver(ready)

    def _pump(self) -> None:
        if self._paused:
            return
        for prefix, recovery in self._recoveries.items():
            while request := recovery.request(min(PAGE_LIMIT, self._pace.count)):
                self._questions.ask(self._client, prefix, recovery, request)

    def _new_recovery(self, prefix: str, start: Position | Start) -> Recovery[Delivery]:
        epoch, offset = start if isinstance(start, Position) else (None, 0 if start is Start.BEGINNING else None)
        latest, pending = start is Start.LATEST, self._limits.pending_messages
        return Recovery(epoch=epoch, offset=offset, everything=not prefix, latest=latest, pending_limit=pending)


def _reachable(feed: Address, control: str) -> Address:
    """Return the address of a feed as a client reaches it, which reaches the control socket at `control`."""
    return feed._replace(host=parse_address(control).host) if feed.host in ("0.0.0.0", "[::]") else feed  # noqa: S104


def _check_version(version: int) -> None:
    if version != PROTOCOL:
        raise InvalidInputError(f"version: {version} instead of {PROTOCOL}")
