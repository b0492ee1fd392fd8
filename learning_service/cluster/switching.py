"""Between runners of one's own and a cluster: jobs that have not ended stay where they are."""

from typing import Final

from bus.protocol.validation import InvalidInputError
from bus.transport.pace import Pace
from bus.transport.steps import complete
from learning_service.storage.departures import HeldJobs
from learning_service.storage.store import LearningStore

CLUSTER: Final = "cluster"  # the address of all runners of a cluster together, as the store knows them
COUNTED_AT_ONCE: Final = 10_000


def check_switch(store: LearningStore, addresses: list[str]) -> None:
    """Refuse to begin while jobs have not ended that could not end then.

    Raises:
        InvalidInputError: jobs are in the cluster and it is not followed, or at other runners and it is.
    """
    is_cluster = addresses == [CLUSTER]
    if not is_cluster and CLUSTER not in store.runners():  # it was never used, as nearly always
        return
    held = {runner: sum(some.jobs for some in jobs) for runner, jobs in _held(store).items()}
    if text := refusal(held, is_cluster=is_cluster):
        raise InvalidInputError(text)


def refusal(held: dict[str, int], *, is_cluster: bool) -> str:
    """Return why one cannot begin with so many jobs of each runner that have not ended, "" if one can. Pure."""
    others = {runner: count for runner, count in held.items() if runner != CLUSTER}
    if is_cluster and others:
        runner, count = next(iter(others.items()))
        left = f"{count} jobs have not ended at the runner {runner}"
        return f"cluster: {left}; start without --cluster until they have, or cancel their experiments there"
    if not is_cluster and CLUSTER in held:
        left = f"{held[CLUSTER]} jobs have not ended in the cluster"
        return f"cluster: {left}; start with --cluster until they have, or cancel their experiments there"
    return ""


def _held(store: LearningStore) -> dict[str, list[HeldJobs]]:
    return complete(store.departures.count_held(Pace(COUNTED_AT_ONCE)))
