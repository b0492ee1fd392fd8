"""What happens when a job has ended: its context travels with it, handlers are told, the controller routes it.

All of this is pure; tests/integration/test_job_service.py has the same with a log on disk.
"""

import logging

import msgspec
import pytest

from bus.contracts.fields import VariantValue
from bus.contracts.messages import JobCompleted, JobResult, LearningContext, decode_body, encode_body
from bus.protocol.validation import convert
from learning_service.events.router import Applied, LearningController
from pipeline_runner.queue.completion import CompletionHandlers
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result, finished, new_record, started
from tests.support.factories import EXPERIMENT, JobScript, context, planned_experiment, record_of, request_for, well

Told = list[tuple[NormalizedJobRecord, JobResult]]


def test_a_learning_context_attaches_to_a_job_record() -> None:
    """A record keeps the context of its request through its whole life."""
    mark = context(3, 6.5, repeat=1)

    record = new_record(request_for(mark=mark), now=1.0)
    record = finished(started(record, now=2.0), well(), now=3.0)

    assert record.state == "completed"
    assert record.learning_context == mark


def test_a_job_outside_any_experiment_has_no_context() -> None:
    """Without a context in the request there is none in the record."""
    assert new_record(request_for(), now=1.0).learning_context is None


@pytest.mark.parametrize("value", [6.5, 7, True, "euler", {"cfg_scale": 6.5, "steps": 20}])
def test_a_record_becomes_a_map_and_is_the_same_again(value: VariantValue) -> None:
    """Turned into plain data and back, record and context are equal to what they were, types included."""
    record = record_of(mark=context(3, value, repeat=2))

    plain = msgspec.to_builtins(record)
    again = convert(plain, NormalizedJobRecord)

    assert plain["learning_context"]["variant_index"] == 3
    assert plain["learning_context"]["variant_value"] == value
    assert again == record
    assert again.learning_context is not None
    assert type(again.learning_context.variant_value) is type(value)


def test_a_context_becomes_a_map_with_the_documented_names() -> None:
    """Other languages read these names from the feed, so they are pinned."""
    assert msgspec.to_builtins(context(3, 6.5, repeat=1)) == {
        "experiment_id": EXPERIMENT,
        "experiment_name": "CFG sweep",
        "variant_index": 3,
        "variable_under_test": "cfg_scale",
        "variant_value": 6.5,
        "repeat_index": 1,
    }


def test_a_completed_message_carries_the_context_over_the_wire() -> None:
    """Encoded and decoded, job.completed has the same context and result."""
    event = JobScript(context(1, 4.0)).completed(well("a", prompt_match=0.5))

    again = decode_body(encode_body(event))

    assert again == event
    assert isinstance(again, JobCompleted)
    assert again.learning_context == context(1, 4.0)


def test_a_registered_handler_gets_job_and_result() -> None:
    """The handler is called with the very job and result that ended."""
    told: Told = []
    handlers = CompletionHandlers()
    handlers.register(lambda job, result: told.append((job, result)))
    job, result = record_of(mark=context()), well("a")

    handlers.notify(job, result)

    assert told == [(job, result)]


def test_a_handler_hears_of_failures_too() -> None:
    """A job that failed is told like any other, with its error."""
    told: Told = []
    handlers = CompletionHandlers()
    handlers.register(lambda job, result: told.append((job, result)))

    handlers.notify(record_of(), failed_result("internal", "out of memory"))

    assert [result.error and result.error.message for _, result in told] == ["out of memory"]


def test_a_handler_that_is_registered_twice_is_called_once() -> None:
    """Registering again changes nothing, also for a method, which is another object each time it is looked up."""

    class Listener:
        """Counts."""

        calls = 0

        def on_end(self, _job: NormalizedJobRecord, _result: JobResult) -> None:
            """Count."""
            self.calls += 1

    listener, handlers = Listener(), CompletionHandlers()
    handlers.register(listener.on_end)
    handlers.register(listener.on_end)

    handlers.notify(record_of(), well())

    assert listener.calls == 1


def test_an_unregistered_handler_is_not_called() -> None:
    """After it is taken out, a handler hears nothing; the others still do."""
    left: Told = []
    stays: Told = []

    def leaving(job: NormalizedJobRecord, result: JobResult) -> None:
        left.append((job, result))

    handlers = CompletionHandlers()
    handlers.register(leaving)
    handlers.register(lambda job, result: stays.append((job, result)))
    handlers.unregister(leaving)

    handlers.notify(record_of(), well())

    assert (len(left), len(stays)) == (0, 1)


def test_unregistering_an_unknown_handler_is_no_error() -> None:
    """Taking out what was never in changes nothing."""
    handlers = CompletionHandlers()

    handlers.unregister(lambda _job, _result: None)

    handlers.notify(record_of(), well())


def test_a_handler_that_raises_is_logged_and_hurts_neither_the_others_nor_the_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The handlers behind it are called, the caller sees no exception, and the log names job and error."""
    told: Told = []

    def broken(_job: NormalizedJobRecord, _result: JobResult) -> None:
        raise ZeroDivisionError("a bug of the handler")

    handlers = CompletionHandlers()
    handlers.register(broken)
    handlers.register(lambda job, result: told.append((job, result)))
    job = record_of("job-7")

    with caplog.at_level(logging.ERROR):
        handlers.notify(job, well())

    assert told == [(job, well())]
    assert "job-7" in caplog.text
    assert "a bug of the handler" in caplog.text


def test_a_handler_may_take_itself_out_while_it_is_called() -> None:
    """The others are called all the same, and the next job finds it gone."""
    calls: list[str] = []
    handlers = CompletionHandlers()

    def once(_job: NormalizedJobRecord, _result: JobResult) -> None:
        calls.append("once")
        handlers.unregister(once)

    handlers.register(once)
    handlers.register(lambda _job, _result: calls.append("always"))

    handlers.notify(record_of(), well())
    handlers.notify(record_of(), well())

    assert calls == ["once", "always", "always"]


def routed(mark: LearningContext, *, follows: tuple[str, ...] = ()) -> tuple[str, str, list[int]]:
    """Complete a job with this context at a controller; give kind, reason, and the completed jobs of each variant."""
    experiment = planned_experiment((2.0, 4.0))
    known = {EXPERIMENT: experiment}
    outcome = LearningController(experiments=follows).handle(JobScript(mark).completed(), known.get)
    if isinstance(outcome, Applied):
        experiment.put(outcome.variant)
    return *outcome.label, [variant.completed for variant in experiment.variants.values()]


def test_the_controller_updates_the_right_variant_of_its_own_experiment() -> None:
    """Only the variant that the context names counts the job."""
    assert routed(context(1, 4.0), follows=(EXPERIMENT,)) == ("applied", "", [0, 1])


def test_the_controller_ignores_the_job_of_another_experiment_when_narrowed() -> None:
    """With `experiments=`, jobs of any other experiment are no business of this service."""
    assert routed(context(experiment="exp-10"), follows=(EXPERIMENT,)) == ("ignored", "not_followed", [0, 0])


def test_the_controller_rejects_the_job_of_an_unknown_experiment() -> None:
    """A service that follows everything says so when it meets an experiment that nobody planned."""
    assert routed(context(experiment="exp-10")) == ("rejected", "unknown_experiment", [0, 0])


@pytest.mark.parametrize("index", [-1, 2, 2**63])
def test_the_controller_refuses_an_index_out_of_range(index: int) -> None:
    """No variant counts a job whose index is not in the plan."""
    assert routed(context(index)) == ("rejected", "index_out_of_range", [0, 0])
