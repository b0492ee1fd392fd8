"""The numbers of variants by state, and of jobs by phase."""

from typing import Final

from bus.contracts.messages import Totals, VariantState
from learning_service.experiments.variants import Variant

NOTHING: Final = Variant(index=0, value=0, jobs={})


class Counts:
    """Counts the variants of one experiment; updated by each change, at a cost independent of the plan's size."""

    __slots__ = ("cancelled", "completed", "failed", "jobs", "rated", "replaced", "running", "seconds", "states")

    def __init__(self) -> None:
        """Start with no variants."""
        self.states: dict[VariantState, int] = {}  # number of variants by state; without zeros
        self.jobs = self.running = self.completed = self.failed = self.cancelled = 0
        self.rated = 0  # variants that have a rating
        self.replaced = 0  # failed jobs in whose place others were planned; they are none of `jobs`
        self.seconds = 0.0  # what the completed jobs took together

    def copy(self) -> "Counts":
        """Return an independent copy."""
        copy = Counts.__new__(Counts)
        copy.states = self.states.copy()
        copy.jobs, copy.running, copy.completed = self.jobs, self.running, self.completed
        copy.failed, copy.cancelled, copy.rated = self.failed, self.cancelled, self.rated
        copy.seconds, copy.replaced = self.seconds, self.replaced
        return copy

    def change(self, before: Variant | None, after: Variant) -> None:
        """Replace a variant, or add one."""
        if before is None or before.status != after.status:
            self._move(before, after)
        before = before or NOTHING
        self.jobs += after.planned - before.planned
        self.running += after.running - before.running
        self.completed += after.completed - before.completed
        self.failed += after.failed - before.failed
        self.cancelled += after.cancelled - before.cancelled
        self.seconds += after.duration_sum - before.duration_sum
        self.rated += (after.rating is not None) - (before.rating is not None)
        self.replaced += (after.replaced - after.handed_on) - (before.replaced - before.handed_on)

    def totals(self) -> Totals:
        """Return the numbers of variants and jobs."""
        return Totals(
            variants=sum(self.states.values()),
            jobs=self.jobs,
            running=self.running,
            completed=self.completed,
            failed=self.failed,
            cancelled=self.cancelled,
        )

    def _move(self, before: Variant | None, after: Variant) -> None:
        """Count a variant in its new state."""
        states = self.states
        states[after.status] = states.get(after.status, 0) + 1
        if before is None:
            return
        states[before.status] -= 1
        if not states[before.status]:
            del states[before.status]
