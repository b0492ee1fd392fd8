"""Whether a feed belongs to the publisher that answers at a control address, decided without I/O.

The publisher tells the address of its feed as it sees it itself. Where the control port is forwarded (ssh, Docker,
NAT), another publisher may be at that address here. Every log has epochs of its own: those of both sides are compared.
"""

from msgspec import Struct

WRONG_AFTER = 2  # heartbeats; after one, the publisher may have been restarted between `info` and the heartbeat


class WrongFeed(Struct, frozen=True, gc=False):
    """The feed at this address is another publisher's: nothing of it is delivered."""

    feed: str

    def __str__(self) -> str:
        """Return a sentence for people."""
        return (
            f"the feed at {self.feed} belongs to another publisher; name the right one (--feed, of a learning service "
            "--runner-feed, in Python feed=), or start the publisher with --advertise"
        )


class FeedIdentity:
    """Compares the epoch of each heartbeat with the one that the publisher told when its feed was connected."""

    def __init__(self) -> None:
        """Start without an epoch: nothing is confirmed."""
        self.epoch: int | None = None
        self._others = 0  # heartbeats in a row with another epoch, each after a fresh `info` and connection

    @property
    def is_wrong(self) -> bool:
        """Whether the feed is another publisher's, and not that of one which was just restarted."""
        return self._others >= WRONG_AFTER

    def connect(self, epoch: int) -> None:
        """Take the epoch of `info`, after which the feed is connected."""
        self.epoch = epoch

    def confirm(self, epoch: int) -> bool:
        """Take the epoch of a heartbeat; False if feed and control are to be connected anew, as the epochs differ."""
        same = epoch == self.epoch
        self._others = 0 if same else self._others + 1
        return same
