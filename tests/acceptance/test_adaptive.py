"""Adaptive experiments from the command line on: as good as the whole grid with fewer jobs, also through `kill -9`."""

import pytest

from bus.contracts.jobs import QueueReply
from tests.support.experiment_files import services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, Workspace, steady_ports, view_of, wait_for_jobs

SEEDS = 2
RANGE = """
[variable]
name = "cfg_scale"
start = 0
stop = 12
step = 0.5
[config]
prompt = "a blue star"
steps = 8
width = 64
height = 64
"""
GRID_JOBS = 25 * SEEDS
BUDGET = 30


def definition(mode: str) -> str:
    """Write an experiment on the embedded pipeline, which measures how well a picture matches its prompt."""
    return f"""
name = "Search {SEEDS}"
objective = "prompt_match"
jobs_per_variant = {SEEDS}
seed = 7
{mode}
{RANGE}"""


ADAPTIVE = definition(f'mode = "adaptive"\nbudget = {BUDGET}')


def test_an_adaptive_run_finds_as_good_a_value_as_the_whole_grid_with_fewer_jobs(workspace: Workspace) -> None:
    """What it recommends is within one step of the grid's best, and hardly worse; a stopped one ends with its round."""
    runner, learning = services(workspace)
    runner.ask("queue.pause", {}, QueueReply)  # so that no round ends before its search is stopped
    grid = submit(workspace, definition(""), "grid.toml")
    stopped = submit(workspace, ADAPTIVE, "stopped.toml")
    workspace.run("experiment", "stop", stopped)
    runner.ask("queue.resume", {}, QueueReply)
    path = workspace.write("adaptive.toml", ADAPTIVE)

    followed = workspace.run("experiment", "run", path, "--follow", seconds=2 * COMMAND_SECONDS)
    wait_for_jobs(learning, grid, GRID_JOBS)

    found = view_of(learning, followed.out.split()[0])
    assert found.search is not None
    assert found.search.state in ("decided", "exhausted")
    assert found.search.spent == found.totals.completed <= BUDGET < GRID_JOBS
    means = {one.variant_value: one.metrics["prompt_match"] for one in view_of(learning, grid).variants}
    best = max(means, key=lambda value: means[value])
    assert found.recommendation is not None
    value = found.recommendation.value
    assert isinstance(value, float)
    assert isinstance(best, float)
    assert abs(value - best) <= 0.5, (found.recommendation.sentence, means)
    assert means[value] >= 0.7 * means[best], means  # its neighbour is a fifth worse
    assert f"search: {found.search.spent} of {BUDGET} jobs, {found.search.state}" in followed.err
    wait_for_jobs(learning, stopped, 10)
    assert (view_of(learning, stopped).status, view_of(learning, stopped).totals.jobs) == ("completed", 10)
    shown = workspace.run("experiment", "show", found.experiment_id).out
    assert f"search: {found.search.spent} of {BUDGET} jobs, {found.search.state}" in shown
    extended = workspace.run("experiment", "extend", stopped, "--values", "cfg_scale=13").err
    assert f"the search goes on, with {BUDGET - 10} jobs left of its budget of {BUDGET}" in extended


@pytest.mark.exhaustive
@pytest.mark.fault(item="F172")
def test_a_search_survives_kills_and_keeps_its_budget(workspace: Workspace) -> None:
    """The learning service is killed while jobs run, and when a round has just ended."""
    runner = workspace.runner("--workers", "2")
    learning = workspace.learning(runner, ports=steady_ports())
    experiment_id = submit(workspace, ADAPTIVE)
    for jobs in (3, 10, 17):
        wait_for_jobs(learning, experiment_id, jobs)
        learning.kill()
        learning.start()

    wait_until(lambda: view_of(learning, experiment_id).status == "completed", COMMAND_SECONDS, what="its end")

    ended = view_of(learning, experiment_id)
    ran = workspace.run("job", "list", "--json", "--limit", "100").json
    assert ended.search is not None
    assert ended.search.state in ("decided", "exhausted")
    assert len(ran) == len({job["job_id"] for job in ran}) == ended.search.spent == ended.totals.completed <= BUDGET
