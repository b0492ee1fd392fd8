"""Zenoh's advanced publisher and subscriber, peer to peer: reliable, blocking when a queue is full, with a cache.

The processes are linked directly and look for nobody else (no scouting). The cache of a publisher holds the whole run,
and a heartbeat tells subscribers which number was the last, so that they can ask for what they have missed. The cache
is in memory: what a killed process had not handed over is gone. `route_with_file` commits the variants' states and what
is published of them to SQLite, as our log does, before it publishes; what the producer had is as little safe as before.
"""

import gc
import importlib.util
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import zenoh
from zenoh import ext

from benchmarks.crew import Crew
from benchmarks.peers.ports import free_port
from benchmarks.role import Clock, Parent, Setup, Tally
from benchmarks.routing import Router
from benchmarks.workload import Checker
from bus.contracts.messages import VariantStatus, decode_body, encode_body
from learning_service.experiments.variants import Variant

BATCH: Final = 500  # events that are decided together, at most
QUEUE: Final = 10_000  # samples between Zenoh's threads and ours: fewer are slower, more are not faster
HEARTBEAT_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.01
JOBS: Final = "job/completed"
STATUSES: Final = "variant/status"
STATES: Final = """
    CREATE TABLE variants (key TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
Subscriber = ext.AdvancedSubscriber[zenoh.handlers.Handler[zenoh.Sample]]
Keep = Callable[[list[tuple[Variant, VariantStatus]], list[bytes]], object]


def missing() -> str:
    """It takes a library."""
    return "" if importlib.util.find_spec("zenoh") else "eclipse-zenoh is not installed; `make bench` installs it"


def serve(_crew: Crew) -> dict[str, str]:
    """Choose where the producer and the process in the middle listen; there is no server."""
    return {topic: f"tcp/127.0.0.1:{free_port()}" for topic in (JOBS, STATUSES)}


def produce(parent: Parent, setup: Setup) -> None:
    """Publish the ends of jobs."""
    events = setup.events()
    with _session(setup, listen=JOBS) as session:
        publisher, is_heard = _publisher(session, setup, JOBS)
        parent.tell("ready")
        parent.wait("go")
        while not is_heard():
            time.sleep(POLL_SECONDS)
        clock = Clock(setup)
        for _, message in events:
            if setup.interval:
                clock.wait()
                clock.note()
            publisher.put(encode_body(message))
        parent.tell("sent", start=clock.start, sent=clock.sent)
        parent.wait("stop")


def route(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants, and keep those in memory only."""
    _route(parent, setup, lambda _routed, _statuses: None)


def route_with_file(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants, and commit both to a file before anything is published."""
    connection = sqlite3.connect(Path(setup.folder) / "states.db", isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {STATES}")

    encode = msgspec.msgpack.Encoder().encode

    def keep(routed: list[tuple[Variant, VariantStatus]], statuses: list[bytes]) -> None:
        states = [(f"{status.experiment_id}.{variant.index}", encode(variant)) for variant, status in routed]
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO variants VALUES (?, ?)", states)
        connection.executemany("INSERT INTO log (body) VALUES (?)", [(body,) for body in statuses])
        connection.execute("COMMIT")

    _route(parent, setup, keep)


def consume(parent: Parent, setup: Setup) -> None:
    """Check every state of every variant."""
    checker = Checker(setup.workload, timed=setup.interval > 0)
    with _session(setup, connect=STATUSES) as session:
        subscriber = _subscriber(session, STATUSES)
        parent.tell("ready")
        while not checker.done:
            checker.take(decode_body(bytes(subscriber.recv().payload)))
        parent.tell("received", end=time.monotonic_ns(), received=checker.received)
        parent.wait("stop")


def listen(parent: Parent, setup: Setup) -> None:
    """Be some subscribers who count the ends of jobs; each has a session of its own, as a program would have."""
    start, tally = time.monotonic_ns(), Tally(setup.tally)
    sessions = [_session(setup, connect=JOBS) for _ in range(setup.subscribers)]
    subscribers = [_subscriber(session, JOBS) for session in sessions]
    parent.tell("ready")
    left = dict.fromkeys(subscribers, setup.workload.events)
    while any(left.values()):
        for subscriber, count in left.items():
            if count:
                left[subscriber] -= len(_batch(subscriber))
                tally.set(setup.workload.events - left[subscriber])
    parent.tell("received", start=start, end=time.monotonic_ns())
    parent.wait("stop")
    for session in sessions:
        session.close()  # type: ignore[no-untyped-call] # it has no types


def _route(parent: Parent, setup: Setup, keep: Keep) -> None:
    router = Router(setup.workload)
    gc.freeze()
    with _session(setup, listen=STATUSES, connect=JOBS) as session:
        publisher, is_heard = _publisher(session, setup, STATUSES)
        subscriber = _subscriber(session, JOBS)
        while not is_heard():
            time.sleep(POLL_SECONDS)
        parent.tell("ready")
        while True:
            routed = router.route(bytes(sample.payload) for sample in _batch(subscriber))
            statuses = [encode_body(status) for _, status in routed]
            keep(routed, statuses)
            for body in statuses:
                publisher.put(body)


def _batch(subscriber: Subscriber) -> list[zenoh.Sample]:
    """Wait for a sample, and give it with those that are here already."""
    batch = [subscriber.recv()]
    while len(batch) < BATCH and (sample := subscriber.try_recv()) is not None:
        batch.append(sample)
    return batch


def _session(setup: Setup, *, listen: str = "", connect: str = "") -> zenoh.Session:
    config = zenoh.Config()
    options: dict[str, object] = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "timestamping/enabled": True,  # the advanced publisher needs it
        "listen/endpoints": [setup.addresses[listen]] if listen else [],
        "connect/endpoints": [setup.addresses[connect]] if connect else [],
        "connect/timeout_ms": -1,  # the other process may not listen yet
    }
    for key, value in options.items():
        config.insert_json5(key, msgspec.json.encode(value).decode())
    return zenoh.open(config)


def _publisher(session: zenoh.Session, setup: Setup, topic: str) -> tuple[ext.AdvancedPublisher, Callable[[], bool]]:
    """Return a publisher, and a function that says whether somebody has subscribed."""
    publisher = ext.declare_advanced_publisher(
        session,
        topic,
        congestion_control=zenoh.CongestionControl.BLOCK,
        reliability=zenoh.Reliability.RELIABLE,
        cache=ext.CacheConfig(max_samples=setup.workload.events),
        sample_miss_detection=ext.MissDetectionConfig(heartbeat=HEARTBEAT_SECONDS, sporadic_heartbeat=None),
        publisher_detection=True,
    )
    plain = session.declare_publisher(topic)  # only this kind tells who listens
    return publisher, lambda: plain.matching_status.matching  # type: ignore[attr-defined] # it is no bool, as its stub says


def _subscriber(session: zenoh.Session, topic: str) -> Subscriber:
    return ext.declare_advanced_subscriber(
        session,
        topic,
        zenoh.handlers.FifoChannel(QUEUE),
        history=ext.HistoryConfig(detect_late_publishers=True),  # nothing is missed until the subscription is known
        recovery=ext.RecoveryConfig(heartbeat=True, periodic_queries=None),
    )
