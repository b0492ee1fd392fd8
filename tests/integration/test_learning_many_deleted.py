"""Many experiments created, rated and deleted: files and memory are as before, and no step is long.

`VARIANTBUS_DELETED_EXPERIMENTS=1000` makes it a thousand.
"""

import hashlib
import os
from typing import Final

import pytest

from bus.contracts.archive import PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.experiments import DeletedReply
from bus.contracts.messages import ImageRef
from bus.transport.client import request
from learning_service.planning import deletion
from learning_service.service import LearningService
from learning_service.storage.deletions import Deletions
from tests.support.factories import ServiceThread, definition
from tests.support.helpers import wait_until
from tests.support.learning_services import Services, address_of, query
from tests.support.log_files import remove_oldest
from variantbus.cli.archive import send
from variantbus.reports.export import Exported

MANY: Final = int(os.environ.get("VARIANTBUS_DELETED_EXPERIMENTS", "60"))
KEPT: Final = {"log", "sqlite_sequence", "deletions", "purges"}  # history, counters, and that they were deleted
Learning = ServiceThread[LearningService]


def rated(name: str, values: int, seeds: int) -> Exported:
    """Return an experiment of which every job has made a picture, and each first one has stars."""
    results, pictures, ratings = [], [], []
    for index, repeat in ((index, repeat) for index in range(values) for repeat in range(seeds)):
        job, sha256 = f"{name}.{index}.{repeat}.0", hashlib.sha256(f"{name}.{index}.{repeat}".encode()).hexdigest()
        place = {"job_id": job, "variant_index": index, "repeat_index": repeat}
        image = ImageRef(sha256=sha256, path=f"{name}/{sha256}.png", width=1, height=1)
        results.append(ResultRecord(**place, state="completed", finished_at=10.0, seconds=1.0))  # type: ignore[arg-type]
        pictures.append(PictureRecord(**place, image=image))  # type: ignore[arg-type]
        if not repeat:
            ratings.append(RatingRecord(sha256=sha256, stars=3, note="", rated_at=1.0))
    return Exported(
        experiment_id=name,
        created_at=1.0,
        definition=definition([float(index) for index in range(values)], jobs=seeds),
        values=[float(index) for index in range(values)],
        records=Records(results=results, pictures=pictures, ratings=ratings, comparisons=[]),
        recommendation=None,
    )


def delete(learning: Learning, name: str) -> None:
    """Delete an experiment."""
    request(address_of(learning), "experiment.delete", {"experiment_id": name}, DeletedReply, 60.0)


def rows(learning: Learning) -> dict[str, int]:
    """Count the rows of all tables that may not grow."""
    tables = {name for (name,) in query(learning, "SELECT name FROM sqlite_master WHERE type = 'table'")} - KEPT
    return {name: query(learning, f"SELECT count(*) FROM {name}")[0][0] for name in tables}  # noqa: S608 - our names


def pages(learning: Learning) -> int:
    """Return the pages of the file that are in use, when retention has taken what was published."""
    learning.call(lambda: remove_oldest(learning.log, learning.log.head))
    (count,), (free,) = query(learning, "PRAGMA page_count")[0], query(learning, "PRAGMA freelist_count")[0]
    return int(count - free)


@pytest.mark.fault(item="F100")
def test_files_and_memory_are_as_before(services: Services) -> None:
    """But for a short row that says of each experiment that it was deleted."""
    learning = services.learning(services.scripted().address)
    wait_until(lambda: query(learning, "SELECT 1 FROM runners"), what="the runner")
    send(address_of(learning), rated("first", 3, 2), None)
    delete(learning, "first")
    used, before = pages(learning), rows(learning)
    for number in range(MANY):
        send(address_of(learning), rated(f"sweep-{number}", 3, 2), None)
    full = pages(learning)

    for number in range(MANY):
        delete(learning, f"sweep-{number}")

    wait_until(lambda: not query(learning, "SELECT 1 FROM stale"), what="the last recommendation")
    tombstones = MANY * 60 // 4096 + 2
    assert pages(learning) <= used + tombstones < full
    assert rows(learning) == before
    assert not learning.call(lambda: learning.service._store._recent._kept)


def test_a_step_removes_few_rows(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the experiment: the loop looks at its sockets in between."""
    learning = services.learning(services.scripted().address)
    send(address_of(learning), rated("large", 40, 20), None)
    removed: list[int] = []
    prune = Deletions.prune

    def counted(self: Deletions, tx: object, name: str, limit: int) -> None:
        before = learning.log._db.total_changes
        prune(self, tx, name, limit)  # type: ignore[arg-type]
        removed.append(learning.log._db.total_changes - before)

    monkeypatch.setattr(Deletions, "prune", counted)
    delete(learning, "large")

    assert sum(removed) >= 40 + 800 + 40
    assert max(removed) <= deletion.AT_ONCE + 1
    assert not query(learning, "SELECT 1 FROM results")
