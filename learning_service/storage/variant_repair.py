"""Makes up for damaged rows of variants: from what was published of them last, and the results of their jobs."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from msgspec.structs import replace

from bus.contracts.fields import VariantValue
from bus.contracts.messages import Message, VariantStatus
from bus.contracts.topics import VARIANT_STATUS
from bus.eventlog import sql
from bus.eventlog.damage import DamagedRow
from bus.eventlog.log import Log
from bus.protocol.control import PAGE_LIMIT
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import MAX_VARIANTS
from learning_service.experiments.grid import plan_values
from learning_service.experiments.model import Experiment, variant_status
from learning_service.storage.rebuilding import Evidence, readable, rebuild
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

SQL: Final = sql.load("learning_service.storage", "variant_repair.sql")
Published = dict[int, VariantStatus]  # by variant


def repair_variants(log: Log, work: UnitOfWork, store: LearningStore, rows: list[DamagedRow]) -> list[DamagedRow]:
    """Restore the variants that are missing or older than what was published; return the rows that are made up for."""
    work.tx.execute(SQL["delete_strays"])
    published: dict[str, Published] = {}
    for status in newest(log, VARIANT_STATUS):
        if isinstance(status, VariantStatus):
            published.setdefault(status.experiment_id, {})[status.variant_index] = status
    named = {(row.values.get("experiment_id"), row.values.get("variant_index")) for row in rows}
    restored, lost = set(), 0
    for (name,) in log.query(SQL["select_ids"]):
        told, planned = published.get(name, {}), planned_jobs(log, name)
        present = {index for (index,) in log.query(SQL["select_indices"], (name,))}
        outdated = _outdated(work.find(name), told) | {index for index in present if (name, index) in named}
        for index in sorted(({*told, *planned} - present) | outdated):
            if _restore(work, store, name, index, told.get(index), planned.get(index, [])):
                restored.add((name, index))
            else:  # nothing tells what its jobs are to try
                work.tx.execute(SQL["delete_jobs_of"], (name, index))
                lost += 1
    if not lost:
        return rows
    return [row for row in rows if (row.values.get("experiment_id"), row.values.get("variant_index")) in restored]


def newest(log: Log, prefix: str) -> Iterator[Message]:
    """Yield the newest message of each topic of our own log."""
    topic = ""
    while True:
        page = log.latest(prefix, PAGE_LIMIT, topic)
        yield from readable(page.records)
        topic = page.next
        if not topic:
            return


def planned_jobs(log: Log, name: str) -> dict[int, list[str]]:
    """Return the jobs of an experiment that were to be sent, by variant."""
    found: dict[int, list[str]] = {}
    for job_id, index in log.query(SQL["select_jobs"], (name,)):
        found.setdefault(index, []).append(job_id)
    return found


def _outdated(experiment: Experiment | None, told: Published) -> set[int]:
    """Return the variants of which a newer state was published: what has changed since it was stored is lost."""
    known = experiment.variants if experiment else {}
    return {index for index, variant in known.items() if index in told and told[index].revision > variant.revision}


def _restore(
    work: UnitOfWork, store: LearningStore, name: str, index: int, published: VariantStatus | None, planned: list[str]
) -> bool:
    draft = work.draft(name)
    value = published.variant_value if published else _planned_value(draft, index)
    if value is None:
        return False
    if index not in draft.variants:  # it would stay behind all others until the experiment is read again
        work.tx.after_commit(partial(store.drop, name))
    results = [row for row in store.results.all(name) if row.variant_index == index]
    pictures = [row for row in store.results.pictures(name) if row.variant_index == index]
    seeds = draft.definition.repeats
    older = draft.variants.get(index)
    variant = rebuild(Evidence(name, index, value, published, older, planned, seeds, results, pictures))
    if published and variant_status(draft, variant) == published:
        draft.put(variant)
    else:
        work.put(draft, replace(variant, revision=variant.revision + 1), variant.updated_at)
    if published is None or published.completed == variant.completed:  # else pictures are missing, and come again
        work.rate(draft, index, variant.updated_at)
    return True


def _planned_value(experiment: Experiment, index: int) -> VariantValue | None:
    """Return the value of a variant: as it is, or by the definition, if that gives all others their values, too."""
    if index in experiment.variants:
        return experiment.variants[index].value
    try:
        values = plan_values(experiment.definition, MAX_VARIANTS, {})
    except InvalidInputError:
        return None
    others = experiment.variants.items()
    if index < len(values) and all(place < len(values) and values[place] == one.value for place, one in others):
        return values[index]
    return None
