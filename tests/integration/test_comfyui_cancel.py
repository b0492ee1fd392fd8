"""Cancelling a job of the comfyui pipeline: its own prompt ends, those of others go on."""

import pytest

from tests.support.comfyui_jobs import ComfyuiJobs, error_of
from tests.support.helpers import wait_until


def test_a_running_prompt_is_interrupted_alone(comfy: ComfyuiJobs) -> None:
    """A cancelled job stops its own prompt by name, and leaves no picture."""
    comfy.fake.hold()
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.running, what="the start of the prompt")
    other = comfy.fake.submit_for_another()

    job.cancel()

    assert job.result.cancelled
    (interrupt,) = comfy.fake.asked("POST", "/interrupt")
    assert interrupt.body == {"prompt_id": comfy.fake.prompts[0]["prompt_id"]}
    wait_until(lambda: comfy.fake.running == [other], what="the other prompt")
    comfy.fake.release()
    wait_until(lambda: other in comfy.fake.executed, what="the end of the other prompt")
    assert comfy.pictures() == []


@pytest.mark.parametrize("targeted", [True, False])
def test_a_waiting_prompt_is_taken_out_of_the_queue_and_the_running_one_goes_on(
    comfy: ComfyuiJobs, targeted: bool
) -> None:
    """A cancelled job that has not begun interrupts nobody, not even where an interrupt stops whatever runs."""
    comfy.fake.behaviour.targeted_interrupt = targeted
    comfy.fake.hold()
    other = comfy.fake.submit_for_another()
    wait_until(lambda: comfy.fake.running == [other], what="the start of the other prompt")
    job = comfy.start(comfy.config())
    wait_until(lambda: comfy.fake.pending, what="our prompt in the queue")

    job.cancel()

    assert job.result.cancelled
    assert comfy.fake.pending == []
    assert comfy.fake.asked("POST", "/interrupt") == []
    comfy.fake.release()
    wait_until(lambda: other in comfy.fake.executed, what="the end of the other prompt")


def test_a_prompt_that_takes_too_long_is_withdrawn(comfy: ComfyuiJobs) -> None:
    """After `timeout_seconds` the job has failed, and its prompt does not run on."""
    comfy.fake.hold()

    kind, text = error_of(comfy.run(comfy.config(timeout_seconds=0.2)))

    assert kind == "timeout"
    assert "withdrawn after 0.2 s" in text
    wait_until(lambda: not comfy.fake.running, what="the end of the prompt")
