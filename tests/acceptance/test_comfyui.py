"""An experiment on a ComfyUI server as a person runs it: our commands as processes, and a fake server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.servers.comfyui import FakeComfy
from tests.support.checker import outputs_of
from tests.support.comfyui_jobs import EXAMPLE
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, steady_ports, view_of

VALUES = [3, 5.5, 8]
SEEDS = [7, 8]


@pytest.fixture
def fake(no_leaks: None) -> Iterator[FakeComfy]:  # noqa: ARG001 - it looks after us
    """Yield a fake ComfyUI server."""
    fake = FakeComfy()
    yield fake
    fake.release()
    fake.stop()


def experiment(workflow: Path, values: list[float] | None = None, seed: int = SEEDS[0], jobs: int = len(SEEDS)) -> str:
    """Write an experiment on the example workflow."""
    return f"""
name = "CFG with ComfyUI"
pipeline = "comfyui"
stage = "workflow"
jobs_per_variant = {jobs}
seed = {seed}
[variable]
name = "cfg_scale"
values = {VALUES if values is None else values}
[config]
workflow = {json.dumps(str(workflow))}
prompt = "a blue star"
[config.inputs]
seed = "3.seed"
cfg_scale = "3.cfg"
prompt = "6.text"
"""


def test_an_experiment_runs_on_a_server_from_the_file_to_the_pictures(workspace: Workspace, fake: FakeComfy) -> None:
    """`experiment run --follow` ends well, and each picture lies under the value that the server was asked for."""
    runner = workspace.runner("--comfyui-url", fake.url)
    learning = workspace.learning(runner)
    file = workspace.write("experiment.toml", experiment(EXAMPLE))

    followed = workspace.run("experiment", "run", file, "--follow")

    view = view_of(learning, followed.out.split()[0])
    assert [(variant.status, variant.completed) for variant in view.variants] == [("completed", len(SEEDS))] * 3
    asked = [
        (prompt["prompt"]["3"]["inputs"]["cfg"], prompt["prompt"]["3"]["inputs"]["seed"]) for prompt in fake.prompts
    ]
    assert sorted(asked) == [(value, seed) for value in VALUES for seed in SEEDS]
    for variant in view.variants:
        assert sorted(image.seed or 0 for image in variant.images) == SEEDS
        for image in variant.images:
            path = outputs_of(runner) / image.path
            assert path.parent.name.endswith(f"cfg_scale-{variant.variant_value}")
            with Image.open(path) as picture:
                made_of = json.loads(picture.info["prompt"])["3"]["inputs"]
            assert (made_of["cfg"], made_of["seed"]) == (variant.variant_value, image.seed)


@pytest.mark.fault(item="F137")
def test_a_value_that_always_fails_delays_nobody(workspace: Workspace, fake: FakeComfy) -> None:
    """Two of its jobs are tried twice each, without a rest; the others say why they were left out."""
    fake.behaviour.bad_cfg = 5.5
    runner = workspace.runner("--comfyui-url", fake.url)
    learning = workspace.learning(runner)
    failing = workspace.write("failing.toml", experiment(EXAMPLE, jobs=6))
    healthy = workspace.write("healthy.toml", experiment(EXAMPLE, values=[4], seed=100))

    name = workspace.run("experiment", "run", failing).out.split()[0]
    followed = workspace.run("experiment", "run", healthy, "--follow")

    other = view_of(learning, followed.out.split()[0])
    assert [(one.status, one.completed) for one in other.variants] == [("completed", len(SEEDS))]
    assert "rests for" not in runner.process.err.read_text(encoding="utf-8")
    bad = [prompt for prompt in fake.prompts if prompt["prompt"]["3"]["inputs"]["cfg"] == fake.behaviour.bad_cfg]
    assert len(bad) == 4
    failed = view_of(learning, name)
    assert [(one.completed, one.failed) for one in failed.variants] == [(6, 0), (0, 6), (6, 0)]
    assert failed.variants[1].error
    assert "not run, as the first 2 jobs of this value failed with: node 3 (KSampler)" in failed.variants[1].error


def test_a_value_that_the_server_does_not_take_is_refused_before_anything_is_stored(
    workspace: Workspace, fake: FakeComfy
) -> None:
    """The server is never asked for it: one sentence, status 2, and no experiment that could only fail."""
    runner = workspace.runner("--comfyui-url", fake.url)
    learning = workspace.learning(runner)
    file = workspace.write("experiment.toml", experiment(EXAMPLE, values=[3, 500]))

    refused = workspace.run("experiment", "run", file, "--follow", code=2)

    assert refused.err == "Error: config.cfg_scale: 500 is out of bounds; allowed: 0 to 100\n"
    assert workspace.run("experiment", "list", "--json", "--learning", learning.control).json == []
    assert fake.prompts == []


def test_seeds_of_64_bits_go_all_the_way(workspace: Workspace, fake: FakeComfy) -> None:
    """From the file to the node and back to the picture; one that would be too large is refused at once."""
    runner = workspace.runner("--comfyui-url", fake.url)
    learning = workspace.learning(runner)
    file = workspace.write("experiment.toml", experiment(EXAMPLE, values=[3], seed=2**64 - 2))
    beyond = workspace.write("beyond.toml", experiment(EXAMPLE, values=[3], seed=2**64 - 1))

    experiment_id = workspace.run("experiment", "run", file).out.strip()
    refused = workspace.run("experiment", "run", beyond, code=2)

    wait_until(lambda: view_of(learning, experiment_id).status == "completed", 60, what="the end of the experiment")
    (variant,) = view_of(learning, experiment_id).variants
    assert [image.seed for image in variant.images] == [2**64 - 2, 2**64 - 1]
    assert [prompt["prompt"]["3"]["inputs"]["seed"] for prompt in fake.prompts] == [2**64 - 2, 2**64 - 1]
    assert refused.err.startswith("Error: seed: the last one would be 18446744073709551616")


def test_nothing_is_planned_without_a_server(workspace: Workspace, fake: FakeComfy) -> None:
    """Status 3 and one sentence: where ComfyUI was looked for, and what to do."""
    fake.stop()
    runner = workspace.runner("--comfyui-url", fake.url)
    workspace.learning(runner)
    file = workspace.write("experiment.toml", experiment(EXAMPLE))

    refused = workspace.run("experiment", "run", file, code=3)

    assert "start ComfyUI, or the runner with VARIANTBUS_COMFYUI_URL set" in refused.err


def test_a_runner_that_is_killed_takes_its_running_prompt_over(workspace: Workspace, fake: FakeComfy) -> None:
    """The prompt goes on at the server meanwhile, and is not submitted a second time."""
    runner = workspace.runner("--comfyui-url", fake.url, ports=steady_ports())
    learning = workspace.learning(runner)
    fake.hold()
    file = workspace.write("experiment.toml", experiment(EXAMPLE, values=[3]))
    experiment_id = workspace.run("experiment", "run", file).out.strip()
    wait_until(lambda: fake.running, 30, what="the start of the prompt")

    runner.kill()
    fake.release()
    wait_until(lambda: fake.executed, 30, what="the end of the prompt")
    runner.start()

    wait_until(lambda: view_of(learning, experiment_id).status == "completed", 60, what="the end of the experiment")
    assert [prompt["prompt"]["3"]["inputs"]["seed"] for prompt in fake.prompts] == SEEDS
