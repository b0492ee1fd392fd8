"""The checker `tests.support.invariants` notices what it is there for: the same runs, with something broken on purpose.

Each control has its counterpart, in which nothing is broken and the check passes. That a log which does not sync is
noticed is in `test_power_cuts.py`; wrong decisions of `Recovery` are in `tests/unit/test_bus_recovery_network.py`.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bus.eventlog.log import Log
from bus.protocol.recovery import Recovery
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from learning_service.events.consumer import EventConsumer
from learning_service.storage.store import LearningStore
from tests.support.factories import well
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, deadline, wait_until
from tests.support.invariants import (
    Seen,
    check_learner,
    check_never_reused,
    check_offsets,
    check_subscriber,
    check_writes,
    decoded,
    read_log,
    seen,
)
from tests.support.learning_services import Services, create, wait_confirmed
from tests.support.lossy_relay import Policy, Relay, lose_every_third, repeat_everything

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
PutBetween = Callable[[Service, Policy], Relay]
LOG = [Seen(1, offset, topic, b"%d" % offset) for offset, topic in enumerate(["a.", "b.", "a.x.", "a."], 1)]


class WithoutGapDetection(Recovery[Any]):
    """Hands over every newer message at once, whatever its chain says."""

    def message(self, epoch: int, offset: int, previous: int | None, item: Any) -> None:
        """Claim that the message before was handed over."""
        super().message(epoch, offset, None if previous is None else 0, item)


class WithoutDeduplication(Recovery[Any]):
    """Hands over what it has handed over already."""

    def message(self, epoch: int, offset: int, previous: int | None, item: Any) -> None:
        """Take an old message for a new one."""
        if self.offset is not None and epoch == self.epoch and offset <= self.offset:
            self._ready.append(item)
        else:
            super().message(epoch, offset, previous, item)


def run_behind_a_relay(service: Service, subscriber: Subscriber) -> list[Seen]:
    """Publish through a bad feed and return what the subscriber was handed until it had the last event."""
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    found: list[Seen] = []
    for number in range(100):
        service.append(("a.", number))
        found += seen(subscriber.receive(0.001))
    limit = deadline()
    while not limit.passed and (not found or max(one.offset for one in found) < 100):
        found += seen(subscriber.receive(0.1))
    return found


@pytest.mark.parametrize(
    ("policy", "broken", "complaint"),
    [
        (lose_every_third, WithoutGapDetection, "misses"),
        (repeat_everything, WithoutDeduplication, "more than once"),
    ],
)
@pytest.mark.parametrize("control", [False, True], ids=["as it is", "broken"])
def test_a_subscriber_that_skips_its_checks_is_noticed(  # noqa: PLR0913, PLR0917 - pytest gives them by name
    serve: Serve,
    subscribe: Subscribe,
    relay: PutBetween,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: Callable[[], Policy],
    broken: type[Recovery[Any]],
    complaint: str,
    control: bool,
) -> None:
    """Without gap detection a hole is found, without de-duplication a repetition; with both, nothing."""
    if control:
        monkeypatch.setattr("bus.subscriber.source.Recovery", broken)
    service = serve(tmp_path / "test.db")
    relay(service, policy())
    found = run_behind_a_relay(service, subscribe([service.address], start=Start.BEGINNING))
    log = read_log(service.address)

    if control:
        with pytest.raises(AssertionError, match=complaint):
            check_subscriber(found, log)
    else:
        check_subscriber(found, log)


class DiedError(Exception):
    """The process is killed here."""


@dataclass
class Consumer:
    """Stores effects and its position: in one transaction, or in two, between which it may die."""

    database: Path
    order: str

    def positions(self, source: str) -> dict[tuple[str, str], Position]:
        """Return where to go on."""
        with sqlite3.connect(self.database) as db:
            db.execute("CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY, offset INTEGER, body BLOB)")
            db.execute("CREATE TABLE IF NOT EXISTS position (only_row INTEGER PRIMARY KEY, epoch INTEGER, at INTEGER)")
            rows = db.execute("SELECT epoch, at FROM position").fetchall()
        db.close()
        return {(source, ""): Position(*rows[0])} if rows else {}

    def apply(self, event: Delivery, *, dies: bool) -> None:
        """Store one event; whoever dies, dies at the worst moment."""
        effect = ("INSERT INTO effects (offset, body) VALUES (?, ?)", (event.offset, bytes(event.body)))
        position = ("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", (event.epoch, event.offset))
        db = sqlite3.connect(self.database, isolation_level=None)
        try:
            first, second = (position, effect) if self.order == "position first" else (effect, position)
            if self.order == "together":
                db.execute("BEGIN")
            db.execute(*first)
            if dies:
                raise DiedError
            db.execute(*second)
            if self.order == "together":
                db.execute("COMMIT")
        finally:
            db.close()  # which rolls back what was begun

    def effects(self) -> list[Seen]:
        """Return what it has."""
        db = sqlite3.connect(self.database)
        rows = db.execute("SELECT offset, body FROM effects ORDER BY number").fetchall()
        db.close()
        return [Seen(None, offset, "a.", body) for offset, body in rows]


@pytest.mark.parametrize(
    ("order", "complaint"),
    [("together", None), ("effect first", "more than once"), ("position first", "misses")],
)
def test_a_position_that_is_stored_outside_the_transaction_is_noticed(
    serve: Serve, tmp_path: Path, order: str, complaint: str | None
) -> None:
    """Whoever stores effect and position apart has, after a kill, one event twice or not at all."""
    service = serve(tmp_path / "test.db")
    service.append(*(("a.", number) for number in range(20)))
    consumer = Consumer(tmp_path / "consumer.db", order)
    died = False
    while not consumer.positions("") or len(consumer.effects()) < 19 + (order != "position first"):
        with Subscriber(
            [service.address], start=Start.BEGINNING, positions=consumer.positions(service.address)
        ) as subscriber:
            try:
                for event in subscriber.receive(PATIENCE * TIME_FACTOR):
                    dies, died = not died and event.offset == 11, died or event.offset == 11
                    consumer.apply(event, dies=dies)
            except DiedError:
                continue

    log = read_log(service.address)
    if complaint:
        with pytest.raises(AssertionError, match=complaint):
            check_subscriber(consumer.effects(), log)
    else:
        check_subscriber(consumer.effects(), log)


def positions_first(consumer: EventConsumer, batch: list[Delivery]) -> None:
    """Apply a batch as no service may: the position goes ahead, and then the process dies."""
    with consumer._log.transaction() as tx:
        consumer._store.write_positions(
            tx, {(one.source, one.prefix): Position(one.epoch, one.offset) for one in batch}
        )
    raise DiedError


def die(_consumer: EventConsumer, _batch: list[Delivery]) -> None:
    """Die before anything of a batch is written."""
    raise DiedError


@pytest.mark.parametrize(("dies", "complaint"), [(die, None), (positions_first, "the database differs")])
def test_a_learning_service_that_stores_its_position_alone_is_noticed(
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies: Callable[[EventConsumer, list[Delivery]], None],
    complaint: str | None,
) -> None:
    """After a kill its state is the fold of the events up to its position only if both were one transaction."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_confirmed(learning)  # or it would ask the runner, at its next start, how those ended that it had already
    with monkeypatch.context() as broken:
        broken.setattr(EventConsumer, "_apply", dies)
        runner.finish("exp-1.0.0.0", well("a", score=0.1))
        wait_until(lambda: learning.error, what="the death of the service")
    with pytest.raises(DiedError):
        learning.stop()

    learning = services.learning(runner.address)
    runner.finish("exp-1.1.0.0", well("b", score=0.2))
    wait_until(lambda: _position(learning.log.path) == 2, what="both events")
    learning.stop()

    log = read_log(runner.address)
    if complaint:
        with pytest.raises(AssertionError, match=complaint):
            check_learner(tmp_path / "learning.db", runner.address, decoded(log))
    else:
        assert check_learner(tmp_path / "learning.db", runner.address, decoded(log)) == 1


def _position(database: Path) -> int:
    """Look how far a learning service has come."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return int(db.execute('SELECT coalesce(max("offset"), 0) FROM positions').fetchone()[0])
    finally:
        db.close()


@pytest.mark.parametrize(
    ("received", "complaint"),
    [
        (LOG[:3], "misses"),
        ([LOG[0], *LOG], "more than once"),
        ([LOG[1], LOG[0], *LOG[2:]], "out of order"),
        ([*LOG[:3], LOG[3]._replace(body=b"x")], "other events"),
        ([*LOG, Seen(1, 5, "a.", b"5")], "other events"),
    ],
)
def test_a_wrong_list_of_a_subscriber_is_noticed(received: list[Seen], complaint: str) -> None:
    """Missing, repeated, out of order, changed, or from nowhere."""
    check_subscriber(LOG, LOG)
    check_subscriber([LOG[2], LOG[3]], LOG, "a.", 1)

    with pytest.raises(AssertionError, match=complaint):
        check_subscriber(received, LOG)


def test_wrong_writes_are_noticed() -> None:
    """A phantom, a lost commit, and an event that was logged twice."""
    bodies = [one.body for one in LOG]
    check_writes(LOG, [*bodies, b"unknown outcome"], bodies)
    check_offsets([3, 4], 4, first=3)

    for log, begun, committed, complaint in (
        (LOG, bodies[1:], [], "published by nobody"),
        (LOG[1:], bodies, bodies, "committed events are lost"),
        ([*LOG, LOG[0]], bodies, bodies, "more than once"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            check_writes(log, begun, committed)


def test_an_offset_that_is_given_out_again_is_noticed() -> None:
    """Two observers who saw different events under one offset of one epoch."""
    check_never_reused(LOG, LOG[2:], [Seen(2, 4, "a.", b"of another epoch")])

    with pytest.raises(AssertionError, match="offset 4 was given out twice"):
        check_never_reused(LOG, [Seen(1, 4, "a.", b"x")])


def test_the_store_of_a_log_without_experiments_has_none(tmp_path: Path) -> None:
    """The check of a learning service that did nothing counts nothing."""
    log = Log(tmp_path / "learning.db")
    LearningStore(log)
    log.close()

    assert check_learner(tmp_path / "learning.db", "tcp://127.0.0.1:1", []) == 0
