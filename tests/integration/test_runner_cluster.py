"""Runners in a cluster: each job has one end, whichever of them runs it, and whatever happens meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js.errors import NoKeysError
from nats.js.kv import KeyValue

from bus.cluster import names
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.messages import Announcement, unpack
from bus.contracts.jobs import SubmitParams, SubmitReply
from pipeline_runner.cluster import worker
from pipeline_runner.cluster.taking import Offer, take
from tests.support.cluster_runners import Cluster, gated
from tests.support.clusters import wait_for_pending
from tests.support.factories import context, request_for
from tests.support.held_pipelines import ask, refusal, wait_for
from tests.support.helpers import REPLY_SECONDS, TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers


@pytest.fixture
def cluster(no_leaks: None, nats: NatsServers, tmp_path: Path) -> Iterator[Cluster]:  # noqa: ARG001 - it looks after us
    """Return a cluster of one server without a runner."""
    cluster = Cluster(nats, tmp_path)
    yield cluster
    cluster.close()


def test_jobs_run_at_whoever_is_free_and_each_has_one_end(cluster: Cluster) -> None:
    """The queue is empty then, nothing is owed, and the numbers of the ends have no gap."""
    runners = [cluster.runner(workers=2) for _ in range(2)]
    jobs = [gated(f"job-{number}", context(number % 3)) for number in range(20)]
    cluster.publish(*jobs)
    for job in jobs:
        assert cluster.ended(job.job_id).result.success
    cluster.wait_until_empty()
    assert cluster.count(names.ENDS) == len(jobs)
    found = [stored.end for job in jobs if (stored := cluster.end_of(job.job_id))]
    for runner in runners:
        numbers = sorted(end.number for end in found if end.runner == runner.name)
        assert numbers == list(range(1, len(runner.gated.ran) + 1))
    wait_until(lambda: not any(runner.metric("tickets") for runner in runners), what="no tickets")
    assert sum(len(runner.gated.ran) for runner in runners) == len(jobs)


def test_only_what_can_start_is_fetched_and_the_urgent_first(cluster: Cluster) -> None:
    """No job lies in the queue of a runner that is busy."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("first"))
    wait_until(lambda: runner.gated.ran == ["first"], what="a job that runs")
    cluster.publish(gated("low", priority=-1), gated("normal"), gated("high", priority=3))
    assert runner.metric("tickets") == 1
    wait_for_pending(cluster.client.connection, "gated", {"high": 1})
    runner.gated.is_open = True
    for name in ("first", "high", "normal", "low"):
        cluster.ended(name)
    assert runner.gated.ran == ["first", "high", "normal", "low"]


def test_a_job_that_its_server_hears_of_late_is_looked_for_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word that there is one may be quicker than the job; alone, it waited for the next look of a runner."""
    monkeypatch.setattr(worker, "REST_SECONDS", 3600.0)
    monkeypatch.setattr(worker, "LATE_SECONDS", 0.3 * TIME_FACTOR)
    runner = cluster.runner()
    member = runner.thread.service._cluster
    assert member
    wait_until(lambda: "gated" in runner.thread.call(lambda: dict(member._worker._rests)), what="an empty queue")
    looks = []

    async def too_early(connection: Connection, pipeline: str, most: int) -> tuple[list[Offer], bool]:
        looks.append(pipeline)
        return await take(connection, pipeline, most) if looks.count(pipeline) > 1 else ([], False)

    monkeypatch.setattr(worker, "take", too_early)
    cluster.publish(gated("alone"))

    assert cluster.ended("alone").result.success
    assert looks.count("gated") >= 2


def test_a_job_that_has_ended_is_not_run_but_acknowledged(cluster: Cluster) -> None:
    """Whoever is given it looks for its end first."""
    job = gated("done")
    assert cluster.commit(job) == "won"
    runner = cluster.runner()
    cluster.publish(job, gated("next"))
    cluster.ended("next")
    cluster.wait_until_empty()
    assert runner.gated.ran == ["next"]


def test_a_result_that_comes_too_late_is_dropped_and_its_number_used_again(cluster: Cluster) -> None:
    """The job has the other end, and all that follows is counted without a gap."""
    runner = cluster.runner(is_open=False)
    job = gated("late")
    cluster.publish(job)
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    assert cluster.commit(job) == "won"
    runner.gated.is_open = True
    wait_until(lambda: runner.metric("ends_fenced_total") == 1, what="a fenced end")
    cluster.wait_until_empty()
    cluster.publish(gated("next"))
    cluster.ended("next")
    stored = cluster.end_of("next")
    late = cluster.end_of("late")
    assert stored
    assert late
    assert (stored.end.number, stored.end.complete) == (1, 0)
    assert late.end.run == "another"


def test_a_cancelled_experiment_is_cancelled_where_it_runs(cluster: Cluster) -> None:
    """Those that are told may be finished come to their end."""
    runner = cluster.runner(workers=2, is_open=False)
    cluster.publish(gated("stop", context(experiment="a")), gated("finish", context(experiment="b")))
    wait_until(lambda: len(runner.gated.ran) == 2, what="two jobs that run")
    cluster.cancel("b", finish_running=True)
    cluster.cancel("a")
    assert cluster.ended("stop").result.cancelled
    assert cluster.end_of("finish") is None
    runner.gated.is_open = True
    assert cluster.ended("finish").result.success


def test_jobs_that_ended_elsewhere_are_cancelled_though_nobody_said_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner looks every few seconds."""
    monkeypatch.setattr("pipeline_runner.cluster.keeper.BEAT_SECONDS", 0.1)
    runner = cluster.runner(is_open=False)
    job = gated("elsewhere")
    cluster.publish(job)
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    assert cluster.commit(job) == "won"
    wait_until(lambda: runner.metric("ends_fenced_total") == 1, what="a fenced end")
    assert not runner.gated.is_open


def test_a_runner_that_is_started_again_goes_on_with_its_jobs(cluster: Cluster) -> None:
    """Nobody else needs to be given them."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("mine"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    runner.stop()
    assert cluster.end_of("mine") is None
    runner.gated.is_open = True
    runner.start()
    assert cluster.ended("mine").result.success
    cluster.wait_until_empty()
    assert runner.metric("redelivered_total") == 0


def test_a_runner_that_comes_back_asks_first_which_of_its_jobs_have_ended_elsewhere(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has killed it would do so again."""
    monkeypatch.setattr("pipeline_runner.cluster.returning.ASK_SECONDS", REPLY_SECONDS)
    runner = cluster.runner(is_open=False)
    job = gated("elsewhere")
    cluster.publish(job)
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    runner.stop()
    assert cluster.commit(job) == "won"
    runner.start()
    wait_until(lambda: runner.metric("ends_fenced_total") == 1, what="a fenced end")
    cluster.wait_until_empty()
    assert runner.gated.ran == ["elsewhere"]


def test_a_runner_that_comes_back_while_no_server_answers_runs_its_jobs(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for long."""
    monkeypatch.setattr("pipeline_runner.cluster.returning.ASK_SECONDS", 0.2)
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("mine"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    runner.stop()
    cluster.nats.nodes[0].kill()
    runner.start()
    wait_until(lambda: runner.gated.ran == ["mine", "mine"], what="the job that runs again")


def test_jobs_end_while_the_servers_are_away_and_their_ends_wait(cluster: Cluster) -> None:
    """Also over a restart of the runner; then all goes on by itself."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("first"), gated("second"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    cluster.nats.nodes[0].kill()
    wait_until(lambda: runner.metric("connected") == 0, what="a broken connection")
    runner.gated.is_open = True
    wait_until(lambda: runner.metric("ends_waiting") == 1, what="an end that waits")
    runner.stop()
    runner.start()
    assert runner.metric("ends_waiting") == 1
    cluster.nats.heal()
    cluster.nats.wait_for_leader()
    wait_until(lambda: cluster.client.connection.is_connected, what="a connection")
    assert cluster.ended("first").result.success
    assert cluster.ended("second").result.success
    cluster.wait_until_empty()


def test_a_runner_waits_for_the_streams(nats: NatsServers, tmp_path: Path, no_leaks: None) -> None:  # noqa: ARG001
    """Until a learning service makes them."""
    cluster = Cluster(nats, tmp_path)
    try:
        cluster.run(cluster.js.delete_stream(names.LEDGER))
        runner = cluster.runner()
        cluster.publish(gated("patient"))
        wait_until(lambda: runner.metric("connected") == 1, what="a connection")
        assert runner.gated.ran == []
        cluster.client.ensure()
        cluster.ended("patient")
    finally:
        cluster.close()


def test_the_runner_says_what_it_offers(cluster: Cluster) -> None:
    """And no longer once it is stopped, however soon after it has said so."""
    runner = cluster.runner()
    bucket = cluster.run(cluster.js.key_value(names.RUNNERS))
    wait_until(lambda: cluster.run(_keys(bucket)) == [runner.name], what="an announcement")
    told = unpack(Announcement, cluster.run(bucket.get(runner.name)).value)
    assert (told.runner, told.control) == (runner.name, runner.control)
    assert set(told.offers.pipelines) == {"gated", "painting"}
    member = runner.thread.service._cluster
    assert member

    async def busy() -> None:
        time.sleep(0.2)  # noqa: ASYNC251 - so that what is sent now has to wait

    def end() -> None:
        member._connection.submit(busy())
        member._announcer.announce()
        member._announcer.close(REPLY_SECONDS)

    runner.thread.call(end)
    runner.stop()
    wait_until(lambda: cluster.run(_keys(bucket)) == [], what="no announcement")


async def _keys(bucket: KeyValue) -> list[str]:
    try:
        return await bucket.keys()
    except NoKeysError:
        return []


def test_jobs_of_experiments_come_from_the_cluster_alone(cluster: Cluster) -> None:
    """A single job runs here and stays here."""
    runner = cluster.runner()
    code, text = refusal(runner.thread, "job.submit", SubmitParams(jobs=[gated("one")]))
    assert (code, text) == ("conflict", "this runner is in a cluster, which gives it the jobs of experiments")
    alone = request_for("alone", pipeline="gated", stage="run", config={})
    ask(runner.thread, "job.submit", SubmitParams(jobs=[alone]), SubmitReply)
    wait_for(runner.thread, "alone", "completed")
    assert cluster.count(names.ENDS) == 0


def test_a_runner_whose_fetches_fail_looks_once_at_a_time(cluster: Cluster) -> None:
    """Each that failed began another row of looks, in an outage of hours thousands."""
    runner = cluster.runner()
    wait_until(lambda: runner.metric("connected") == 1, what="a connection")
    member = runner.thread.service._cluster
    assert member

    def looks() -> int:
        for _ in range(5):
            member._looked(ClusterError("no leader"))
        timers = [timer for _, _, timer in runner.thread.service._loop._timers]
        return sum(timer.callback == member._look_for_streams and not timer.cancelled for timer in timers)

    assert runner.thread.call(looks) == 1
