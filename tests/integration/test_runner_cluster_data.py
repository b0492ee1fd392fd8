"""The data of a runner in a cluster: when it may join or leave, what damage does, what is removed."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bus.cluster import names
from bus.contracts.adoption import AdoptPictureParams, AdoptPictureReply
from bus.contracts.outputs import OutputRemoveParams, OutputRemoveReply
from bus.eventlog.log import Log
from bus.protocol.validation import InvalidInputError
from pipeline_runner.cluster.store import ClusterStore, EndRow
from pipeline_runner.cluster.switching import check_alone
from pipeline_runner.queue.service import JobService
from tests.support.cluster_runners import Cluster, gated
from tests.support.factories import context
from tests.support.held_pipelines import ask
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers


@pytest.fixture
def cluster(no_leaks: None, nats: NatsServers, tmp_path: Path) -> Iterator[Cluster]:  # noqa: ARG001 - it looks after us
    """Return a cluster of one server without a runner."""
    cluster = Cluster(nats, tmp_path)
    yield cluster
    cluster.close()


def test_a_runner_with_jobs_of_experiments_that_no_cluster_knows_does_not_join(
    cluster: Cluster, open_log: Callable[[Path], Log], tmp_path: Path
) -> None:
    """Its jobs would end where nobody hears of them."""
    (tmp_path / "runner-0").mkdir()
    log = open_log(tmp_path / "runner-0" / "runner.db")
    JobService(log).submit([gated("mine")])
    log.close()
    (tmp_path / "runner-0").rename(tmp_path / "aside")
    runner = cluster.runner()
    runner.stop()
    (tmp_path / "aside" / "runner.db").rename(runner.folder / "runner.db")
    with pytest.raises(InvalidInputError, match=r"1 jobs of experiments .* such as mine"):
        runner.start()


def test_a_runner_that_comes_to_another_cluster_counts_its_ends_anew(cluster: Cluster) -> None:
    """Those that are elsewhere are no loss of this one; one that waits comes to it, as does a job in hand."""
    runner = cluster.runner()
    for name in ("one", "two"):
        cluster.publish(gated(name))
    wait_until(lambda: runner.metric("ends_won_total") == 2, what="two ends")
    runner.gated.is_open = False
    cluster.publish(gated("in hand"))
    wait_until(lambda: "in hand" in runner.gated.ran, what="a job that runs")
    runner.stop()
    for stream in (names.JOBS, names.ENDS, names.LEDGER):  # to a runner another cluster is other streams
        cluster.run(cluster.js.delete_stream(stream))
    cluster.client.ensure()
    others = gated("of others")
    cluster.publish(others)

    runner.gated.is_open = True
    runner.start()
    wait_until(lambda: cluster.end_of("of others") and cluster.end_of("in hand"), what="both ends")
    numbers = [stored.end for name in ("in hand", "of others") if (stored := cluster.end_of(name))]
    assert sorted(one.number for one in numbers) == [1, 2]
    assert max(one.complete for one in numbers) <= 1
    assert not cluster.end_of("one"), "nobody has asked for it"


def test_a_runner_that_owes_ends_does_not_leave(cluster: Cluster, open_log: Callable[[Path], Log]) -> None:
    """Once it owes none, it may."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("mine"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    runner.stop()
    log = open_log(runner.folder / "runner.db")
    with pytest.raises(InvalidInputError, match="has 1 jobs of a cluster that have not ended there"):
        check_alone(log)
    log.close()
    runner.gated.is_open = True
    runner.start()
    cluster.ended("mine")
    wait_until(lambda: runner.metric("tickets") == 0, what="no tickets")
    runner.stop()
    check_alone(open_log(runner.folder / "runner.db"))


def test_a_runner_that_was_never_in_a_cluster_owes_nothing(open_log: Callable[[Path], Log], tmp_path: Path) -> None:
    """And no table of a cluster is made."""
    log = open_log(tmp_path / "runner.db")
    check_alone(log)
    assert log.query("SELECT name FROM sqlite_master WHERE name IN ('tickets', 'ends', 'runner_name')") == []


def test_damaged_tickets_and_ends_cost_nothing_but_another_look(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs are here, and the next delivery says where they are acknowledged."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("mine"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    runner.stop()
    with closing(sqlite3.connect(runner.folder / "runner.db", isolation_level=None)) as db:
        db.execute("UPDATE tickets SET reply = 'nonsense'")
    runner.gated.is_open = True
    runner.start()
    assert "damaged rows of jobs of the cluster are lost" in caplog.text
    assert cluster.ended("mine").result.success


def test_a_damaged_end_that_waits_is_sent_nevertheless(cluster: Cluster) -> None:
    """The record of the job has it, and the ticket says that it is owed."""
    runner = cluster.runner(is_open=False)
    cluster.publish(gated("mine"))
    wait_until(lambda: runner.gated.ran, what="a job that runs")
    cluster.nats.nodes[0].kill()
    wait_until(lambda: runner.metric("connected") == 0, what="a broken connection")
    runner.gated.is_open = True
    wait_until(lambda: runner.metric("ends_waiting") == 1, what="an end that waits")
    runner.stop()
    with closing(sqlite3.connect(runner.folder / "runner.db", isolation_level=None)) as db:
        db.execute("UPDATE ends SET number = 77")
    runner.start()
    assert runner.metric("ends_waiting") == 1
    cluster.nats.heal()
    cluster.nats.wait_for_leader()
    wait_until(lambda: cluster.client.connection.is_connected, what="a connection")
    assert cluster.ended("mine").result.success
    cluster.wait_until_empty()
    assert runner.gated.ran == ["mine"]


def test_an_adopted_picture_ends_in_the_cluster(cluster: Cluster) -> None:
    """It never ran anywhere."""
    runner = cluster.runner()
    data = b"a picture"
    sha256 = hashlib.sha256(data).hexdigest()
    params = AdoptPictureParams(
        job=gated("adopted"), sha256=sha256, name="a.txt", size=len(data), offset=0, data=data, seed=None
    )
    assert ask(runner.thread, "job.adopt", params, AdoptPictureReply).done
    assert [image.sha256 for image in cluster.ended("adopted").result.images] == [sha256]


def test_the_ends_of_removed_jobs_are_forgotten_but_for_the_highest_number(cluster: Cluster) -> None:
    """The next end follows it."""
    runner = cluster.runner()
    cluster.publish(*(gated(f"job-{number}") for number in range(3)))
    for number in range(3):
        cluster.ended(f"job-{number}")
    wait_until(lambda: runner.metric("tickets") == 0, what="no tickets")
    params = OutputRemoveParams(experiment_ids=[context().experiment_id], ended_before=time.time() + 9)
    assert ask(runner.thread, "output.remove", params, OutputRemoveReply).jobs == 3
    cluster.publish(gated("next"))
    cluster.ended("next")
    stored = cluster.end_of("next")
    assert stored
    assert stored.end.number == 4
    found = runner.thread.call(lambda: runner.thread.log.query("SELECT number FROM ends ORDER BY number"))
    assert found == [(3,), (4,)]


def test_the_name_and_what_is_owed_are_kept(open_log: Callable[[Path], Log], tmp_path: Path) -> None:
    """The host's name is part of it, for people."""
    log = open_log(tmp_path / "runner.db")
    store = ClusterStore(log)
    name = store.name()
    assert store.name() == name == ClusterStore(log).name()
    with log.transaction() as tx:
        store.take(tx, {"a": "reply-1", "b": "reply-2"})
        store.write(tx, [EndRow(1, 1, "a", "waiting"), EndRow(1, 2, "b", "won"), EndRow(1, 3, "c", "fenced")])
    with log.transaction() as tx:
        store.drop(tx, ["a"])
    again = ClusterStore(log)
    assert again.tickets == store.tickets == {"b": "reply-2"}
    assert again.owed() == [EndRow(1, 1, "a", "waiting"), EndRow(1, 3, "c", "fenced")]
    assert (again.last(1), again.last(2)) == (3, 0)
    assert (again.end_of("b"), again.end_of("c")) == (EndRow(1, 2, "b", "won"), None)
    assert again.won(1, 1, 10) == [EndRow(1, 2, "b", "won")]
