"""Several learning services that divide the experiments between them, at one runner."""

from collections import Counter

from bus.contracts.experiments import ExperimentListReply
from bus.contracts.messages import VariantStatus
from learning_service.experiments.sharding import owner
from tests.support.checker import messages_of, whole_log
from tests.support.experiment_files import gate, open_gate, program
from tests.support.helpers import wait_until
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, view_of

SHARDS = 3
EXPERIMENTS = 9


def shard(workspace: Workspace, runner: ServiceProcess, number: int) -> ServiceProcess:
    """Start one of the services, with a data folder of its own."""
    options = ("--runner", runner.control, "--shard", f"{number}/{SHARDS}")
    return ServiceProcess(workspace, "learning_service", options, steady_ports(), workspace.folder / f"shard-{number}")


def known(service: ServiceProcess) -> list[str]:
    """Return the experiments that a service knows."""
    return [one.experiment_id for one in service.ask("experiment.list", {}, ExperimentListReply).experiments]


def test_each_experiment_is_planned_followed_and_told_by_exactly_one_service(workspace: Workspace) -> None:
    """Whichever service a client asks for it; also where one of them is killed in mid-run and comes back."""
    runner = workspace.runner("--workers", "24")  # so that no experiment waits for the gate of another one
    services = [shard(workspace, runner, number + 1) for number in range(SHARDS)]
    file = workspace.write("experiment.toml", program(values=2, jobs=2, script=gate(workspace, 1)))
    ids = [
        workspace.run("experiment", "run", file, "--learning", services[number % SHARDS].control).out.strip()
        for number in range(EXPERIMENTS)
    ]
    killed = services[1]
    wait_until(lambda: view_of(killed, ids[1]).totals.completed, what="the end of a job")
    killed.kill()
    open_gate(workspace)
    killed.start()

    for number, experiment_id in enumerate(ids):
        service = services[number % SHARDS]
        wait_until(lambda one=service, name=experiment_id: view_of(one, name).status == "completed", what=experiment_id)  # type: ignore[misc]
        assert owner(experiment_id, SHARDS) == number % SHARDS + 1
    assert Counter(name for service in services for name in known(service)) == Counter(ids)
    for number, service in enumerate(services):
        told = {one.experiment_id for one in messages_of(whole_log(service), VariantStatus)}
        assert told == {name for name in ids if owner(name, SHARDS) == number + 1}
    elsewhere = workspace.run("experiment", "show", ids[0], "--learning", services[1].control, code=4)
    assert f"belongs to shard 1/{SHARDS}; ask that learning service" in elsewhere.err


def test_a_database_is_not_taken_over_by_another_shard(workspace: Workspace) -> None:
    """Its experiments would be followed by nobody; the sentence names one."""
    runner = workspace.runner()
    services = [shard(workspace, runner, number) for number in (1, 2)]
    file = workspace.write("experiment.toml", program(values=2, script=gate(workspace, 0)))
    names = [
        workspace.run("experiment", "run", file, "--learning", service.control).out.strip() for service in services
    ]
    services[0].terminate()

    other = workspace.command(
        "learning", "--shard", f"2/{SHARDS}", "--data-dir", services[0].data, "--feed-port", "0", "--control-port", "0"
    )

    assert other.wait() == 2
    assert f"has 1 of other shards that have not ended, such as {names[0]}" in other.errors()
    open_gate(workspace)
