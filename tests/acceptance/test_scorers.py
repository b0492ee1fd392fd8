"""From a file to an answer by scorers: formulas, a program, a plug-in; and whatever is killed meanwhile."""

import re
import tomllib
from pathlib import Path

import psutil
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bus.contracts.messages import JobScored
from tests.support.checker import whole_log
from tests.support.experiment_files import services
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ROOT, ServiceProcess, Workspace, view_of

EXAMPLES = ROOT / "examples"
PLUGIN = EXAMPLES / "scorer_plugin"
NAMES = {"sharpness", "contrast", "noise", "change", "bytes", "prompt_match"}
PAGE = (ROOT / "docs" / "scorers.md").read_text(encoding="utf-8")


@pytest.fixture
def installed(workspace: Workspace) -> Workspace:
    """Return a workspace in whose processes the example of a plug-in is installed, as its pyproject.toml says."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = workspace.folder / "site" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    ((group, entries),) = project["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}", encoding="utf-8")
    workspace.environment["PYTHONPATH"] = f"{info.parent}:{PLUGIN}"
    return workspace


def scorers_of(runner: ServiceProcess) -> list[psutil.Process]:
    """Return the processes that a runner has started."""
    return psutil.Process(runner.process.popen.pid).children(recursive=True)


def test_the_examples_are_measured_and_decided(installed: Workspace) -> None:
    """All metrics are there, one of them decides, and another one that is added later; nothing is left at the end."""
    runner, learning = services(installed)
    listed = installed.run("pipelines").out
    assert "redness" in listed
    assert "weight" in listed

    first = installed.run("experiment", "run", EXAMPLES / "scorers.toml").out.strip()
    second = installed.run("experiment", "run", PLUGIN / "redness.toml").out.strip()
    for name in (first, second):
        installed.run("watch", name)

    view = view_of(learning, first)
    assert [set(one.metrics) for one in view.variants] == [NAMES] * 4
    assert [one.metrics["change"] == 0 for one in view.variants] == [True, False, False, False]
    assert all(one.metrics["bytes"] > 100 and not one.warned for one in view.variants)
    assert installed.run("recommend", second, "--json").json["value"] in {2, 8}
    added = installed.run("experiment", "score", first, "redness", "colorfulness")
    assert "measured 8 of 8 jobs: redness, colorfulness" in added.err
    assert set(view_of(learning, first).variants[0].metrics) == NAMES | {"redness", "colorfulness"}
    installed.run("experiment", "set", first, "objective=redness")
    again = installed.run("experiment", "score", first)
    assert again.err.startswith("no completed job lacks a number: sharpness, contrast")
    assert "cfg_scale" in again.out  # the answer
    told = installed.run("experiment", "score", first, "rednes", code=2).err
    assert "scorer 'rednes' is not installed; did you mean 'redness'?" in told
    assert scorers_of(runner)


@pytest.mark.fault(item="F184")
def test_a_killed_runner_measures_again_and_makes_no_picture_again(workspace: Workspace) -> None:
    """Its scorers are ended by the next one; the same command goes on, and nothing is counted twice."""
    gate = workspace.folder / "gate"
    script = "import json,os,sys,time\nfor line in sys.stdin:\n"
    script += f" while not os.path.exists({str(gate)!r}): time.sleep(0.05)\n"
    script += " print(json.dumps({'value': 0.5}), flush=True)\n"
    text = (EXAMPLES / "scorers.toml").read_text(encoding="utf-8").partition("[score]")[0]
    file = workspace.write(
        "gated.toml",
        text.replace('"sharpness" ', '"value"')
        + f'[score]\ncommand = ["python3", "-c", {script!r}]\nmetrics = ["value"]\n',
    )
    runner, learning = services(workspace, steady=True)
    name = workspace.run("experiment", "run", file).out.strip()
    wait_until(lambda: scorers_of(runner), COMMAND_SECONDS, what="the scorer")
    wait_until(lambda: view_of(learning, name).totals.running == 2, COMMAND_SECONDS, what="two jobs that run")
    left = scorers_of(runner)

    runner.kill()
    gate.touch()
    runner.start()
    workspace.run("watch", name)

    wait_until(lambda: not any(one.is_running() for one in left), what="the end of the scorers")
    assert [one.metrics["value"] for one in view_of(learning, name).variants] == [0.5] * 4
    drawn = [path for path in Path(runner.data, "outputs").rglob("*.png") if ".thumbnails" not in path.parts]
    assert len(drawn) == 8


@pytest.mark.parametrize("block", re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.split("## Models")[0], re.DOTALL))
def test_the_page_shows_the_example(block: str) -> None:
    """Each line of each block stands in one of its files, in this order."""
    files = [*PLUGIN.iterdir(), EXAMPLES / "scorers.toml"]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    pattern = r"\n(?:.*\n)*?".join(re.escape(line) for line in block.rstrip().split("\n"))
    assert any(block.rstrip() in text or re.search(pattern, text) for text in texts)


def test_measures_of_the_examples_are_published(workspace: Workspace) -> None:
    """Those that came later, as messages of their own."""
    runner, _ = services(workspace)
    name = workspace.run("experiment", "run", EXAMPLES / "cfg_sweep.toml").out.strip()
    workspace.run("watch", name)

    file = EXAMPLES / "scorers.toml"
    done = workspace.run("experiment", "score", name, "--file", file)

    assert "measured 24 of 24 jobs: sharpness, contrast, noise, change, bytes" in done.err
    assert f"variantbus experiment set {name} objective=sharpness" in done.err
    scored = [one.message for one in whole_log(runner) if isinstance(one.message, JobScored)]
    assert len(scored) == 24


def test_adopted_pictures_are_measured(workspace: Workspace) -> None:
    """Pictures that somebody else has made, by formulas; each beside that of the first value with its seed."""
    _, learning = services(workspace)
    folder = workspace.folder / "pictures"
    folder.mkdir()
    for cfg in (3, 5):
        for seed in (1, 2):
            info = PngInfo()
            text = f"a cat\nSteps: 20, Sampler: Euler, CFG scale: {cfg}, Seed: {seed}, Size: 64x64, Model: sd15"
            info.add_text("parameters", text)
            Image.new("RGB", (64, 64), (cfg * 10, seed * 50, 0)).save(folder / f"{cfg}-{seed}.png", pnginfo=info)
    name = workspace.run("experiment", "adopt", folder).out.strip()

    done = workspace.run("experiment", "score", name, "contrast", "change")

    assert "measured 4 of 4 jobs: contrast, change" in done.err
    assert [one.metrics["change"] for one in view_of(learning, name).variants] == [
        0,
        pytest.approx(20 / 255 / 3, abs=1e-4),
    ]
