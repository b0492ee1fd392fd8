"""Which events of jobs wait to be applied together, and which the router has to decide about."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.messages import JobCompleted
from learning_service.events.grouping import Grouping
from learning_service.events.router import JobEvent, LearningController
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment
from tests.support.factories import EXPERIMENT, JobScript, badly, context, planned_experiment, well

A, B, C = (JobScript(context(repeat=repeat)) for repeat in range(3))
OTHER = JobScript(context(1, 4.0))


def grouped(experiment: Experiment | None, *events: JobEvent, **options: Any) -> tuple[Grouping, list[bool]]:
    """Return events that wait, and for each event whether it does."""
    waiting = Grouping(LearningController(**options))
    return waiting, [waiting.add(event, lambda _: experiment) is not None for event in events]


def names(events: list[JobEvent]) -> list[str]:
    """Return the ids of their jobs."""
    return [event.job_id for event in events]


def test_ends_wait_by_variant_in_their_order() -> None:
    """A variant's are taken when another event of it comes, all others at the end; each once."""
    events = [B.completed(well("b")), OTHER.completed(), A.completed(badly()), C.completed()]
    waiting, waits = grouped(planned_experiment(jobs=3), *events)
    assert waits == [True] * 4

    assert names(waiting.take(context())) == [B.name, A.name, C.name]
    assert waiting.take(context()) == []
    ((key, jobs),) = waiting.take_all()
    assert (key, names(jobs)) == ((EXPERIMENT, 1), [OTHER.name])
    assert waiting.take_all() == []


def test_ends_that_wait_make_the_state_that_they_make_one_by_one() -> None:
    """Without the configuration and the context of their jobs, which are not needed for it."""
    experiment = planned_experiment(jobs=3)
    events = [replace(A.completed(well("a")), config={"steps": 4}), B.completed(badly()), C.completed(well("c"))]
    waiting, _ = grouped(experiment, *events)
    expected = experiment.variants[0]
    for event in events:
        expected = variants.job_ended(expected, event)

    taken = waiting.take(context())

    assert variants.advanced(experiment.variants[0], taken) == expected
    assert [(job.config, job.learning_context) for job in taken if isinstance(job, JobCompleted)] == [({}, None)] * 3


def test_what_wait_of_a_variant_makes_the_state_that_it_makes_one_by_one() -> None:
    """Its jobs are queued, started, put back and started again, and end, in any order."""
    experiment = planned_experiment(jobs=3)
    events: list[JobEvent] = [
        A.queued(),
        B.queued(),
        A.started(),
        B.started(),
        A.queued(),
        B.completed(badly()),
        A.started(),
    ]
    events += [C.started(), A.completed(well("a")), C.queued()]
    waiting, waits = grouped(experiment, *events)
    assert all(waits)
    expected = experiment.variants[0]
    for event in events:
        expected = variants.advanced(expected, [event])

    taken = waiting.take(context())

    assert variants.advanced(experiment.variants[0], taken) == expected
    assert (expected.running, expected.ended, expected.jobs[C.name], expected.status) == (0, 2, "queued", "running")
    assert expected.updated_at == 10.0


@pytest.mark.parametrize(
    ("event", "options"),
    [
        pytest.param(JobScript(None).completed(), {}, id="no context"),
        pytest.param(A.completed(), {"experiments": ["another"]}, id="an experiment that is not followed"),
        pytest.param(A.completed(), {"variant_indices": [1]}, id="a variant that is not followed"),
        pytest.param(JobScript(context(5, 2.0)).completed(), {}, id="no such variant"),
        pytest.param(JobScript(context(0, 9.0)).completed(), {}, id="another value"),
        pytest.param(JobScript(context(variable="steps")).completed(), {}, id="another variable"),
        pytest.param(JobScript(context(repeat=7)).completed(), {}, id="a job that is not planned"),
        pytest.param(JobScript(context(1, 4.0), A.name).completed(), {}, id="a job of another variant"),
    ],
)
def test_an_end_against_which_something_speaks_does_not_wait(event: JobCompleted, options: dict[str, Any]) -> None:
    """The router says what."""
    waiting, waits = grouped(planned_experiment(jobs=3), event, **options)

    assert (waits, waiting.take_all()) == ([False], [])


def test_an_end_of_an_unknown_experiment_does_not_wait() -> None:
    """It may be adopted, or was deleted."""
    assert grouped(None, A.completed())[1] == [False]


def test_an_end_that_comes_again_does_not_wait() -> None:
    """Whether the first one waits, or was applied before."""
    experiment = planned_experiment(jobs=3)
    assert grouped(experiment, A.completed(), A.completed())[1] == [True, False]
    experiment.put(variants.job_ended(experiment.variants[0], A.completed()))
    assert grouped(experiment, A.completed(), B.completed())[1] == [False, True]


def test_an_event_of_a_job_whose_end_waits_does_not_wait_until_that_is_taken() -> None:
    """Then the router ignores it, as it knows of the end."""
    experiment = planned_experiment(jobs=3)
    waiting, waits = grouped(experiment, A.completed(), A.started(), B.started())
    assert waits == [True, False, True]

    experiment.put(variants.advanced(experiment.variants[0], waiting.take(context())))

    assert waiting.add(A.queued(), lambda _: experiment) is None
    assert waiting.add(B.completed(), lambda _: experiment) is experiment


def test_an_end_behind_that_of_its_variant_does_not_wait() -> None:
    """It is late."""
    experiment = planned_experiment(jobs=3)
    experiment.put(replace(experiment.variants[0], status="failed"))
    assert grouped(experiment, A.completed())[1] == [False]
