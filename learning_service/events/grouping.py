"""Events of jobs that are applied together: those of one variant make one new state, and not one each. No I/O.

The result is the same as that of the router one by one, and costs a fraction: only events against which nothing speaks
wait here. The router decides about all others, and about each event alone if a batch fails.
"""

from typing import Final

from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.messages import JobCompleted, LearningContext
from learning_service.events.router import Find, JobEvent, LearningController, difference
from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import ENDED, GONE

NONE: Final[Config] = {}
Key = tuple[str, int]  # experiment and variant


class Grouping:
    """The events that wait, by variant and in the order in which they came."""

    def __init__(self, controller: LearningController) -> None:
        """Begin with none; the controller says which events are followed."""
        self._follows = controller.follows
        self._waiting: dict[Key, list[JobEvent]] = {}
        self._ended: set[str] = set()  # jobs whose ends wait

    def add(self, event: JobEvent, find: Find) -> Experiment | None:
        """Let an event wait and return its experiment; None if the router has to decide about it."""
        context = event.learning_context
        if context is None or not self._follows(context):
            return None
        experiment = find(context.experiment_id)
        variant = experiment.variants.get(context.variant_index) if experiment else None
        if experiment is None or variant is None or variant.status in ENDED or event.job_id in self._ended:
            return None
        if variant.jobs.get(event.job_id, "ended") in GONE or difference(experiment, variant, context):
            return None
        if isinstance(event, JobCompleted):
            self._ended.add(event.job_id)
            # what is not needed any more would only be read back from memory that is further away
            event = replace(event, config=NONE, learning_context=None)
        self._waiting.setdefault((context.experiment_id, context.variant_index), []).append(event)
        return experiment

    def take(self, context: LearningContext) -> list[JobEvent]:
        """Return and forget those that wait of a variant: another event of it comes, and builds on them."""
        return self._forgotten(self._waiting.pop((context.experiment_id, context.variant_index), []))

    def take_all(self) -> list[tuple[Key, list[JobEvent]]]:
        """Return and forget all."""
        taken, self._waiting = self._waiting, {}
        self._ended.clear()
        return list(taken.items())

    def _forgotten(self, events: list[JobEvent]) -> list[JobEvent]:
        self._ended.difference_update(event.job_id for event in events)
        return events
