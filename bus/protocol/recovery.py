"""Recovery, without I/O: what a subscriber decides from feed messages, heartbeats and replies.

One `Recovery` follows one prefix of one publisher. Its `offset` means: everything of this prefix up to here has been
handed over. Feed messages may be lost, repeated or out of order; each carries the offset of its predecessor in the
prefix, so a message is handed over only when its predecessor was. Otherwise it waits, and `request` says what to ask
the publisher for. A lost *last* message is found by the head that heartbeats carry.

Events that retention has removed are detected by `first`, the oldest offset that the log still has. Compaction keeps
the newest event of state topics; so a consumer that has fallen behind `first` gets a notice, then those of the newest
events that lie between its offset and `first` (by `latest`), and continues at `first`.

The caller feeds it (`message`, `heartbeat`, `informed`, `fetched`, `checked`, `listed`, `failed`), then takes what is
ready (`take`) and what is to be asked (`request`, one question at a time; but the next page of a long gap is asked for
while the answer with the one before it is awaited).
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from msgspec import Struct

from bus.protocol.control import PAGE_LIMIT
from bus.protocol.frames import Epochs
from bus.protocol.identity import WrongFeed

T = TypeVar("T")


class Fetch(Struct, frozen=True, gc=False):
    """Ask `fetch {prefix, after, until, limit}`."""

    after: int
    until: int
    limit: int = PAGE_LIMIT


class Check(Struct, frozen=True, gc=False):
    """Ask `check {prefix, after}`."""

    after: int


class Info(Struct, frozen=True, gc=False):
    """Ask `info`: the epoch is not known, or the log seems to end before what we have."""

    at: int | None = None  # our offset when we ask


class Latest(Struct, frozen=True, gc=False):
    """Ask `latest {prefix, after_topic}`: the newest event of each topic."""

    after_topic: str = ""


Request = Fetch | Check | Info | Latest


class Truncated(Struct, frozen=True, gc=False):
    """Retention has taken the offsets in (after, first): up to that many events of the prefix are gone."""

    after: int
    first: int

    @property
    def count(self) -> int:
        """The upper bound of the number of events lost."""
        return self.first - self.after - 1

    def __str__(self) -> str:
        """Return a sentence for people."""
        if self.count == 1:
            return f"retention has removed event {self.after + 1}; at most 1 event is gone"
        span = f"events {self.after + 1} to {self.first - 1}"
        return f"retention has removed {span}; at most {self.count} events are gone"


class Rewound(Struct, frozen=True, gc=False):
    """The publisher's log is another one, or lost its end in a power cut: reading continues at `to`, not at `at`."""

    at: int
    to: int

    def __str__(self) -> str:
        """Return a sentence for people."""
        return f"the log is another one or lost its end: reading continues after event {self.to}, it was at {self.at}"


class Damaged(Struct, frozen=True, gc=False):
    """The record at this offset fails its checksum at the publisher, or is missing there: it cannot be delivered."""

    offset: int

    def __str__(self) -> str:
        """Return a sentence for people."""
        return f"event {self.offset} is damaged in the publisher's log and cannot be delivered"


Notice = Truncated | Rewound | Damaged | WrongFeed


def resume_offset(epoch: int | None, offset: int, epochs: Epochs) -> int:
    """Return where a consumer that stopped at (epoch, offset) continues, given the epochs of the log, oldest first.

    Each later epoch began at the head that survived; what the consumer saw beyond is gone at the publisher and its
    offsets were given out again. An epoch that is not listed belongs to another log (or is too old): from the start.
    """
    known = [index for index, (one, _) in enumerate(epochs) if one == epoch]
    if not known:
        return 0
    return min([offset, *(start for _, start in epochs[known[-1] + 1 :])])


class _Listing(Struct, Generic[T]):
    """What `latest` has given so far, page by page: of each topic the newest event, if its offset is at most `until`.

    What is newer comes from the log, or by another listing if retention takes it meanwhile.
    """

    until: int
    after_topic: str
    events: list[tuple[int, T]]
    damaged: list[int]


class Recovery(Generic[T]):
    """The state of one prefix of one publisher; see the module's text."""

    def __init__(
        self,
        *,
        epoch: int | None = None,
        offset: int | None = 0,
        everything: bool = False,
        latest: bool = False,
        pending_limit: int = 10_000,
    ) -> None:
        """Start behind `offset` of `epoch`; offset None starts at the head of the first heartbeat.

        `latest` (with offset None) gives the newest event of each topic first.
        `everything` is for the empty prefix: whatever is behind `offset` concerns it, so no check is needed.
        """
        self.epoch = epoch
        self.offset = offset
        self.head = 0
        self._first = 1  # the oldest offset that the publisher is known to have
        self._latest = latest
        self._listing: _Listing[T] | None = None
        self._notices: list[Notice] = []
        self.refetched = 0
        self.gaps = 0  # how often something was missing that had to be fetched
        self._fetching = False
        self._everything = everything
        self._pending_limit = pending_limit
        self._adopted = False  # the epoch of the first heartbeat has been compared with ours
        self._past: set[int | None] = set()  # epochs that the present one has replaced
        self._unsure = False  # a message or reply of another epoch was seen: ask `info`
        self._ready: list[T] = []
        self._pending: dict[int, tuple[int | None, T]] = {}
        self._target = 0  # a check found something here
        self._outstanding: Request | None = None
        self._ahead: Fetch | None = None  # of the page behind the outstanding one
        self._dense = False  # the last page was full, with an event at each of its offsets

    def message(self, epoch: int, offset: int, previous: int | None, item: T) -> None:
        """Take a logged message of the feed; `previous` is its chain value for this prefix (None: not known)."""
        at = self.offset
        if epoch != self.epoch or not self._adopted:
            self._unsure = True
        elif at is None:
            self.head = max(self.head, offset)  # the listing is under way; what is newer is fetched after it
        elif offset > at:
            if (previous is not None and previous <= at) or offset - 1 <= at:
                self._ready.append(item)
                self.offset = offset
                if self._pending:
                    self._drain()
            elif len(self._pending) < self._pending_limit:
                self._pending[offset] = (previous, item)
            self.head = max(self.head, offset)

    def heartbeat(self, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        """Take a heartbeat of the feed."""
        if self._adopted and epoch == self.epoch:
            # a head before our offset: a restored backup, or a heartbeat that a reply has overtaken
            self._unsure = self.offset is not None and head < self.offset
            self.head, self._first = max(self.head, head), max(self._first, first)
        elif epoch in self._past:
            self._unsure = True  # a late message of an ended process, or a restored backup: only `info` shows which
        else:
            self._adopt(epoch, head, first, epochs)

    def informed(self, request: Info, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        """Take the answer to `info`, which settles what the epoch is."""
        if request is self._outstanding:
            self._outstanding = None
            self._unsure = False
            if epoch != self.epoch or not self._adopted:
                self._adopt(epoch, head, first, epochs)
            elif request.at is not None and head < request.at:
                self._notices.append(Rewound(request.at, head))
                self.offset = head
                self._pending.clear()
                self._listing = None
                self.head = self._target = head
                self._first = first
            self.head, self._first = max(self.head, head), max(self._first, first)

    def fetched(
        self,
        request: Fetch,
        epoch: int,
        first: int,
        next_: int,
        events: list[tuple[int, T]],
        damaged: Sequence[int] = (),
    ) -> None:
        """Take the answer to a fetch: all events of the prefix up to the offset `next_`, in order, but damaged ones."""
        if not self._answers(request, epoch) or self.offset is None or self._behind(first):
            return
        at = self.offset
        if request.after > at:  # the page before it was lost, or shorter than expected
            return
        self._dense = next_ - request.after == request.limit == len(events) + len(damaged)
        self._notices += [Damaged(offset) for offset in damaged if offset > at]
        ready, before = self._ready, len(self._ready)
        for offset, item in events:
            if offset > at:
                ready.append(item)
                at = offset
        self.refetched += len(ready) - before
        self.offset = max(at, next_)
        self._drain()

    def checked(self, request: Check, epoch: int, head: int, first: int, last: int) -> None:
        """Take the answer to a check: `last` is the newest offset of the prefix behind ours, 0 if none is known."""
        if not self._answers(request, epoch) or self.offset is None or self._behind(first):
            return
        if last:
            self._target = max(self._target, last)
        else:
            self.offset = max(self.offset, head)
            self._drain()

    def listed(
        self,
        request: Latest,
        epoch: int,
        head: int,
        first: int,
        events: list[tuple[int, T]],
        next_topic: str,
        damaged: Sequence[int] = (),
    ) -> None:
        """Take a page of the answer to `latest`: the newest event of each topic; `next_topic` is "" at the end."""
        if not self._answers(request, epoch):
            return
        self.head, self._first = max(self.head, head), max(self._first, first)
        listing = self._listing
        if listing is None:
            listing = self._listing = _Listing(head if self.offset is None else self._first - 1, "", [], [])
        listing.events += [event for event in events if (self.offset or 0) < event[0] <= listing.until]
        listing.damaged += [offset for offset in damaged if (self.offset or 0) < offset <= listing.until]
        listing.after_topic = next_topic
        if not next_topic:
            self._listing = None
            self._take_over(listing)

    def failed(self, request: Request) -> None:
        """Give up a request (no answer in time, or an error), so that it is asked again."""
        self._settle(request)

    def take(self) -> list[T]:
        """Return what is ready, in order, once."""
        ready, self._ready = self._ready, []
        return ready

    def take_notices(self) -> list[Notice]:
        """Return what could not be delivered, or must be delivered again, once."""
        notices, self._notices = self._notices, []
        return notices

    def forget(self) -> None:
        """Forget the open requests: the connection is made anew."""
        self._outstanding = self._ahead = None

    def request(self, limit: int = PAGE_LIMIT) -> Request | None:
        """Return what to ask now, a page of at most `limit` events; None while answers are awaited, or all is here."""
        if self._outstanding is None:
            self._outstanding = wanted = self._wanted(limit)
            fetching = isinstance(wanted, Fetch)
            self.gaps += fetching and not self._fetching
            self._fetching = fetching
            return wanted
        return self._read_ahead(self._outstanding, limit)

    def _read_ahead(self, before: Request, limit: int) -> Request | None:
        """Return the request for the page behind the outstanding one, if it can be told where that one will end."""
        if not isinstance(before, Fetch) or not self._dense or self._ahead or self._unsure:
            return None
        end = before.after + before.limit
        if end < before.until:
            self._ahead = Fetch(end, before.until, limit)
        return self._ahead

    def _wanted(self, limit: int) -> Request | None:
        if self._unsure:
            return Info(self.offset)
        if not self._adopted:
            return None
        if self.offset is None or self._first - 1 > self.offset:
            return Latest(self._listing.after_topic if self._listing else "")
        self._listing = None  # the chain may have proven meanwhile that nothing was missed
        if self._pending:
            oldest = min(self._pending)
            previous = self._pending[oldest][0]
            return Fetch(self.offset, oldest - 1 if previous is None else previous, limit)
        until = self.head if self._everything else self._target
        if until > self.offset:
            return Fetch(self.offset, until, limit)
        return Check(self.offset) if self.head > self.offset else None

    def _behind(self, first: int) -> bool:
        """Return whether retention has overtaken us: then `latest` comes before all else."""
        self._first = max(self._first, first)
        return self.offset is not None and self._first - 1 > self.offset

    def _take_over(self, listing: _Listing[T]) -> None:
        """Hand over the newest events that were listed, and go on behind them."""
        at, until = self.offset, listing.until
        if at is not None and at < until:  # otherwise the chain has proven meanwhile that nothing was missed
            self._notices.append(Truncated(at, until + 1))
        self._notices += [Damaged(offset) for offset in listing.damaged if offset > (at or 0)]
        for offset, item in sorted(listing.events, key=itemgetter(0)):
            if offset > (at or 0):
                self._ready.append(item)
        self.offset = until if at is None else max(at, until)
        self._drain()

    def _adopt(self, epoch: int, head: int, first: int, epochs: Epochs) -> None:
        """Take over the publisher's epoch and find where to go on in it."""
        if self.offset is None:
            if not self._latest:
                self.offset = head
        elif epoch != self.epoch:
            resumed = resume_offset(self.epoch, self.offset, epochs)
            if resumed < self.offset:
                self._notices.append(Rewound(self.offset, resumed))
            self.offset = resumed
        self._past = {self.epoch, *(one for one, _ in epochs)} - {epoch}
        self.epoch, self._adopted = epoch, True
        self._unsure = False
        self.head, self._first, self._target = head, first, 0
        self._pending.clear()
        self._listing = None
        self.forget()

    def _answers(self, request: Request, epoch: int) -> bool:
        """Return whether this is the answer that is awaited, and of our epoch."""
        if not self._settle(request):
            return False
        if epoch != self.epoch:
            self._unsure = True
            return False
        return True

    def _settle(self, request: Request) -> bool:
        """Close an open request; return whether it was one."""
        if request is self._outstanding:
            self._outstanding, self._ahead = self._ahead, None
        elif request is self._ahead:
            self._ahead = None
        else:
            return False
        return True

    def _drain(self) -> None:
        """Hand over the waiting messages whose predecessor has now been handed over."""
        at = self.offset or 0
        for offset in sorted(self._pending):
            previous, item = self._pending[offset]
            if offset > at:
                if offset - 1 > at and (previous is None or previous > at):
                    break
                self._ready.append(item)
                at = offset
            del self._pending[offset]
        self.offset = at
