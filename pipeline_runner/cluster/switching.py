"""Where a runner may begin to be in a cluster, or to be in none: jobs that it has must not count twice or be lost."""

from collections.abc import Collection, Iterable
from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.protocol.validation import InvalidInputError
from pipeline_runner.queue.jobs import NormalizedJobRecord

SQL: Final = sql.load("pipeline_runner.cluster", "switching.sql")


def check_alone(log: Log) -> None:
    """Check that a runner without a cluster owes nothing to one.

    Raises:
        InvalidInputError: it has jobs of a cluster, or ends that a cluster has not acknowledged.
    """
    if not log.query(SQL["select_cluster"]):
        return
    ((owed,),) = log.query(SQL["count_owed"])
    if owed:
        text = f"{log.path} has {owed} jobs of a cluster that have not ended there"
        raise InvalidInputError(f"{text}; start with --cluster until `variantbus check` shows none, then without")


def check_joining(unended: Iterable[NormalizedJobRecord], tickets: Collection[str]) -> None:
    """Check that a runner which is to be in a cluster has no jobs of experiments that it was sent directly.

    Raises:
        InvalidInputError: it has.
    """
    others = [record for record in unended if record.learning_context and record.job_id not in tickets]
    if others:
        text = f"{len(others)} jobs of experiments have not ended that no cluster knows, such as {others[0].job_id}"
        raise InvalidInputError(f"{text}; let them end, or cancel them, without --cluster, then start with it")
