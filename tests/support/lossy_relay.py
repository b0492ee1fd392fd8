"""A relay between a feed and its subscribers that loses, repeats and reorders messages on purpose."""

import threading
from collections.abc import Callable
from typing import Final

import zmq

from bus.protocol.addresses import Address
from bus.transport import sockets
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR

Policy = Callable[[list[bytes]], list[list[bytes]]]
POLL_MS: Final = 20


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
