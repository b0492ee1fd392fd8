"""Which ends of jobs wait to be applied together, and which the router has to decide about."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.messages import JobCompleted
from learning_service.events.ends import Ends
from learning_service.events.router import LearningController
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment
from tests.support.factories import EXPERIMENT, JobScript, badly, context, planned_experiment, well

A, B, C = (JobScript(context(repeat=repeat)) for repeat in range(3))
OTHER = JobScript(context(1, 4.0))


def ends(experiment: Experiment | None, *events: JobCompleted, **options: Any) -> tuple[Ends, list[bool]]:
    """Return ends that wait, and for each event whether it does."""
    waiting = Ends(LearningController(**options))
    return waiting, [waiting.add(event, lambda _: experiment) is not None for event in events]


def names(jobs: list[JobCompleted]) -> list[str]:
    """Return the ids of jobs."""
    return [job.job_id for job in jobs]


def test_ends_wait_by_variant_in_their_order() -> None:
    """A variant's are taken when another event of it comes, all others at the end; each once."""
    events = [B.completed(well("b")), OTHER.completed(), A.completed(badly()), C.completed()]
    waiting, waits = ends(planned_experiment(jobs=3), *events)
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
    waiting, _ = ends(experiment, *events)
    expected = experiment.variants[0]
    for event in events:
        expected = variants.job_ended(expected, event)

    jobs = waiting.take(context())

    assert variants.jobs_ended(experiment.variants[0], jobs) == expected
    assert [(job.config, job.learning_context) for job in jobs] == [({}, None)] * 3


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
    waiting, waits = ends(planned_experiment(jobs=3), event, **options)

    assert (waits, waiting.take_all()) == ([False], [])


def test_an_end_of_an_unknown_experiment_does_not_wait() -> None:
    """It may be adopted, or was deleted."""
    assert ends(None, A.completed())[1] == [False]


def test_an_end_that_comes_again_does_not_wait() -> None:
    """Whether the first one waits, or was applied before."""
    experiment = planned_experiment(jobs=3)
    assert ends(experiment, A.completed(), A.completed())[1] == [True, False]
    experiment.put(variants.job_ended(experiment.variants[0], A.completed()))
    assert ends(experiment, A.completed(), B.completed())[1] == [False, True]


def test_an_end_behind_that_of_its_variant_does_not_wait() -> None:
    """It is late."""
    experiment = planned_experiment(jobs=3)
    experiment.put(replace(experiment.variants[0], status="failed"))
    assert ends(experiment, A.completed())[1] == [False]
