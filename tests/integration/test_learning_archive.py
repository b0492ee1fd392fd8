"""Experiments out of one learning service and into another, and looking back over all of them."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.archive import HistoryParams, HistoryReply, RecordsParams, RecordsReply
from bus.contracts.experiments import CreateParams, ExperimentParams
from bus.contracts.feedback import CompareParams, RatedReply, RateParams
from bus.contracts.messages import RecommendationUpdated
from bus.contracts.scoring import ScoreSettings
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError, ErrorBody
from bus.protocol.frames import encode
from bus.transport.client import request
from bus.transport.steps import complete
from learning_service.archive.exporting import Exporter
from learning_service.archive.history import History
from learning_service.archive.importing import Importer
from learning_service.experiments.model import Experiment
from learning_service.experiments.plan import PlannedJob
from learning_service.experiments.variants import Variant
from learning_service.service import LearningService
from learning_service.storage.judgements import RatingRow
from learning_service.storage.results import EndedJobs
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, badly, context, planned_experiment, well
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    SMALL,
    Services,
    address_of,
    create,
    query,
    rejections,
    show,
    statuses,
    wait_for,
)
from variantbus.cli.archive import send
from variantbus.client.records import export_of
from variantbus.reports.export import Exported, from_csv, to_csv, under

PLAN = replace(SMALL, jobs_per_variant=2)
PARAMS = ExperimentParams(experiment_id=EXPERIMENT)


def sha(index: int, repeat: int) -> str:
    """Name the picture of a job."""
    return f"{index}{repeat}" * 32


def judged(services: Services) -> ServiceThread[LearningService]:
    """Return a service with an experiment of which three jobs gave pictures, and one failed; two pictures are rated."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, PLAN)
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    for index, repeat in ((0, 0), (0, 1), (1, 0)):
        runner.finish(f"exp-1.{index}.{repeat}.0", well(sha(index, repeat), match=index + repeat / 4))
    runner.finish("exp-1.1.1.0", badly("out of memory"))
    wait_for(learning, "partial")
    for index, stars in ((0, 2), (1, 5)):
        params = RateParams(experiment_id=EXPERIMENT, image=sha(index, 0), stars=stars, note="=so")
        request(address_of(learning), "image.rate", params, RatedReply)
    said = CompareParams(experiment_id=EXPERIMENT, left=sha(0, 0), right=sha(1, 0), outcome="right")
    request(address_of(learning), "comparison.add", said, dict)
    return learning


def recommend(learning: ServiceThread[LearningService]) -> RecommendationUpdated:
    """Ask for a recommendation."""
    return request(address_of(learning), "experiment.recommend", PARAMS, RecommendationUpdated)


def export(learning: ServiceThread[LearningService], experiment_id: str = EXPERIMENT) -> Exported:
    """Export without the recommendation, which is made anew wherever the records are."""
    return replace(export_of(address_of(learning), experiment_id, None), recommendation=None)


@pytest.fixture
def other(services: Services, tmp_path: Path) -> ServiceThread[LearningService]:
    """Start a second, empty service."""
    folder = tmp_path / "other"
    folder.mkdir()
    return services.learning(services.scripted().address, folder=folder)


def test_what_is_imported_is_exported_as_it_was(services: Services, other: ServiceThread[LearningService]) -> None:
    """Jobs, pictures, ratings, comparisons; statuses, stars and recommendation follow, and nothing runs again."""
    learning = judged(services)
    exported = export(learning)

    send(address_of(other), exported, None)
    send(address_of(other), exported, None)  # the answer was lost

    assert export(other) == exported
    before, after = show(learning), show(other)
    assert (after.status, after.totals, after.created_at) == (before.status, before.totals, before.created_at)
    names = ("variant_value", "status", "completed", "failed", "error", "rating", "metrics", "duration_mean")
    for mine, theirs in zip(before.variants, after.variants, strict=True):
        assert {name: getattr(mine, name) for name in names} == {name: getattr(theirs, name) for name in names}
        assert set(mine.images) == set(theirs.images)
    assert [one.variant_index for one in statuses(other)] == [0, 1]
    assert query(other, "SELECT count(*) FROM jobs") == [(0,)]
    made = [
        request(address_of(one), "experiment.recommend", PARAMS, RecommendationUpdated) for one in (learning, other)
    ]
    assert made[0].estimates == made[1].estimates


def test_a_table_brings_all_but_the_comparisons(services: Services, other: ServiceThread[LearningService]) -> None:
    """From a spreadsheet, as from a document."""
    exported = export(judged(services))

    send(address_of(other), from_csv(to_csv(exported)), None)

    assert export(other) == replace(exported, records=replace(exported.records, comparisons=[]))


def test_a_known_id_with_other_records_is_a_conflict(services: Services) -> None:
    """Nothing is changed; under a new id it is another experiment, which can be rated."""
    learning = judged(services)
    exported = export(learning)
    changed = replace(exported, definition=replace(exported.definition, seed=7))
    before = show(learning)

    with pytest.raises(ControlError, match="is here already with other records; import it under a new id") as refused:
        send(address_of(learning), changed, None)
    send(address_of(learning), under(changed, "copy-2"), None)

    assert refused.value.code == "conflict"
    assert show(learning) == before
    assert show(learning, "copy-2").totals == before.totals
    params = RateParams(experiment_id="copy-2", image=sha(0, 1), stars=3)
    assert request(address_of(learning), "image.rate", params, RatedReply).rated == 3
    assert rejections(learning) == []
    assert query(learning, "SELECT count(*) FROM import_parts") == [(0,)]


@pytest.mark.fault(item="B70")
def test_an_imported_experiment_has_no_program_that_scores(
    services: Services, other: ServiceThread[LearningService]
) -> None:
    """The scorers by name stay; importing the same again, also where it comes from, is idempotent."""
    score = ScoreSettings(use=("sharpness",), command=("rm", "-rf", "/"), metrics=("loss",))
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(PLAN, score=score))
    exported = export(learning)
    assert exported.definition.score == score

    for _ in range(2):
        send(address_of(other), exported, None)
    send(address_of(learning), exported, None)

    assert show(other).definition.score == ScoreSettings(use=("sharpness",))
    assert show(learning).definition.score == score


def test_a_seed_of_which_nothing_is_known_is_cancelled(services: Services) -> None:
    """As of an experiment that was exported while it ran."""
    learning = judged(services)
    exported = under(export(learning), "half-1")
    records = replace(exported.records, results=exported.records.results[:1], pictures=[], ratings=[], comparisons=[])

    send(address_of(learning), replace(exported, records=records), None)

    view = show(learning, "half-1")
    assert (view.status, view.totals.completed, view.totals.cancelled) == ("partial", 1, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: replace(one, values=one.values[:1]), "records.results #3.variant_index: 1; there are 1 values"),
        (lambda one: replace(one, values=[2.0, 2]), "values: one is there twice"),
        (
            lambda one: replace(one, experiment_id="exp-2"),
            "results #1.job_id: 'exp-1.0.0.0'; must be exp-2.0.0.0",
        ),
        (lambda one: replace(one, values=one.values * 600), "values: 1200; an experiment has 1 to 1000"),
    ],
)
def test_records_that_fit_no_plan_are_refused(
    services: Services, change: Callable[[Exported], Exported], message: str
) -> None:
    """Nothing is stored of them."""
    learning = judged(services)
    exported = replace(export(learning), experiment_id="exp-1")

    with pytest.raises(ControlError) as refused:
        send(address_of(learning), change(exported), None)

    assert message in refused.value.message
    assert query(learning, "SELECT count(*) FROM import_parts") == [(0,)]


def test_records_come_page_by_page(services: Services) -> None:
    """Each kind by its own order, and each one once."""
    learning = judged(services)
    for kind, count in (("results", 4), ("pictures", 3), ("ratings", 2), ("comparisons", 1)):
        found, after = [], ""
        while after is not None:
            params = {"experiment_id": EXPERIMENT, "kind": kind, "after": after, "limit": 1}
            reply = request(address_of(learning), "experiment.records", params, RecordsReply)
            found += getattr(reply.records, kind)
            after = reply.after  # type: ignore[assignment]  # nil ends it
        assert len(found) == count
        assert found == getattr(export(learning).records, kind)


@pytest.mark.parametrize(("limit", "page_bytes"), [(1, 10_000), (2, 10_000), (3, 10_000), (7, 10_000), (7, 1)])
def test_a_page_may_end_amid_the_pictures_of_a_job_or_with_them(
    tmp_path: Path, open_log: Callable[[Path], Log], limit: int, page_bytes: int
) -> None:
    """It has no more than was asked for, and each picture comes once; what is no end of a page is refused."""
    log = open_log(tmp_path / "learning.db")
    log.limits = replace(log.limits, page_bytes=page_bytes)  # or the pictures of one job fill it
    store = LearningStore(log)
    ended = [JobScript(context(repeat=repeat)).completed(well(*map(str, range(repeat)))) for repeat in range(4)]
    with log.transaction() as tx:
        store.insert(tx, planned_experiment())
        store.results.write(tx, EndedJobs(ended))
    exporter, found, after = Exporter(log, store), list[str](), ""

    while after is not None:
        params = RecordsParams(experiment_id=EXPERIMENT, kind="pictures", after=after, limit=limit)
        reply = exporter._records(params)
        assert len(reply.records.pictures) <= limit
        found += [f"{one.repeat_index} {one.image.sha256}" for one in reply.records.pictures]
        after = reply.after  # type: ignore[assignment]  # nil ends it

    assert found == [
        f"{job.learning_context.repeat_index} {one.sha256}"
        for job in ended
        if job.learning_context
        for one in job.result.images
    ]
    with pytest.raises(ControlError, match="give that of the last page"):
        exporter._records(RecordsParams(experiment_id=EXPERIMENT, kind="pictures", after="x.0"))


def test_warnings_of_a_result_and_who_made_it_are_kept(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """Also where its pictures are measured later; what has neither tells neither."""
    log = open_log(tmp_path / "learning.db")
    store, job = LearningStore(log), JobScript(context())
    told = replace(well("a"), warnings=("no 'sharpness'", "slow"), reused_from="earlier.0.0.0")
    with log.transaction() as tx:
        store.insert(tx, planned_experiment())
        store.results.write(tx, EndedJobs([job.completed(told), JobScript(context(repeat=1)).completed(well("b"))]))
        store.results.write_metrics(tx, EXPERIMENT, PlannedJob(0, 0), job.name, {"sharpness": 1.0})

    reply = Exporter(log, store)._records(RecordsParams(experiment_id=EXPERIMENT, kind="results"))

    first, second = reply.records.results
    assert (first.warnings, first.reused_from) == (told.warnings, told.reused_from)
    assert first.metrics == {"sharpness": 1.0}
    assert (second.warnings, second.reused_from) == (UNSET, UNSET)


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_looking_back_counts_the_newest_rating_of_each_picture(
    services: Services, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Over all experiments, or those of one variable; however many jobs are looked at in one step."""
    monkeypatch.setattr("learning_service.archive.history.JOBS_AT_ONCE", at_once)
    learning = judged(services)
    for stars in (1, 4):
        params = RateParams(experiment_id=EXPERIMENT, image=sha(0, 0), stars=stars)
        request(address_of(learning), "image.rate", params, RatedReply)

    told = request(address_of(learning), "history", {"variable": "cfg_scale"}, HistoryReply)

    assert [(one.value, one.stars, one.images) for one in told.values] == [
        (2.0, (0, 0, 0, 1, 0), 2),
        (4.0, (0, 0, 0, 0, 1), 1),
    ]
    assert (told.ratings, told.mean, told.experiments[0].best) == (2, 4.5, 4.0)
    assert request(address_of(learning), "history", {"variable": "steps"}, HistoryReply).experiments == []
    assert request(address_of(learning), "history", {"pipeline": "webui"}, HistoryReply).values == []


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_looking_back_misses_no_variant_of_a_discovered_experiment(
    tmp_path: Path, open_log: Callable[[Path], Log], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Its variants are in the order in which their first jobs were seen."""
    monkeypatch.setattr("learning_service.archive.history.JOBS_AT_ONCE", at_once)
    log = open_log(tmp_path / "learning.db")
    store = LearningStore(log)
    seen = [Variant(index=index, value=index, jobs={f"exp-1.{index}.0.0": "queued"}) for index in (7, 2, 4)]
    with log.transaction() as tx:
        store.insert(tx, Experiment(EXPERIMENT, PLAN, seen, created_at=1.0, discovered=True))
        ended = [JobScript(context(index)).completed(well(sha(index, 0))) for index in (7, 2, 4)]
        store.results.write(tx, EndedJobs(ended))

    told = complete(History(store)._history(HistoryParams()))

    assert [(one.value, one.images) for one in told.values] == [(2, 1), (4, 1), (7, 1)]


def test_a_hundred_thousand_ratings_are_counted_in_a_second(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """Experiment by experiment."""
    log = open_log(tmp_path / "learning.db")
    store = LearningStore(log)
    with log.transaction() as tx:
        for number in range(100_000):
            name, index = f"e{number // 1000}", number % 10
            sha256 = f"{number:064}"
            store.judgements.rate(tx, name, RatingRow(sha256, number % 5 + 1, "", 1.0))
            job = JobScript(context(index, experiment=name), f"{name}.{number}").completed(well(sha256))
            store.results.write(tx, EndedJobs([job]))
    began = time.process_time()

    counted = [store.judgements.counts(f"e{number}") for number in range(100)]

    seconds = time.process_time() - began
    assert sum(sum(one.stars) for found in counted for one in found.values()) == 100_000
    assert seconds < 1


COUNTED = ("results", "ratings", "comparisons", "import_parts", "variants", "experiments")


def counts(learning: ServiceThread[LearningService]) -> dict[str, int]:
    """Return how many rows there are of each kind."""
    return {table: query(learning, f"SELECT count(*) FROM {table}")[0][0] for table in COUNTED}  # noqa: S608 - ours


def refuse(*_: object) -> None:
    """Have no room."""
    raise StorageError("database or disk is full")


@pytest.mark.fault(item="F112")
def test_an_import_that_fails_at_its_end_leaves_nothing_and_can_be_repeated(
    services: Services, other: ServiceThread[LearningService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records were written already, and belong to nobody."""
    exported = export(judged(services))
    with monkeypatch.context() as full:
        full.setattr(Importer, "_publish", refuse)
        with pytest.raises(ControlError, match="make room"):
            send(address_of(other), exported, None)

    assert set(counts(other).values()) == {0}
    send(address_of(other), exported, None)
    assert export(other) == exported


@pytest.mark.fault(item="F112")
def test_an_import_that_a_stop_cuts_off_is_forgotten_at_the_next_start(
    services: Services, other: ServiceThread[LearningService], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also its records; then it can be imported again as a whole."""
    exported = export(judged(services))
    with monkeypatch.context() as cut_off:
        cut_off.setattr(Importer, "_publish", refuse)
        cut_off.setattr(Importer, "_drop", refuse)
        with pytest.raises(ControlError):
            send(address_of(other), exported, None)
    left = counts(other)
    assert (left["results"], left["ratings"], left["import_parts"], left["experiments"]) == (4, 2, 1, 0)
    other.stop()

    again = services.learning(services.scripted().address, folder=tmp_path / "other")

    assert set(counts(again).values()) == {0}
    send(address_of(again), exported, None)
    assert export(again) == exported


def test_an_id_that_is_being_imported_is_not_given_to_another_experiment(
    services: Services, other: ServiceThread[LearningService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants to create one meanwhile is told."""
    exported = export(judged(services))
    asked: list[ErrorBody] = []

    def create_too(importer: Importer, experiment: Experiment) -> None:
        creation = other.service.publisher.methods
        frames = [b"1", b"experiment.create", encode(CreateParams(experiment_id=EXPERIMENT, definition=PLAN))]
        asked.append(msgspec.msgpack.decode(creation.answer(frames)[2], type=ErrorBody))
        publish(importer, experiment)

    publish = Importer._publish
    monkeypatch.setattr(Importer, "_publish", create_too)
    monkeypatch.setattr("learning_service.dispatch.dispatcher.Dispatcher.check", lambda *_: iter(()))
    create(other, PLAN, "exp-0")  # a runner has answered
    send(address_of(other), exported, None)

    assert [one.code for one in asked] == ["conflict"]
    assert export(other) == exported
