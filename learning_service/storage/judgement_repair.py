"""Makes up for damaged judgements of people: what they said was published, and is in the log while that keeps it."""

from collections.abc import Iterator
from typing import cast

from msgspec.structs import replace

from bus.contracts.messages import ImageRated, ImagesCompared, Message, Outcome
from bus.contracts.topics import IMAGE_RATED, IMAGES_COMPARED
from bus.eventlog.damage import DamagedRow
from bus.eventlog.log import Log
from learning_service.experiments.judgements import Picture, Preference
from learning_service.storage.finding import find_pictures, variants_of
from learning_service.storage.judgements import ComparisonRow, RatingRow
from learning_service.storage.rebuilding import readable
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

Key = tuple[str, str]  # experiment and picture


def repair_ratings(log: Log, work: UnitOfWork, store: LearningStore, rows: list[DamagedRow]) -> list[DamagedRow]:
    """Let the newest published rating of each picture hold; return the rows that are made up for.

    A picture whose damaged rating is no longer in the log has none from now on: an older one must not hold again.
    """
    newest = {
        (said.experiment_id, said.sha256): RatingRow(said.sha256, said.stars, said.note, said.rated_at)
        for said in _published(log, IMAGE_RATED)
        if isinstance(said, ImageRated)
    }
    unknown: dict[Key, RatingRow] = {}
    for row in rows:
        experiment_id, sha256 = row.values.get("experiment_id"), row.values.get("sha256")
        if isinstance(experiment_id, str) and isinstance(sha256, str) and variants_of(store, experiment_id, sha256):
            unknown[experiment_id, sha256] = RatingRow(sha256, None, "", 0.0)
    restored = 0
    for (experiment_id, sha256), rating in {**unknown, **newest}.items():
        now = store.judgements.rating(experiment_id, sha256)
        nothing = now is None or now.stars is None
        if work.find(experiment_id) is None or now == rating or (nothing and rating.stars is None):
            continue
        store.judgements.rate(work.tx, experiment_id, rating)
        restored += (experiment_id, sha256) in newest
        draft = work.draft(experiment_id)
        for index in variants_of(store, experiment_id, sha256):
            if index in draft.variants:
                work.rate(draft, index, draft.updated_at)
        store.stale.mark(work.tx, [experiment_id])
    if restored >= len(rows):
        return rows
    return [row for row in rows if (row.values.get("experiment_id"), row.values.get("sha256")) in newest]


def repair_comparisons(log: Log, work: UnitOfWork, store: LearningStore, rows: list[DamagedRow]) -> list[DamagedRow]:
    """Write the published comparisons that are missing; return the rows that are made up for."""
    said: dict[str, list[ImagesCompared]] = {}
    for one in _published(log, IMAGES_COMPARED):
        if isinstance(one, ImagesCompared):
            before = said.setdefault(one.experiment_id, [])
            if one.outcome:
                before.append(one)
            else:  # it takes the newest one back that is like it
                place = next((at for at in reversed(range(len(before))) if _is_like(before[at], one)), None)
                if place is not None:
                    del before[place]
    restored = 0
    for experiment_id, published in said.items():
        if work.find(experiment_id) is None:
            continue
        present = {_said(row) for row in store.judgements.comparisons(experiment_id)}
        for one in published:
            row = _comparison(store, one)
            if row and _said(row) not in present:
                store.judgements.compare(work.tx, experiment_id, row)
                store.stale.mark(work.tx, [experiment_id])
                restored += 1
    return rows[:restored]


def _published(log: Log, prefix: str) -> Iterator[Message]:
    """Yield the messages of our own log, oldest first."""
    after = 0
    while after < log.head:
        page = log.fetch(prefix, after)
        yield from readable(page.records)
        after = page.next


def _is_like(one: ImagesCompared, other: ImagesCompared) -> bool:
    return replace(one, outcome=None) == replace(other, outcome=None)


def _said(row: ComparisonRow) -> tuple[str, int, str, int, str, float]:
    said = row.preference
    left, right = said.left, said.right
    return left.sha256, left.variant_index, right.sha256, right.variant_index, said.outcome, row.compared_at


def _comparison(store: LearningStore, said: ImagesCompared) -> ComparisonRow | None:
    """Return the row of a published comparison; None if a picture of it is not known."""
    left = _picture(store, said.experiment_id, said.left, said.left_variant)
    right = _picture(store, said.experiment_id, said.right, said.right_variant)
    if left is None or right is None or said.outcome is None:
        return None
    outcome = cast("Outcome", said.outcome)  # we wrote it
    return ComparisonRow(Preference(left=left, right=right, outcome=outcome), said.compared_at)


def _picture(store: LearningStore, experiment_id: str, sha256: str, index: int) -> Picture | None:
    for row in find_pictures(store, experiment_id, sha256):
        if row.variant_index == index:
            return Picture(variant_index=index, repeat_index=row.repeat_index, sha256=row.sha256)
    return None
