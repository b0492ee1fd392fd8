"""The experiments in memory: those that were needed last."""

from typing import Final

from learning_service.experiments.model import Experiment

# of all experiments together, some 100 bytes each, and 500 a variant; one experiment may have as many
JOBS_IN_MEMORY: Final = 100_000


class RecentExperiments:
    """Keeps experiments in the order of their last use, until `trim` drops those that were not used for longest."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: dict[str, tuple[Experiment, int]] = {}  # with the jobs that it counts for
        self._jobs = 0

    def get(self, experiment_id: str) -> Experiment | None:
        """Return an experiment, which now is the one that was used last."""
        found = self._kept.get(experiment_id)
        if found is None:
            return None
        self.put(found[0])
        return found[0]

    def peek(self, experiment_id: str) -> Experiment | None:
        """Return an experiment without counting that as a use."""
        found = self._kept.get(experiment_id)
        return found[0] if found else None

    def put(self, experiment: Experiment) -> None:
        """Keep an experiment in the place of an older state of it."""
        _, before = self._kept.pop(experiment.experiment_id, (None, 0))
        jobs = experiment.counts.jobs
        self._kept[experiment.experiment_id] = experiment, jobs
        self._jobs += jobs - before

    def drop(self, experiment_id: str) -> None:
        """Drop an experiment, if it is there."""
        _, jobs = self._kept.pop(experiment_id, (None, 0))
        self._jobs -= jobs

    def trim(self, limit: int) -> None:
        """Drop all but the last `limit` experiments, and more while they have too many jobs; the last one stays."""
        while len(self._kept) > limit or (self._jobs > JOBS_IN_MEMORY and len(self._kept) > 1):
            _, jobs = self._kept.pop(next(iter(self._kept)))
            self._jobs -= jobs
