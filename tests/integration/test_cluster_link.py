"""A learning service sends its jobs to a cluster and reads their ends from there, whatever happens to either."""

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from bus.cluster import names, pictures, streams
from bus.cluster.messages import CancelNews, RepeatRequest
from bus.contracts.experiments import DeletedReply, ExperimentCancelParams, ExperimentView
from bus.protocol.control import MetricsReply
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.clusters import Client, connected
from tests.support.factories import EXPERIMENT, ServiceThread, definition, well
from tests.support.helpers import PATIENCE, REPLY_SECONDS, wait_until
from tests.support.learning_services import (
    ALL,
    Services,
    address_of,
    create,
    outcomes,
    query,
    rejections,
    show,
    wait_for,
)
from tests.support.nats_servers import NatsServers
from tests.support.scripted_cluster import ClusterRunner, insist, learning_of

pytestmark = pytest.mark.usefixtures("no_leaks", "hasty")
Learn = Callable[[], ServiceThread[LearningService]]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat ten times as often what is usually repeated each second."""
    monkeypatch.setattr("learning_service.dispatch.dispatcher.PUMP_SECONDS", 0.1)
    monkeypatch.setattr("learning_service.dispatch.dispatcher.POLL_SECONDS", 0.2)
    monkeypatch.setattr("learning_service.dispatch.purging.PURGE_SECONDS", 0.1)
    monkeypatch.setattr("learning_service.cluster.settling.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("bus.cluster.tail.SILENCE_SECONDS", 2.0)


@pytest.fixture
def cluster(nats: NatsServers) -> Iterator[Client]:
    """Return a connection to a cluster with its streams."""
    with connected(nats.url) as client:
        client.ensure()
        yield client


@pytest.fixture
def learn(nats: NatsServers, cluster: Client, tmp_path: Path) -> Iterator[Learn]:  # noqa: ARG001 - it has the streams
    """Return what starts the learning service, again at its own file."""
    started: list[ServiceThread[LearningService]] = []

    def start() -> ServiceThread[LearningService]:
        started.append(learning_of(nats.url, tmp_path / "learning.db"))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def ended(learning: ServiceThread[LearningService]) -> list[str]:
    """Return the jobs whose ends were counted."""
    return [job_id for (job_id,) in query(learning, "SELECT job_id FROM results ORDER BY job_id")]


def progress(learning: ServiceThread[LearningService]) -> dict[str, float]:
    """Return how far running jobs are."""
    experiment = learning.call(lambda: learning.service._store.get(EXPERIMENT))
    return {job_id: fraction for job_id, (_, fraction) in experiment.progress.items()}


def waiting(cluster: Client) -> int:
    """Return how many jobs have not ended in the cluster."""
    return int(cluster.run(cluster.js.stream_info(names.JOBS)).state.messages)


def lose(runner: ClusterRunner, job_id: str) -> None:
    """Let a job have been ended and acknowledged, and its end be lost without a hole."""
    runner.number = runner.complete = runner.number + 1
    runner.ends[job_id] = runner.end_of(job_id, runner.number)
    runner.forget(job_id)


def cancel(learning: ServiceThread[LearningService], *, finish_running: bool = False) -> None:
    """Cancel the example experiment."""
    params = ExperimentCancelParams(experiment_id=EXPERIMENT, finish_running=finish_running)
    request(address_of(learning), "experiment.cancel", params, ExperimentView, REPLY_SECONDS)


def metric(learning: ServiceThread[LearningService], name: str) -> float:
    """Return the sum of a metric."""
    reply = request(address_of(learning), "metrics", {}, MetricsReply, REPLY_SECONDS)
    return sum(one.value for metric in reply.metrics if metric.name == name for one in metric.samples)


def test_jobs_go_out_and_each_end_counts_once(cluster: Client, learn: Learn) -> None:
    """Also after a restart, which reads on where it was."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    runner.start(first, 0.5)
    wait_until(lambda: show(learning).status == "running", what="news of a start")
    wait_until(lambda: progress(learning) == {first: 0.5}, what="news of progress")
    assert runner.finish(first, well("a")) == "won"
    wait_until(lambda: ended(learning) == [first], what="one end")
    learning.stop()
    runner.finish(second, well("b"))
    learning = learn()
    wait_for(learning, "completed")
    assert ended(learning) == ALL
    assert outcomes(learning) == {"applied": 1}, "the end before the restart is not read again"
    wait_until(lambda: waiting(cluster) == 0, what="an empty queue")


def test_a_hole_in_the_stream_is_noticed_and_its_job_runs_again(cluster: Client, learn: Learn) -> None:
    """An end that was removed before it was read is missed by its place; its job is sent again."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    learning.stop()
    runner.finish(first)
    runner.finish(second)
    cluster.run(cluster.js.delete_msg(names.ENDS, 1))
    learning = learn()
    wait_until(lambda: ended(learning) == [second], what="the end behind the hole")
    assert runner.take_all(1) == [first]
    assert runner.finish(first) == "won"
    wait_for(learning, "completed")
    assert metric(learning, "variantbus_cluster_ends_rewound_total") >= 1


def test_streams_that_are_made_anew_get_all_jobs_that_have_not_ended(cluster: Client, learn: Learn) -> None:
    """The service makes them itself; what it has counted stays."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    runner.finish(first)
    wait_until(lambda: ended(learning) == [first], what="one end")
    for stream in (names.JOBS, names.ENDS):
        cluster.run(cluster.js.delete_stream(stream))
    wait_until(lambda: cluster.run(streams.exists(cluster.js)), what="streams made anew")
    assert runner.take_all(1) == [second]
    runner.finish(second)
    wait_for(learning, "completed")
    assert ended(learning) == ALL
    assert rejections(learning) == []


def test_an_end_that_was_lost_in_silence_is_missed_by_its_number(cluster: Client, learn: Learn) -> None:
    """No place is missing, since the stream is shorter; the runner is asked for it, and publishes it again."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    lose(runner, first)
    runner.finish(second)
    wait_until(lambda: bool(runner.repeats), what="the wish for what is lost")
    assert runner.repeats[0] == RepeatRequest(epoch=runner.epoch, number=1)
    runner.repeat()
    wait_for(learning, "completed")
    assert ended(learning) == ALL
    assert metric(learning, "variantbus_cluster_ends_lost_total") == 1


def test_the_runner_may_be_away_for_ever_with_what_was_lost(cluster: Client, learn: Learn) -> None:
    """Its job is sent again, and another runner ends it."""
    runner, other, learning = ClusterRunner(cluster), ClusterRunner(cluster, "machine-2"), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    lose(runner, first)
    runner.finish(second)
    assert other.take_all(1) == [first]
    other.finish(first)
    wait_for(learning, "completed")
    assert ended(learning) == ALL


def test_the_last_end_of_a_runner_may_be_lost(cluster: Client, learn: Learn) -> None:
    """No later one tells of it; but no job is left in the cluster, so its job is sent again."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    runner.finish(first)
    lose(runner, second)
    assert runner.take_all(1) == [second]
    runner.finish(second)
    wait_for(learning, "completed")
    assert ended(learning) == ALL


def test_without_positions_and_numbers_nobody_would_notice(
    cluster: Client, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above do see losses: without the two, the experiment waits for ever, and nothing tells why."""
    monkeypatch.setattr("learning_service.cluster.numbers.Numbers.note", lambda *_: None)
    monkeypatch.setattr("learning_service.cluster.link.Settling", mock.Mock())
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    lose(runner, first)
    runner.finish(second)
    wait_until(lambda: ended(learning) == [second], what="the end that was not lost")
    wait_until(lambda: learning.call(lambda: learning.service._dispatcher._links[0].alive))
    assert runner.take() is None
    assert runner.repeats == []
    assert metric(learning, "variantbus_cluster_ends_rewound_total") == 0


@pytest.mark.parametrize("is_cancelled_first", [True, False])
def test_a_cancel_and_a_completion_race(cluster: Client, learn: Learn, is_cancelled_first: bool) -> None:
    """The first one counts, for all who read it."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    if not is_cancelled_first:
        assert runner.finish(first, well("a")) == "won"
    cancel(learning)
    wait_until(lambda: bool(runner.cancels), what="news of the cancel")
    assert runner.cancels == [CancelNews(experiment_id=EXPERIMENT, finish_running=False)]
    assert runner.finish(second) == "fenced"
    if is_cancelled_first:
        assert runner.finish(first, well("a")) == "fenced"
    wait_until(lambda: ended(learning) == ALL, what="all ends")
    states = dict(query(learning, "SELECT job_id, state FROM results"))
    assert states == {first: "cancelled" if is_cancelled_first else "completed", second: "cancelled"}


def test_running_jobs_may_end_when_an_experiment_is_cancelled(cluster: Client, learn: Learn) -> None:
    """Only those that nobody has begun are cancelled."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    runner.start(first, 0.5)
    wait_until(lambda: show(learning).status == "running", what="news of a start")
    cancel(learning, finish_running=True)
    wait_until(lambda: bool(runner.cancels), what="news of the cancel")
    assert runner.finish(second) == "fenced"
    assert runner.finish(first) == "won"
    wait_until(lambda: ended(learning) == ALL, what="all ends")
    assert dict(query(learning, "SELECT job_id, state FROM results")) == {first: "completed", second: "cancelled"}


def test_servers_may_be_away_while_jobs_are_planned(nats: NatsServers, cluster: Client, learn: Learn) -> None:
    """The jobs wait, and ends are read by a consumer that is made anew."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    runner.finish(first)
    wait_until(lambda: ended(learning) == [first], what="one end")
    nats.nodes[0].kill()
    wait_until(lambda: not learning.call(lambda: learning.service._dispatcher._links[0].alive), what="it is away")
    create(learning, experiment_id="other")
    nats.heal()
    nats.wait_for_leader()
    wait_until(lambda: cluster.connection.is_connected, what="a new connection")
    insist(runner.announce)
    insist(lambda: runner.finish(second))
    wait_for(learning, "completed")

    def is_done() -> bool:
        if job_id := runner.take():  # perhaps one of before once more, whose acknowledgement the server has lost
            runner.finish(job_id)
        return show(learning, "other").status == "completed"

    wait_until(is_done, what="the jobs that were planned meanwhile")


def test_pictures_go_with_their_experiment_unless_another_one_has_them(
    cluster: Client, learn: Learn, tmp_path: Path
) -> None:
    """The ends stay, and name what is gone."""
    runner, learning = ClusterRunner(cluster), learn()
    for name in ("gone", "kept"):
        create(learning, experiment_id=name)
        for job_id in runner.take_all(2):
            runner.finish(job_id, well("both", name))
        wait_for(learning, "completed", name)
    file = tmp_path / "picture"
    file.write_bytes(b"its content is not looked at here")
    for sha256 in ("both", "gone", "kept"):
        cluster.run(pictures.put(cluster.js, sha256, file, "image/png"))
    request(address_of(learning), "experiment.delete", {"experiment_id": "gone"}, DeletedReply, REPLY_SECONDS)
    wait_until(lambda: not cluster.run(pictures.find(cluster.js, "gone")), what="a picture that is removed")
    wait_until(lambda: metric(learning, "variantbus_experiments_to_purge") == 0, what="all is removed")
    assert cluster.run(pictures.find(cluster.js, "both"))
    assert cluster.run(pictures.find(cluster.js, "kept"))


def test_what_is_no_end_and_no_news_stops_nothing(cluster: Client, learn: Learn) -> None:
    """It is told, and what comes behind it counts."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    first, second = runner.take_all(len(ALL))
    cluster.run(cluster.js.publish(f"end.{EXPERIMENT}.0.what", b"is this"))
    for subject in ("job.started.x", "job.queued.x", "what.is.this"):
        cluster.run(cluster.connection.client.publish(names.NEWS + subject, b"\xc1"))
    runner.finish(first)
    runner.finish(second)
    wait_for(learning, "completed")
    assert [(one.reason, one.offset) for one in rejections(learning)] == [("malformed", 1)]
    request(address_of(learning), "experiment.delete", {"experiment_id": EXPERIMENT}, DeletedReply, REPLY_SECONDS)
    wait_until(lambda: metric(learning, "variantbus_experiments_to_purge") == 0, what="all is removed")


def test_an_adaptive_experiment_begins_as_many_jobs_as_all_workers_run(cluster: Client, learn: Learn) -> None:
    """Those of all runners of the cluster together."""
    ClusterRunner(cluster, "one", workers=2)
    ClusterRunner(cluster, "two", workers=3)
    learning = learn()
    wait_until(lambda: at_once(learning) == 5, what="the workers of both")


def at_once(learning: ServiceThread[LearningService]) -> int:
    """Return how many jobs the service believes to run at once."""
    return learning.call(lambda: learning.service._dispatcher.at_once("embedded/txt2img", alone=False))


def test_jobs_that_have_not_ended_are_not_left_behind_in_the_cluster(
    cluster: Client, learn: Learn, services: Services
) -> None:
    """Without the cluster the service does not start until they have ended; nor the other way round."""
    runner, learning = ClusterRunner(cluster), learn()
    create(learning)
    jobs = runner.take_all(len(ALL))
    learning.stop()
    with pytest.raises(InvalidInputError, match="2 jobs have not ended in the cluster"):
        services.learning("tcp://127.0.0.1:9")
    learning = learn()
    for job_id in jobs:
        runner.finish(job_id)
    wait_for(learning, "completed")
    learning.stop()
    alone = services.scripted()
    learning = services.learning(alone.address)
    create(learning, experiment_id="alone")
    wait_until(lambda: len(alone.jobs) == len(ALL), what="jobs at a runner")
    learning.stop()
    with pytest.raises(InvalidInputError, match="2 jobs have not ended at the runner"):
        learn()


def test_ends_wait_in_the_cluster_while_no_more_are_taken(
    cluster: Client, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes faster than it is applied is not taken before there is room, but for a few on the way."""
    monkeypatch.setattr("bus.cluster.tail.BATCH", 3)
    runner, learning = ClusterRunner(cluster), learn()
    create(learning, definition([float(n) for n in range(40)], config={"prompt": "a blue star"}))
    jobs = runner.take_all(40)
    learning.call(lambda: learning.service._hold(True))
    for job_id in jobs:
        runner.finish(job_id)
    wait_until(lambda: metric(learning, "variantbus_cluster_ends_head") == 40, what="all ends")
    assert len(ended(learning)) <= 3
    learning.call(lambda: learning.service._hold(False))
    wait_for(learning, "completed")
    assert metric(learning, "variantbus_cluster_ends_position") == 40


@pytest.mark.exhaustive
def test_one_of_three_servers_may_die_and_another_one_pause(nats_cluster: NatsServers, tmp_path: Path) -> None:
    """Who leads the streams is hit each time; the ends are read on from another one."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        runner, learning = ClusterRunner(client), learning_of(nats_cluster.url, tmp_path / "learning.db")
        try:
            create(learning)
            first, second = runner.take_all(len(ALL))
            hit = nats_cluster.leader_of(names.ENDS)
            assert hit
            hit.kill()
            insist(lambda: runner.finish(first))
            wait_until(lambda: ended(learning) == [first], 3 * PATIENCE, what="one end")
            nats_cluster.heal()
            nats_cluster.wait_healthy()
            hit = nats_cluster.leader_of(names.ENDS)
            assert hit
            hit.pause()
            insist(lambda: runner.finish(second))
            wait_until(lambda: ended(learning) == ALL, 3 * PATIENCE, what="both ends")
            nats_cluster.heal()
        finally:
            learning.stop()
