"""The examples that run any program: they run as they are, beside each other, and their answers are true."""

import re
from pathlib import Path

import pytest

from bus.contracts.messages import JobCompleted, JobStarted
from tests.support.checker import whole_log
from tests.support.experiment_files import services
from tests.support.invariants import Event
from tests.support.workspace import Workspace, view_of

EXAMPLES = Path(__file__).parents[2] / "examples"
ANSWERS = {"command.toml": 9, "threshold.toml": 0.5}
TIMED = "sorting.toml"
JOBS_TIMED = 9


@pytest.mark.fault(item="F154")
def test_the_examples_that_run_programs_find_what_is_true(workspace: Workspace) -> None:
    """They need nothing that is not here. While a job is timed, no other one runs."""
    runner, learning = services(workspace, workers=3)

    started = {name: workspace.run("experiment", "run", EXAMPLES / name) for name in (*ANSWERS, TIMED)}
    found = {}
    for name, one in started.items():
        ended = workspace.run("watch", one.out.strip()).err
        assert (f"results: variantbus experiment report {one.out.strip()}" in ended) == (name != TIMED)
        found[name] = workspace.run("recommend", one.out.strip(), "--json").json["value"]

    view = view_of(learning, started[TIMED].out.strip())
    times = {str(one.variant_value): one.duration_mean or 0.0 for one in view.variants}
    # not the way that is the fastest by itself: who was held up for a moment took as long as it took
    assert times[found.pop(TIMED)] <= 1.05 * min(times.values()), times
    assert found == ANSWERS
    assert {name for name, one in started.items() if "runs alone" in one.err} == {TIMED}
    check_alone(whole_log(runner), started[TIMED].out.strip())
    check_table(workspace, started["threshold.toml"].out.strip())


def test_the_sounds_of_an_example_are_rated_by_ear(workspace: Workspace) -> None:
    """They have a length, the report plays them, and stars decide."""
    services(workspace, workers=2)
    name = workspace.run("experiment", "run", EXAMPLES / "sounds.toml").out.strip()
    workspace.run("watch", name)
    export = workspace.run("experiment", "export", name).json

    pictures = export["records"]["pictures"]
    assert {(one["image"]["media_type"], round(one["image"]["duration"], 3)) for one in pictures} == {
        ("audio/wav", 2.0)
    }
    for one in pictures:
        workspace.run("rate", name, one["image"]["sha256"], "5" if one["variant_index"] == 3 else "2")
    assert workspace.run("recommend", name, "--json").json["value"] == 0.995
    report = workspace.run("experiment", "report", name).out.strip()
    assert (workspace.folder / report).read_text(encoding="utf-8").count("<audio controls") == 10


def check_table(workspace: Workspace, name: str) -> None:
    """Check that a result that is no picture is named, fetched by what is shown of it, and part of the report."""
    shown = workspace.run("experiment", "show", name).out
    digits = re.findall(r"confusion\.csv \(([0-9a-f]{8})\)", shown)[0]
    assert workspace.run("job", "output", digits).out.startswith("found,spam,count\n")
    report = workspace.run("experiment", "report", name).out.strip()
    text = (workspace.folder / report).read_text(encoding="utf-8")
    assert text.count('download="confusion.csv"') == 20
    assert "found,spam,count" in text
    assert "3 experiments, 26 files" in workspace.run("history").out


def check_alone(events: list[Event], timed: str) -> None:
    """Check in the order of the log that no job ran beside one of an experiment."""
    running: dict[str, bool] = {}
    alone = 0
    for message in (event.message for event in events):
        if isinstance(message, JobStarted):
            running[message.job_id] = message.job_id.startswith(f"{timed}.")
            alone += running[message.job_id]
            assert len(running) == 1 or not any(running.values()), running
        elif isinstance(message, JobCompleted):
            del running[message.job_id]
    assert alone == JOBS_TIMED
