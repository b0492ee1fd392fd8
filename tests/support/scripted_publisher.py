"""A publisher made by hand, for tests of what the real one cannot be brought to do at will."""

import msgspec

from bus.contracts.messages import encode_body
from bus.protocol import topics
from bus.protocol.control import (
    CheckParams,
    CheckReply,
    FetchParams,
    FetchReply,
    InfoReply,
    LatestParams,
    LatestReply,
    NoParams,
)
from bus.protocol.frames import PROTOCOL, HeartbeatFrame, HeartbeatInfo, Record, encode
from bus.protocol.recovery import Check, Fetch, Latest
from bus.transport import sockets
from bus.transport.loop import Loop
from bus.transport.server import MethodServer
from tests.support.helpers import LOCALHOST, job
from tests.support.model_publisher import Event, ModelPublisher

BEAT_SECONDS = 0.05


class HandMadePublisher:
    """The model publisher behind real sockets; its feed carries heartbeats alone, so that all the rest is fetched."""

    def __init__(self, loop: Loop) -> None:
        """Bind, and beat."""
        self.model = ModelPublisher()
        self.page = 2
        self._loop = loop
        self._feed, self._feed_address = sockets.bind_feed(LOCALHOST)
        self._control, address = sockets.bind_control(LOCALHOST)
        self.address = str(address)
        self._methods = MethodServer()
        self._methods.add("info", NoParams, self._info)
        self._methods.add("heartbeat", NoParams, self._heartbeat)
        self._methods.add("check", CheckParams, self._check)
        self._methods.add("fetch", FetchParams, self._fetch)
        self._methods.add("latest", LatestParams, self._latest)
        self._timer = loop.every(BEAT_SECONDS, self._beat)
        loop.add(self._control, self._on_requests)

    def publish(self, *some: str) -> None:
        """Log events; the name of each is its offset."""
        for topic in some:
            self.model.publish(topic, "", forgotten=False)

    def fall_silent(self) -> None:
        """Beat no more, and answer nothing."""
        self._timer.cancel()
        self._loop.remove(self._control)

    def close(self) -> None:
        """Release the sockets."""
        self._timer.cancel()
        self._loop.remove(self._control)
        self._control.close(0)
        self._feed.close(0)

    def _beat(self) -> None:
        log = self.model.log
        info = HeartbeatInfo(service="hand", version="1", control=self.address, epochs=log.epochs)
        frame = HeartbeatFrame(PROTOCOL, log.epoch, log.head, log.first, 1, info)
        sockets.send_pair(self._feed, topics.HEARTBEAT.encode(), encode(frame))

    def _on_requests(self) -> None:
        while (frames := sockets.receive(self._control)) is not None:
            sockets.send_frames(self._control, [frames[0], *self._methods.answer(frames[1:])])

    def _info(self, _: NoParams) -> InfoReply:
        log = self.model.log
        return InfoReply(
            epoch=log.epoch,
            first=log.first,
            head=log.head,
            service="hand",
            version="1",
            protocol=PROTOCOL,
            epochs=log.epochs,
            feed=str(self._feed_address),
            limits={},
        )

    def _heartbeat(self, _: NoParams) -> dict[str, str]:
        self._beat()
        return {}

    def _check(self, params: CheckParams) -> CheckReply:
        epoch, head, first, last = self.model.check(params.prefix, Check(params.after))
        return CheckReply(epoch=epoch, head=head, first=first, last=last)

    def _fetch(self, params: FetchParams) -> FetchReply:
        until = self.model.log.head if params.until is None else params.until
        epoch, first, next_, events = self.model.fetch(params.prefix, Fetch(params.after, until), self.page)
        head = self.model.log.head
        return FetchReply(epoch=epoch, first=first, head=head, next=next_, events=rows(events))

    def _latest(self, params: LatestParams) -> LatestReply:
        epoch, head, first, events, next_ = self.model.latest(params.prefix, Latest(params.after_topic), self.page)
        return LatestReply(epoch=epoch, head=head, first=first, events=rows(events), next=next_)


def rows(events: list[tuple[int, Event]]) -> list[Record]:
    """Make the events of a reply; the name of each is its offset."""
    return [Record(offset, event.topic, offset, msgspec.Raw(encode_body(job(offset)))) for offset, event in events]
