"""The numbers of variants by state, and of jobs by phase."""

from bus.contracts.messages import Totals, VariantState
from learning_service.experiments.variants import Variant


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
        states = self.states
        if before is None:
            states[after.status] = states.get(after.status, 0) + 1
            self._add(after, 1)
            return
        if before.status != after.status:
            states[after.status] = states.get(after.status, 0) + 1
            left = states[before.status] - 1
            if left:
                states[before.status] = left
            else:
                del states[before.status]
        self._add(before, -1)
        self._add(after, 1)

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

    def _add(self, variant: Variant, sign: int) -> None:
        self.jobs += sign * variant.planned
        self.running += sign * variant.running
        self.completed += sign * variant.completed
        self.failed += sign * variant.failed
        self.cancelled += sign * variant.cancelled
        self.seconds += sign * variant.duration_sum
        self.rated += sign * (variant.rating is not None)
        self.replaced += sign * (variant.replaced - variant.handed_on)
