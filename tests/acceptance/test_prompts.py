"""An experiment over three prompts, two seeds and four values, from its file to its answer."""

import csv
import io
from itertools import product
from pathlib import Path

from bus.contracts.messages import JobCompleted
from tests.support.checker import whole_log
from tests.support.experiment_files import services
from tests.support.in_process import run_in_process
from tests.support.workspace import Workspace, view_of, wait_for_jobs

EXAMPLE = Path(__file__).parents[2] / "examples" / "prompts.toml"
PROMPTS = ("a blue star", "a red heart", "a green circle")
VALUES = (0.5, 2, 6, 16)
ANSWER = 2  # for each of the prompts, by the metric of the pipeline


def test_each_value_runs_each_prompt_with_each_seed(workspace: Workspace) -> None:
    """More seeds are more of the same; the answer is true, and the table, the report and a copy have the prompts."""
    runner, learning = services(workspace)
    name = workspace.run("experiment", "run", EXAMPLE, "--follow").out.split()[0]
    assert view_of(learning, name).totals.jobs == 4 * 3 * 2
    run_in_process(workspace, "experiment", "extend", name, "--seeds", "3")
    wait_for_jobs(learning, name, 36)

    ran = [event.message for event in whole_log(runner) if isinstance(event.message, JobCompleted)]
    found = [(one.config["cfg_scale"], one.config["prompt"], one.config["seed"]) for one in ran]
    assert sorted(map(str, found)) == sorted(map(str, product(VALUES, PROMPTS, (7, 8, 9))))
    assert run_in_process(workspace, "recommend", name, "--json").json["value"] == ANSWER
    assert (
        "prompt: a blue star · a red heart · a green circle"
        in run_in_process(workspace, "experiment", "show", name).out
    )
    check_records(workspace, name)


def check_records(workspace: Workspace, name: str) -> None:
    """Check what is made of the records of an experiment."""
    table = run_in_process(workspace, "experiment", "export", name, "--format", "csv").out
    rows = csv.DictReader(io.StringIO(table, newline=""))
    assert {(row["block"], row["seed"]) for row in rows} == set(product(PROMPTS, ("7", "8", "9")))
    report = run_in_process(workspace, "experiment", "report", name).out.strip()
    page = (workspace.folder / report).read_text(encoding="utf-8")
    assert all(f'<th scope="row">{prompt}<small>seed 9</small></th>' in page for prompt in PROMPTS)
    assert run_in_process(workspace, "experiment", "sheet", name).out.strip() == f"{name}.png"

    run_in_process(workspace, "experiment", "export", name, "-o", "copy.json")
    copy = run_in_process(workspace, "experiment", "import", "copy.json", "--as-new").out.strip()
    answers = [run_in_process(workspace, "recommend", one, "--json").json for one in (name, copy)]
    assert answers[0] | {"experiment_id": copy} == answers[1]
