"""Values that are easily taken for nothing, and texts of 64 KiB, through all pipelines to all that shows them."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.servers.comfyui import FakeComfy
from tests.servers.webui import FakeWebui
from tests.support.checker import check_everything, outputs_of
from tests.support.comfyui_jobs import EXAMPLE
from tests.support.experiment_files import services
from tests.support.workspace import ServiceProcess, Workspace, view_of

LONGEST = "a blue star, " + "ä" * 32_761 + "x"  # 65,536 bytes
VALUES = ["", "blurry", LONGEST]
COMMAND = """
command = ["python3", "-c", "import json, sys; print(json.dumps({'bytes': len(sys.argv[1].encode())}))", "{text}"]
"""


def run(workspace: Workspace, name: str, head: str, config: str, values: list[str] | None = None) -> str:
    """Run an experiment with these values to its end, and return its id."""
    text = f"""
name = "Texts"
{head}
[variable]
name = "{name}"
values = {json.dumps(VALUES if values is None else values, ensure_ascii=False)}
[config]
{config}
"""
    return workspace.run("experiment", "run", workspace.write("texts.toml", text), "--follow").out.split()[0]


@pytest.fixture
def webui(no_leaks: None) -> Iterator[FakeWebui]:  # noqa: ARG001 - it looks after us
    """Yield a fake web UI."""
    with closing(FakeWebui()) as server:
        yield server


@pytest.fixture
def comfyui(no_leaks: None) -> Iterator[FakeComfy]:  # noqa: ARG001 - it looks after us
    """Yield a fake ComfyUI server."""
    fake = FakeComfy()
    yield fake
    fake.release()
    fake.stop()


def check(workspace: Workspace, services: tuple[ServiceProcess, ServiceProcess], name: str) -> None:
    """Check that all values have run, without a warning, and are shown."""
    runner, learning = services
    view = view_of(learning, name)
    assert [(one.variant_value, one.status, one.warning) for one in view.variants] == [
        (value, "completed", None) for value in VALUES
    ]
    check_everything(runner, learning, name)
    assert '""' in workspace.run("experiment", "show", name).out


@pytest.mark.fault(item="F150")
@pytest.mark.fault(item="F151")
def test_a_web_ui_gets_texts_as_they_are(workspace: Workspace, webui: FakeWebui) -> None:
    """With and without a negative prompt, and a long one; nothing of it looks like drift."""
    runner = workspace.runner("--webui-url", webui.url)
    learning = workspace.learning(runner)
    config = 'prompt = "a star"\nsteps = 2\nwidth = 64\nheight = 64'
    name = run(workspace, "negative_prompt", 'pipeline = "webui"', config)

    assert [request["negative_prompt"] for request in webui.sent()] == VALUES
    check(workspace, (runner, learning), name)


@pytest.mark.fault(item="F150")
@pytest.mark.fault(item="F151")
def test_a_comfyui_gets_texts_as_they_are(workspace: Workspace, comfyui: FakeComfy) -> None:
    """In the node that is named."""
    runner = workspace.runner("--comfyui-url", comfyui.url)
    learning = workspace.learning(runner)
    config = f'workflow = {json.dumps(str(EXAMPLE))}\n[config.inputs]\nseed = "3.seed"\ntext = "7.text"'
    name = run(workspace, "text", 'pipeline = "comfyui"\nstage = "workflow"', config)

    assert [one["prompt"]["7"]["inputs"]["text"] for one in comfyui.prompts] == VALUES
    check(workspace, (runner, learning), name)


@pytest.mark.fault(item="F150")
@pytest.mark.fault(item="F151")
def test_a_program_gets_texts_as_they_are(workspace: Workspace) -> None:
    """As one argument each; the sentence of a recommendation stays a sentence."""
    both = services(workspace)
    head = 'pipeline = "command"\nstage = "run"\nobjective = "bytes"\njobs_per_variant = 2'
    name = run(workspace, "text", head, COMMAND)

    assert [one.metrics for one in view_of(both[1], name).variants] == [{"bytes": 0}, {"bytes": 6}, {"bytes": 65_536}]
    check(workspace, both, name)
    for suffix in ("csv", "json"):
        file = workspace.folder / f"all.{suffix}"
        workspace.run("experiment", "export", name, "-o", file)
        copy = workspace.run("experiment", "import", file, "--as-new").out.strip()
        assert [one.variant_value for one in view_of(both[1], copy).variants] == VALUES
    workspace.run("experiment", "report", name)
    made = workspace.run("recommend", name, "--json").json
    assert made["value"] == LONGEST
    assert len(made["sentence"]) < 300
    target = workspace.write("defaults.toml", 'text = "old"\n')
    workspace.run("apply", name, "--to", target, "--yes")
    assert LONGEST in target.read_text(encoding="utf-8")


@pytest.mark.fault(item="F150")
@pytest.mark.fault(item="F151")
def test_a_picture_holds_the_whole_text(workspace: Workspace) -> None:
    """As its parameters, as any viewer reads them; as many values as an experiment may have at their longest."""
    runner, learning = both = services(workspace)
    values = [f"a blue star {number}{'x' * 65_000}" for number in range(8)]
    config = "steps = 1\nwidth = 16\nheight = 16"
    name = run(workspace, "prompt", "", config, values)

    view = view_of(learning, name)
    assert [one.status for one in view.variants] == ["completed"] * 8
    for variant in view.variants:
        with Image.open(Path(outputs_of(runner) / variant.images[0].path)) as picture:
            assert str(picture.info["parameters"]).split("\n")[0] == variant.variant_value
    shown = workspace.run("experiment", "show", name).out
    assert all(len(line) <= 200 for line in shown.splitlines())
    workspace.run("experiment", "export", name, "-o", workspace.folder / "all.csv")
    workspace.run("experiment", "import", workspace.folder / "all.csv", "--as-new")
    assert f"`variantbus rate {name} IMAGE STARS`" in workspace.run("recommend", name, code=4).err
    workspace.run("rate", name, view.variants[3].images[0].sha256, "5")
    assert "judge" not in workspace.run("recommend", name, code=4).err
    check_everything(*both, name)


@pytest.mark.fault(item="F150")
def test_with_and_without_is_what_an_experiment_may_ask(workspace: Workspace, webui: FakeWebui) -> None:
    """A LoRA and hires fix, though their settings have no effect without them."""
    runner = workspace.runner("--webui-url", webui.url)
    learning = workspace.learning(runner)
    size = 'prompt = "a star"\nsteps = 2\nwidth = 64\nheight = 64\n'
    knobs = 'pipeline = "webui"\n[[variables]]\nname = "enable_hr"\nvalues = [false, true]\n[[variables]]'
    grid = f'{knobs}\nname = "lora"\nvalues = ["", "detail"]\n[config]\n{size}hr_scale = 2\nlora_strength = 0.5'
    file = workspace.write("grid.toml", f'name = "Grid"\n{grid}')
    name = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    found = [(one.variant_value, one.status, one.warning) for one in view_of(learning, name).variants]
    assert found == [
        ({"enable_hr": hires, "lora": lora}, "completed", None) for hires in (False, True) for lora in ("", "detail")
    ]
    assert sorted(request["prompt"] for request in webui.sent()) == 2 * ["a star"] + 2 * ["a star <lora:detail:0.5>"]
    check_everything(runner, learning, name)
    without = f'[config]\n{size}hr_scale = 2\nlora_strength = 0.5\nenable_hr = false\nlora = ""\n'
    workspace.run("job", "submit", workspace.write("job.toml", f'pipeline = "webui"\nstage = "txt2img"\n{without}'))
