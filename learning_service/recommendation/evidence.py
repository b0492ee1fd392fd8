"""The observations: scores and preferences, and the values that they are about."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isfinite
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from bus.contracts.fields import VariantValue
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.plan import SECONDS

STARS_MIN: Final = 1
STARS_MAX: Final = 5
POSSIBLE: Final = 0.05  # that a value is the best: less is ruled out


class Score(Struct, frozen=True, kw_only=True, gc=False):
    """The score of one picture or job: the stars of a person, or a metric of the pipeline."""

    variant_index: int
    repeat_index: int  # the seed: the same one under every value
    score: float


class Limit(NamedTuple):
    """Only values count that take at most the share `within` longer than the fastest one."""

    within: float
    times: Sequence[Score]  # of jobs, in seconds


class Candidate(Struct, frozen=True, kw_only=True, gc=False):
    """A value of the plan, or one that a search may still try; `seconds` is the mean duration of its jobs."""

    index: int
    value: VariantValue
    seconds: float | None = None
    has_failed: bool = False  # all its jobs have ended, and none well: it is the best only if there are scores of it


class Objective(Struct, frozen=True, kw_only=True, gc=False):
    """What makes a value good. `name` is the metric's; stars and preferences have none."""

    kind: Literal["stars", "metric", "preference"] = "stars"
    name: str = ""
    minimize: bool = False
    within: float | None = None  # by what share a value may take longer than the fastest one, if that is limited

    @property
    def text(self) -> str:
        """Its name in messages: `stars`, `preference`, `maximize prompt_match`."""
        return f"{'minimize' if self.minimize else 'maximize'} {self.name}" if self.kind == "metric" else self.kind


STARS: Final = Objective(kind="stars")
PREFERENCE: Final = Objective(kind="preference")


def star_scores(rated: Iterable[Picture], stars: Mapping[str, int]) -> list[Score]:
    """Return the score of each job with rated pictures (see `rated_once`): the mean of their stars.

    `stars` are those of each picture by its hash. Pictures of one job are one look: they share all but chance.
    """
    of_job: dict[tuple[int, int], list[int]] = {}
    for one in rated:
        of_job.setdefault((one.variant_index, one.repeat_index), []).append(stars[one.sha256])
    return [
        Score(variant_index=variant, repeat_index=repeat, score=sum(given) / len(given))
        for (variant, repeat), given in of_job.items()
    ]


def metric_score(name: str, state: str, seconds: float | None, metrics: Mapping[str, float]) -> float | None:
    """Return the metric of a job by its name; None if it has not completed, or reports none of that name."""
    if state != "completed":
        return None
    return seconds if name == SECONDS and name not in metrics else metrics.get(name)


def judged_variants(seen: Sequence[Score] | Sequence[Preference]) -> set[int]:
    """Return the variants that observations are about."""
    found: set[int] = set()
    for one in seen:
        found |= {one.variant_index} if isinstance(one, Score) else {one.left.variant_index, one.right.variant_index}
    return found


def check_scores(scores: Sequence[Score], known: Collection[int], objective: Objective) -> None:
    """Refuse scores that do not belong to this objective.

    Raises:
        InvalidInputError: naming the observation and what to do.
    """
    for place, one in enumerate(scores, 1):
        _check_variant(f"observations #{place}.variant_index", one.variant_index, known)
        if not isfinite(one.score):
            raise InvalidInputError(f"observations #{place}.score: {one.score} is no number; leave it out")
        if objective.kind == "stars" and not STARS_MIN <= one.score <= STARS_MAX:
            raise InvalidInputError(
                f"observations #{place}.score: {one.score:g}; give {STARS_MIN} to {STARS_MAX} stars"
            )


def check_preferences(preferences: Sequence[Preference], known: Collection[int]) -> None:
    """Refuse preferences that do not compare two values of the plan.

    Raises:
        InvalidInputError: naming the observation and what to do.
    """
    for place, one in enumerate(preferences, 1):
        for side, picture in (("left", one.left), ("right", one.right)):
            _check_variant(f"observations #{place}.{side}.variant_index", picture.variant_index, known)
        if one.left.variant_index == one.right.variant_index:
            raise InvalidInputError(f"observations #{place}: both pictures show one value; compare two values")


def _check_variant(where: str, index: int, known: Collection[int]) -> None:
    if index not in known:
        raise InvalidInputError(f"{where}: {index} is no variant of the plan; known are {sorted(known)}")
