"""What the router makes of measures of jobs, which come after their ends."""

import pytest

from bus.contracts.messages import JobScored, LearningContext
from learning_service.events.router import LearningController, Scored
from tests.support.factories import context, judged, planned_experiment

ZERO = context(0, 2.0)


def scored(name: str = "exp-1.0.0.0", mark: LearningContext | None = ZERO) -> JobScored:
    """Return measures of a job."""
    return JobScored(job_id=name, learning_context=mark, metrics={"sharpness": 4.0}, scored_at=20.0)


def test_measures_of_a_planned_job_count_whatever_its_state() -> None:
    """Whether its result is there is seen where it is."""
    controller, experiment = LearningController(), planned_experiment()
    assert controller.handle(scored(), lambda _: experiment) == Scored(scored())
    assert Scored(scored()).label == ("applied", "")


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (scored(mark=context(0, 3.0)), ("rejected", "value_differs")),
        (scored("exp-1.0.7.0"), ("rejected", "unplanned_job")),
        (scored(mark=context(7, 2.0)), ("rejected", "index_out_of_range")),
        (scored(mark=None), ("ignored", "no_learning_context")),
    ],
)
def test_measures_that_contradict_the_plan_are_rejected(event: JobScored, outcome: tuple[str, str]) -> None:
    """As any event is."""
    experiment = planned_experiment()
    assert judged(LearningController().handle(event, lambda _: experiment)) == outcome


def test_measures_make_no_discovered_experiment_grow() -> None:
    """The end of such a job was never seen, so there is nothing that they belong to."""
    controller = LearningController(discover=True)
    experiment = planned_experiment()
    experiment.discovered = True

    assert judged(controller.handle(scored(), lambda _: None)) == ("ignored", "unknown_job")
    assert judged(controller.handle(scored("exp-1.0.7.0"), lambda _: experiment)) == ("ignored", "unknown_job")
    strange = scored("exp-1.7.0.0", context(7, 9.0))
    assert judged(controller.handle(strange, lambda _: experiment)) == ("ignored", "unknown_job")
    assert judged(LearningController().handle(scored(), lambda _: None)) == ("rejected", "unknown_experiment")
