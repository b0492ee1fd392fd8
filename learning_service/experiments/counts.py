"""How many variants are in which state, and how many jobs are in which phase; counted by what has changed."""

from bus.contracts.messages import Totals, VariantState
from learning_service.experiments.variants import Variant


class Counts:
    """Counts the variants of one experiment.

    They are brought up to date when somebody asks, by what has changed since, so an event costs the same in a plan of
    any size.
    """

    def __init__(self, states: dict[VariantState, int] | None = None, sums: list[int] | None = None) -> None:
        """Start with no variants, or with what is counted already."""
        self._changed: dict[int, tuple[Variant | None, Variant]] = {}  # as it was when it was counted, and as it is
        self._states: dict[VariantState, int] = states if states is not None else {}
        self._sums = sums if sums is not None else [0] * 6

    def copy(self) -> "Counts":
        """Return the same counts, which change by themselves."""
        return Counts(self.states.copy(), self._sums)

    def change(self, before: Variant | None, after: Variant) -> None:
        """Replace a variant, or add one."""
        known = self._changed.get(after.index)
        self._changed[after.index] = (known[0] if known else before), after

    @property
    def states(self) -> dict[VariantState, int]:
        """How many variants are in each state; states that none is in are left out."""
        self._update()
        return self._states

    @property
    def sums(self) -> list[int]:
        """How many jobs are planned, running, completed, failed, cancelled; and how many variants are rated."""
        self._update()
        return self._sums

    @property
    def rated(self) -> int:
        """How many variants have a rating."""
        return self.sums[5]

    def totals(self) -> Totals:
        """Return how many variants and jobs there are."""
        jobs, running, completed, failed, cancelled, _ = self.sums
        return Totals(
            variants=sum(self._states.values()),
            jobs=jobs,
            running=running,
            completed=completed,
            failed=failed,
            cancelled=cancelled,
        )

    def _update(self) -> None:
        if not self._changed:
            return
        states = self._states
        for before, after in self._changed.values():
            states[after.status] = states.get(after.status, 0) + 1
            new = _sums_of(after)
            if before:
                states[before.status] -= 1
                if not states[before.status]:
                    del states[before.status]
                new = [count - was for count, was in zip(new, _sums_of(before), strict=True)]
            self._sums = [count + more for count, more in zip(self._sums, new, strict=True)]
        self._changed.clear()


def _sums_of(variant: Variant) -> list[int]:
    return [
        variant.planned,
        variant.running,
        variant.completed,
        variant.failed,
        variant.cancelled,
        int(variant.rating is not None),
    ]
