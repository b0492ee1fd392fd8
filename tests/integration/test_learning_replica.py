"""A file that does what the transactions of a learning service have done has the same state, byte for byte."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from bus.contracts.experiments import DeletedReply, ExperimentParams
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog import schemas
from bus.eventlog.log import SQL, Log
from bus.eventlog.pages import Listing, Page
from bus.eventlog.replicas import Entry, replay
from bus.eventlog.transaction import Transaction
from bus.transport.client import request
from bus.transport.loop import Loop
from learning_service.experiments.selection import Selection
from learning_service.service import LearningService
from learning_service.tables import create_tables
from tests.support.factories import ServiceThread
from tests.support.helpers import LOCALHOST, REPLY_SECONDS
from tests.support.learning_services import SMALL, HeldPipeline, Services, address_of, create, wait_for


class Ledger:
    """Keeps entries in memory, encoded."""

    def __init__(self) -> None:
        """Start with none."""
        self.entries: list[bytes] = []

    def send(self, entry: Entry, _tx: Transaction) -> None:
        """Keep an entry."""
        self.entries.append(msgspec.msgpack.encode(entry))

    def committed(self) -> None:
        """Need nothing."""


State = tuple[dict[str, list[tuple[object, ...]]], Page, Listing]


def state(log: Log) -> State:
    """Return the rows of all tables but the log's own, all records, and the newest ones."""
    names = [name for name, (kind, _, _) in schemas.objects_in(log._db).items() if kind == "table"]
    ours = [name for name in names if name not in schemas.tables_of(SQL["schema"])]
    rows = {name: log.query(f"SELECT * FROM {name}") for name in ours}  # noqa: S608 - names of our own
    return rows, log.fetch("", 0), log.latest("", 100)


def replica_of(entries: list[bytes], path: Path) -> State:
    """Return the state of a new file after some entries."""
    log = Log(path, keep_newest=STATE_TOPICS)
    try:
        create_tables(log)
        for data in entries:
            entry = msgspec.msgpack.decode(data, type=Entry)
            while entry.forgotten and log.forget(entry.forgotten, 100):
                pass
            with log.transaction() as tx:
                replay(tx, entry, log.head)
        return state(log)
    finally:
        log.close()


def test_a_replica_has_the_same_state_and_the_same_log(services: Services, tmp_path: Path) -> None:
    """An experiment runs to its end, another one is deleted, and both files have the same tables and records."""
    pipeline, ledger = HeldPipeline(), Ledger()
    pipeline.released = True
    runner = services.runner(pipeline)
    runners = [str(runner.service.publisher.control)]

    def make(log: Log, loop: Loop) -> LearningService:
        log.replicate(ledger)
        return LearningService(log, loop, Selection(runners=runners), feed=LOCALHOST, control=LOCALHOST)

    learning = services._kept(ServiceThread(tmp_path / "learning.db", make))
    create(learning, replace(SMALL, jobs_per_variant=3))
    wait_for(learning, "completed")
    create(learning, SMALL, "exp-2")
    wait_for(learning, "completed", "exp-2")
    params = ExperimentParams(experiment_id="exp-2")
    request(address_of(learning), "experiment.delete", params, DeletedReply, REPLY_SECONDS)
    entries, theirs = learning.call(lambda: (list(ledger.entries), state(learning.log)))
    ours = replica_of(entries, tmp_path / "replica.db")

    assert ours == theirs
    assert ours[0]["experiments"], "there is nothing to compare"
    assert not [record.topic for record in ours[2].records if record.topic.startswith("variant.status.exp-2.")]
