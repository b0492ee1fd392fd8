"""The changes of one transaction: the state of experiments, the resulting messages, and stale recommendations."""

from math import isfinite

from bus.contracts.messages import JobCompleted, JobScored, LearningContext
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog.transaction import Transaction
from bus.protocol import topics
from learning_service.experiments import saving, variants
from learning_service.experiments.draft import Draft
from learning_service.experiments.model import Experiment, experiment_status, packed_status
from learning_service.experiments.plan import PlannedJob
from learning_service.experiments.variants import Variant
from learning_service.storage.results import EndedJobs
from learning_service.storage.store import LearningStore
from learning_service.storage.variant_rows import news_rows, variant_rows


class UnitOfWork:
    """Stages the changes of one transaction until it is committed.

    They are written at its end. What is in memory changes only after the commit, so a transaction that fails is
    forgotten as a whole. Each variant is written and published once, in its newest state, and each experiment once,
    after its variants: so under load, when many events share a transaction, one status stands for all of them.
    """

    def __init__(self, tx: Transaction, store: LearningStore) -> None:
        """Start with nothing staged; the transaction writes it at its end."""
        self.tx, self._store = tx, store
        self._drafts: dict[str, Draft] = {}
        self._published: set[str] = set()
        self._news: dict[tuple[str, int], None] = {}  # variants to be published, in the order of their first change
        self._ended = EndedJobs()
        self._scored: list[tuple[LearningContext, JobScored]] = []
        self._stale: dict[str, None] = {}  # experiments whose recommendation became stale
        tx.before_commit(self._write)
        tx.after_commit(self._commit)

    def find(self, experiment_id: str) -> Experiment | None:
        """Return an experiment with its staged changes."""
        return self._drafts.get(experiment_id) or self._store.find(experiment_id)

    def draft(self, experiment_id: str) -> Draft:
        """Return an experiment to be changed; its changed variants are written.

        Raises:
            ControlError: there is none of that id (code `not_found`).
        """
        draft = self._drafts.get(experiment_id)
        if draft is None:
            draft = self._drafts[experiment_id] = Draft(self._store.get(experiment_id))
        return draft

    def insert(self, experiment: Experiment) -> Draft:
        """Add a new experiment, which has no jobs to be sent, and return it to be changed."""
        self._store.insert(self.tx, experiment)
        draft = self._drafts[experiment.experiment_id] = Draft(experiment)
        return draft

    def publish(self, draft: Draft, now: float) -> None:
        """Write and publish an experiment, whether or not any of its variants changes."""
        draft.updated_at = max(draft.updated_at, now)
        self._published.add(draft.experiment_id)

    def put(self, draft: Draft, variant: Variant, now: float, *, is_news: bool = True) -> None:
        """Change a variant; its status is published if it has changed, that of its experiment always."""
        draft.put(variant)
        self.publish(draft, now)
        if is_news:
            self._news[draft.experiment_id, variant.index] = None

    def end_job(self, job: JobCompleted) -> None:
        """Keep the result of a job; the recommendation about its experiment becomes stale."""
        self._ended.add(job)
        if job.learning_context:
            self._stale[job.learning_context.experiment_id] = None

    def score(self, event: JobScored) -> None:
        """Add measures to the result of a job, if it is known to have completed."""
        if event.learning_context:
            self._scored.append((event.learning_context, event))

    def rate(self, draft: Draft, index: int, now: float) -> None:
        """Recount the ratings of a variant's pictures, and publish the variant if they have changed."""
        summary = self._store.judgements.summary(draft.experiment_id, index)
        variant = draft.variants[index]
        if summary != variant.rating:
            self.put(draft, variants.rated(variant, summary, now), now)

    def _write(self) -> None:
        if self._stale:
            self._store.results.write(self.tx, self._ended)
            self._store.stale.mark(self.tx, self._stale)
            self._rate_ended()
        for context, event in self._scored:  # behind the results, one of which may be that of this very job
            self._write_scores(context, event)
        self._write_variants()
        for name, index in self._news:
            draft = self._drafts[name]
            self.tx.append(topics.build(VARIANT_STATUS, name, index), packed_status(draft, draft.variants[index]))
        for name, draft in self._drafts.items():
            if name in self._published:
                draft.revision += 1
                self.tx.append(topics.build(EXPERIMENT_STATUS, name), experiment_status(draft))
            if name in self._published or draft.changed:
                self._store.write_experiment(self.tx, draft)

    def _write_scores(self, context: LearningContext, event: JobScored) -> None:
        name, job = context.experiment_id, PlannedJob(context.variant_index, context.repeat_index)
        before = self._store.results.metrics_of(name, job, event.job_id)
        after = {**(before or {}), **{key: value for key, value in event.metrics.items() if isfinite(value)}}
        if before is None or after == before:
            return
        self._store.results.write_metrics(self.tx, name, job, event.job_id, after)
        self._store.stale.mark(self.tx, [name])
        draft = self.draft(name)
        variant = variants.rescored(draft.variants[job.variant_index], before, after, event.scored_at)
        self.put(draft, variant, event.scored_at)

    def _write_variants(self) -> None:
        changed = {(name, index): one for name, draft in self._drafts.items() for index, one in draft.changed.items()}
        whole = {key: one for key, one in changed.items() if saving.is_whole_due(one)}
        self._store.write_variants(self.tx, variant_rows(whole))
        self._store.write_news(self.tx, news_rows({key: one for key, one in changed.items() if key not in whole}))
        for (name, index), one in whole.items():
            self._drafts[name].changed[index] = saving.saved(one)

    def _rate_ended(self) -> None:
        """Recount ratings after jobs have made a picture again: the same content may be rated already."""
        # a rating is of a picture that was there already, so some variant of the experiment has one
        rated = {name: draft for name, draft in self._drafts.items() if draft.counts.rated}
        made = dict.fromkeys(one for one in self._ended.made if one[0] in rated) if rated else {}
        for name, index, sha256 in made:
            if self._store.judgements.rating(name, sha256):
                self.rate(rated[name], index, rated[name].variants[index].updated_at)

    def _commit(self) -> None:
        for draft in self._drafts.values():
            draft.commit()
            self._store.keep(draft.base)
