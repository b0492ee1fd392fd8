"""The queue from the command line: pause, resume, priorities, retry, cancel verbs, what a pipeline takes."""

from bus.contracts.jobs import JobParams, JobView
from tests.support.experiment_files import gate, open_gate, program, services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, finish, view_of, wait_for_jobs

JOB = 'pipeline = "command"\nstage = "run"\npriority = {priority}\n[config]\ncommand = ["/bin/sh", "-c", "{script}"]\n'


def submit_job(workspace: Workspace, script: str = "true", priority: int = 0) -> str:
    """Submit a job that runs a shell script; give its id."""
    path = workspace.write(f"job-{len(workspace.started)}.toml", JOB.format(script=script, priority=priority))
    return workspace.run("job", "submit", path).out.strip()


def show(runner: ServiceProcess, job_id: str) -> JobView:
    """Ask the runner how a job is."""
    return runner.ask("job.show", JobParams(job_id=job_id), JobView)


def wait_for(runner: ServiceProcess, job_id: str, state: str) -> JobView:
    """Wait until a job is in a state."""
    wait_until(lambda: show(runner, job_id).state == state, COMMAND_SECONDS, what=f"{job_id} {state}")
    return show(runner, job_id)


def test_a_paused_queue_stays_so_over_a_kill_and_runs_urgent_jobs_first(workspace: Workspace) -> None:
    """`job pause`, `kill -9`, `job list` with the reason, `job resume`: then by priority."""
    runner, _ = services(workspace, workers=1, steady=True)
    assert "paused; 0 jobs wait, 0 run" in workspace.run("job", "pause").err
    plain = submit_job(workspace)
    urgent = submit_job(workspace, priority=9)

    runner.kill()
    runner.start()

    listed = workspace.run("job", "list").out.splitlines()
    assert listed[-1] == "command waits: paused; resume with `variantbus job resume`"
    assert [line.split()[0] for line in listed[1:-1]] == [urgent, plain]
    first = workspace.run("job", "list", "--limit", "1")
    assert len(first.out.splitlines()) == 3
    assert first.err == "… and more: --limit 2\n"
    workspace.run("job", "resume")
    done = [wait_for(runner, job_id, "completed") for job_id in (urgent, plain)]
    assert done[0].started_at is not None
    assert done[1].started_at is not None
    assert done[0].started_at < done[1].started_at


def test_whoever_follows_is_told_that_everything_waits_and_that_it_goes_on(workspace: Workspace) -> None:
    """Without a terminal once on stderr: for a pause, and for a runner that is away; stdout has only the variants."""
    runner, _ = services(workspace, steady=True)
    workspace.run("job", "pause")
    experiment = workspace.write("experiment.toml", program(values=2, jobs=1, script=gate(workspace, 0)))
    following = workspace.command("experiment", "run", experiment, "--follow")
    wait_until(lambda: "waits: paused; " in following.errors(), COMMAND_SECONDS, what="the pause")
    assert "waits: paused; " in workspace.run("experiment", "show", following.text().split()[0]).out

    workspace.run("job", "resume")
    wait_until(lambda: following.errors().count("\ngoes on\n") == 1, COMMAND_SECONDS, what="the end of the pause")
    runner.kill()
    silence = f"waits: the runner at {runner.control} does not answer"
    wait_until(lambda: silence in following.errors(), COMMAND_SECONDS, what="the silence")
    runner.start()
    wait_until(lambda: following.errors().count("\ngoes on\n") == 2, COMMAND_SECONDS, what="the runner's return")
    open_gate(workspace)

    assert following.wait() == 0, following.errors()
    assert following.errors().count("waits: ") == 2
    assert "waits" not in finish(following).out


def test_a_failed_job_is_retried_and_others_are_refused(workspace: Workspace) -> None:
    """`job retry` runs it again under its id; what went well cannot be retried."""
    runner, _ = services(workspace)
    marker = workspace.folder / "there"
    job_id = submit_job(workspace, script=f"test -e {marker}")
    wait_for(runner, job_id, "failed")
    marker.touch()

    assert workspace.run("job", "retry", job_id).err == f"{job_id} is queued again\n"

    assert wait_for(runner, job_id, "completed").attempt == 2
    refused = workspace.run("job", "retry", job_id, code=4)
    assert "only what has failed or was cancelled can run again" in refused.err
    assert "was not found" in workspace.run("job", "retry", "nobody", code=4).err


def test_cancelling_may_let_what_runs_come_to_its_end(workspace: Workspace) -> None:
    """`experiment cancel --finish-running`: the running jobs are completed, the others cancelled."""
    runner, learning = services(workspace)
    experiment_id = submit(workspace, program(values=3, jobs=4, script=gate(workspace, 0)))
    wait_until(lambda: view_of(learning, experiment_id).totals.running == 2, COMMAND_SECONDS, what="two running jobs")

    workspace.run("experiment", "cancel", experiment_id, "--finish-running")

    wait_until(lambda: view_of(learning, experiment_id).totals.cancelled == 10, COMMAND_SECONDS, what="the cancels")
    assert view_of(learning, experiment_id).totals.running == 2
    open_gate(workspace)
    wait_for_jobs(learning, experiment_id, 2)
    totals = view_of(learning, experiment_id).totals
    assert (totals.completed, totals.cancelled, totals.failed) == (2, 10, 0)
    assert runner.process.lives


def test_what_can_be_varied_is_listed(workspace: Workspace) -> None:
    """`pipelines`, with and without a name, as text and as JSON; an unknown one gets the near miss."""
    services(workspace)

    overview, _, scorers = workspace.run("pipelines").out.partition("[score]")
    assert "sharpness" in scorers
    names = [line.split()[0] for line in overview.splitlines() if line.strip()]
    assert names == ["pipeline", *sorted(overview_names(workspace))]
    embedded = workspace.run("pipelines", "embedded").out
    assert "cfg_scale" in embedded
    assert "number 0 to 30" in embedded
    assert workspace.run("pipelines", "embedded", "--json").json["txt2img"]["variables"]["steps"]["maximum"] == 150
    (sentence,) = workspace.run("pipelines", "webui").out.splitlines()
    assert sentence.startswith("webui: http://")
    assert "did you mean 'embedded'?" in workspace.run("pipelines", "embeded", code=2).err
    assert "did you mean 'noop'?" in workspace.run("job", "pause", "--pipeline", "nop", code=2).err


def overview_names(workspace: Workspace) -> list[str]:
    """Return the pipelines that the runner has."""
    return list(workspace.run("pipelines", "--json").json["pipelines"])
