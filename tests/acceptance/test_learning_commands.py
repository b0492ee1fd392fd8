"""From a sweep to a setting in a file, by the commands that a person types."""

import json
import tomllib

from bus.contracts.experiments import ExperimentParams, ExperimentView
from bus.transport.client import request
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import ServiceProcess, Workspace, sentence_of, view_of

SWEEP = """
name = "CFG = sweep"
jobs_per_variant = 3
seed = 7
objective = "prompt_match"
[variable]
name = "cfg_scale"
values = [0, 1, 8]
[config]
prompt = "a blue star"
steps = 8
width = 48
height = 48
"""
KEYS = ["experiment_id", "value", "p_best", "sentence", "tier", "objective", "estimates"]


def wait_for(learning: ServiceProcess, experiment_id: str, status: str) -> ExperimentView:
    """Wait until an experiment has a status."""
    wait_until(lambda: view_of(learning, experiment_id).status == status, what=status)
    return request(learning.control, "experiment.show", ExperimentParams(experiment_id=experiment_id), ExperimentView)


def test_from_a_sweep_to_a_setting_in_a_file(workspace: Workspace) -> None:
    """Recommend, apply, submit the printed job, undo; export, import, report, history: all of one experiment."""
    _, learning = services(workspace)
    name = submit(workspace, SWEEP)
    wait_for(learning, name, "completed")

    made = workspace.run("recommend", name, "--json").json
    # `pareto` is there where a better value happens to have taken more time
    assert [key for key in made if key != "pareto"] == KEYS
    assert made["value"] == 1
    assert [one["value"] for one in made["estimates"]] == [0, 1, 8]
    assert sorted(made["estimates"][0]) == ["high", "low", "mean", "n", "p_best", "value"]
    assert made["sentence"] in workspace.run("recommend", name).out
    assert made["sentence"] in workspace.run("experiment", "show", name).out

    printed = workspace.run("apply", name).out
    assert tomllib.loads(printed)["config"] == {
        "prompt": "a blue star", "steps": 8, "width": 48, "height": 48, "seed": 7, "cfg_scale": 1,
    }  # fmt: skip
    workspace.run("job", "submit", workspace.write("best.toml", printed), "--wait")
    settings = workspace.write("settings.toml", "cfg_scale = 7 # mine\n")
    workspace.run("apply", name, "--to", settings, "--yes", "--data-dir", workspace.folder / "data")
    assert settings.read_text() == "cfg_scale = 1 # mine\n"
    workspace.run("apply", "--undo", settings, "--yes", "--data-dir", workspace.folder / "data")
    assert settings.read_text() == "cfg_scale = 7 # mine\n"

    exports = []
    for suffix in ("csv", "json"):
        workspace.run("experiment", "export", name, "-o", f"x.{suffix}")
        copy = workspace.run("experiment", "import", f"x.{suffix}", "--as-new").out.strip()
        again = json.loads(workspace.run("experiment", "export", copy).out)
        exports.append(again["records"])
        assert again["values"] == [0, 1, 8]
    assert [len(one["results"]) for one in exports] == [9, 9]
    assert workspace.run("experiment", "import", "x.json").out.strip() == name
    page = workspace.folder / workspace.run("experiment", "report", name).out.strip()
    assert page.read_text(encoding="utf-8").count("data:image/") == 9
    told = workspace.run("history", "--variable", "cfg_scale", "--json").json
    assert (len(told["experiments"]), told["images"]) == (3, 27)


def test_an_experiment_is_mended_and_extended(workspace: Workspace) -> None:
    """Failed jobs run once more; new values and seeds beside what is there; the name changes, and the id stays."""
    _, learning = services(workspace)
    name = submit(workspace, program(values=2, jobs=1, script=f"test -e {workspace.folder}/mended || exit 3"))
    wait_for(learning, name, "failed")
    workspace.write("mended", "")

    assert "retrying 1 job\n" in workspace.run("experiment", "retry", name, "--variants", "1-3").err
    wait_for(learning, name, "partial")
    assert "retrying 1 job\n" in workspace.run("experiment", "retry", name).err
    wait_for(learning, name, "completed")
    extended = workspace.run("experiment", "extend", name, "--values", "level=7", "--seeds", "2").err
    assert "planned 4 more jobs, for 1 more value" in extended
    workspace.run("experiment", "rename", name, "Another = name")

    view = wait_for(learning, name, "completed")
    assert (view.experiment_name, view.totals.completed, view.totals.failed) == ("Another = name", 6, 0)
    assert [one.variant_value for one in view.variants] == [0, 1, 7]
    assert "there is nothing to retry" in workspace.run("experiment", "retry", name, code=4).err
    assert (
        "--values: 'level'; write for example"
        in workspace.run("experiment", "extend", name, "--values", "level", code=2).err
    )
    large = workspace.run("experiment", "extend", name, "--values", f"level={2**64}", code=2)
    assert "level #1: a whole number has 64 bits at most" in sentence_of(large)
