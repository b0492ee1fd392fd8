"""The demo, jobs that fail, and experiments that are cancelled."""

import json
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from bus.contracts.messages import JobStarted
from tests.support.checker import check_counts, check_picture, messages_of, whole_log
from tests.support.experiment_files import gate, pictures, program, services, submit
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, view_of, wait_for_jobs

ENDED = {"completed", "partial", "failed", "cancelled"}


def wait_for_end(learning: ServiceProcess, experiment_id: str) -> None:
    """Wait until an experiment has ended in any way."""
    wait_until(lambda: view_of(learning, experiment_id).status in ENDED, COMMAND_SECONDS, what="the end")


def test_the_demo_shows_every_variant_and_where_the_pictures_are(workspace: Workspace) -> None:
    """`variantbus demo` ends with 0, one line a variant, and leaves the pictures, the sheet and no process.

    Files of the working folder that are called as our modules are do not matter.
    """
    data = workspace.folder / "tmp"
    workspace.shadow_our_modules()

    out = workspace.run("demo", "--data-dir", data).out

    table, answer, places = out.strip().split("\n\n")[-3:]
    assert answer.startswith("cfg_scale 1")
    assert [line.split(", ")[:3] for line in table.splitlines()] == [
        [f"cfg_scale = {value}", "completed", "3/3 jobs"] for value in ("0", "0.5", "1", "1.5", "2", "4", "8", "16")
    ]
    told = {line[:15].strip(): Path(line[15:]) for line in places.splitlines()}
    drawn = [path for path in told["pictures"].rglob("*.png") if path != told["contact sheet"]]
    assert len(drawn) == 24
    for picture in drawn:
        check_picture(picture, (128, 128))
    check_picture(told["contact sheet"])
    check_events(told["all events"])
    assert workspace.left() == []
    check_kept_demo(workspace, data)


def check_events(file: Path) -> None:
    """Check that a file has all events of both services from the first one on, to the ends of all jobs."""
    offsets: dict[str, list[int]] = {}
    for event in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        if event["offset"]:
            offsets.setdefault(event["source"], []).append(event["offset"])
    assert len(offsets) == 2
    assert all(found == [*range(1, len(found) + 1)] for found in offsets.values()), offsets
    assert file.read_text(encoding="utf-8").count('"job.completed.') == 24


def check_kept_demo(workspace: Workspace, data: Path) -> None:
    """Check that a second demo finds what the first one left, runs all the same, and serves its page until Ctrl-C."""
    demo = workspace.command("demo", "--keep", "--data-dir", data)
    demo.wait_for_line("Ctrl-C", COMMAND_SECONDS)
    assert demo.text().count("completed, 3/3 jobs") >= 8
    page = next(line.split()[1] for line in demo.text().splitlines() if line.startswith("dashboard"))
    with urlopen(f"{page}/api/experiments?state=completed", timeout=PATIENCE * TIME_FACTOR) as reply:  # noqa: S310 - our own page
        listed = json.load(reply)

    demo.send(signal.SIGINT)

    assert listed["total"] == len(listed["ids"]) == 2, "the demo before, and this one"
    assert demo.wait() == 130
    assert workspace.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_in_mid_run_leaves_no_process(workspace: Workspace, number: signal.Signals) -> None:
    """Also when its terminal is closed: the next demo finds the data folder free."""
    demo = workspace.command("demo", "--data-dir", workspace.folder / "tmp")
    wait_until(lambda: len(workspace.left()) > 3, COMMAND_SECONDS, what="the services of the demo")

    demo.send(number)

    assert demo.wait() == 128 + number
    assert workspace.left() == []


def test_whoever_has_followed_is_told_how_to_see_the_pictures(workspace: Workspace) -> None:
    """The last line on stderr is a command that works; with `--json`, or without pictures, there is none."""
    services(workspace)
    experiment = workspace.write("experiment.toml", pictures(values=1, jobs=1))

    command = workspace.run("experiment", "run", experiment, "--follow").err.splitlines()[-1]

    assert command.startswith("pictures: variantbus experiment sheet ")
    assert workspace.run(*command.split()[2:]).out.endswith(".png\n")
    assert "pictures" not in workspace.run("watch", command.split()[-1], "--json").err
    text_only = workspace.write("program.toml", program(values=1, jobs=1))
    assert "pictures" not in workspace.run("experiment", "run", text_only, "--follow").err
    assert workspace.run("experiment", "list", "--limit", "1").err == "… and more: --limit 2\n"


def test_a_failing_program_fails_its_variant_with_its_own_words(workspace: Workspace) -> None:
    """`experiment run --follow` ends with 4, and the error has the end of what the program wrote to stderr."""
    _, learning = services(workspace)
    text = program(values=3, jobs=2, script='if [ "$1" = 1 ]; then echo "the paint is dry" >&2; exit 1; fi')

    finished = workspace.run("experiment", "run", workspace.write("experiment.toml", text), "--follow", code=4)

    view = view_of(learning, finished.out.split()[0])
    assert [variant.status for variant in view.variants] == ["completed", "failed", "completed"]
    assert view.variants[1].error == "exit status 1: the paint is dry"
    assert "level = 1, failed, 0/2 jobs, 2 failed, error: exit status 1: the paint is dry" in finished.out
    assert finished.err.splitlines()[-1] == "Error: 2 jobs failed"
    assert "Traceback" not in finished.err


def test_a_variant_whose_jobs_differ_is_partial(workspace: Workspace) -> None:
    """Where some jobs end well and some do not, the variant is partial and says why."""
    _, learning = services(workspace)
    text = program(values=1, jobs=2, script='test "$2" = 7 || exit 3')

    workspace.run("experiment", "run", workspace.write("experiment.toml", text), "--follow", code=4)

    newest = workspace.run("experiment", "list", "--json").json[0]["experiment_id"]
    (variant,) = view_of(learning, newest).variants
    assert (variant.status, variant.completed, variant.failed, variant.error) == ("partial", 1, 1, "exit status 3")


def test_an_experiment_that_is_cancelled_stops_and_nothing_runs_on(workspace: Workspace) -> None:
    """`experiment cancel` in mid-run: every job has an end, and no program is left."""
    runner, learning = services(workspace)
    experiment_id = submit(workspace, program(values=3, jobs=8, script=gate(workspace, 2)))
    wait_for_jobs(learning, experiment_id, 6)

    workspace.run("experiment", "cancel", experiment_id)

    wait_for_end(learning, experiment_id)
    view = view_of(learning, experiment_id)
    assert {variant.status for variant in view.variants} == {"partial"}
    totals = view.totals
    assert (totals.completed, totals.cancelled, totals.failed, totals.running) == (6, 18, 0, 0)
    check_counts(whole_log(runner), view)
    wait_until(lambda: len(workspace.left()) == 2, what="the end of the programs")
    started = len(messages_of(whole_log(runner), JobStarted))
    assert workspace.run("experiment", "cancel", experiment_id, code=4).err.endswith(f"ended already: {view.status}\n")
    assert len(messages_of(whole_log(runner), JobStarted)) == started


def test_an_experiment_can_be_cancelled_while_its_runner_is_away(workspace: Workspace) -> None:
    """The cancel is kept until the runner is back, and then done."""
    runner, learning = services(workspace, steady=True)
    experiment_id = submit(workspace, program(values=2, jobs=4, script="sleep 30"))
    wait_until(lambda: view_of(learning, experiment_id).totals.running == 2, what="the first jobs")
    assert runner.terminate() == 0

    workspace.run("experiment", "cancel", experiment_id)
    runner.start()

    wait_for_end(learning, experiment_id)
    assert view_of(learning, experiment_id).totals.cancelled == 8


def test_a_single_job_can_be_cancelled(workspace: Workspace) -> None:
    """`job cancel` ends a running job and a queued one; `job submit --wait` of a cancelled one ends with 4."""
    workspace.runner("--workers", "1")
    text = 'pipeline = "command"\nstage = "run"\n[config]\ncommand = ["sleep", "60"]\n'
    file = workspace.write("job.toml", text)
    waiting = workspace.command("job", "submit", file, "--wait")
    wait_until(lambda: waiting.err.read_text().strip(), what="the id of the job")
    running, queued = waiting.err.read_text().strip(), workspace.run("job", "submit", file).out.strip()
    wait_until(lambda: workspace.run("job", "show", running).json["state"] == "running", 20, what="its start")

    for job_id in (queued, running):
        workspace.run("job", "cancel", job_id)

    assert waiting.wait(20) == 4
    assert "the job was cancelled" in waiting.errors()
    states = {one["job_id"]: one["state"] for one in workspace.run("job", "list", "--json").json}
    assert states == {running: "cancelled", queued: "cancelled"}
    assert "ended already" in workspace.run("job", "cancel", running, code=4).err


def test_a_job_that_fails_says_why(workspace: Workspace) -> None:
    """`job submit --wait` ends with 4 and the reason; one that takes too long ends with 5 and goes on."""
    workspace.runner("--workers", "2")
    head = 'pipeline = "command"\nstage = "run"\n[config]\n'
    broken = workspace.write("broken.toml", head + 'command = ["sh", "-c", "echo no paint >&2; exit 7"]\n')
    absent = workspace.write("absent.toml", head + 'command = ["no-such-program"]\n')
    slow = workspace.write("slow.toml", head + 'command = ["sleep", "60"]\n')
    limited = workspace.write("limited.toml", head + 'command = ["sleep", "60"]\ntimeout_seconds = 0.2\n')
    seconds = f"{3 * TIME_FACTOR:g}"  # in which it subscribes, too; meanwhile others run
    waiting = workspace.command("job", "submit", slow, "--wait", "--timeout", seconds)

    assert "Error: exit status 7: no paint" in workspace.run("job", "submit", broken, "--wait", code=4).err
    assert "cannot start 'no-such-program'" in workspace.run("job", "submit", absent, "--wait", code=4).err
    assert "was ended after 0.2 s" in workspace.run("job", "submit", limited, "--wait", code=4).err
    assert waiting.wait() == 5
    assert f"has not ended within {seconds} s" in waiting.errors()
