"""What a cluster looks like, and what is wrong with it: pure functions, each condition with its code."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bus.protocol.control import Labels, Metric, Number, Sample
from variantbus.reports.health import NOT_ANSWERING, Problem
from variantbus.reports.text import count_text

COPIES: Final = 3  # with fewer, the death of one server stops all, or loses what it had
NEEDED: Final = ("JOBS", "ENDS", "LEDGER")
NO_ANSWER: Final = "does not answer"
NO_JETSTREAM: Final = "answers, but its JetStream does not"
START: Final = {
    NO_ANSWER: "start it, or repair the network",
    NO_JETSTREAM: "start those that are away: most must be there; if a disk is full, make room and restart its server",
}
HELP: Final = {
    "variantbus_cluster_stream_messages": "Messages in a stream of the cluster.",
    "variantbus_cluster_stream_bytes": "Their bytes.",
    "variantbus_cluster_stream_head": "The place of the last message of a stream.",
    "variantbus_cluster_stream_copies": "How many servers are to have a copy of a stream.",
    "variantbus_cluster_replica_lag": "How many messages the copy of a server is behind its leader.",
    "variantbus_cluster_consumer_pending": "Jobs that wait, by pipeline and band.",
    "variantbus_cluster_consumer_running": "Jobs that were fetched and are not acknowledged.",
    "variantbus_cluster_consumer_redelivered": "Jobs among these that had been given to somebody before.",
    "variantbus_cluster_runners": "Runners that have announced themselves within the last 30 seconds.",
}


class Server(Struct, frozen=True, kw_only=True):
    """A server that clients are told of.

    Its monitoring tells whether it `syncs`, which is to write through at once, and why it is `unwell`; None and "" are
    where nobody told.
    """

    address: str
    name: str = ""
    version: str = ""
    problem: str = NO_ANSWER  # empty if it answers
    syncs: bool | None = None
    unwell: str = ""


class Replica(Struct, frozen=True, kw_only=True):
    """The copy of a server that follows."""

    server: str
    current: bool
    offline: bool
    lag: int


class Stream(Struct, frozen=True, kw_only=True):
    """A stream or a bucket."""

    name: str
    messages: int
    bytes: int
    head: int
    copies: int
    leader: str | None
    replicas: tuple[Replica, ...] = ()


class Consumer(Struct, frozen=True, kw_only=True):
    """The jobs of a pipeline in a band."""

    name: str
    pending: int
    running: int
    redelivered: int


class View(Struct, frozen=True, kw_only=True):
    """All of a cluster at one moment."""

    servers: tuple[Server, ...]
    streams: tuple[Stream, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    leads: str | None = None  # the learning service
    runners: tuple[str, ...] = ()


Condition = Callable[[View, View], Iterator[str]]


def problems_of(view: View, before: View) -> list[Problem]:
    """Return all problems, most serious first; `before` is the cluster a few seconds earlier."""
    found = [
        Problem(code=f"cluster{condition.__name__}", detail=detail)
        for condition in _CONDITIONS
        for detail in condition(view, before)
    ]
    if answers(view):
        return found
    is_reached = any(one.problem == NO_JETSTREAM for one in view.servers)
    what = "has a JetStream that answers" if is_reached else "answers"
    return [Problem(code=NOT_ANSWERING, detail=f"no server of the cluster {what}"), *found]


def answers(view: View) -> bool:
    """Return whether any server answers, and has a JetStream that does."""
    return any(not one.problem for one in view.servers)


def with_heads(view: View, heads: Mapping[str, Mapping[str, int]]) -> View:
    """Return a view with what servers tell of their own copies, by server and stream.

    The leader of a stream knows what a copy was sent. It takes one for current that has lost what it had stored.
    """

    def seen(stream: Stream, copy: Replica) -> Replica:
        behind = stream.head - heads.get(copy.server, {}).get(stream.name, stream.head)
        return replace(copy, current=copy.current and behind <= 0, lag=max(copy.lag, behind))

    streams = [replace(one, replicas=tuple(seen(one, copy) for copy in one.replicas)) for one in view.streams]
    return replace(view, streams=tuple(streams))


def needs_another_look(view: View) -> bool:
    """Return whether only time can tell: a copy that is behind may catch up, a leader may be about to be known."""
    lags = any(one.lag and not one.current for stream in view.streams for one in stream.replicas)
    return lags or view.leads is None or any(stream.leader is None for stream in view.streams)


def metrics_of(view: View) -> list[Metric]:
    """Return the numbers of a cluster."""
    streams = [({"stream": one.name}, one) for one in view.streams]
    consumers = [({"consumer": one.name}, one) for one in view.consumers]
    samples: dict[str, list[tuple[Labels, Number]]] = {
        "variantbus_cluster_stream_messages": [(labels, one.messages) for labels, one in streams],
        "variantbus_cluster_stream_bytes": [(labels, one.bytes) for labels, one in streams],
        "variantbus_cluster_stream_head": [(labels, one.head) for labels, one in streams],
        "variantbus_cluster_stream_copies": [(labels, one.copies) for labels, one in streams],
        "variantbus_cluster_replica_lag": [
            ({**labels, "server": replica.server}, replica.lag) for labels, one in streams for replica in one.replicas
        ],
        "variantbus_cluster_consumer_pending": [(labels, one.pending) for labels, one in consumers],
        "variantbus_cluster_consumer_running": [(labels, one.running) for labels, one in consumers],
        "variantbus_cluster_consumer_redelivered": [(labels, one.redelivered) for labels, one in consumers],
        "variantbus_cluster_runners": [({}, len(view.runners))],
    }
    return [
        Metric(
            name=name, kind="gauge", help=text, samples=[Sample(labels=of, value=value) for of, value in samples[name]]
        )
        for name, text in HELP.items()
    ]


def _server_away(view: View, _: View) -> Iterator[str]:
    for one in view.servers:
        if one.problem:
            yield f"{one.address}: {one.problem}; {START[one.problem]}"


def _server_unwell(view: View, _: View) -> Iterator[str]:
    for one in view.servers:
        if one.unwell:
            yield f"{one.name or one.address} says: {one.unwell}; if its disk is full, make room and restart it"


def _without_streams(view: View, _: View) -> Iterator[str]:
    missing = [name for name in NEEDED if name not in {one.name for one in view.streams}]
    if missing and answers(view):
        yield f"there is no stream {', '.join(missing)}; the first learning service with --cluster makes them"


def _stream_without_leader(view: View, before: View) -> Iterator[str]:
    led = {one.name for one in before.streams if one.leader}
    for one in view.streams:
        if one.leader is None and one.name not in led:
            yield f"{one.name} has no leader, so nothing is taken; start the servers that are away: most must be there"


def _copy_away(view: View, _: View) -> Iterator[str]:
    for server in sorted({one.server for stream in view.streams for one in stream.replicas if one.offline}):
        yield f"{server} is away, and its copies with it; start it, it catches up by itself"


def _copy_stuck(view: View, before: View) -> Iterator[str]:
    stuck: dict[str, list[str]] = {}
    for stream in view.streams:
        for copy in stream.replicas:
            if _is_stuck(copy, stream.name, before) and not _may_be_away(copy, view):
                behind = count_text(copy.lag, "message", "messages")
                stuck.setdefault(copy.server, []).append(f"{stream.name} ({behind})")
    for server, behind_by in stuck.items():
        what = f"copies at {server} are behind and do not catch up (nats-server #8319): {', '.join(behind_by)}"
        advice = f"stop {server}, remove its data folder, start it: it fetches all anew"
        yield f"{what}; if it stays so for minutes, {advice}"


def _is_stuck(copy: Replica, stream: str, before: View) -> bool:
    earlier = (one for stream_then in before.streams if stream_then.name == stream for one in stream_then.replicas)
    first = next((one for one in earlier if one.server == copy.server), None)
    return first is not None and not copy.offline and not copy.current and 0 < first.lag <= copy.lag


def _may_be_away(copy: Replica, view: View) -> bool:
    """Return whether it may be of a server that does not answer, so that its name is not known."""
    names = {one.name for one in view.servers if not one.problem}
    return len(names) < len(view.servers) and copy.server not in names


def _few_copies(view: View, _: View) -> Iterator[str]:
    few = [one.name for one in view.streams if one.leader and one.copies < COPIES]
    if few:
        yield f"fewer than {COPIES} copies of {', '.join(few)}; let three servers run, the learning service makes more"


def _not_synced(view: View, _: View) -> Iterator[str]:
    for one in view.servers:
        if one.syncs is False:
            text = "does not write through at once, so a power cut may take what was acknowledged"
            yield f"{one.name or one.address} {text}; set `sync_interval: always` in its jetstream"


def _versions_differ(view: View, _: View) -> Iterator[str]:
    versions = sorted({one.version for one in view.servers if one.version})
    if len(versions) > 1:
        yield f"servers have the versions {', '.join(versions)}; update all of them to one"


def _no_leader(view: View, before: View) -> Iterator[str]:
    if view.streams and view.leads is None and before.leads is None:
        yield "no learning service leads; start one with --cluster"


def _no_runner(view: View, _: View) -> Iterator[str]:
    if view.streams and not view.runners:
        waiting = sum(one.pending for one in view.consumers)
        waits = f"{count_text(waiting, 'job waits', 'jobs wait')}, and " if waiting else ""
        yield f"{waits}no runner has announced itself; start one with --cluster"


_CONDITIONS: Final[tuple[Condition, ...]] = (
    _stream_without_leader,
    _without_streams,
    _server_away,
    _server_unwell,
    _copy_away,
    _copy_stuck,
    _not_synced,
    _few_copies,
    _no_leader,
    _no_runner,
    _versions_differ,
)
