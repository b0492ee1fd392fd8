"""Deletes experiments for good, and archives them: complete, but out of sight."""

import logging
import time
from collections.abc import Iterable
from typing import Final

from bus.contracts.experiments import DeletedReply, ExperimentParams, ExperimentView
from bus.contracts.messages import ExperimentDeleted
from bus.contracts.topics import (
    EXPERIMENT_STATUS,
    IMAGE_RATED,
    IMAGES_COMPARED,
    RECOMMENDATION_UPDATED,
    VARIANT_STATUS,
)
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from learning_service.dispatch.purging import Purging
from learning_service.experiments.model import Experiment, experiment_view
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

AT_ONCE: Final = 200  # topics or rows of a deleted experiment that go in one transaction: some milliseconds
PUBLISHED: Final = (EXPERIMENT_STATUS, VARIANT_STATUS, RECOMMENDATION_UPDATED, IMAGE_RATED, IMAGES_COMPARED)
logger = logging.getLogger(__name__)


class Deletion:
    """Deletes in two parts: one transaction, after which nobody finds the experiment; then all else, in small steps.

    A crash leaves an experiment that is there, or one that is deleted and whose rest goes after the restart.
    """

    def __init__(self, log: Log, store: LearningStore, loop: Loop, purging: Purging, runners: list[str]) -> None:
        """Go on with what was deleted before the last stop.

        `runners` are those that are followed.
        """
        self._log, self._store, self._loop = log, store, loop
        self._purging, self._runners = purging, runners
        self._resume()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.delete", ExperimentParams, self._delete)
        methods.add("experiment.archive", ExperimentParams, self._archive)
        methods.add("experiment.unarchive", ExperimentParams, self._unarchive)

    def _delete(self, params: ExperimentParams) -> Steps[DeletedReply]:
        """Delete an experiment; the answer comes when nothing is left of it here, or when that has to wait."""
        name = params.experiment_id
        known = self._store.deletions.when(name)
        if known is not None:
            return DeletedReply(deleted_at=known)
        experiment = self._ended(name, "deleted")
        now = time.time()
        runners = self._runners_of(experiment)
        with self._log.transaction(sync=True) as tx:
            self._store.deletions.begin(tx, name, runners, now)
            message = ExperimentDeleted(experiment_id=name, experiment_name=experiment.definition.name, deleted_at=now)
            tx.append(topics.build(EXPERIMENT_STATUS, name), message)
        self._store.drop(name)
        logger.info("experiment %s: deleted", name)
        self._loop.call(self._purging.pump)
        yield from self._prune(name)
        return DeletedReply(deleted_at=now)

    def _runners_of(self, experiment: Experiment) -> Iterable[str]:
        """Return the runners that may have jobs or pictures of an experiment: where that is not known, all."""
        known = self._store.runners_of(experiment.experiment_id)
        has_moved = not set(known) <= set(self._runners)  # one of them may be followed at another address now
        if experiment.discovered or has_moved or any(one.handed_on for one in experiment.variants.values()):
            return {*known, *self._runners}
        return known

    def _archive(self, params: ExperimentParams) -> ExperimentView:
        return self._put_away(self._ended(params.experiment_id, "archived"), archived=True)

    def _unarchive(self, params: ExperimentParams) -> ExperimentView:
        return self._put_away(self._store.get(params.experiment_id), archived=False)

    def _put_away(self, experiment: Experiment, *, archived: bool) -> ExperimentView:
        name, now = experiment.experiment_id, time.time()
        if experiment.archived != archived:
            with self._log.transaction(sync=True) as tx:
                work = UnitOfWork(tx, self._store)
                draft = work.draft(name)
                draft.archived = archived
                self._store.archived.write(tx, name, now, archived=archived)
                work.publish(draft, now)
        view = experiment_view(experiment)
        if archived:
            self._store.drop(name)
        return view

    def _ended(self, experiment_id: str, done: str) -> Experiment:
        """Return an experiment that has ended.

        Raises:
            ControlError: there is none of that id (`not_found`), or it has not ended (`conflict`).
        """
        experiment = self._store.get(experiment_id)
        if not experiment.has_ended:
            advice = f"cancel it first with `variantbus experiment cancel {experiment_id}`, or wait for its end"
            text = f"{experiment_id} has not ended, so it cannot be {done}: {experiment.status}; {advice}"
            raise ControlError("conflict", text)
        return experiment

    def _resume(self) -> None:
        self._loop.start(self._prune_all())

    def _prune_all(self) -> Steps[None]:
        while name := self._store.deletions.next_unpruned():
            if not (yield from self._prune(name)):
                return  # it is tried again

    def _prune(self, experiment_id: str) -> Steps[bool]:
        """Remove what is left of a deleted experiment, in small transactions; return whether that could be done.

        What was published goes first, so that no list has it any more. Another request may do the same: once that has
        ended, an import may bring the experiment back.
        """
        deletions = self._store.deletions
        try:
            for base in PUBLISHED:
                topic = topics.build(base, experiment_id)
                while deletions.is_under_way(experiment_id) and self._log.forget(topic, AT_ONCE):
                    yield None
            while deletions.is_under_way(experiment_id):
                with self._log.transaction() as tx:
                    deletions.prune(tx, experiment_id, AT_ONCE)
                yield None
        except StorageError as error:
            retry_later(self._loop, error, self._resume)
            return False
        return True
