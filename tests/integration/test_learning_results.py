"""How jobs ended, and their pictures, as the learning service keeps them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from bus.eventlog.log import Log
from learning_service.storage import results
from learning_service.storage.results import EndedJobs, Results
from tests.support.factories import EXPERIMENT, JobScript, context, well


@pytest.fixture
def log(tmp_path: Path, open_log: Callable[[Path], Log]) -> Log:
    """Open a log."""
    return open_log(tmp_path / "learning.db")


def test_a_job_whose_time_nobody_knows_has_none(log: Log) -> None:
    """Its start and end say nothing: the server may have had all of it in its cache."""
    stored = Results(log)
    jobs = [JobScript(context(0)).completed(well()), JobScript(context(1)).completed(replace(well(), untimed=True))]
    with log.transaction() as tx:
        stored.write(tx, EndedJobs(jobs))

    assert [row.seconds for row in stored.all(EXPERIMENT)] == [2.0, None]


@pytest.mark.parametrize(
    ("page_bytes", "page", "sizes"), [(10_000, 1000, [6]), (1, 1000, [1, 2, 3]), (10_000, 2, [3, 3])]
)
def test_pictures_come_some_at_a_time(
    log: Log, monkeypatch: pytest.MonkeyPatch, page_bytes: int, page: int, sizes: list[int]
) -> None:
    """By their bytes, too: a job may have thousands, and a thousand such jobs would keep the service for seconds."""
    monkeypatch.setattr(results, "PAGE", page)
    log.limits = replace(log.limits, page_bytes=page_bytes)
    stored = Results(log)
    jobs = [JobScript(context(repeat=repeat)).completed(well(*map(str, range(repeat)))) for repeat in range(4)]
    with log.transaction() as tx:
        stored.write(tx, EndedJobs(jobs))

    pages = list(stored.picture_pages(EXPERIMENT))

    assert [len(rows) for rows in pages] == sizes
    assert [(row.repeat_index, row.sha256) for rows in pages for row in rows] == [
        (repeat, str(number)) for repeat in range(4) for number in range(repeat)
    ]
