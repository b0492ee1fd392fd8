"""A backup that was taken in mid-run: all is lost, the backup is restored, and the experiment ends right."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support.experiment_files import SEED, gate, open_gate, pictures, program, services, submit
from tests.support.workspace import ServiceProcess, Workspace, view_of, wait_for_jobs

pytestmark = pytest.mark.fault(item="F118")
VALUES, JOBS = 4, 3


def restart(workspace: Workspace, *services: ServiceProcess) -> None:
    """Lose the data folder, restore the backup, and start the services where they were."""
    for service in services:
        service.kill()
    shutil.rmtree(workspace.folder / "data")
    workspace.run("restore", "backup", "--data-dir", "data")
    for service in services:
        service.start()


def counted(workspace: Workspace, experiment_id: str) -> Counter[str]:
    """Return how the results of an experiment ended, by the number of jobs."""
    document = workspace.run("experiment", "export", experiment_id).json
    return Counter(result["state"] for result in document["records"]["results"])


def test_a_restore_in_mid_run_ends_right(workspace: Workspace) -> None:
    """Every job has ended once, also those that had ended since the backup, and there is a recommendation."""
    runner, learning = services(workspace, steady=True)
    script = f'echo "$1 $2" >> {workspace.folder}/ran; {gate(workspace, 1)}; echo "{{\\"score\\": $1}}"'
    text = program(values=VALUES, jobs=JOBS, script=script)
    experiment_id = submit(workspace, text.replace("pipeline =", 'objective = "score"\npipeline =', 1))
    wait_for_jobs(learning, experiment_id, VALUES)
    workspace.run("backup", "backup", "--data-dir", "data")
    assert ": 0 findings" in workspace.run("verify", "backup").out
    open_gate(workspace)
    wait_for_jobs(learning, experiment_id, VALUES * JOBS)
    late = submit(workspace, pictures(values=2, jobs=1), "late.toml")
    wait_for_jobs(learning, late, 2)
    epochs = [service.info.epoch for service in (runner, learning)]

    restart(workspace, runner, learning)
    assert not {service.info.epoch for service in (runner, learning)} & {*epochs}
    wait_for_jobs(learning, experiment_id, VALUES * JOBS)
    view = view_of(learning, experiment_id)
    assert (view.status, view.totals.failed, view.totals.cancelled) == ("completed", 0, 0)
    assert counted(workspace, experiment_id) == {"completed": VALUES * JOBS}
    ran = Counter((workspace.folder / "ran").read_text(encoding="utf-8").split("\n"))
    assert {ran[f"{value} {SEED}"] for value in range(VALUES)} == {1}  # had ended before the backup
    assert workspace.run("recommend", experiment_id, "--json").json["value"] == VALUES - 1


@pytest.mark.parametrize("lost", ["runner", "learning"])
def test_one_service_is_restored_and_the_other_is_not(workspace: Workspace, lost: str) -> None:
    """The other one knows more: nothing is counted twice, and what is planned again under a known id does not hang."""
    runner, learning = services(workspace, steady=True)
    script = f"sleep 0.01; {gate(workspace, 1)}"
    experiment_id = submit(workspace, program(values=2, jobs=2, script=script))
    wait_for_jobs(learning, experiment_id, 2)
    workspace.run("backup", "backup", "--data-dir", "data")
    open_gate(workspace)
    workspace.run("experiment", "extend", experiment_id, "--seeds", "3")
    wait_for_jobs(learning, experiment_id, 6)

    service = runner if lost == "runner" else learning
    service.kill()
    for path in Path(workspace.folder, "data").glob(f"{lost}.*"):
        path.unlink()
    shutil.copy(workspace.folder / "backup" / f"{lost}.db", workspace.folder / "data")
    service.start()
    if lost == "learning":
        wait_for_jobs(learning, experiment_id, 4)
        workspace.run("experiment", "extend", experiment_id, "--seeds", "3")
    wait_for_jobs(learning, experiment_id, 6)
    assert counted(workspace, experiment_id) == {"completed": 6}
