"""From the command line: an objective that no job reports, metrics that are none, and another objective."""

import sys

import pytest

from tests.support.experiment_files import services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, view_of

PRINTS = {
    "nan": '{"loss": NaN, "ok": 1}',
    "text": '{"loss": "0.5"}',
    "true": '{"loss": true}',
    "list": "[0.25]",
    "dict": "{'loss': 0.25}",
    "good": '{"loss": 0.25}',
    "low": '{"loss": 0.125}',
}
TYPO = f"""
name = "Typo"
pipeline = "command"
stage = "run"
objective = "los"
goal = "minimize"
jobs_per_variant = 1
[variable]
name = "k"
values = {list(PRINTS)}
[config]
command = [{sys.executable!r}, "-c", '''import sys; print({PRINTS!r}[sys.argv[1]])''', "{{k}}"]
"""


@pytest.mark.fault(item="F92")
@pytest.mark.fault(item="F94")
@pytest.mark.fault(item="F95")
def test_a_typing_error_in_the_objective_is_told_and_mended(workspace: Workspace) -> None:
    """`show`, `recommend`, the report and the warnings say it; `experiment set` mends it after the end."""
    _, learning = services(workspace)
    name = submit(workspace, TYPO)
    wait_until(lambda: view_of(learning, name).status == "completed", what="the end")
    told = f"no job has reported 'los'; did you mean 'loss'? `variantbus experiment set {name} objective=NAME`"

    assert workspace.run("recommend", name, code=4).out.startswith(told)
    wait_until(lambda: told in workspace.run("experiment", "show", name).out, what="what show tells")
    page = workspace.folder / workspace.run("experiment", "report", name).out.strip()
    assert "did you mean" in page.read_text(encoding="utf-8")

    warned = {str(one.variant_value): (one.warned, one.warning or "") for one in view_of(learning, name).variants}
    assert all(count == 1 for count, _ in warned.values()), "each lacks the metric that decides"
    assert "'loss' (not a number)" in warned["nan"][1]
    assert "'loss' (a text)" in warned["text"][1]
    assert "'loss' (true or false; write 1 or 0)" in warned["true"][1]
    assert "{'loss': 0.25}" in warned["dict"][1]
    assert "it is '[0.25]'" in warned["list"][1]
    assert warned["good"][1] == "no metric 'los', by which the experiment is decided; it reports loss"

    after = workspace.run("experiment", "set", name, "objective=loss").out  # as it was told; less stays better
    assert "k low" in after
    assert "5 of 7 completed jobs report no 'loss'" in after

    said = workspace.run("experiment", "set", name, "objective=seconds").err
    assert "its jobs run alone from now on; the times so far may be of jobs side by side" in said
