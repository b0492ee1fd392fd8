"""An experiment with changes that are not committed yet."""

from collections.abc import Iterator, Mapping

from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import Variant


class Draft(Experiment):
    """The experiment with uncommitted changes; `base` itself changes only by `commit`.

    Its cost depends on the changes, not on the size of the plan.
    """

    def __init__(self, base: Experiment) -> None:
        """Begin with nothing changed."""
        # without `super()`, for speed: there is a draft for each event
        self.base = base
        self.experiment_id, self.definition = base.experiment_id, base.definition
        self.created_at, self.discovered = base.created_at, base.discovered
        self.updated_at, self.started_at, self.revision = base.updated_at, base.started_at, base.revision
        self.search, self.progress, self.counts = base.search, base.progress, base.counts.copy()
        self.damage, self.busy, self.archived = base.damage, base.busy, base.archived
        self.changed = {}
        self.variants = _Overlay(base.variants, self.changed)
        self.moved: list[str] = []  # jobs whose progress is obsolete

    def commit(self) -> None:
        """Apply the changes to the experiment itself."""
        base = self.base
        base.definition, base.search, base.counts = self.definition, self.search, self.counts
        base.archived = self.archived
        base.updated_at, base.started_at, base.revision = self.updated_at, self.started_at, self.revision
        base.busy = self.busy
        base.changed.update(self.changed)
        for job_id in self.moved:
            base.progress.pop(job_id, None)


class _Overlay(Mapping[int, Variant]):
    """Variants by index: changed ones from here, all others from the base."""

    def __init__(self, base: Mapping[int, Variant], changed: Mapping[int, Variant]) -> None:
        self._base, self._changed = base, changed

    def __getitem__(self, index: int) -> Variant:
        return self._changed.get(index) or self._base[index]

    def get(self, index: int, default: Variant | None = None) -> Variant | None:  # type: ignore[override]
        # that of `Mapping` would take three times as long, for each event
        return self._changed.get(index) or self._base.get(index, default)

    def __iter__(self) -> Iterator[int]:
        yield from self._base
        yield from (index for index in self._changed if index not in self._base)

    def __len__(self) -> int:
        return len(self._base) + sum(index not in self._base for index in self._changed)
