"""The learning service as a whole: from plan to end, creating and cancelling, and what it follows."""

import pytest
from msgspec.structs import replace

from bus.contracts.experiments import ExperimentListReply, ExperimentParams, ExperimentView
from bus.contracts.fields import Config
from bus.contracts.messages import ExperimentStatus, VariantProgress
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.subscriber.sync import Start, Subscriber
from bus.transport.client import request
from learning_service.experiments.selection import Selection
from tests.support.checker import grow
from tests.support.factories import CANCELLED, EXPERIMENT, JobScript, badly, context, definition, well
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    HeldPipeline,
    Services,
    address_of,
    create,
    jobs_in,
    outcomes,
    query,
    rejections,
    show,
    statuses,
    wait_for,
    wait_laid_out,
)


def test_an_experiment_runs_from_plan_to_end_on_a_real_runner(services: Services) -> None:
    """Every job runs once, every variant ends with its images and metrics, and its revisions grow."""
    pipeline = HeldPipeline()
    pipeline.released = True
    runner = services.runner(pipeline)
    learning = services.learning(str(runner.service.publisher.control))

    created = create(learning, replace(SMALL, jobs_per_variant=2))
    assert (created.status, created.totals.jobs, created.revision) == ("pending", 4, 1)
    ended = wait_for(learning, "completed")

    assert sorted(pipeline.ran) == ["exp-1.0.0.0", "exp-1.0.1.0", "exp-1.1.0.0", "exp-1.1.1.0"]
    assert [(one.completed, len(one.images), one.metrics) for one in ended.variants] == [(2, 2, {"match": 0.5})] * 2
    for index in (0, 1):
        revisions = [one.revision for one in statuses(learning, f"variant.status.exp-1.{index}.")]
        assert grow(revisions)
    published = [one for one in learning.logged("experiment.status.exp-1.") if isinstance(one, ExperimentStatus)]
    assert [one.revision for one in published] == list(range(1, len(published) + 1))
    assert (published[-1].status, published[-1].totals.completed) == ("completed", 4)


def test_progress_is_passed_on(services: Services) -> None:
    """While a job runs, whoever watches sees how far its variant is."""
    pipeline = HeldPipeline()
    runner = services.runner(pipeline)
    learning = services.learning(str(runner.service.publisher.control))
    with Subscriber([address_of(learning)], ["variant.progress"], start=Start.NOW) as subscriber:
        assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
        wait_until(lambda: learning.call(lambda: learning.service._subscriber.ready), what="the subscription")
        create(learning, definition([2.0], config={}))
        batch = subscriber.receive(PATIENCE * TIME_FACTOR)
    pipeline.released = True

    assert {one.topic for one in batch} == {"variant.progress.exp-1.0."}
    progress = batch[0].message
    assert isinstance(progress, VariantProgress)
    assert (progress.job_id, progress.fraction) == ("exp-1.0.0.0", 0.5)


def test_creating_again_gives_the_same_experiment(services: Services) -> None:
    """A client that lost the reply repeats its request; nothing is planned twice."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    first = create(learning)
    wait_until(lambda: runner.jobs, what="the jobs")

    again = create(learning)

    assert (again.experiment_id, again.created_at, again.totals) == (
        first.experiment_id,
        first.created_at,
        first.totals,
    )
    assert query(learning, "SELECT count(*) FROM jobs") == [(2,)]


def test_creating_another_experiment_with_a_known_id_is_a_conflict(services: Services) -> None:
    """The first one is not touched."""
    learning = services.learning(services.scripted().address)
    create(learning)

    with pytest.raises(ControlError) as refused:
        create(learning, definition([1.0, 2.0, 3.0]))

    assert refused.value.code == "conflict"
    assert len(show(learning).variants) == 2


def test_a_plan_that_no_runner_would_take_is_not_stored(services: Services) -> None:
    """The refusal names the field."""
    learning = services.learning(services.scripted().address)

    with pytest.raises(ControlError) as refused:
        create(learning, definition([1.0], name="cfg_scal"))

    assert refused.value.code == "invalid_request"
    assert "did you mean 'cfg_scale'?" in refused.value.message
    with pytest.raises(ControlError, match="was not found") as unknown:
        show(learning)
    assert unknown.value.code == "not_found"
    assert learning.logged() == []


def test_experiments_are_listed_newest_first(services: Services) -> None:
    """Page by page."""
    learning = services.learning(services.scripted().address)
    for name in ("one", "two", "three"):
        create(learning, experiment_id=name)

    first = request(address_of(learning), "experiment.list", {"limit": 2}, ExperimentListReply)
    rest = request(address_of(learning), "experiment.list", {"before": first.before}, ExperimentListReply)

    names = [one.experiment_id for one in [*first.experiments, *rest.experiments]]
    assert names == ["three", "two", "one"]
    assert rest.before is None


def test_cancelling_ends_what_no_runner_has_at_once(services: Services) -> None:
    """With the runner away, all variants that are laid out are cancelled in the reply; a second cancel is a conflict.

    When the runner is back, it is sent nothing of it.
    """
    away = services.scripted()
    learning = services.learning(away.address)
    create(learning, experiment_id="earlier")
    for one in (learning, away):
        one.stop()
    learning = services.learning(away.address)
    create(learning)
    wait_laid_out(learning)
    params = ExperimentParams(experiment_id=EXPERIMENT)

    cancelled = request(address_of(learning), "experiment.cancel", params, ExperimentView)

    assert (cancelled.status, cancelled.totals.cancelled) == ("cancelled", 2)
    assert [one.status for one in statuses(learning, "variant.status.exp-1.")][-2:] == ["cancelled", "cancelled"]
    with pytest.raises(ControlError) as refused:
        request(address_of(learning), "experiment.cancel", params, ExperimentView)
    assert refused.value.code == "conflict"
    assert query(learning, "SELECT * FROM jobs WHERE experiment_id = 'exp-1'") == []

    back = services.scripted(away, again=True)
    create(learning, experiment_id="later")
    wait_until(lambda: {"later.0.0.0", "later.1.0.0"} <= set(back.jobs), what="the jobs planned later")
    assert not set(ALL) & set(back.jobs)
    assert back.cancels == []
    assert query(learning, "SELECT ended FROM experiments WHERE experiment_id = 'exp-1'") == [(1,)]


def test_a_cancel_counts_no_job_that_has_got_further_without_being_sent(services: Services) -> None:
    """As after the loss of the service's file: an experiment created again, whose jobs a runner still does."""
    first = services.scripted()
    learning = services.learning(first.address)
    create(learning, experiment_id="earlier")
    first.stop()
    wait_until(lambda: learning.call(lambda: not learning.service._dispatcher._links[0].alive), what="the loss")
    create(learning, replace(SMALL, jobs_per_variant=2))
    wait_laid_out(learning)
    other = services.scripted(first, pipelines=("other",))
    other.publish(JobScript(context(0)).completed(), JobScript(context(1, 4.0)).started())
    wait_until(lambda: show(learning).totals.running == 1, what="the events")

    params = ExperimentParams(experiment_id=EXPERIMENT)
    view = request(address_of(learning), "experiment.cancel", params, ExperimentView)

    assert [(one.status, one.completed, one.cancelled) for one in view.variants] == [
        ("partial", 1, 1),
        ("running", 0, 1),
    ]
    other.publish(JobScript(context(1, 4.0)).completed(CANCELLED))
    assert wait_for(learning, "partial").totals.cancelled == 3
    assert not {"exp-1.0.0.0", "exp-1.0.1.0", "exp-1.1.0.0", "exp-1.1.1.0"} & set(other.jobs)


def test_cancelling_ends_what_runs_at_a_runner(services: Services) -> None:
    """The runner stops the running job and drops the queued one; both come back as cancelled."""
    runner = services.runner(HeldPipeline())
    learning = services.learning(str(runner.service.publisher.control))
    create(learning)
    wait_until(lambda: show(learning).totals.running == 1, what="the start of a job")

    request(address_of(learning), "experiment.cancel", ExperimentParams(experiment_id=EXPERIMENT), ExperimentView)

    assert wait_for(learning, "cancelled").totals.cancelled == 2
    assert jobs_in(runner, "cancelled") == ALL
    wait_until(lambda: query(learning, "SELECT * FROM cancels WHERE NOT done") == [], what="the end of the cancel")


def test_a_cancel_is_repeated_until_the_runner_has_answered(services: Services) -> None:
    """It is on disk: also a new service sends it."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: query(learning, "SELECT count(*) FROM jobs WHERE acknowledged") == [(2,)], what="the jobs")
    runner.stop()
    request(address_of(learning), "experiment.cancel", ExperimentParams(experiment_id=EXPERIMENT), ExperimentView)
    learning.stop()

    learning = services.learning(runner.address)
    again = services.scripted(runner, again=True)

    wait_until(lambda: EXPERIMENT in again.cancels, what="the cancel")
    wait_until(lambda: query(learning, "SELECT * FROM cancels WHERE NOT done") == [], what="the note of it")


def test_discovery_adopts_what_a_runner_does_for_others(services: Services) -> None:
    """The experiment grows with its jobs, survives a restart, and no revision repeats or goes back."""
    runner = services.scripted()
    learning = services.learning(runner.address, discover=True)
    a, b = JobScript(context(), "a"), JobScript(context(0, 2.0), "b")
    runner.publish(a.queued(), JobScript(context(0, 9.0), "wrong").queued())
    wait_until(lambda: len(rejections(learning)) == 1, what="the first events")
    runner.publish(a.completed())
    wait_for(learning, "completed")
    assert query(learning, "SELECT ended FROM experiments") == [(1,)]
    learning.stop()

    learning = services.learning(runner.address, discover=True)
    runner.publish(b.queued())
    wait_for(learning, "running")
    assert query(learning, "SELECT ended FROM experiments") == [(0,)]
    runner.publish(b.completed(badly()))
    wait_for(learning, "partial")
    assert query(learning, "SELECT ended FROM experiments") == [(1,)]
    assert query(learning, "SELECT * FROM jobs") == []

    assert (show(learning).totals.jobs, show(learning).totals.completed) == (2, 1)
    published = [one for one in learning.logged("experiment.status.") if isinstance(one, ExperimentStatus)]
    assert [one.revision for one in published] == list(range(1, len(published) + 1))
    revisions = [one.revision for one in statuses(learning)]
    assert grow(revisions)


def test_a_cancel_of_a_discovered_experiment_reaches_all_runners(services: Services) -> None:
    """Nobody has told where all of its jobs are, so each runner that is followed is told, also one that is away."""
    first, second = services.scripted(), services.scripted()
    learning = services.learning(first.address, second.address, discover=True)
    script = JobScript(context(), "mine")
    first.publish(script.queued(), script.started())
    wait_for(learning, "running")
    second.stop()

    request(address_of(learning), "experiment.cancel", ExperimentParams(experiment_id=EXPERIMENT), ExperimentView)
    wait_until(lambda: EXPERIMENT in first.cancels, what="the cancel at the first runner")
    first.publish(script.completed(CANCELLED))
    assert wait_for(learning, "cancelled").totals.cancelled == 1
    again = services.scripted(second, again=True)

    wait_until(lambda: EXPERIMENT in again.cancels, what="the cancel at the second runner")
    wait_until(lambda: query(learning, "SELECT * FROM cancels WHERE NOT done") == [], what="the note of it")
    assert (first.jobs, again.jobs) == ({}, {})


def test_a_narrow_service_leaves_the_rest_alone(services: Services) -> None:
    """Followed by experiment and variant, it subscribes to nothing else, so there is nothing to ignore."""
    runner = services.scripted()
    learning = services.learning(runner.address, discover=True, experiments=("exp-1",), variants=(0,))

    runner.publish(
        JobScript(context(1, 4.0)).completed(),
        JobScript(context(experiment="exp-10")).completed(),
        JobScript(context()).completed(),
    )
    wait_for(learning, "completed")

    assert [one.variant_index for one in show(learning).variants] == [0]
    assert outcomes(learning) == {"applied": 1}


@pytest.mark.parametrize(
    ("selection", "prefixes"),
    [
        (Selection(), ["job."]),
        (Selection(variants=(1,)), ["job."]),
        (
            Selection(experiments=("a b",)),
            [f"job.{kind}.a%20b." for kind in ("queued", "started", "completed", "progress", "scored")],
        ),
        (
            Selection(experiments=("e",), variants=(3,)),
            [f"job.{kind}.e.3." for kind in ("queued", "started", "completed", "progress", "scored")],
        ),
    ],
)
def test_narrowing_becomes_topic_prefixes(selection: Selection, prefixes: list[str]) -> None:
    """So libzmq filters at the publisher."""
    assert selection.prefixes() == prefixes


class Picky(HeldPipeline):
    """A pipeline that sees what a plan cannot express."""

    def check(self, _stage: str, config: Config) -> None:
        """Refuse one prompt."""
        if config["prompt"] == "nothing":
            raise InvalidInputError("config.prompt: there is nothing to see; write another one")


def test_what_only_the_runner_sees_is_refused_before_anything_is_stored(services: Services) -> None:
    """Such as a file that is not there: with its own words, and no experiment that could only fail is left."""
    runner = services.runner(Picky())
    learning = services.learning(str(runner.service.publisher.control))
    create(learning, experiment_id="good")
    plan = replace(SMALL, config={"prompt": "nothing"})

    with pytest.raises(ControlError) as refused:
        create(learning, plan, "bad")

    assert (refused.value.code, refused.value.message) == (
        "invalid_request",
        "config.prompt: there is nothing to see; write another one",
    )
    with pytest.raises(ControlError, match="bad' was not found"):
        show(learning, "bad")


def test_warnings_of_jobs_are_told_with_their_variant(services: Services) -> None:
    """What a server did otherwise than asked is seen where people look."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")

    runner.finish(ALL[0], replace(well("a"), warnings=("sampler_name: asked for 'a', the server used 'b'", "more")))
    runner.finish(ALL[1])

    first, second = wait_for(learning, "completed").variants
    assert (first.warned, first.warning) == (1, "sampler_name: asked for 'a', the server used 'b'")
    assert (second.warned, second.warning) == (0, None)
