"""Lists of experiments, searches, and numbers over all of them: whole, however many there are, and answered at once."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from bus.contracts.archive import HistoryReply
from bus.contracts.experiments import (
    ExperimentListParams,
    ExperimentListReply,
    ExperimentParams,
    ExperimentView,
    PlanParams,
    PlanReply,
)
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.messages import ExperimentStatus, JobResult, RecommendationUpdated, decode_body
from bus.eventlog.log import Log
from bus.transport.client import request
from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import Variant
from learning_service.service import LearningService
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, ServiceThread, definition, image, planned_jobs
from tests.support.helpers import wait_until
from tests.support.learning_services import SMALL, Services, address_of, create, query, show, wait_for
from tests.support.many_experiments import fill
from variantbus.cli.main import main
from variantbus.client.experiments import listed
from variantbus.client.records import export_of, history_of
from variantbus.reports.html import count_ratings, scores_of

MANY: Final = 10_000


def found(learning: ServiceThread[LearningService], search: str) -> list[str]:
    """Search, and return the ids of all pages."""
    return [one.experiment_id for page in listed(address_of(learning), search=search) for one in page]


def seconds_of(ask: Callable[[], object]) -> float:
    """Return the processor time of a request, at both of its ends, the best of three: others use the machine, too."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        ask()
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.fault(item="F105")
def test_ten_thousand_experiments_are_listed_and_searched_at_once(services: Services, tmp_path: Path) -> None:
    """Each of them once; the first page in 50 ms, a search in 100 ms, also one that finds nothing."""
    fill(tmp_path, MANY)
    learning = services.learning(services.scripted().address)

    def page(search: str = "", limit: int = 200) -> ExperimentListReply:
        params = ExperimentListParams(limit=limit, search=search)
        return request(address_of(learning), "experiment.list", params, ExperimentListReply)

    ids = found(learning, "")
    assert ids == [f"embedded-{number:05}" for number in reversed(range(MANY))]
    assert found(learning, "sWEEP no9876") == ["embedded-09876"]
    assert found(learning, "FAILED") == [f"embedded-{MANY // 2:05}"]
    assert found(learning, "sweep nowhere") == []
    assert seconds_of(page) < 0.05
    for search in ("no9876", "sweep nowhere", "failed", "embedded completed no123"):
        assert seconds_of(lambda search=search: page(search)) < 0.1  # type: ignore[misc]  # it is bound


@pytest.mark.fault(item="F105")
def test_the_command_line_lists_as_many_as_are_asked_for(services: Services, tmp_path: Path) -> None:
    """Also more than one reply holds; and it says where there are more, with `--json`, too."""
    fill(tmp_path, 1203)
    learning = services.learning(services.scripted().address)

    def run(*options: str) -> tuple[int, str]:
        arguments = ["experiment", "list", "--json", "--learning", address_of(learning), *options]
        ended = CliRunner().invoke(main, arguments, catch_exceptions=False)
        return len(json.loads(ended.stdout)), ended.stderr

    assert run() == (20, "… and more: --limit 40\n")
    assert run("--limit", "1100") == (1100, "… and more: --limit 2200\n")
    assert run("--limit", "1203") == (1203, "")
    assert run("--search", "no120 SWEEP") == (4, "")  # 120, 1200, 1201, 1202
    assert run("--search", "nowhere") == (0, "")


@pytest.mark.fault(item="F105")
@pytest.mark.parametrize(
    ("search", "is_found"),
    [
        ("exp-1", True),
        ("ÉTÉ", True),
        ("cfg_scale", True),
        ("txt2img", True),
        ("embedded", True),
        ("blue STAR", True),
        ("star été", True),
        ("euler", True),
        ("pending", True),
        ("running", False),
        ("star green", False),
        ("%", False),
        ("été_", False),
        ("", True),
        ("  \n ", True),
    ],
)
def test_a_search_looks_at_what_people_remember(open_log: Any, tmp_path: Path, search: str, *, is_found: bool) -> None:
    """Every word counts, in the id, the name, the variable, the texts of the configuration, or as the state."""
    log = open_log(tmp_path / "learning.db")
    store = LearningStore(log)
    plan = replace(definition(config={"prompt": "a blue star", "samplers": ["heun", "euler"]}), name="L'été")
    with log.transaction() as tx:
        one = Variant(index=0, value=1.0, jobs=planned_jobs(0))
        store.insert(tx, Experiment(EXPERIMENT, plan, [one], created_at=1.0))

    page, before = store.page(None, 10, search)

    assert (bool(page), before) == (is_found, None)


@pytest.mark.fault(item="F105")
def test_a_new_name_is_found_and_the_old_one_is_not(services: Services) -> None:
    """As soon as the request is answered."""
    learning = services.learning(services.scripted().address)
    create(learning)
    rename = {"experiment_id": EXPERIMENT, "name": "Ganz anders"}
    request(address_of(learning), "experiment.rename", rename, dict)

    assert found(learning, "GANZ") == [EXPERIMENT]
    assert found(learning, SMALL.name) == []


@pytest.mark.fault(item="F105")
def test_the_history_is_of_all_experiments(services: Services, tmp_path: Path) -> None:
    """More than one reply holds: page by page, with the numbers of all; and those of one pipeline."""
    fill(tmp_path, 1500, values=3)
    fill(tmp_path, 10, pipeline="webui", values=3, seconds=4.0)
    learning = services.learning(services.scripted().address)

    told = history_of(address_of(learning))

    assert [one.experiment_id for one in told.experiments[:2]] == ["embedded-00000", "embedded-00001"]
    assert (len(told.experiments), told.before) == (1510, None)
    assert [(one.value, one.experiments, one.completed) for one in told.values] == [
        (value, 1510, 3020) for value in range(3)
    ]
    assert told.values[0].seconds == pytest.approx((1500 * 2 + 10 * 4) / 1510)
    assert len(history_of(address_of(learning), pipeline="webui").experiments) == 10
    assert history_of(address_of(learning), variable="steps").experiments == []
    first = request(address_of(learning), "history", {}, HistoryReply)
    assert first.before is not None
    assert first.experiments[-1].experiment_id == "webui-00009"


@pytest.mark.fault(item="F109")
def test_a_list_is_whole_while_experiments_are_added_and_change(services: Services, tmp_path: Path) -> None:
    """What was there at the first page comes once, wherever it stands meanwhile; what comes later is asked for anew."""
    fill(tmp_path, 25)
    learning = services.learning(services.scripted().address)
    ids: list[str] = []
    for number, page in enumerate(listed(address_of(learning), page=10)):
        ids += [one.experiment_id for one in page]
        create(learning, experiment_id=f"new-{number}")
        oldest = {"experiment_id": "embedded-00000", "name": f"Renamed {number}"}
        request(address_of(learning), "experiment.rename", oldest, dict)

    assert ids == [f"embedded-{number:05}" for number in reversed(range(25))]
    assert found(learning, "")[:3] == ["new-2", "new-1", "new-0"]


@pytest.mark.fault(item="F105")
def test_a_list_goes_on_behind_the_experiments_that_were_looked_at(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may be empty where a search finds nothing among so many."""
    monkeypatch.setattr("learning_service.storage.catalogue.AT_ONCE", 10)
    fill(tmp_path, 35)
    learning = services.learning(services.scripted().address)

    pages = list(listed(address_of(learning), search="no3"))

    assert [len(page) for page in pages] == [5, 0, 0, 1]
    assert found(learning, "") == [f"embedded-{number:05}" for number in reversed(range(35))]
    assert len(history_of(address_of(learning)).experiments) == 35


def statuses(learning: ServiceThread[LearningService]) -> Iterator[ExperimentStatus]:
    """Return what is listed, and compare it with what is shown of each."""
    for page in listed(address_of(learning)):
        for one in page:
            shown = request(
                address_of(learning),
                "experiment.show",
                ExperimentParams(experiment_id=one.experiment_id),
                ExperimentView,
            )
            names = ExperimentStatus.__struct_fields__
            assert {name: getattr(one, name) for name in names} == {name: getattr(shown, name) for name in names}
            yield one


def test_the_list_says_what_each_experiment_says(services: Services) -> None:
    """Before, while and after its jobs run, after a cancel, and after a restart."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    plan = replace(SMALL, jobs_per_variant=2)
    create(learning, plan)
    assert [one.status for one in statuses(learning)] == ["pending"]
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    runner.finish("exp-1.0.0.0", JobResult(success=True, seconds=1.5))
    wait_for(learning, "running")
    (running,) = statuses(learning)
    assert running.eta_seconds == 6.0
    request(address_of(learning), "experiment.cancel", ExperimentParams(experiment_id=EXPERIMENT), dict)
    for name in ("exp-1.0.1.0", "exp-1.1.0.0", "exp-1.1.1.0"):
        runner.finish(name, JobResult(success=False, cancelled=True))
    wait_for(learning, "partial")
    last = list(statuses(learning))
    learning.stop()

    assert list(statuses(services.learning(runner.address))) == last


@pytest.mark.fault(item="F105")
@pytest.mark.parametrize("lost", ["UPDATE experiments SET summary = NULL", "DELETE FROM catalogue"])
def test_what_an_earlier_version_wrote_is_listed(services: Services, tmp_path: Path, lost: str) -> None:
    """Its rows have no summaries: they are made when the service starts."""
    fill(tmp_path, 250)
    with closing(Log(tmp_path / "learning.db")) as log:
        LearningStore(log)
        with log.transaction() as tx:
            tx.execute(lost)
    learning = services.learning(services.scripted().address)

    assert len(list(statuses(learning))) == 250
    assert found(learning, "no123") == ["embedded-00123"]


@pytest.mark.fault(item="F107")
def test_a_picture_under_two_seeds_is_one_opinion_everywhere(services: Services) -> None:
    """Its rating counts once for the variant: in its status, the history, the answer and the report alike."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=3))
    wait_until(lambda: len(runner.jobs) == 6, what="the jobs")
    same, other = "a" * 64, "b" * 64
    for repeat, sha256 in enumerate((same, same, other)):
        runner.finish(f"exp-1.0.{repeat}.0", JobResult(success=True, images=(image(sha256),)))
    wait_until(lambda: show(learning).variants[0].status == "completed", what="the variant")
    for sha256, stars in ((same, 5), (other, 2)):
        said = RateParams(experiment_id=EXPERIMENT, image=sha256, stars=stars)
        reply = request(address_of(learning), "image.rate", said, RatedReply)

    rating = show(learning).variants[0].rating
    assert rating is not None
    assert (rating.mean, rating.count, reply.rated) == (3.5, 2, 2)
    (value, _) = history_of(address_of(learning)).values
    assert (value.mean, value.stars, value.images) == (3.5, (0, 1, 0, 0, 1), 2)
    params = ExperimentParams(experiment_id=EXPERIMENT)
    made = request(address_of(learning), "experiment.recommend", params, RecommendationUpdated)
    assert (made.estimates[0].n, made.estimates[0].mean) == (2, 3.5)
    exported = export_of(address_of(learning), EXPERIMENT, None)
    assert sorted(one.score for one in scores_of(exported, "stars")) == [2, 5]
    assert count_ratings(exported) == 2


def timed(services: Services, **changes: Any) -> RecommendationUpdated:
    """Let an experiment run that is decided by time; the second of two values is the faster one."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=4, objective="seconds", **changes))
    wait_until(lambda: len(runner.jobs) == 8, what="the jobs")
    for index, seconds in ((0, 4.0), (1, 1.0)):
        for repeat in range(4):
            result = JobResult(success=True, seconds=seconds + repeat / 100)
            runner.finish(f"exp-1.{index}.{repeat}.0", result)
    wait_for(learning, "completed")
    params = ExperimentParams(experiment_id=EXPERIMENT)
    made = request(address_of(learning), "experiment.recommend", params, RecommendationUpdated)
    learning.stop()
    return made


@pytest.mark.fault(item="F108")
@pytest.mark.parametrize(
    ("changes", "best", "objective"),
    [({}, 4.0, "minimize seconds"), ({"goal": "maximize"}, 2.0, "maximize seconds")],
)
def test_less_time_is_better_unless_the_file_says_otherwise(
    services: Services, changes: dict[str, str], best: float, objective: str
) -> None:
    """The fastest value is recommended."""
    made = timed(services, **changes)

    assert (made.value, made.objective) == (best, objective)


@pytest.mark.fault(item="F108")
def test_an_earlier_answer_about_time_is_made_again(services: Services, tmp_path: Path) -> None:
    """It recommended the slowest value."""
    timed(services)
    with closing(Log(tmp_path / "learning.db")) as log:
        LearningStore(log)
        with log.transaction() as tx:
            wrong = replace(timed_answer(log), value=2.0, objective="maximize seconds")
            tx.append(f"recommendation.updated.{EXPERIMENT}.", wrong)
            tx.execute("DELETE FROM stale")
            tx.execute("UPDATE experiments SET summary = NULL")
    learning = services.learning(services.scripted().address)

    def newest() -> RecommendationUpdated:
        made = learning.logged("recommendation.updated.")[-1]
        assert isinstance(made, RecommendationUpdated)
        return made

    wait_until(lambda: newest().value == 4.0, what="the answer")  # `show` has it before it is published
    assert query(learning, "SELECT count(*) FROM stale") == [(0,)]


def timed_answer(log: Log) -> RecommendationUpdated:
    """Return the newest answer in a log."""
    (record,) = log.latest(f"recommendation.updated.{EXPERIMENT}.", 1).records
    message = decode_body(record.body)
    assert isinstance(message, RecommendationUpdated)
    return message


@pytest.mark.fault(item="F109")
def test_an_estimate_is_made_of_all_jobs_of_the_pipeline(services: Services, tmp_path: Path) -> None:
    """Not of the newest experiments alone, which may be of other pipelines."""
    fill(tmp_path, 3, seconds=3.0)
    fill(tmp_path, 300, pipeline="webui", seconds=50.0)
    fill(tmp_path, 1, pipeline="noop")
    learning = services.learning(services.scripted(pipelines=("embedded", "other")).address)

    def plan(pipeline: str) -> float | None:
        params = PlanParams(definition=replace(SMALL, pipeline=pipeline))
        return request(address_of(learning), "experiment.plan", params, PlanReply).seconds

    create(learning)
    assert plan("embedded") == 2 * 3.0
    assert plan("other") is None
