"""Plug-ins: completion hooks are found by entry point, called after a job ends, and harmless; the page is right."""

import json
import logging
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import pytest

from bus.contracts.jobs import SubmitParams, SubmitReply
from bus.contracts.messages import JobResult
from bus.contracts.topics import JOB_COMPLETED
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.execution.completion_hooks import GROUP, CompletionHooks, load_completion_hooks
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Pipeline, Setup
from pipeline_runner.pipelines.noop import NoopPipeline
from pipeline_runner.queue.completion import CompletionHandler
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, record_of, request_for, well
from tests.support.held_pipelines import ask
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, wait_until

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "completion_hook"
Install = Callable[[dict[str, str]], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs the metadata of a package with these hooks: name and `module:function`."""

    def put(hooks: dict[str, str]) -> None:
        info = tmp_path / "site" / "hooks_of_a_test-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hooks-of-a-test\nVersion: 1.0\n")
        lines = [f"{name} = {value}\n" for name, value in hooks.items()]
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "".join(lines))
        monkeypatch.syspath_prepend(str(info.parent))

    return put


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a runner that stops wait for its hooks as long as a test may take."""
    monkeypatch.setattr("pipeline_runner.service.HOOK_SECONDS", PATIENCE * TIME_FACTOR)


def run_noop(folder: Path, hooks: dict[str, CompletionHandler], job_id: str) -> None:
    """Run one job at a whole runner with these hooks, and stop the runner when the job has ended."""

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(folder / "outputs")
        pipelines: dict[str, Pipeline] = {"noop": NoopPipeline(Setup(outputs=outputs))}
        return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST, hooks=hooks)

    hosted = ServiceThread(folder / "runner.db", make)
    try:
        request = request_for(job_id, pipeline="noop", stage="run", config={"level": 1})
        ask(hosted, "job.submit", SubmitParams(jobs=[request]), SubmitReply)
        wait_until(lambda: len(hosted.logged(JOB_COMPLETED)) == 1, what="the end of the job")
    finally:
        hosted.stop()


@pytest.mark.usefixtures("patient")
def test_the_example_is_found_by_its_entry_point_and_called(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own pyproject.toml says which function it is; the last job is not lost when the runner stops."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(project["entry-points"][GROUP])
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("JOB_JOURNAL", str(tmp_path / "jobs.jsonl"))

    hooks = load_completion_hooks()
    assert "journal" in hooks
    run_noop(tmp_path, hooks, "job-1")

    (line,) = (tmp_path / "jobs.jsonl").read_text().splitlines()
    assert {name: json.loads(line)[name] for name in ("job", "pipeline", "state", "error")} == {
        "job": "job-1",
        "pipeline": "noop",
        "state": "completed",
        "error": None,
    }


def test_a_hook_that_cannot_be_loaded_is_left_out(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it; the others are loaded."""
    (tmp_path / "a_hook_module.py").write_text("number = 3\ndef hook(record, result): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    install({"missing": "no_such_module:hook", "number": "a_hook_module:number", "good": "a_hook_module:hook"})

    hooks = load_completion_hooks()

    assert "good" in hooks
    assert not {"missing", "number"} & hooks.keys()
    assert "completion hook missing cannot be loaded" in caplog.text
    assert "completion hook number cannot be loaded: a_hook_module:number is no function" in caplog.text


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit(3)])
def test_a_hook_that_raises_is_logged_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """The job has completed, the other hooks are called, and the runner stops as usual."""
    called: list[str] = []

    def broken(_record: NormalizedJobRecord, _result: JobResult) -> NoReturn:
        raise error

    hooks: dict[str, CompletionHandler] = {"broken": broken, "good": lambda record, _: called.append(record.job_id)}
    with caplog.at_level(logging.ERROR):
        run_noop(tmp_path, hooks, "job-1")

    assert called == ["job-1"]
    assert "completion hook broken failed for job job-1" in caplog.text


def test_a_slow_hook_delays_nobody_and_jobs_beyond_the_limit_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """One job is with the hook and two wait; the others are counted, with one warning."""
    entered, released, called = threading.Event(), threading.Event(), list[str]()

    def slow(record: NormalizedJobRecord, _result: JobResult) -> None:
        entered.set()
        assert released.wait(PATIENCE * TIME_FACTOR)
        called.append(record.job_id)

    hooks = CompletionHooks({"slow": slow}, limit=2)
    hooks.notify(record_of("job-0"), well())
    assert entered.wait(PATIENCE * TIME_FACTOR)
    for number in range(1, 6):
        hooks.notify(record_of(f"job-{number}"), well())
    assert hooks.skipped == 3
    released.set()
    hooks.close(PATIENCE * TIME_FACTOR)

    assert called == ["job-0", "job-1", "job-2"]
    assert caplog.text.count("completion hooks are too slow") == 1


def test_a_hook_that_hangs_is_abandoned_at_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    """The runner waits for it no longer than it says."""
    released = threading.Event()

    def hangs(_record: NormalizedJobRecord, _result: JobResult) -> None:
        released.wait(60)

    hooks = CompletionHooks({"hangs": hangs})
    hooks.notify(record_of("job-0"), well())

    begin = time.monotonic()
    hooks.close(0.05)

    assert time.monotonic() - begin < PATIENCE * TIME_FACTOR
    assert "completion hooks did not end in time" in caplog.text
    released.set()


def test_without_hooks_there_is_no_thread() -> None:
    """What nobody has installed costs nothing."""
    before = threading.active_count()
    hooks = CompletionHooks({})

    hooks.notify(record_of(), well())
    hooks.close(1.0)

    assert threading.active_count() == before
    assert hooks.skipped == 0
