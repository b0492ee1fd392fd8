"""The comfyui pipeline when a job runs again: what an earlier attempt left at the server is found, or rightly not."""

import pytest

from tests.servers.comfyui import OUT_OF_MEMORY
from tests.support.comfyui_jobs import ComfyuiJobs, error_of, prompt_id
from tests.support.helpers import wait_until


def is_waited_for(comfy: ComfyuiJobs) -> bool:
    """Return whether the first prompt of the job is polled, and not only looked up once."""
    return len(comfy.fake.asked("GET", f"/history/{prompt_id(1, 0)}")) > 2


def test_a_prompt_whose_answer_was_lost_is_not_submitted_twice(comfy: ComfyuiJobs) -> None:
    """The server has queued it, though nobody heard so: the next attempt takes it over."""
    comfy.fake.behaviour.lost_replies = 1

    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"
    assert comfy.run(comfy.config(), attempt=2).success

    assert len(comfy.fake.prompts) == 1
    assert comfy.fake.executed == [prompt_id(1, 0)]


def test_a_runner_that_was_killed_finds_its_running_prompt_again(comfy: ComfyuiJobs) -> None:
    """The third attempt takes over what the first one left running."""
    comfy.fake.hold()
    comfy.fake.behaviour.lost_replies = 1
    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    comfy.pipeline = comfy.new_pipeline()
    job = comfy.start(comfy.config(), attempt=3)
    wait_until(lambda: is_waited_for(comfy), what="polls")

    comfy.fake.release()

    assert job.result.success
    assert len(comfy.fake.prompts) == 1


def test_an_earlier_prompt_that_ended_badly_is_not_taken_for_the_answer(comfy: ComfyuiJobs) -> None:
    """What was interrupted or failed runs anew, even if it was still running when it was found."""
    comfy.fake.hold()
    comfy.fake.behaviour.lost_replies = 1
    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    job = comfy.start(comfy.config(), attempt=2)
    wait_until(lambda: is_waited_for(comfy), what="polls")

    comfy.fake.post_interrupt({})
    wait_until(lambda: len(comfy.fake.prompts) == 2, what="another prompt")
    comfy.fake.release()

    assert job.result.success
    assert comfy.fake.executed == [prompt_id(2, 0)]


def test_the_second_run_of_a_job_without_memory_is_found_again(comfy: ComfyuiJobs) -> None:
    """The first one is in the history as well, and its failure does not hide the success of the second."""
    comfy.fake.behaviour.errors.append(OUT_OF_MEMORY)
    comfy.fake.behaviour.cut_views = 1
    assert error_of(comfy.run(comfy.config()))[0] == "unreachable"

    assert comfy.run(comfy.config(), attempt=2).success

    assert comfy.fake.executed == [prompt_id(1, 1)]


def test_the_whole_job_is_the_same_after_a_failed_attempt(comfy: ComfyuiJobs) -> None:
    """A failure in the history does not stand for the next attempt."""
    comfy.fake.behaviour.errors.append(("OSError", "disk"))
    assert error_of(comfy.run(comfy.config()))[0] == "server_error"

    assert comfy.run(comfy.config(), attempt=2).success

    assert comfy.fake.executed == [prompt_id(2, 0)]


def test_a_job_that_a_person_runs_again_begins_anew(comfy: ComfyuiJobs) -> None:
    """It has ended already, so nothing that it left at the server stands for the new run."""
    assert comfy.run(comfy.config()).success

    comfy.fake.behaviour.repeats_cached_outputs = True
    assert comfy.run(comfy.config(), attempt=2, queued_at=20.0).success

    assert [prompt["prompt_id"] for prompt in comfy.fake.prompts] == [prompt_id(1, 0), prompt_id(2, 0, 20.0)]


@pytest.mark.fault(item="F135")
def test_a_job_whose_history_somebody_clears_gets_its_picture_from_the_cache(comfy: ComfyuiJobs) -> None:
    """It was executed, but nobody can tell what it gave; the next attempt does not execute it again."""
    comfy.fake.behaviour.keeps_history = False
    kind, text = error_of(comfy.run(comfy.config()))
    assert (kind, "somebody cleared its queue" in text) == ("unreachable", True)
    comfy.fake.behaviour.keeps_history = True

    result = comfy.run(comfy.config(), attempt=2)

    assert len(result.images) == 1
    assert result.warnings[0] == "the server had this very prompt in its cache"
