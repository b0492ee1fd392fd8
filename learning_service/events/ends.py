"""Ends of jobs that are applied together: those of one variant make one new state, and not one each. No I/O.

The result is the same as that of the router one by one, and costs a fraction: only ends against which nothing speaks
wait here. The router decides about all others, and about each event alone if a batch fails.
"""

from typing import Final

from msgspec.structs import replace

from bus.contracts.messages import Config, JobCompleted, LearningContext
from learning_service.events.router import Find, LearningController, difference
from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import ENDED, GONE

NONE: Final[Config] = {}
Key = tuple[str, int]  # experiment and variant


class Ends:
    """The ends that wait, by variant and in the order in which they came."""

    def __init__(self, controller: LearningController) -> None:
        """Begin with none; the controller says which events are followed."""
        self._follows = controller.follows
        self._waiting: dict[Key, dict[str, JobCompleted]] = {}  # by job

    def add(self, event: JobCompleted, find: Find) -> Experiment | None:
        """Let an end wait and return its experiment; None if the router has to decide about it."""
        context = event.learning_context
        if context is None or not self._follows(context):
            return None
        experiment = find(context.experiment_id)
        variant = experiment.variants.get(context.variant_index) if experiment else None
        if experiment is None or variant is None or variant.status in ENDED:
            return None
        if variant.jobs.get(event.job_id, "ended") in GONE or difference(experiment, variant, context):
            return None
        key = (context.experiment_id, context.variant_index)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = {}
        elif event.job_id in waiting:
            return None
        # what is not needed any more would only be read back from memory that is further away
        waiting[event.job_id] = replace(event, config=NONE, learning_context=None)
        return experiment

    def take(self, context: LearningContext) -> list[JobCompleted]:
        """Return and forget those that wait of a variant: another event of it comes, and builds on them."""
        return list(self._waiting.pop((context.experiment_id, context.variant_index), {}).values())

    def take_all(self) -> list[tuple[Key, list[JobCompleted]]]:
        """Return and forget all."""
        taken, self._waiting = self._waiting, {}
        return [(key, list(jobs.values())) for key, jobs in taken.items()]
