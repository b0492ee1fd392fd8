"""Experiments at a web UI as a person runs them: our services as processes, and the fake server."""

from collections.abc import Iterator
from typing import Any

import pytest

from bus.contracts.jobs import PipelinesReply
from bus.contracts.messages import VariantStatus
from tests.servers.webui import FakeWebui
from tests.support.checker import check_everything
from tests.support.experiment_files import submit
from tests.support.helpers import wait_until
from tests.support.workspace import (
    COMMAND_SECONDS,
    ROOT,
    ServiceProcess,
    Workspace,
    steady_ports,
    view_of,
    wait_for_jobs,
)

EXPERIMENT = """
name = "At the web UI"
pipeline = "webui"
jobs_per_variant = 2
seed = 7
[variable]
name = "{name}"
values = {values}
[config]
prompt = "a blue star"
steps = 4
width = 64
height = 64
"""


@pytest.fixture
def server(no_leaks: None) -> Iterator[FakeWebui]:  # noqa: ARG001 - it looks after us
    """Yield a fake web UI."""
    server = FakeWebui()
    yield server
    server.close()


def services(workspace: Workspace, url: str) -> tuple[ServiceProcess, ServiceProcess]:
    """Start a runner that uses a web UI, and a learning service."""
    runner = workspace.runner("--webui-url", url)
    return runner, workspace.learning(runner)


def wait_for_server(runner: ServiceProcess) -> None:
    """Wait until the runner has read what the web UI offers."""

    def read() -> bool:
        return not runner.ask("pipelines", {}, PipelinesReply).pipelines["webui"]["txt2img"].unavailable

    wait_until(read, COMMAND_SECONDS, what="the web UI's lists")


def run(workspace: Workspace, text: str, code: int = 0) -> str:
    """Run an experiment to its end and return its id."""
    file = workspace.write("experiment.toml", text)
    return workspace.run("experiment", "run", file, "--follow", code=code).out.split()[0]


def without(job: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return all of a job but some fields."""
    return {key: value for key, value in job.items() if key not in names}


def variants(learning: ServiceProcess, experiment_id: str) -> tuple[VariantStatus, ...]:
    """Return the variants of an experiment."""
    return tuple(view_of(learning, experiment_id).variants)


def test_a_sampler_sweep_sends_each_sampler_with_the_same_seeds(workspace: Workspace, server: FakeWebui) -> None:
    """The example file: one job a value and seed, which differ in nothing else, and a picture of each."""
    runner, learning = services(workspace, server.url)
    wait_for_server(runner)

    experiment_id = run(workspace, (ROOT / "examples" / "webui_sampler.toml").read_text(encoding="utf-8"))

    jobs = server.sent()
    samplers = ("Euler", "Euler a", "DPM++ 2M", "DPM++ SDE")
    assert sorted((job["sampler_name"], job["seed"]) for job in jobs) == sorted(
        (sampler, seed) for sampler in samplers for seed in (1234, 1235, 1236)
    )
    rest = [without(job, "sampler_name", "seed", "force_task_id") for job in jobs]
    assert all(one == rest[0] for one in rest)
    assert len({job["force_task_id"] for job in jobs}) == len(jobs)
    check_everything(runner, learning, experiment_id)
    assert [(one.status, len(one.images)) for one in variants(learning, experiment_id)] == [("completed", 3)] * 4


def test_two_loras_are_weighed_against_each_other(workspace: Workspace, server: FakeWebui) -> None:
    """The example file: each pair of strengths with the same seeds, and one that is off has no mark."""
    runner, learning = services(workspace, server.url)
    wait_for_server(runner)

    experiment_id = run(workspace, (ROOT / "examples" / "webui_loras.toml").read_text(encoding="utf-8"))

    marks = ("", " <lora:detail:0.4>", " <lora:detail:0.8>")
    assert sorted((job["prompt"], job["seed"]) for job in server.sent()) == sorted(
        (f"a lighthouse on a cliff at dusk{detail}{ink}", seed)
        for detail in marks
        for ink in ("", " <lora:ink-style:0.6>")
        for seed in (1234, 1235)
    )
    check_everything(runner, learning, experiment_id)
    values = [one.variant_value for one in variants(learning, experiment_id)]
    assert {"loras.detail": 0.4, "loras.ink-style": True} in values


def test_a_lora_strength_sweep_sends_each_strength(workspace: Workspace, server: FakeWebui) -> None:
    """It stands in the prompt, where the server reads it."""
    runner, learning = services(workspace, server.url)
    wait_for_server(runner)

    experiment_id = run(workspace, EXPERIMENT.format(name="lora_strength", values=[0, 0.5, 1.25]) + 'lora = "detail"\n')

    assert sorted(job["prompt"] for job in server.sent()) == sorted(
        f"a blue star <lora:detail:{strength}>" for strength in (0, 0.5, 1.25) for _ in range(2)
    )
    check_everything(runner, learning, experiment_id)


def test_a_value_that_the_server_has_not_is_refused_before_anything_is_queued(
    workspace: Workspace, server: FakeWebui
) -> None:
    """With what was perhaps meant."""
    runner, _ = services(workspace, server.url)
    wait_for_server(runner)
    file = workspace.write("experiment.toml", EXPERIMENT.format(name="sampler_name", values=["Euler", "Euler b"]))

    refused = workspace.run("experiment", "run", file, code=2)

    assert "variable.values #2: 'Euler b' is not offered; did you mean 'Euler" in refused.err
    assert server.sent() == []


def test_a_value_that_the_server_substitutes_fails_its_variant(workspace: Workspace, server: FakeWebui) -> None:
    """The others have their pictures; the reason is that of the variant."""
    runner, learning = services(workspace, server.url)
    wait_for_server(runner)
    server.worker.substitute = {"sampler_name": "DPM++ 2M"}

    experiment_id = run(workspace, EXPERIMENT.format(name="sampler_name", values=["DPM++ 2M", "Euler"]), code=4)

    good, bad = variants(learning, experiment_id)
    assert (good.status, bad.status, bad.images) == ("completed", "failed", ())
    assert "sampler_name: asked for 'Euler', the server used 'DPM++ 2M'" in (bad.error or "")


def test_a_server_that_is_not_there_is_told_and_found_when_it_comes(workspace: Workspace) -> None:
    """Nothing can be planned before, and the sentence says what to do."""
    port, _ = steady_ports()
    runner, _ = services(workspace, f"http://127.0.0.1:{port}")
    file = workspace.write("experiment.toml", EXPERIMENT.format(name="cfg_scale", values=[2, 3]))

    def refusal() -> str:
        return workspace.run("experiment", "run", file, code=3).err

    wait_until(
        lambda: "start the web UI with --api, or the runner with VARIANTBUS_WEBUI_URL set" in refusal(),
        what="the reason",
    )
    server = FakeWebui(port=port)
    try:
        wait_for_server(runner)
        run(workspace, file.read_text(encoding="utf-8"))
        assert sorted(job["cfg_scale"] for job in server.sent()) == [2, 2, 3, 3]
    finally:
        server.close()


def test_a_server_that_dies_in_mid_run_costs_no_job(workspace: Workspace) -> None:
    """The others wait until it is there again, and the one that it had begun runs anew."""
    port, _ = steady_ports()
    server = FakeWebui(port=port)
    server.hold()
    try:
        runner, learning = services(workspace, server.url)
        wait_for_server(runner)
        experiment_id = submit(workspace, EXPERIMENT.format(name="cfg_scale", values=[2, 3]))
        wait_until(server.sent, COMMAND_SECONDS, what="a job")
    finally:
        server.close()
    wait_until(lambda: "cannot be reached" in runner.process.errors(), COMMAND_SECONDS, what="the runner's warning")
    again = FakeWebui(port=port)
    try:
        wait_for_jobs(learning, experiment_id, 4)
    finally:
        again.close()

    check_everything(runner, learning, experiment_id)
    assert sorted(job["cfg_scale"] for job in again.sent()) == [2, 2, 3, 3]
