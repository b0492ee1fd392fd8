"""A cluster is asked as one runner is, and answers or refuses as one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.cluster import names
from bus.contracts.jobs import CancelReply, JobCheckReply, JobRequest, JobView, PipelinesReply, SubmitReply
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol.control import ControlError, InfoReply
from bus.transport.loop import Loop
from learning_service.cluster.link import ClusterRunners
from learning_service.storage.store import LearningStore
from tests.support.clusters import Client, connected
from tests.support.factories import context
from tests.support.helpers import REPLY_SECONDS, deadline
from tests.support.nats_servers import NatsServers
from tests.support.scripted_cluster import ClusterRunner

pytestmark = pytest.mark.usefixtures("no_leaks")
Ask = Callable[..., Any]
JOB = JobRequest(job_id="exp.0.0.0", pipeline="embedded", stage="txt2img", config={"cfg_scale": 2.0})


@pytest.fixture
def cluster(nats: NatsServers) -> Iterator[Client]:
    """Return a connection to a cluster with its streams."""
    with connected(nats.url) as client:
        client.ensure()
        yield client


@pytest.fixture
def ask(cluster: Client, loop: Loop, open_log: Callable[..., Log], tmp_path: Path) -> Ask:
    """Return what asks the cluster, and returns the answer or raises the error."""
    log = open_log(tmp_path / "learning.db")
    runners = ClusterRunners(cluster.connection, log)
    runners.open(LearningStore(log))
    client = runners.client(loop, "cluster")

    def ask(method: str, params: object, reply: type[Any] = dict, timeout: float = REPLY_SECONDS) -> Any:
        future, limit = client.answer(method, params, reply, timeout), deadline()
        while not future.done():
            loop.step(0.1)
            assert not limit.passed, method
        return future.result()

    return ask


def test_jobs_are_submitted_once_and_shown(cluster: Client, ask: Ask) -> None:
    """Submitting them again adds nothing; what has ended is shown as its end says."""
    runner = ClusterRunner(cluster)
    jobs = [JOB, JobRequest(job_id="single", pipeline="embedded", stage="txt2img", priority=3)]
    before: InfoReply = ask("info", {}, InfoReply)
    assert ask("job.submit", {"jobs": jobs}, SubmitReply) == SubmitReply(accepted=2, known=0)
    assert ask("job.submit", {"jobs": jobs}, SubmitReply) == SubmitReply(accepted=0, known=2)
    after: InfoReply = ask("info", {}, InfoReply)
    assert (after.epoch, after.head) == (before.epoch, before.head + 2)
    assert runner.take() == "single", "the one that is more urgent"
    shown: JobView = ask("job.show", {"job_id": JOB.job_id}, JobView)
    assert (shown.state, shown.config) == ("queued", JOB.config)
    with pytest.raises(ControlError, match="not found in the cluster"):
        ask("job.show", {"job_id": "unknown.0.0.0"}, JobView)


def test_a_single_job_is_cancelled_while_it_waits(ask: Ask) -> None:
    """It has an end then, and another cancel finds that."""
    single = JobRequest(
        job_id="exp.1.0.0", pipeline="embedded", stage="txt2img", learning_context=context(1, experiment="exp")
    )
    ask("job.submit", {"jobs": [single]}, SubmitReply)
    assert ask("job.cancel", {"job_id": single.job_id}, CancelReply) == CancelReply(cancelled=1)
    assert ask("job.show", {"job_id": single.job_id}, JobView).state == "cancelled"
    assert ask("job.cancel", {"job_id": single.job_id}, CancelReply) == CancelReply(cancelled=0)
    with pytest.raises(ControlError) as caught:
        ask("job.cancel", {"job_id": "unknown"}, CancelReply)
    assert caught.value.code == "not_found"


def test_a_job_that_is_too_large_is_named_and_none_is_sent(cluster: Client, ask: Ask) -> None:
    """The others can be sent without it."""
    large = JobRequest(job_id="exp.1.0.0", pipeline="embedded", stage="txt2img", config={"prompt": "x" * 1_100_000})
    with pytest.raises(ControlError, match="the servers of the cluster take") as caught:
        ask("job.submit", {"jobs": [JOB, large]}, SubmitReply)
    assert (caught.value.code, caught.value.details) == ("invalid_request", {"job": "1"})
    assert cluster.run(cluster.js.stream_info(names.JOBS)).state.messages == 0


def test_a_plan_is_checked_by_what_runners_offer(cluster: Client, ask: Ask) -> None:
    """As far as that goes: their files are theirs. Without a runner nobody offers anything."""
    with pytest.raises(ControlError, match="no runner of the cluster") as caught:
        ask("pipelines", {}, PipelinesReply)
    assert caught.value.code == "unavailable"
    ClusterRunner(cluster, "one", workers=2)
    ClusterRunner(cluster, "two", workers=3)
    cluster.run(cluster.js.publish(f"$KV.{names.RUNNERS}.broken", b"what is this"))
    offers: PipelinesReply = ask("pipelines", {}, PipelinesReply)
    assert (list(offers.pipelines), offers.lanes["embedded"].concurrency) == (["embedded"], 5)
    assert ask("job.check", {"jobs": [JOB]}, JobCheckReply) == JobCheckReply(checked=1)
    wrong = JobRequest(job_id="exp.1.0.0", pipeline="embedded", stage="txt2img", config={"cfg_scal": 2.0})
    with pytest.raises(ControlError, match=r"config\.cfg_scal: unknown key") as caught:
        ask("job.check", {"jobs": [JOB, wrong]}, JobCheckReply)
    assert (caught.value.code, caught.value.details) == ("invalid_request", {"job": "1"})


def test_other_methods_are_refused_and_so_are_wrong_parameters(ask: Ask) -> None:
    """With the codes of a runner."""
    assert ask("job.submitters", {}).shared == {}
    for method, params, code in (
        ("job.retry", {"job_id": "x"}, "unknown_method"),
        ("queue.pause", {}, "unknown_method"),
        ("job.show", {"jobid": "x"}, "invalid_request"),
    ):
        with pytest.raises(ControlError) as caught:
            ask(method, params)
        assert caught.value.code == code


def test_servers_that_do_not_answer_are_unavailable(nats: NatsServers, cluster: Client, ask: Ask) -> None:
    """After the time that the caller gives, whether they are paused or gone."""
    assert cluster.connection.is_connected
    nats.nodes[0].pause()
    for method, params in (("info", {}), ("job.submit", {"jobs": [JOB]}), ("job.show", {"job_id": JOB.job_id})):
        with pytest.raises(ControlError, match="the cluster does not answer") as caught:
            ask(method, params, timeout=0.2)
        assert caught.value.code == "unavailable"
    nats.heal()


def test_a_file_that_cannot_be_read_now_is_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends no service; whoever has asked tries again."""

    def full(*_: object) -> None:
        raise StorageError("another process writes")

    monkeypatch.setattr(LearningStore, "peek", full)
    with pytest.raises(ControlError, match="another process writes") as refused:
        ask("job.cancel", {"experiment_id": "exp"}, CancelReply)
    assert refused.value.code == "unavailable"
