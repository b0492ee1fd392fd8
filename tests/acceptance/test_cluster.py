"""One experiment over several machines: any runner takes a job, any picture is found anywhere, any service answers."""

import hashlib
from contextlib import suppress
from itertools import count
from typing import Final

from bus.contracts.runners import RunnerListReply
from bus.protocol.control import ControlError
from tests.support.cluster_invariants import fetched
from tests.support.experiment_files import gate, open_gate, pictures, program, submit
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, view_of, wait_for_jobs

TAKEOVER_SECONDS: Final = 30.0
_numbers: Final = count()


def runner_in(workspace: Workspace, nats: NatsServers, *options: str) -> ServiceProcess:
    """Start a runner with a folder of its own."""
    data = workspace.folder / f"runner-{next(_numbers)}"
    options = ("--cluster", nats.url, "--workers", "2", *options)
    return ServiceProcess(workspace, "pipeline_runner", options, steady_ports(), data)


def learning_in(workspace: Workspace, nats: NatsServers) -> ServiceProcess:
    """Start a learning service with a folder of its own; later commands ask it."""
    data = workspace.folder / f"learning-{next(_numbers)}"
    service = ServiceProcess(workspace, "learning_service", ("--cluster", nats.url), steady_ports(), data)
    workspace.environment["VARIANTBUS_LEARNING"] = service.control
    return service


def wait_for_offer(learning: ServiceProcess) -> None:
    """Wait until somebody leads and knows what the runners offer."""

    def offered() -> bool:
        with suppress(ControlError):
            return any(one.pipelines for one in learning.ask("runner.list", {}, RunnerListReply).runners)
        return False

    wait_until(offered, TAKEOVER_SECONDS, what="the offer of a runner")


def hashes_of(learning: ServiceProcess, experiment_id: str) -> list[str]:
    """Return the content hashes of an experiment's pictures."""
    return [image.sha256 for one in view_of(learning, experiment_id).variants for image in one.images]


def test_any_runner_takes_a_job_and_any_has_its_picture(workspace: Workspace, nats: NatsServers) -> None:
    """Commands notice nothing of the cluster."""
    learning = learning_in(workspace, nats)
    runners = [runner_in(workspace, nats), runner_in(workspace, nats)]
    wait_for_offer(learning)
    experiment_id = submit(workspace, pictures(values=6, jobs=4))
    wait_for_jobs(learning, experiment_id, 24)

    view = view_of(learning, experiment_id)
    assert view.status == "completed"
    assert [one.completed for one in view.variants] == [4] * 6
    hashes = hashes_of(learning, experiment_id)
    assert len(hashes) == 24
    for sha256 in hashes:
        for runner in runners:
            assert hashlib.sha256(fetched(runner, sha256)).hexdigest() == sha256


def test_another_learning_service_goes_on_where_the_leader_was_killed(workspace: Workspace, nats: NatsServers) -> None:
    """What was typed at one is known to the other, and jobs that run meanwhile count once."""
    leader = learning_in(workspace, nats)
    runner_in(workspace, nats)
    wait_for_offer(leader)
    standby = learning_in(workspace, nats)
    wait_for_offer(standby)
    experiment_id = submit(workspace, program(values=3, jobs=2, script=gate(workspace, 1)))  # typed at the standby
    wait_for_jobs(leader, experiment_id, 3)

    leader.kill()
    open_gate(workspace)

    def is_over(learning: ServiceProcess) -> bool:
        with suppress(ControlError):
            return view_of(learning, experiment_id).status == "completed"
        return False

    wait_until(lambda: is_over(standby), TAKEOVER_SECONDS, what="the end at the other one")
    assert [one.completed for one in view_of(standby, experiment_id).variants] == [2, 2, 2]
    leader.start()
    wait_until(lambda: is_over(leader), TAKEOVER_SECONDS, what="the first again")
