"""The statistics, imported when first used: numpy and scipy take a second, and not every installation has them."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bus.console.installing import install_command
from bus.contracts.fields import VariantValue
from bus.protocol.control import ControlError
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.evidence import Candidate, Limit, Objective, Score

if TYPE_CHECKING:
    from learning_service.recommendation.next_picture import Suggestion
    from learning_service.recommendation.pairs import Pair
    from learning_service.recommendation.recommend import Recommendation


_loaded: Final = threading.Event()


class Statistics(NamedTuple):
    """The functions of the statistics."""

    recommend: (
        "Callable[[Sequence[Score] | Sequence[Preference], Sequence[Candidate], Objective, str, Sequence[str],"
        " Sequence[Score]], Recommendation]"
    )
    next_pair: (
        "Callable[[Mapping[int, VariantValue], Sequence[Picture], Sequence[Preference], int,"
        " Collection[tuple[str, str]]], Pair | None]"
    )
    next_picture: (
        "Callable[[Mapping[int, VariantValue], Sequence[Picture], Mapping[str, int], int, Collection[str], int,"
        " Limit | None], Suggestion]"
    )


def load_statistics() -> Statistics:
    """Import the statistics.

    Raises:
        ControlError: the extra `learning` is not installed (code `unavailable`).
    """
    try:
        from learning_service.recommendation.next_picture import next_picture  # noqa: PLC0415 - see above
        from learning_service.recommendation.pairs import next_pair  # noqa: PLC0415
        from learning_service.recommendation.recommend import recommend  # noqa: PLC0415
    except ImportError:
        text = f"the learning service needs numpy and scipy for it: {install_command('learning')}"
        raise ControlError("unavailable", text) from None
    _loaded.set()
    return Statistics(recommend, next_pair, next_picture)


def are_statistics_loaded() -> bool:
    """Return whether `load_statistics` returns at once; on a busy machine the first call takes many seconds."""
    return _loaded.is_set()
