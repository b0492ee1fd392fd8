"""An experiment over three prompts, two seeds and four values, from its file to its answer."""

from itertools import product
from pathlib import Path

from bus.contracts.messages import JobCompleted
from tests.support.checker import whole_log
from tests.support.experiment_files import services
from tests.support.workspace import Workspace, view_of, wait_for_jobs

EXAMPLE = Path(__file__).parents[2] / "examples" / "prompts.toml"
PROMPTS = ("a blue star", "a red heart", "a green circle")
VALUES = (0.5, 2, 6, 16)


def test_each_value_runs_each_prompt_with_each_seed(workspace: Workspace) -> None:
    """More seeds are more of the same; the answer is true for each prompt, and goes with the export."""
    runner, learning = services(workspace)

    followed = workspace.run("experiment", "run", EXAMPLE, "--follow")
    name = followed.out.split()[0]
    extended = workspace.run("experiment", "extend", name, "--seeds", "3")
    wait_for_jobs(learning, name, 36)

    assert extended.code == 0
    ran = [event.message for event in whole_log(runner) if isinstance(event.message, JobCompleted)]
    found = [(one.config["cfg_scale"], one.config["prompt"], one.config["seed"]) for one in ran]
    assert sorted(map(str, found)) == sorted(map(str, product(VALUES, PROMPTS, (7, 8, 9))))
    view = view_of(learning, name)
    assert {one.planned for one in view.variants} == {9}
    assert workspace.run("recommend", name, "--json").json["value"] == 2
