"""The comfyui pipeline when a job runs again: what an earlier attempt left at the server is found, or rightly not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_runner.comfyui.prompt import prompt_id_of
from tests.comfyui import Bench, error_of, open_bench
from tests.factories import Reports
from tests.helpers import wait_until


@pytest.fixture
def bench(no_leaks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:  # noqa: ARG001 - it looks
    """Give a pipeline at a fake server."""
    with open_bench(tmp_path, monkeypatch) as bench:
        yield bench


def test_a_prompt_whose_answer_was_lost_is_not_submitted_twice(bench: Bench) -> None:
    """The server has queued it, though nobody heard so: the next attempt takes it over."""
    bench.fake.behaviour.lost_replies = 1

    assert error_of(bench.run(bench.config()))[0] == "unreachable"
    assert bench.run(bench.config(), attempt=2).success

    assert len(bench.fake.prompts) == 1
    assert bench.fake.executed == [prompt_id_of("job-1", 1, 0)]


def test_a_runner_that_was_killed_finds_its_running_prompt_again(bench: Bench) -> None:
    """The third attempt takes over what the first one left running, with its progress."""
    bench.fake.hold()
    bench.fake.behaviour.lost_replies = 1
    assert error_of(bench.run(bench.config()))[0] == "unreachable"
    wait_until(lambda: bench.fake.running, what="the start of the prompt")
    reports = Reports()
    pipeline = bench.pipeline
    bench.pipeline = bench.new_pipeline()
    job = bench.start(bench.config(), attempt=3, reports=reports)
    wait_until(lambda: bench.fake.sockets, what="the websocket")

    bench.fake.release()

    assert job.result.success
    assert (1.0, 4, 4) in reports
    assert len(bench.fake.prompts) == 1
    pipeline.server.close()


def test_an_earlier_prompt_that_ended_badly_is_not_taken_for_the_answer(bench: Bench) -> None:
    """What was interrupted or failed runs anew, even if it was still running when it was found."""
    bench.fake.hold()
    bench.fake.behaviour.lost_replies = 1
    assert error_of(bench.run(bench.config()))[0] == "unreachable"
    wait_until(lambda: bench.fake.running, what="the start of the prompt")
    job = bench.start(bench.config(), attempt=2)
    wait_until(lambda: bench.fake.sockets, what="the websocket")
    wait_until(lambda: any(path.startswith("/history/") for _, path, _, _ in bench.fake.requests), what="a poll")

    bench.fake.post_interrupt({})
    wait_until(lambda: len(bench.fake.prompts) == 2, what="another prompt")
    bench.fake.release()

    assert job.result.success
    assert bench.fake.executed == [prompt_id_of("job-1", 2, 0)]


def test_the_whole_job_is_the_same_after_a_failed_attempt(bench: Bench) -> None:
    """A failure in the history does not stand for the next attempt."""
    bench.fake.behaviour.errors.append(("OSError", "disk"))
    assert error_of(bench.run(bench.config()))[0] == "server_error"

    assert bench.run(bench.config(), attempt=2).success

    assert bench.fake.executed == [prompt_id_of("job-1", 2, 0)]


def test_a_job_that_a_person_runs_again_begins_anew(bench: Bench) -> None:
    """It has ended already, so nothing that it left at the server stands for the new run."""
    assert bench.run(bench.config()).success

    bench.fake.behaviour.repeats_cached_outputs = True
    assert bench.run(bench.config(), attempt=2, faults=0).success

    assert [prompt["prompt_id"] for prompt in bench.fake.prompts] == [prompt_id_of("job-1", n, 0) for n in (1, 2)]
