"""The statistics, imported as late as can be: numpy and scipy take a second, and not every installation has them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bus.protocol.wire import ControlError
from learning_service.recommendation.evidence import Candidate, Objective, Picture, Preference, Score

if TYPE_CHECKING:
    from learning_service.recommendation.pairs import Pair
    from learning_service.recommendation.recommend import Recommendation
    from learning_service.search.policy import Propose


class Answers(NamedTuple):
    """What can be asked."""

    recommend: "Callable[[Sequence[Score] | Sequence[Preference], Sequence[Candidate], Objective, str], Recommendation]"
    next_pair: "Callable[[Sequence[Picture], Sequence[Preference], int], Pair | None]"


def answers() -> Answers:
    """Import the statistics.

    Raises:
        ControlError: the extra `learning` is not installed (code `unavailable`).
    """
    try:
        from learning_service.recommendation.pairs import next_pair  # noqa: PLC0415 - see above
        from learning_service.recommendation.recommend import recommend  # noqa: PLC0415
    except ImportError:
        text = "the learning service needs numpy and scipy for it: pip install 'variantbus[learning]'"
        raise ControlError("unavailable", text) from None
    return Answers(recommend, next_pair)


def proposer() -> "Propose":
    """Import what an adaptive experiment needs: the sampler, and the statistics that it goes by.

    Raises:
        ControlError: the extra `adaptive` is not installed (code `unavailable`).
    """
    answers()
    try:
        from learning_service.recommendation.propose import propose  # noqa: PLC0415 - see above
    except ImportError:
        text = "an adaptive experiment needs optuna at the learning service: pip install 'variantbus[adaptive]'"
        raise ControlError("unavailable", text) from None
    return propose
