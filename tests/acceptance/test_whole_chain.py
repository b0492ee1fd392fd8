"""The whole chain as a person uses it: services, a logger, and the commands, each a process of its own."""

import json

from PIL import Image

from tests.support.checker import check_everything, check_picture, outputs_of, whole_log
from tests.support.experiment_files import pictures, program, services, submit
from tests.support.helpers import wait_until
from tests.support.invariants import check_offsets
from tests.support.workspace import ROOT, Running, ServiceProcess, Workspace, view_of
from variantbus.reports.sheet import CELL, LARGEST_CELL

SETTLED = {"completed", "failed", "partial", "cancelled"}


def logged_offsets(tail: Running, service: ServiceProcess) -> list[int]:
    """Return the offsets of the logged events that a `tail --json` has printed of one service."""
    return [line["offset"] for line in tail.lines() if line["source"] == service.control and line["offset"]]


def test_an_experiment_runs_through_all_processes_and_each_of_them_tells_the_same(workspace: Workspace) -> None:
    """`experiment run --follow`, `experiment show`, the logger and the pictures on disk agree with each other."""
    runner, learning = services(workspace)
    tail = workspace.command("tail", "--all", "--json")
    file = workspace.write("experiment.toml", pictures(values=4, jobs=2))

    followed = workspace.run("experiment", "run", file, "--follow", "--json")

    experiment_id = followed.err.split()[0]
    last = {line["body"]["variant_index"]: line["body"] for line in followed.lines if "variant.status" in line["topic"]}
    shown = workspace.run("experiment", "show", experiment_id, "--json").json
    assert [last[variant["variant_index"]] for variant in shown["variants"]] == shown["variants"]
    assert shown["status"] == "completed"
    assert [variant["variant_value"] for variant in shown["variants"]] == [1.0, 1.5, 2.0, 2.5]
    assert shown["totals"]["completed"] == shown["totals"]["jobs"] == 8
    view = check_everything(runner, learning, experiment_id)
    seeds = [[image.seed for image in variant.images] for variant in view.variants]
    assert [set(ours) for ours in seeds] == [{7, 8}] * 4
    for service in (runner, learning):
        wait_until(lambda one=service: len(logged_offsets(tail, one)) >= one.head, what="the logger")  # type: ignore[misc]
        check_offsets(logged_offsets(tail, service), service.head)


def test_watching_an_experiment_that_has_ended_shows_its_end(workspace: Workspace) -> None:
    """`watch ID` prints one line a variant and ends at once, and without an ID it takes the newest experiment."""
    services(workspace)
    file = workspace.write("experiment.toml", program(values=3))
    experiment_id = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    by_id = workspace.run("watch", experiment_id).out.splitlines()
    newest = workspace.run("watch", "--json").lines

    assert sorted(line.split(",")[0] for line in by_id) == [f"level = {level}" for level in range(3)]
    assert all("completed" in line for line in by_id)
    assert {line["body"]["experiment_id"] for line in newest} == {experiment_id}


def test_a_watcher_that_comes_in_mid_run_sees_the_end(workspace: Workspace) -> None:
    """`watch ID` in mid-run shows what there is, then what follows, and ends with the experiment."""
    services(workspace)
    experiment_id = submit(workspace, program(values=4, jobs=4, script="sleep 0.1"))

    lines = workspace.run("watch", experiment_id, "--json").lines

    last = {line["body"]["variant_index"]: line["body"] for line in lines if "variant.status" in line["topic"]}
    assert {index: body["completed"] for index, body in last.items()} == dict.fromkeys(range(4), 4)


def test_experiments_are_listed_newest_first(workspace: Workspace) -> None:
    """`experiment list` names every experiment with its status, as a table and as JSON."""
    _, learning = services(workspace)
    names = [submit(workspace, program(values=2)) for _ in range(3)]
    for name in names:
        wait_until(lambda one=name: view_of(learning, one).status in SETTLED, what=f"the end of {name}")  # type: ignore[misc]

    listed = workspace.run("experiment", "list", "--json").json
    table = workspace.run("experiment", "list").out
    shown = workspace.run("experiment", "show", names[0]).out

    assert [one["experiment_id"] for one in listed] == names[::-1]
    assert {one["status"] for one in listed} == {"completed"}
    assert [line.split()[0] for line in table.splitlines()[1:]] == names[::-1]
    assert "completed" in shown


def test_a_contact_sheet_has_a_column_a_value_and_a_row_a_seed(workspace: Workspace) -> None:
    """`experiment sheet -o` writes one PNG with a cell for each picture."""
    services(workspace)
    file = workspace.write("experiment.toml", pictures(values=3, jobs=2))
    experiment_id = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    written = workspace.run("experiment", "sheet", experiment_id, "-o", "sheet.png").out.strip()

    check_picture(workspace.folder / written)
    with Image.open(workspace.folder / written) as sheet:
        assert 3 * CELL < sheet.width < 3 * LARGEST_CELL + CELL, "there are other than three columns"
        assert 2 * CELL < sheet.height < 2 * LARGEST_CELL + CELL, "there are other than two rows"
        assert len(sheet.getcolors(sheet.width * sheet.height) or []) > 10, "the cells are empty"


def test_a_single_job_is_submitted_and_waited_for(workspace: Workspace) -> None:
    """`job submit --wait` gives the end of the job; `job list` and `job show` know it afterwards."""
    runner = workspace.runner()

    ended = workspace.run("job", "submit", ROOT / "examples" / "job.toml", "--wait", "--json")

    job = ended.json
    (image,) = job["result"]["images"]
    check_picture(outputs_of(runner) / image["path"], (image["width"], image["height"]))
    assert ended.err.split() == [job["job_id"]]
    (listed,) = workspace.run("job", "list", "--json").json
    shown = workspace.run("job", "show", job["job_id"]).json
    assert listed == shown
    assert (shown["state"], shown["result"]) == ("completed", job["result"])
    assert job["job_id"] in workspace.run("job", "list", "--state", "completed").out
    assert workspace.run("job", "list", "--state", "failed", "--json").json == []


def test_a_job_that_is_not_waited_for_runs_all_the_same(workspace: Workspace) -> None:
    """`job submit` alone prints the id and ends at once."""
    runner = workspace.runner()

    job_id = workspace.run("job", "submit", ROOT / "examples" / "job.toml").out.strip()

    wait_until(lambda: workspace.run("job", "show", job_id).json["state"] == "completed", 30, what="the end of the job")
    assert whole_log(runner)[-1].topic == "job.completed."


def test_every_picture_tells_where_it_comes_from(workspace: Workspace) -> None:
    """Beside each picture lies a JSON file with the whole context of its job."""
    runner, learning = services(workspace)
    file = workspace.write("experiment.toml", pictures(values=2, jobs=1))
    experiment_id = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    for variant in view_of(learning, experiment_id).variants:
        (image,) = variant.images
        picture = outputs_of(runner) / image.path
        (sidecar,) = picture.parent.glob(f"{picture.stem}.*.json")
        told = json.loads(sidecar.read_text(encoding="utf-8"))
        assert told["learning_context"]["experiment_id"] == experiment_id
        assert told["learning_context"]["variant_value"] == variant.variant_value
        assert told["config"]["cfg_scale"] == variant.variant_value
