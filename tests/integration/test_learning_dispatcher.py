"""Sending jobs to runners that lose replies, go away, refuse, lose their log, or are several."""

import pytest
from msgspec.structs import replace

from bus.contracts.experiments import CreateParams, ExperimentCancelParams, ExperimentView
from bus.protocol.control import ControlError
from bus.transport.client import RequestClient, request
from learning_service.experiments.model import Experiment
from learning_service.service import LearningService
from tests.support.checker import grow
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, context
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    STAGES,
    TOO_MUCH,
    HeldPipeline,
    LossyMethodServer,
    Services,
    address_of,
    create,
    fill_up,
    jobs_in,
    make_room,
    query,
    rejections,
    show,
    statuses,
    wait_for,
)


def test_a_submission_is_repeated_until_its_reply_arrives_and_adds_nothing(services: Services) -> None:
    """The runner has the jobs, but its reply is lost: each job runs once all the same."""
    pipeline = HeldPipeline()
    pipeline.released = True
    runner = services.runner(pipeline)
    lossy = LossyMethodServer(runner.service.publisher.methods, b"job.submit", 1)
    runner.service.publisher.methods = lossy
    learning = services.learning(str(runner.service.publisher.control))
    create(learning)

    wait_for(learning, "completed")
    wait_until(lambda: lossy.left == 0, what="the lost reply")

    assert sorted(pipeline.ran) == ALL
    assert jobs_in(runner) == ALL


def test_without_any_runner_an_experiment_cannot_be_checked(services: Services) -> None:
    """The refusal says where a runner was looked for; once one appears, the same request is good."""
    away = services.scripted()
    away.stop()
    learning = services.learning(away.address)
    params = CreateParams(experiment_id=EXPERIMENT, definition=SMALL)

    with pytest.raises(ControlError) as refused:
        request(address_of(learning), "experiment.create", params, ExperimentView)
    assert refused.value.code == "unavailable"
    assert away.address in refused.value.message

    appeared = services.scripted(away)
    create(learning)
    wait_until(lambda: sorted(appeared.jobs) == ALL, what="the jobs at the runner")


def test_a_pipeline_is_not_unknown_before_every_runner_has_answered(services: Services) -> None:
    """The refusal names the silent runner; one that has answered before is believed, and a word of no runner wrong."""
    other, away = services.scripted(pipelines=("noop",)), services.scripted()
    away.stop()
    learning = services.learning(other.address, away.address)
    params = CreateParams(experiment_id=EXPERIMENT, definition=SMALL)
    refusals: list[ControlError] = []

    def is_refused_for_it() -> bool:
        with pytest.raises(ControlError) as refused:
            request(address_of(learning), "experiment.create", params, ExperimentView)
        refusals.append(refused.value)
        return "offered by no runner that has answered" in refused.value.message

    wait_until(is_refused_for_it, what="the answer of the other runner")
    assert {one.code for one in refusals} == {"unavailable"}
    assert f"start the one at {away.address}" in refusals[-1].message

    services.scripted(away)
    create(learning)
    with pytest.raises(ControlError, match="'embeded' is unknown; did you mean 'embedded'"):
        create(learning, replace(SMALL, pipeline="embeded"), "wrong")


def test_an_experiment_can_be_planned_while_its_runner_is_away(services: Services) -> None:
    """What the runner offers is remembered; the jobs go to it when it is back."""
    first = services.scripted()
    learning = services.learning(first.address)
    create(learning, experiment_id="earlier")
    first.stop()
    learning.stop()
    learning = services.learning(first.address)

    assert create(learning).status == "pending"
    again = services.scripted(first)

    wait_until(lambda: set(ALL) <= set(again.jobs), what="the jobs at the runner")


def test_a_runner_that_refuses_a_job_fails_its_variant_with_the_message(services: Services) -> None:
    """Nothing waits forever: the jobs count as failed, with the runner's own words."""
    runner = services.scripted()
    runner.refusal = "jobs[0]: config.cfg_scale: unknown key"
    learning = services.learning(runner.address)
    create(learning)

    ended = wait_for(learning, "failed")

    assert [(one.failed, one.error) for one in ended.variants] == [(1, "jobs[0]: config.cfg_scale: unknown key")] * 2
    assert rejections(learning) == []


def test_a_runner_with_a_new_log_is_sent_the_unfinished_jobs_again(services: Services) -> None:
    """Its disk was replaced: what had ended stays so, the rest is submitted once more, and counted once."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the first submission")
    runner.finish(ALL[0])
    runner.publish(JobScript(context(1, 4.0)).started())
    wait_until(lambda: show(learning).totals.running == 1, what="the end of the first job, the start of the second")
    _experiment(learning).progress[ALL[1]] = (1, 0.5)
    runner.stop()

    new = services.scripted(runner)
    wait_until(lambda: new.jobs, what="the second submission")
    assert list(new.jobs) == [ALL[1]]
    assert (show(learning).totals.completed, show(learning).totals.running) == (1, 0)
    assert _experiment(learning).progress == {}
    learning.stop()
    learning = services.learning(runner.address)
    assert (show(learning).totals.completed, show(learning).totals.running) == (1, 0)
    new.publish(JobScript(context(1, 4.0)).queued(), JobScript(context(1, 4.0)).started())
    wait_until(lambda: show(learning).totals.running == 1, what="the second start")
    new.finish(ALL[1])

    assert wait_for(learning, "completed").totals.completed == 2
    assert show(learning).totals.running == 0
    revisions = [one.revision for one in statuses(learning, "variant.status.exp-1.1.")]
    assert grow(revisions)


def _experiment(learning: ServiceThread[LearningService]) -> Experiment:
    """Return the example experiment as it is in memory."""
    found = learning.call(lambda: learning.service._store.find(EXPERIMENT))
    assert found is not None
    return found


def test_a_job_that_has_ended_is_not_sent_again_to_a_runner_that_never_confirmed_it(services: Services) -> None:
    """Its reply was lost and its end was not: there is nothing left to send, not even to a runner with a new log."""
    runner = services.scripted()
    methods = LossyMethodServer(runner.service.publisher.methods, b"job.submit", 1_000_000)
    learning = services.learning(runner.address)
    wait_until(lambda: learning.call(lambda: learning.service._dispatcher._links[0].alive), what="the runner")
    runner.service.publisher.methods = methods
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    runner.finish(ALL[0])
    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job")
    assert query(learning, "SELECT job_id FROM jobs WHERE NOT acknowledged") == [(name,) for name in ALL]
    runner.stop()

    new = services.scripted(runner)
    wait_until(lambda: ALL[1] in new.jobs, what="the job that is left")
    new.finish(ALL[1])

    assert wait_for(learning, "completed").totals.completed == 2
    wait_until(lambda: query(learning, "SELECT * FROM jobs WHERE NOT acknowledged") == [], what="the note of it")
    assert list(new.jobs) == [ALL[1]]


def test_each_job_goes_to_exactly_one_runner_with_the_shortest_queue_that_offers_it(services: Services) -> None:
    """The busy runner and the one without the pipeline get nothing while the idle one has less to do."""
    busy, idle, other = services.scripted(), services.scripted(), services.scripted(pipelines=("other",))
    busy.queue = 1000
    learning = services.learning(busy.address, idle.address, other.address)
    wait_until(lambda: learning.call(lambda: all(link.alive for link in learning.service._dispatcher._links)))

    create(learning)

    wait_until(lambda: sorted(idle.jobs) == ALL, what="the jobs at the idle runner")
    assert (busy.jobs, other.jobs) == ({}, {})


def test_jobs_are_shared_between_runners_that_have_equally_much_to_do(services: Services) -> None:
    """Each job is at exactly one of them."""
    runners = [services.scripted(), services.scripted()]
    learning = services.learning(*(runner.address for runner in runners))
    wait_until(lambda: learning.call(lambda: all(link.alive for link in learning.service._dispatcher._links)))

    create(learning, replace(SMALL, jobs_per_variant=5))

    wait_until(lambda: sum(len(runner.jobs) for runner in runners) == 10, what="all jobs")
    assert [len(runner.jobs) for runner in runners] == [5, 5]
    assert not set(runners[0].jobs) & set(runners[1].jobs)


def test_a_job_stays_with_its_runner_while_that_is_away(services: Services) -> None:
    """It may be running there: no second runner ever gets it."""
    first, second = services.scripted(), services.scripted()
    second.queue = 1000
    learning = services.learning(first.address, second.address)
    wait_until(lambda: learning.call(lambda: all(link.alive for link in learning.service._dispatcher._links)))
    create(learning)
    wait_until(lambda: sorted(first.jobs) == ALL, what="the jobs at the first runner")
    first.stop()
    wait_until(lambda: learning.call(lambda: not learning.service._dispatcher._links[0].alive), what="the loss")

    create(learning, experiment_id="later")
    wait_until(lambda: len(second.jobs) == 2, what="the later jobs at the second runner")

    assert sorted(second.jobs) == ["later.0.0.0", "later.1.0.0"]


def test_a_plan_that_waits_for_runners_goes_to_the_one_that_comes(services: Services) -> None:
    """While all are away no runner is chosen, so the jobs do not wait for one that never returns."""
    first, second = services.scripted(), services.scripted()
    learning = services.learning(first.address, second.address)
    create(learning, experiment_id="earlier")
    wait_until(lambda: learning.call(lambda: all(link.pipelines for link in learning.service._dispatcher._links)))
    for one in (learning, first, second):
        one.stop()
    learning = services.learning(first.address, second.address)
    create(learning)
    client = learning.service._dispatcher._clients[first.address]
    assert isinstance(client, RequestClient)
    wait_until(lambda: learning.call(lambda: client._count >= 2))

    back = services.scripted(second)

    wait_until(lambda: set(ALL) <= set(back.jobs), what="the jobs at the runner that came back")


def test_a_full_disk_does_not_end_a_service_that_assigns_jobs(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs wait until it can be noted which runner they go to."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, experiment_id="earlier")
    wait_until(lambda: len(runner.jobs) == 2, what="the jobs")
    runner.stop()
    wait_until(lambda: learning.call(lambda: not learning.service._dispatcher._links[0].alive), what="the loss")
    create(learning, replace(SMALL, jobs_per_variant=100))
    query(learning, "CREATE TABLE room (x)")
    query(learning, TOO_MUCH)
    fill_up(learning)

    again = services.scripted(runner, again=True)
    wait_until(lambda: caplog.text.count("disk is full; trying again") > 2, what="several tries")
    assert len(again.jobs) < 200
    query(learning, "DROP TRIGGER too_much")
    make_room(learning)

    wait_until(lambda: len(again.jobs) == 200, what="the jobs at the runner")


def test_a_full_disk_does_not_end_a_service_whose_jobs_are_refused(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be counted as failed is submitted again, and counted when there is room."""
    runner = services.scripted()
    runner.refusal = "x" * 100_000
    learning = services.learning(runner.address)
    runner.before_submit = lambda: fill_up(learning)
    create(learning, replace(SMALL, jobs_per_variant=50))

    wait_until(lambda: caplog.text.count("disk is full; trying again") > 2, what="several tries")
    assert show(learning).totals.failed == 0
    runner.service.call(lambda: setattr(runner, "before_submit", lambda: None))  # in no submission
    make_room(learning)

    assert wait_for(learning, "failed").totals.failed == 100


def test_a_full_disk_does_not_end_a_service_whose_runner_has_a_new_log(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs are sent again as soon as that can be noted."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the first submission")
    runner.publish(JobScript(context()).queued(), JobScript(context()).started())
    wait_until(lambda: show(learning).totals.running == 1, what="the start of a job")
    runner.stop()
    query(learning, "CREATE TABLE room (x)")
    query(learning, TOO_MUCH)
    fill_up(learning)

    new = services.scripted(runner)
    wait_until(lambda: "disk is full; trying again" in caplog.text, what="the first try")
    query(learning, "DROP TRIGGER too_much")
    make_room(learning)

    wait_until(lambda: sorted(new.jobs) == ALL, what="the second submission")


def test_a_job_goes_to_the_runner_that_offers_its_stage(services: Services) -> None:
    """Two runners have a pipeline of the same name; a plan is checked against both, whatever their order."""
    first, second = services.scripted(), services.scripted()
    first.stages = {"img2img": STAGES["txt2img"]}
    learning = services.learning(first.address, second.address)
    wait_until(lambda: learning.call(lambda: all(link.alive for link in learning.service._dispatcher._links)))

    create(learning)
    create(learning, replace(SMALL, stage="img2img"), experiment_id="exp-2")

    wait_until(lambda: len(first.jobs) == len(second.jobs) == 2, what="the jobs")
    assert {job.stage for job in first.jobs.values()} == {"img2img"}
    assert {job.stage for job in second.jobs.values()} == {"txt2img"}


def test_a_refused_job_is_not_sent_again_after_a_restart(services: Services) -> None:
    """It has failed: a runner that would take it by now is not asked, also when the crash came before it was noted."""
    runner = services.scripted()
    runner.refused = {ALL[1]}
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: show(learning).totals.failed == 1, what="the failure of the refused job")
    wait_until(lambda: query(learning, "SELECT * FROM jobs WHERE NOT acknowledged") == [], what="the note of it")
    query(learning, "UPDATE jobs SET acknowledged = 0 WHERE variant_index = 1")
    learning.stop()
    runner.refused = set()

    learning = services.learning(runner.address)
    create(learning, experiment_id="later")

    wait_until(lambda: "later.1.0.0" in runner.jobs, what="the jobs planned later")
    assert sorted(runner.jobs) == [ALL[0], "later.0.0.0", "later.1.0.0"]
    assert (show(learning).totals.failed, show(learning).variants[1].failed) == (1, 1)
    assert query(learning, "SELECT * FROM jobs WHERE NOT acknowledged AND experiment_id = 'exp-1'") == []


def test_jobs_that_others_planned_are_never_sent(services: Services) -> None:
    """A discovered experiment is only watched, also when its runner comes back with an empty log."""
    runner = services.scripted()
    learning = services.learning(runner.address, discover=True)
    script = JobScript(context(), "mine")
    runner.publish(script.queued(), script.started())
    wait_for(learning, "running")
    runner.stop()

    new = services.scripted(runner)
    create(learning, experiment_id="exp-2")

    wait_until(lambda: len(new.jobs) == 2, what="the planned jobs")
    assert {job.learning_context.experiment_id for job in new.jobs.values() if job.learning_context} == {"exp-2"}


def test_what_runs_comes_to_its_end_if_a_person_wants_it_so(services: Services) -> None:
    """The wish is passed on to the runner; a stricter one afterwards, too."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")

    params = ExperimentCancelParams(experiment_id=EXPERIMENT, finish_running=True)
    request(address_of(learning), "experiment.cancel", params, ExperimentView)
    wait_until(lambda: runner.stops == [False], what="the cancel at the runner")

    request(address_of(learning), "experiment.cancel", replace(params, finish_running=False), ExperimentView)
    wait_until(lambda: runner.stops == [False, True], what="the second one")
