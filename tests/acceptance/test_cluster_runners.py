"""Runners of a cluster as processes: one dies, one is paused, the server is killed; each job counts once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec
import nats.errors
import pytest

from bus.cluster import names, streams
from bus.cluster.errors import ClusterError
from bus.cluster.messages import End
from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import JobCompleted
from tests.support.cluster_services import tickets_of
from tests.support.clusters import Client
from tests.support.factories import context, request_for
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Workspace

SECONDS: Final = 120.0
ACK_SECONDS: Final = 4.0
JOBS: Final = 40


@pytest.fixture
def client(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Return a client of a cluster that gives the jobs of silent runners to others after some seconds."""
    client = Client(nats.url)
    client.ensure()
    monkeypatch.setattr(streams, "ACK_SECONDS", ACK_SECONDS * TIME_FACTOR)
    for band in names.BANDS:
        client.run(client.js.add_consumer(names.JOBS, streams.job_consumer("command", band, 1)))
    yield client
    client.connection.close()


def program(workspace: Workspace, number: int, seconds: float) -> JobRequest:
    """Return a job that takes some time once `go` is called, and leaves a line for each of its runs."""
    folder = workspace.folder
    waits = f"while [ ! -e {folder}/go ]; do sleep 0.05; done"
    script = f"echo {number} >> {folder}/ran; {waits}; sleep {seconds}; echo done {number} > $0/out.txt"
    config: Config = {"command": ["sh", "-c", script, "{output_dir}"], "seed": number}
    return request_for(f"job-{number}", pipeline="command", stage="run", config=config, mark=context(number % 4))


def go(workspace: Workspace) -> None:
    """Let the jobs that run and those that come go on."""
    (workspace.folder / "go").touch()


def publish(client: Client, jobs: list[JobRequest]) -> None:
    """Give jobs to whoever is free."""
    for one in jobs:
        client.run(client.js.publish(names.job_subject("command", "normal", one.job_id), msgspec.msgpack.encode(one)))
    client.run(client.connection.client.publish(names.WAKE, b""))


def count(client: Client, stream: str) -> int:
    """Count the messages of a stream."""
    return int(client.run(client.js.stream_info(stream)).state.messages)


def ends_of(client: Client) -> list[JobCompleted]:
    """Read all ends there are."""
    found = []
    for number in range(1, count(client, names.ENDS) + 1):
        end = msgspec.msgpack.decode(client.run(client.js.get_msg(names.ENDS, number)).data, type=End)
        found.append(msgspec.msgpack.decode(end.body, type=JobCompleted))
    return found


def wait_for_ends(client: Client, number: int) -> None:
    """Wait until so many jobs have ended."""
    wait_for_count(client, names.ENDS, lambda count: count >= number)


def wait_for_empty_queue(client: Client) -> None:
    """Wait until no job is left in the cluster."""
    wait_for_count(client, names.JOBS, lambda count: count == 0)


def wait_for_count(client: Client, stream: str, is_enough: Callable[[int], bool]) -> None:
    """Wait until a stream has so many messages; while the server is away it tells nothing."""

    def is_so() -> bool:
        with suppress(ClusterError, nats.errors.Error):
            return is_enough(count(client, stream))
        return False

    wait_until(is_so, SECONDS, what=f"other messages of {stream}", longest_poll=0.3)


@pytest.mark.exhaustive
def test_whoever_dies_or_sleeps_each_job_counts_once(workspace: Workspace, client: Client, nats: NatsServers) -> None:
    """One runner is killed and never comes back, one is paused until others have its jobs, the server is killed."""
    options = ("--cluster", nats.url, "--workers", "3")
    runners = [workspace.runner(*options, data=workspace.folder / f"runner-{number}") for number in range(3)]
    jobs = [program(workspace, number, 0.2 + number % 5 / 5) for number in range(JOBS)]
    publish(client, jobs)
    wait_until(lambda: all(tickets_of(one) == 3 for one in runners), SECONDS, what="jobs at each runner")
    runners[0].kill()
    runners[1].process.send(signal.SIGSTOP)
    go(workspace)
    wait_for_ends(client, 4)
    nats.nodes[0].kill()
    nats.heal()
    nats.wait_for_leader()
    wait_for_ends(client, JOBS)
    runners[1].process.send(signal.SIGCONT)
    wait_for_empty_queue(client)
    ended = ends_of(client)
    assert sorted(one.job_id for one in ended) == sorted(one.job_id for one in jobs)
    assert all(one.result.success for one in ended)
    ran = [int(line) for line in (workspace.folder / "ran").read_text().split()]
    assert set(ran) == set(range(JOBS))
    assert len(ran) > JOBS, "those that were lost ran again"


def test_a_killed_runner_goes_on_when_it_is_started_again(
    workspace: Workspace, client: Client, nats: NatsServers
) -> None:
    """With its own jobs; without --cluster it does not start."""
    runner = workspace.runner("--cluster", nats.url, "--workers", "1", data=workspace.folder / "mine")
    job = program(workspace, 1, 0.0)
    publish(client, [job])
    wait_until((workspace.folder / "ran").exists, SECONDS, what="a job that runs")
    runner.kill()
    alone = workspace.start("alone", *_without_cluster(runner.process.arguments))
    alone.wait()
    assert "has 1 jobs of a cluster that have not ended there" in alone.errors()
    go(workspace)
    runner.start()
    wait_for_ends(client, 1)
    assert ends_of(client)[0].job_id == job.job_id


@pytest.mark.exhaustive
def test_a_job_that_kills_each_runner_fails_at_its_fifth_delivery(
    workspace: Workspace, client: Client, nats: NatsServers
) -> None:
    """Whoever is given it fifth does not try; those that it has killed come back, and nothing changes any more."""
    options = ("--cluster", nats.url, "--workers", "1")
    killed = workspace.folder / "killed"
    config: Config = {"command": ["sh", "-c", 'echo $PPID >> "$0"; kill -9 $PPID', str(killed)], "seed": 1}
    deadly = request_for("deadly", pipeline="command", stage="run", config=config, mark=context(0))
    publish(client, [deadly])
    runners = []
    for number in range(4):
        runner = workspace.runner(*options, data=workspace.folder / f"runner-{number}")
        runner.process.wait(SECONDS)
        runners.append(runner)
    assert killed.read_text().split() == [str(one.process.popen.pid) for one in runners]
    runners.append(workspace.runner(*options, data=workspace.folder / "runner-4"))
    wait_for_ends(client, 1)
    wait_for_empty_queue(client)
    for runner in runners[:-1]:
        runner.start()
    wait_until(lambda: not any(tickets_of(one) for one in runners), SECONDS, what="runners without a job")
    assert all(one.process.lives for one in runners)
    assert len(killed.read_text().split()) == 4, "a runner that comes back asks first whether the job has ended"
    (end,) = ends_of(client)
    error = end.result.error
    assert error
    assert (end.job_id, error.kind) == ("deadly", "crashed")
    assert "each of the 4 runners that have taken this job has died" in error.message


def _without_cluster(arguments: list[str]) -> list[str]:
    place = arguments.index("--cluster")
    return arguments[:place] + arguments[place + 2 :]
