"""How a variant is stored: now and then as a whole, and in between what has changed since. No file.

The whole grows with the jobs and pictures of a variant. What has changed since is its few numbers, the jobs that moved
and their pictures.
"""

from typing import Final

from msgspec.structs import replace

from learning_service.experiments import pictures
from learning_service.experiments.phases import Phases
from learning_service.experiments.variants import Variant

NOTHING: Final = 0  # where a value would stand, which may be a long text


def is_whole_due(variant: Variant) -> bool:
    """Return whether a changed variant is to be stored as a whole: always if its plan has changed."""
    return not isinstance(variant.jobs, Phases) or variant.jobs.has_many_news


def whole(variant: Variant) -> Variant:
    """Return a variant as it is stored as a whole."""
    return replace(variant, jobs=dict(variant.jobs.items()), stored=pictures.EMPTY)


def saved(variant: Variant) -> Variant:
    """Return a variant that has been stored as a whole as it is kept in memory."""
    return replace(variant, jobs=Phases(dict(variant.jobs.items())), stored=pictures.extent(variant.packed))


def news(variant: Variant) -> Variant:
    """Return what has changed of a variant since it was stored as a whole, and all that does not grow."""
    changed = variant.jobs.news if isinstance(variant.jobs, Phases) else variant.jobs
    more = pictures.behind(variant.packed, variant.stored)
    return replace(variant, value=NOTHING, jobs=changed, packed=more, stored=pictures.EMPTY)


def joined(stored: Variant, changed: Variant | None) -> Variant:
    """Return a variant from what is stored of it, as it is kept in memory."""
    if changed is None:
        return saved(stored)
    return replace(
        changed,
        value=stored.value,
        jobs=Phases(stored.jobs, changed.jobs),
        packed=pictures.joined(stored.packed, changed.packed),
        stored=pictures.extent(stored.packed),
    )
