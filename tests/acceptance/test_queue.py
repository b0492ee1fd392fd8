"""The queue from the command line: pause, resume, priorities, retry, cancel verbs, what a pipeline takes."""

from bus.contracts.jobs import JobParams, JobView
from tests.acceptance.experiments import gate, open_gate, program, services, submit
from tests.acceptance.harness import COMMAND_SECONDS, House, ServiceProcess, finish, view_of, wait_for_jobs
from tests.support.helpers import wait_until

JOB = 'pipeline = "command"\nstage = "run"\npriority = {priority}\n[config]\ncommand = ["/bin/sh", "-c", "{script}"]\n'


def submit_job(house: House, script: str = "true", priority: int = 0) -> str:
    """Submit a job that runs a shell script; give its id."""
    path = house.write(f"job-{len(house.started)}.toml", JOB.format(script=script, priority=priority))
    return house.run("job", "submit", path).out.strip()


def show(runner: ServiceProcess, job_id: str) -> JobView:
    """Ask the runner how a job is."""
    return runner.ask("job.show", JobParams(job_id=job_id), JobView)


def wait_for(runner: ServiceProcess, job_id: str, state: str) -> JobView:
    """Wait until a job is in a state."""
    wait_until(lambda: show(runner, job_id).state == state, COMMAND_SECONDS, what=f"{job_id} {state}")
    return show(runner, job_id)


def test_a_paused_queue_stays_so_over_a_kill_and_runs_urgent_jobs_first(house: House) -> None:
    """`job pause`, `kill -9`, `job list` with the reason, `job resume`: then by priority."""
    runner, _ = services(house, workers=1)
    assert "paused; 0 jobs wait, 0 run" in house.run("job", "pause").err
    plain = submit_job(house)
    urgent = submit_job(house, priority=9)

    runner.kill()
    runner.start()

    listed = house.run("job", "list").out.splitlines()
    assert listed[-1] == "command waits: paused; `variantbus job resume` goes on"
    assert [line.split()[0] for line in listed[1:-1]] == [urgent, plain]
    first = house.run("job", "list", "--limit", "1")
    assert len(first.out.splitlines()) == 3
    assert first.err == "… and more: --limit 2\n"
    house.run("job", "resume")
    done = [wait_for(runner, job_id, "completed") for job_id in (urgent, plain)]
    assert done[0].started_at is not None
    assert done[1].started_at is not None
    assert done[0].started_at < done[1].started_at


def test_whoever_follows_is_told_that_everything_waits_and_that_it_goes_on(house: House) -> None:
    """Without a terminal once on stderr: for a pause, and for a runner that is away; stdout has only the variants."""
    runner, _ = services(house, steady=True)
    house.run("job", "pause")
    experiment = house.write("experiment.toml", program(values=2, jobs=1, script=gate(house, 0)))
    following = house.command("experiment", "run", experiment, "--follow")
    wait_until(lambda: "waits: paused; " in following.errors(), COMMAND_SECONDS, what="the pause")
    assert "waits: paused; " in house.run("experiment", "show", following.errors().split()[0]).out

    house.run("job", "resume")
    wait_until(lambda: following.errors().count("\ngoes on\n") == 1, COMMAND_SECONDS, what="the end of the pause")
    runner.kill()
    silence = f"waits: the runner at {runner.control} does not answer"
    wait_until(lambda: silence in following.errors(), COMMAND_SECONDS, what="the silence")
    runner.start()
    wait_until(lambda: following.errors().count("\ngoes on\n") == 2, COMMAND_SECONDS, what="the runner's return")
    open_gate(house)

    assert following.wait() == 0, following.errors()
    assert following.errors().count("waits: ") == 2
    assert "waits" not in finish(following).out


def test_a_failed_job_is_retried_and_others_are_refused(house: House) -> None:
    """`job retry` runs it again under its id; what went well cannot be retried."""
    runner, _ = services(house)
    marker = house.folder / "there"
    job_id = submit_job(house, script=f"test -e {marker}")
    wait_for(runner, job_id, "failed")
    marker.touch()

    assert house.run("job", "retry", job_id).err == f"{job_id} is queued again\n"

    assert wait_for(runner, job_id, "completed").attempt == 2
    refused = house.run("job", "retry", job_id, code=4)
    assert "only what has failed or was cancelled can run again" in refused.err
    assert "is unknown" in house.run("job", "retry", "nobody", code=4).err


def test_cancelling_may_let_what_runs_come_to_its_end(house: House) -> None:
    """`experiment cancel --finish-running`: the running jobs are completed, the others cancelled."""
    runner, learning = services(house)
    experiment_id = submit(house, program(values=3, jobs=4, script=gate(house, 0)))
    wait_until(lambda: view_of(learning, experiment_id).totals.running == 2, COMMAND_SECONDS, what="two running jobs")

    house.run("experiment", "cancel", experiment_id, "--finish-running")

    wait_until(lambda: view_of(learning, experiment_id).totals.cancelled == 10, COMMAND_SECONDS, what="the cancels")
    assert view_of(learning, experiment_id).totals.running == 2
    open_gate(house)
    wait_for_jobs(learning, experiment_id, 2)
    totals = view_of(learning, experiment_id).totals
    assert (totals.completed, totals.cancelled, totals.failed) == (2, 10, 0)
    assert runner.process.lives


def test_what_can_be_varied_is_listed(house: House) -> None:
    """`pipelines`, with and without a name, as text and as JSON; an unknown one gets the near miss."""
    services(house)

    overview = house.run("pipelines").out
    assert [line.split()[0] for line in overview.splitlines()] == ["pipeline", *sorted(overview_names(house))]
    embedded = house.run("pipelines", "embedded").out
    assert "cfg_scale" in embedded
    assert "number 0 to 30" in embedded
    assert house.run("pipelines", "embedded", "--json").json["txt2img"]["variables"]["steps"]["maximum"] == 150
    (sentence,) = house.run("pipelines", "webui").out.splitlines()
    assert sentence.startswith("webui: http://")
    assert "did you mean 'embedded'?" in house.run("pipelines", "embeded", code=2).err
    assert "did you mean 'noop'?" in house.run("job", "pause", "--pipeline", "nop", code=2).err


def overview_names(house: House) -> list[str]:
    """Give the pipelines that the runner has."""
    return list(house.run("pipelines", "--json").json["pipelines"])
