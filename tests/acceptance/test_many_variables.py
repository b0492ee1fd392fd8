"""Experiments over several variables, presets and parts of prompts, from their files to their answers."""

import csv
import io
from pathlib import Path

from bus.contracts.messages import JobCompleted
from tests.support.checker import whole_log
from tests.support.experiment_files import services
from tests.support.in_process import run_in_process
from tests.support.workspace import Workspace, view_of, wait_for_jobs

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMPTS = ("a blue star", "a red heart", "a green circle", "a yellow square")
JOBS = {"three_axes.toml": 36, "presets.toml": 12, "replace.toml": 12}


def test_the_examples_find_what_is_true(workspace: Workspace) -> None:
    """Guidance 1 is best for all prompts, a preset has its settings, and each prompt was made of its parts."""
    runner, learning = services(workspace, workers=2)
    names = {file: workspace.run("experiment", "run", EXAMPLES / file).out.strip() for file in JOBS}
    for file, name in names.items():
        wait_for_jobs(learning, name, JOBS[file])

    ran = [event.message for event in whole_log(runner) if isinstance(event.message, JobCompleted)]
    of = {file: [one for one in ran if one.job_id.startswith(f"{name}.")] for file, name in names.items()}
    check_grid(workspace, names["three_axes.toml"], of["three_axes.toml"])
    check_presets(workspace, names["presets.toml"], of["presets.toml"])
    check_parts(workspace, names["replace.toml"], of["replace.toml"])
    extended = run_in_process(workspace, "experiment", "extend", names["replace.toml"], "--values", "colour=green")
    assert "planned 6 more jobs, for 3 more values" in extended.err
    wait_for_jobs(learning, names["replace.toml"], 18)
    assert {str(one.variant_value) for one in view_of(learning, names["replace.toml"]).variants[6:]} == {
        str({"prompt": shape, "colour": "green"}) for shape in ("star", "heart", "circle")
    }


def check_grid(workspace: Workspace, name: str, ran: list[JobCompleted]) -> None:
    """Check that nothing was run that is skipped, the answer, the sheet, and a copy by way of a table."""
    assert {one.config["prompt"] for one in ran} == set(PROMPTS)
    combinations = {(one.config["cfg_scale"], one.config["steps"], one.config["sampler_name"]) for one in ran}
    assert combinations == {
        (cfg, steps, sampler)
        for cfg in (0.25, 1, 9)
        for steps in (3, 8)
        for sampler in ("euler", "dpm++_2m")
        if (sampler, steps) != ("dpm++_2m", 3)
    }
    answer = run_in_process(workspace, "recommend", name, "--json").json
    assert (answer["value"]["cfg_scale"], answer["value"]["steps"]) == (1, 8)
    pages = run_in_process(workspace, "experiment", "sheet", name).out.split()
    assert pages == [f"{name}.png", f"{name}-2.png"]
    one = run_in_process(workspace, "experiment", "sheet", name, "--x", "sampler_name", "--fix", "steps=8").out.split()
    assert one == [f"{name}.png"]

    run_in_process(workspace, "experiment", "export", name, "--format", "csv", "-o", "copy.csv")
    copy = run_in_process(workspace, "experiment", "import", "copy.csv", "--as-new").out.strip()
    again = run_in_process(workspace, "recommend", copy, "--json").json
    assert (again["value"], again["sentence"]) == (answer["value"], answer["sentence"])


def check_presets(workspace: Workspace, name: str, ran: list[JobCompleted]) -> None:
    """Check what a preset sets, what goes together, and that the answer is a job as it was run."""
    assert {(one.config["width"], one.config["height"]) for one in ran} == {(48, 64), (64, 48)}
    assert {(one.config["cfg_scale"], one.config["steps"], one.config["sampler_name"]) for one in ran} == {
        (0.25, 4, "euler"),
        (1, 8, "heun"),
        (16, 4, "euler"),
    }
    assert run_in_process(workspace, "recommend", name, "--json").json["value"]["preset"] == "usual"
    job = run_in_process(workspace, "apply", name).out
    assert "cfg_scale = 1\nsteps = 8" in job
    assert 'sampler_name = "heun"' in job
    assert "preset" not in job.split("\n", 1)[1]


def check_parts(workspace: Workspace, name: str, ran: list[JobCompleted]) -> None:
    """Check that each prompt is made of its parts, which have columns of their own in a table."""
    assert {one.config["prompt"] for one in ran} == {
        f"a {colour} {shape}" for colour in ("blue", "red") for shape in ("star", "heart", "circle")
    }
    table = run_in_process(workspace, "experiment", "export", name, "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert {(row["prompt"], row["colour"]) for row in rows} == {
        (shape, colour) for colour in ("blue", "red") for shape in ("star", "heart", "circle")
    }
    assert 'prompt = "a red star"' in run_in_process(workspace, "apply", name).out
    assert name in run_in_process(workspace, "experiment", "list", "--search", "colour").out
