"""Two learning services that have one experiment, such as a copy of a data folder, are noticed by both."""

from pathlib import Path

import pytest

from bus.protocol.control import MetricsReply
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread
from tests.support.helpers import wait_until
from tests.support.learning_services import HeldPipeline, Services, address_of, create, wait_for
from variantbus.reports.health import Readings, Thresholds, problems_of

pytestmark = pytest.mark.fault(item="F61")


def problems(learning: ServiceThread[LearningService]) -> list[str]:
    """Return the problems that `variantbus check` shows of a service."""
    readings = Readings(request(address_of(learning), "metrics", {}, MetricsReply).metrics)
    return [one.code for one in problems_of(readings, Thresholds(max_lag=10_000, min_free=0))]


def test_two_services_with_one_experiment_say_so(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log of both, with the address of the other, and in `variantbus check`; until one of them has ended it."""
    pipeline = HeldPipeline()
    runner = str(services.runner(pipeline).service.publisher.control)
    one = services.learning(runner, folder=tmp_path / "one")
    other = services.learning(runner, folder=tmp_path / "other")
    create(other, experiment_id="exp-2")
    for learning in (one, other):
        create(learning)

    for learning in (one, other):
        wait_until(lambda learning=learning: problems(learning) == ["experiments_shared"], what="the problem")  # type: ignore[misc]  # bound now
        text = (
            f"experiment {EXPERIMENT}: run by the learning service at {address_of(learning)}, too; stop one of the two"
        )
        wait_until(lambda text=text: text in caplog.text, what="the warning of the other one")  # type: ignore[misc]  # bound now
    pipeline.released = True
    wait_for(one, "completed")
    wait_for(other, "completed")

    wait_until(lambda: problems(one) == problems(other) == [], what="no problem any more")


def test_a_service_that_is_started_again_is_not_taken_for_two(services: Services) -> None:
    """Its runner knows the one before, but that one does not speak any more."""
    runner = services.runner(HeldPipeline())
    learning = services.learning(str(runner.service.publisher.control))
    create(learning)
    learning.stop()

    learning = services.learning(str(runner.service.publisher.control))
    sharing = learning.service._dispatcher._sharing
    wait_until(lambda: sharing._shared, what="an answer")

    assert problems(learning) == []
