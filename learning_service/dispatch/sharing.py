"""Notices other learning services that have the same experiments: the runners that both submit jobs to know of both."""

import logging
import secrets
from collections.abc import Iterator
from typing import Final

from bus.contracts.jobs import SUBMITTED_EXPERIMENTS, SubmittersParams, SubmittersReply
from bus.telemetry.metrics import Point
from learning_service.storage.store import LearningStore

HELP: Final = {
    "variantbus_experiments_shared": "Experiments that another learning service submits jobs of, too.",
}
logger = logging.getLogger(__name__)


class Sharing:
    """What this service says of itself to each runner, and what each has answered last."""

    def __init__(self, store: LearningStore, control: str) -> None:
        """`control` is the address by which people know this service."""
        self._store, self._control = store, control
        self._instance = secrets.token_hex(8)  # of this process: a copy of its data folder has another one
        self._shared: dict[str, dict[str, set[str]]] = {}  # runner -> address of the other -> experiments

    def announcement(self) -> SubmittersParams:
        """Return what a runner is told."""
        experiments = self._store.submitted(SUBMITTED_EXPERIMENTS)
        return SubmittersParams(instance=self._instance, control=self._control, experiments=experiments)

    def note(self, runner: str, reply: SubmittersReply) -> None:
        """Take the answer of a runner, and warn of what is new in it."""
        before = self._shared.get(runner, {})
        others: dict[str, set[str]] = {}
        for experiment_id, addresses in reply.shared.items():
            for address in addresses:
                others.setdefault(address, set()).add(experiment_id)
        for address, experiments in others.items():
            if new := experiments - before.get(address, set()):
                others_too = f" and {len(new) - 1} others" if len(new) > 1 else ""
                text = "experiment %s%s: run by the learning service at %s, too; stop one of the two"
                logger.warning(text, min(new), others_too, address)
        self._shared[runner] = others

    def points(self) -> Iterator[Point]:
        """Return the metrics: how many experiments each other learning service has, too."""
        together: dict[str, set[str]] = {}
        for others in self._shared.values():
            for address, experiments in others.items():
                together.setdefault(address, set()).update(experiments)
        for address, experiments in together.items():
            yield "variantbus_experiments_shared", {"other": address}, len(experiments)
