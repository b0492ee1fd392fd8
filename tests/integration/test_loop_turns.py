"""The loop of the learning service looks at its sockets again and again, however much is asked of it.

`python -m benchmarks.turns` does the same with 100,000 jobs. Measured is the processor time of the loop's own thread:
how long that takes on the wall depends on what else the machine does.
"""

import pytest

from benchmarks.timed_service import TimedPoller
from benchmarks.turns import LIMIT, Size, exported, plan
from bus.contracts.experiments import CreateParams, ExperimentParams, ExperimentView
from bus.contracts.feedback import PairReply
from bus.contracts.messages import RecommendationUpdated
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import ServiceThread
from tests.support.helpers import PATIENCE, TIME_FACTOR, deadline
from tests.support.learning_services import Services, address_of
from variantbus.cli.archive import send

SIZE = Size(values=100, jobs_per_value=20, comparisons=200)
NAME = "imported-1"


def timed(learning: ServiceThread[LearningService]) -> TimedPoller:
    """Measure the loop of a service from now on."""
    poller, loop = TimedPoller(), learning.service._loop

    def begin() -> None:
        for source in loop._readers:
            poller.register(source, 1)
        loop._poller = poller

    learning.call(begin)
    return poller


def asked(learning: ServiceThread[LearningService], method: str, params: object, reply: type[object]) -> object:
    """Ask, and ask again while the answer is being made."""
    limit = deadline()
    while True:
        try:
            return request(address_of(learning), method, params, reply, PATIENCE * TIME_FACTOR)
        except ControlError as error:
            if error.code != "unavailable" or limit.passed:
                raise


@pytest.mark.fault(item="F110")
def test_no_turn_takes_fifty_milliseconds(services: Services) -> None:
    """While plans are made and extended, records imported and exported, and statistics made."""
    runner = services.scripted(pipelines=("noop",))
    runner.offers = {"noop": {"run": StageSpec(variables={"level": VariableSpec(kind="float")})}}
    learning = services.learning(runner.address)
    definition = plan(SIZE)
    asked(learning, "experiment.list", {}, dict)
    poller = timed(learning)

    asked(learning, "experiment.create", CreateParams(experiment_id="planned-1", definition=definition), ExperimentView)
    send(address_of(learning), exported(NAME, SIZE, objective="preference"), None)
    params = ExperimentParams(experiment_id=NAME)
    asked(learning, "comparison.next", params, PairReply)
    asked(learning, "experiment.recommend", params, RecommendationUpdated)
    asked(learning, "experiment.show", params, ExperimentView)

    assert poller.turns > 20
    assert poller.longest_cpu < LIMIT * TIME_FACTOR
