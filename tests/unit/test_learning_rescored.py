"""What other metrics of a job change in its variant."""

from learning_service.experiments import variants
from learning_service.experiments.variants import Variant
from tests.support.factories import planned_jobs


def test_other_metrics_of_a_job_change_the_sums_by_as_much() -> None:
    """New ones are counted, known ones replaced; one beyond the limit of names stays out."""
    sums = {f"m{number}": (1.0, 1) for number in range(variants.METRICS_LIMIT - 1)}
    variant = Variant(index=0, value=2.0, jobs=planned_jobs(), metric_sums={**sums, "loss": (5.0, 2)}, revision=3)

    changed = variants.rescored(variant, {"loss": 2.0, "gone": 1.0}, {"loss": 3.0, "gone": 1.0, "new": 1.0}, 20.0)

    assert changed.metric_sums == {**sums, "loss": (6.0, 2)}
    assert (changed.revision, changed.updated_at) == (4, 20.0)
    small = variants.rescored(Variant(index=0, value=2.0, jobs=planned_jobs()), {}, {"new": 1.5}, 20.0)
    assert small.metric_sums == {"new": (1.5, 1)}
