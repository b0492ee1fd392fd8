"""Every bound of the bus and its services in one place; the unit is the last word of a name.

The table `[limits]` of the config file sets them; docs/limits.md explains them, and a test compares it with this file.
Bounds that are facts of protocol 1, and so no setting, are constants in `bus.protocol`.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from bus.protocol.control import PAGE_BYTES, PAGE_LIMIT, REQUEST_LIMIT, SCAN_LIMIT
from bus.protocol.frames import BODY_LIMIT
from bus.protocol.validation import InvalidInputError

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
Few = Annotated[int, Meta(ge=1, le=1000)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
CountOrNone = Annotated[int, Meta(ge=0, le=10_000_000)]
Large = Annotated[int, Meta(ge=100, le=10_000_000)]
Size = Annotated[int, Meta(ge=64 * KIB, le=64 * MIB)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of one service or one subscriber; a `Log` carries those of its service."""

    # the control socket and the log behind it
    body_bytes: Annotated[int, Meta(ge=MIB, le=16 * MIB)] = BODY_LIMIT  # an event
    # a larger request ends the connection; less than the default, and a hundred jobs would not fit into one
    request_bytes: Annotated[int, Meta(ge=REQUEST_LIMIT, le=64 * MIB)] = REQUEST_LIMIT
    page_events: Annotated[int, Meta(ge=1, le=100_000)] = PAGE_LIMIT  # in a reply to `fetch` or `latest`
    page_bytes: Size = PAGE_BYTES  # any list in a reply ends with the entry that takes it over this
    scan_events: Large = SCAN_LIMIT  # looked at for one `fetch`, so that a rare prefix cannot stall the publisher
    requests_a_turn: Count = 100  # before the loop looks at its other sockets
    heartbeats_a_second: Few = 50  # when clients ask for them
    control_send_messages: Count = 128  # replies of up to a page that wait for a client which does not read them
    control_receive_messages: Count = 16  # waiting requests of one client; further ones wait at the client
    epochs_kept: Few = 16  # in heartbeats; a consumer with an older epoch reads again from the start
    chain_prefixes: Large = 20_000  # whose newest event is known, 200 bytes each
    chain_rebuild_events: CountOrNone = 10_000  # newest ones read at start, to know the prefixes again

    # retention; see bus/eventlog/retention.py
    retain_days: Annotated[int, Meta(ge=0, le=36_500)] = 30  # older events leave the log; 0: none for its age
    retain_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 2 * GIB  # of the events in a log; 0: any size
    retain_newest_events: CountOrNone = 1000  # stay whatever their age and size: a wrong clock empties no log

    # the feed
    feed_send_messages: Large = 10_000  # waiting for a stalled subscriber; the rest is retransmitted on request
    feed_receive_messages: Large = 10_000  # waiting in a subscriber
    messages_a_turn: Count = 1024  # before a subscriber hands them over
    pending_messages: Count = 10_000  # live ones waiting behind a gap; more are dropped and retransmitted later
    queue_events: Count = (
        10_000  # delivered but not yet received; backpressure: at this bound no more is read from the publisher
    )
    notices_kept: Count = 1000  # gaps and rewinds that the owner has not read yet

    # the services
    batch_events: Count = 1024  # in one transaction of the learning service
    waiting_events: Count = 10_000  # buffered while it cannot write; more are read again afterwards
    experiments_in_memory: Count = 1000  # what was not used for longest is dropped first, and read again when needed
    late_events: CountOrNone = 1000  # the newest of an experiment that arrived after their variant had ended
    queued_jobs: Count = 100_000  # waiting for one pipeline; a full queue refuses more
    output_bytes: Annotated[int, Meta(ge=MIB, le=1 << 50)] = 4 * GIB  # of what a program makes in one job
    # of a job's configuration, which `job.completed` contains beside the result
    job_bytes: Annotated[int, Meta(ge=64 * KIB, le=8 * MIB)] = 256 * KIB


DEFAULT_LIMITS: Final = Limits()


def check_limits(limits: Limits) -> None:
    """Check bounds that depend on each other, which no type can express.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    for outer in ("body_bytes", "request_bytes"):
        room = getattr(limits, outer)
        if 2 * limits.job_bytes > room:  # a job travels with its result, or among others
            raise InvalidInputError(f"job_bytes: {limits.job_bytes} is more than half of {outer} ({room}); lower it")
