"""Finds pictures by their hashes.

No index has them: in their order, each job that ends would write another page. What is in memory tells quickly which
variants may have a picture.
"""

from collections.abc import Iterable

from bus.transport.steps import Steps
from learning_service.experiments.variants import hashes_of, may_have
from learning_service.storage.results import PictureRow
from learning_service.storage.store import LearningStore


def find_pictures(store: LearningStore, experiment_id: str, prefix: str) -> list[PictureRow]:
    """Return the pictures of an experiment whose hash begins with some hexadecimal digits, in the order of hashes."""
    experiment = store.find(experiment_id)
    indices = [one.index for one in experiment.variants.values() if may_have(one, prefix)] if experiment else []
    rows = store.results.find_pictures(experiment_id, prefix, indices)
    return sorted(rows, key=lambda row: (row.sha256, row.variant_index, row.repeat_index))


def variants_of(store: LearningStore, experiment_id: str, sha256: str) -> list[int]:
    """Return the variants that made a picture."""
    return sorted({row.variant_index for row in find_pictures(store, experiment_id, sha256)})


def makers(store: LearningStore, experiment_id: str, hashes: Iterable[str]) -> Steps[dict[str, list[int]]]:
    """Return for each of many pictures the variants that made it; there may be 100,000 pictures to look at."""
    experiment, found = store.get(experiment_id), {sha256: list[int]() for sha256 in hashes}
    for index in sorted(experiment.variants):
        stored = store.results.hashes
        made = hashes_of(experiment.variants[index]) or stored(experiment_id, index, index).get(index, set())
        for sha256 in found.keys() & made:
            found[sha256].append(index)
        yield None
    return found
