"""A year in some minutes: ten experiments a day with a stepped clock, and a retention of thirty days.

Experiments are deleted when they are old. `make year` runs all of it; every test run has the first days behind the
retention.
"""

import hashlib
import os
import time
from functools import partial
from typing import Final, NamedTuple

import pytest

from bus.contracts.experiments import DeletedReply
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.jobs import JobListParams, JobListReply
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.eventlog.log import Log
from bus.eventlog.retention import DAY, Clock
from bus.eventlog.space import SPARE
from bus.transport.client import request
from learning_service.service import LearningService
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, definition, image
from tests.support.helpers import wait_until
from tests.support.learning_services import STAGES, Services, address_of, create, query, wait_for
from variantbus.client.experiments import listed
from variantbus.client.records import history_of

DAYS: Final = int(os.environ.get("YEAR_DAYS", "33"))
A_DAY: Final = 10  # experiments
VALUES: Final = (2.0, 4.0)
PLAN: Final = definition(VALUES, config={"prompt": "a blue star"})
RETAINED: Final = 30  # days, which is the default
KEPT: Final = min(90, DAYS - 2)  # days until an experiment is deleted
GROWTH: Final = 1.15  # of a size that is bounded: days differ a little
STARS: Final = (1, 5, 3)
pytestmark = pytest.mark.fault(item="F83")


class Calendar:
    """Steps the clock of all that runs in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin today."""
        self.day = 0
        real, real_ns, steady = time.time, time.time_ns, time.monotonic
        monkeypatch.setattr(time, "time", lambda: real() + self.day * DAY)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + self.day * int(DAY) * 10**9)
        monkeypatch.setattr("bus.eventlog.log.Clock", lambda: Clock(time.time, lambda: steady() + self.day * DAY))


class QuickPipeline(Pipeline):
    """Its jobs end at once, each with a picture of its own."""

    def stages(self) -> dict[str, StageSpec]:
        """Offer what the example experiment needs."""
        return STAGES

    def run(self, job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Name a picture, which nobody looks at."""
        return JobResult(success=True, images=(image(picture_of(job.job_id)),))


def picture_of(job: str) -> str:
    """Return the hash of the picture of a job."""
    return hashlib.sha256(job.encode()).hexdigest()


class Sizes(NamedTuple):
    """What a database takes."""

    log: int
    used: int
    oldest: float  # days since its oldest event


def tidy(service: ServiceThread[LearningService] | ServiceThread[Runner]) -> Sizes:
    """Let retention do the work of a day."""

    def sizes(log: Log) -> Sizes:
        while log.trim():
            pass
        (record,) = log.fetch("", log.first - 1, limit=1).records
        assert log.space.free <= 2 * SPARE
        return Sizes(log.size, log.space.used, (time.time() - record.time_ns / 1e9) / DAY)

    return service.call(lambda: sizes(service.log))


def delete(learning: ServiceThread[LearningService], experiments: list[str]) -> None:
    """Delete experiments, and wait until nothing is left of them, here and at the runner."""
    for experiment_id in experiments:
        request(address_of(learning), "experiment.delete", {"experiment_id": experiment_id}, DeletedReply)
    left = "SELECT count(*) FROM deletions LEFT JOIN purges USING (experiment_id) WHERE pruned = 0 OR done = 0"
    wait_until(lambda: query(learning, left) == [(0,)], what="the end of what was deleted")


def all_jobs(runner: ServiceThread[Runner]) -> list[str]:
    """Return the jobs of all pages of the runner's list."""
    found: list[str] = []
    before: int | None = None
    while True:
        params = JobListParams(before=before, limit=1000)
        reply = request(str(runner.service.publisher.control), "job.list", params, JobListReply)
        found += [job.job_id for job in reply.jobs]
        if reply.before is None:
            return found
        before = reply.before


def statuses_kept(learning: ServiceThread[LearningService]) -> int:
    """Return of how many variants the newest status can still be asked."""
    found, after = 0, ""
    while True:
        page = learning.call(partial(learning.log.latest, "variant.status.", 1000, after))
        found, after = found + len(page.records), page.next
        if not after:
            return found


@pytest.mark.exhaustive
@pytest.mark.timeout(0 if DAYS > 60 else 120)
def test_sizes_stay_bounded_and_lists_whole_through_the_year(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events leave after thirty days; experiments that nobody deleted have all their pictures, ratings and jobs."""
    calendar = Calendar(monkeypatch)
    runner = services.runner(QuickPipeline())
    learning = services.learning(str(runner.service.publisher.control))
    planned: list[str] = []
    logs: dict[str, int] = {}  # the size of each log when it first held all days that it keeps
    files: dict[str, int] = {}  # and of each file

    for day in range(DAYS):
        calendar.day = day
        today = [f"day-{day:03}-{number}" for number in range(A_DAY)]
        for experiment_id in today:
            create(learning, PLAN, experiment_id)
        for number, experiment_id in enumerate(today):
            wait_for(learning, "completed", experiment_id)
            rating = RateParams(
                experiment_id=experiment_id,
                image=picture_of(f"{experiment_id}.0.0.0"),
                stars=STARS[number % len(STARS)],
            )
            request(address_of(learning), "image.rate", rating, RatedReply)
        planned += today
        delete(learning, planned[: -KEPT * A_DAY])
        planned = planned[-KEPT * A_DAY :]
        for name, service in (("runner", runner), ("learning", learning)):
            found = tidy(service)
            if day > RETAINED:
                assert found.oldest <= RETAINED + 0.1
                assert found.log <= logs.setdefault(name, found.log) * GROWTH
            if day >= KEPT:
                assert found.used <= files.setdefault(name, found.used) * GROWTH

    told = [one.experiment_id for page in listed(address_of(learning), page=100) for one in page]
    assert told == planned[::-1]
    history = history_of(address_of(learning))
    assert [one.experiment_id for one in history.experiments] == planned
    assert (history.images, history.ratings) == (len(planned) * len(VALUES), len(planned))
    stars = [STARS[number % A_DAY % len(STARS)] for number in range(len(planned))]
    assert history.mean == pytest.approx(sum(stars) / len(stars))
    assert len(set(all_jobs(runner))) == len(all_jobs(runner)) == len(planned) * len(VALUES)
    assert statuses_kept(learning) == len(planned) * len(VALUES)
