"""What people say of pictures, as requests: ratings and comparisons.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated

from msgspec import Meta, Struct

from bus.contracts.fields import Id, Index
from bus.contracts.messages import ImageRef, Outcome, OutcomeWord

Stars = Annotated[int, Meta(ge=1, le=5)]
Digits = Annotated[
    str,
    Meta(pattern=r"\A[0-9a-f]{4,64}\Z", description="4 to 64 hexadecimal digits of the picture's hash"),
]  # a unique beginning suffices
Side = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 hexadecimal digits, the picture's hash")]
Time = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970, by the clock of whoever asks


class RateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`image.rate`: nil as `stars` takes the rating back.

    A client that gives `rated_at`, when the person said it, may repeat the request: it is counted once.
    """

    experiment_id: Id
    image: Digits
    stars: Stars | None
    note: Annotated[str, Meta(max_length=2000)] = ""
    rated_at: Time | None = None


class UndoRatingParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`rating.undo`: the newest rating of the experiment, or of `image`; with `rated_at`, if it is the one of then."""

    experiment_id: Id
    image: Digits | None = None
    rated_at: float | None = None


class RatingView(Struct, frozen=True, kw_only=True):
    """What holds of one image."""

    sha256: str
    variant_indices: list[int]  # an image may have come of several variants
    stars: int | None
    note: str
    rated_at: float


class RatedReply(RatingView, frozen=True, kw_only=True):
    """`image.rate`, `rating.undo`: what holds of the image now."""

    rated: int  # images of the experiment that are rated; one that came of several variants counts for each
    hint: str = ""  # what decides the experiment, where it is not ratings, and how to change that


class RatingNextParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rating.next`: `passed` are the hashes of images that a person does not want to rate now."""

    experiment_id: Id
    passed: Annotated[list[Side], Meta(max_length=1000)] = []


class RatingNextReply(Struct, frozen=True, kw_only=True):
    """`rating.next`: the image to rate next, without its value; nil where there is none that is not rated."""

    image: ImageRef | None
    rated: int  # images that are rated
    left: int  # images that are not
    enough: str = ""  # why no more ratings are needed, "" if they are
    hint: str = ""  # as in `RatedReply`


class RatingListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rating.list`: oldest first; the next page begins at the `after` of this one."""

    experiment_id: Id
    after: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class RatingListReply(Struct, frozen=True, kw_only=True):
    """What holds of each rated image of an experiment; `after` asks for the next page, nil where there is none."""

    ratings: list[RatingView]
    after: int | None


class PairNextParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`comparison.next`: `passed` are pairs, left and right, that are not asked about now, as if they were answered."""

    experiment_id: Id
    passed: Annotated[list[tuple[Side, Side]], Meta(max_length=100)] = []


class PairReply(Struct, frozen=True, kw_only=True):
    """`comparison.next`: the two images to show next, without their values; nil where there are no two to compare."""

    left: ImageRef | None
    right: ImageRef | None
    compared: int  # answers so far
    hint: str = ""  # as in `RatedReply`, of comparisons


class CompareParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`comparison.add`: which of two images is better.

    A client that gives `compared_at`, when the person said it, may repeat the request: it is counted once.
    """

    experiment_id: Id
    left: Side
    right: Side
    outcome: Outcome
    compared_at: Time | None = None


class UndoComparisonParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`comparison.undo`: the newest answer of the experiment, or the newest of those with all that is given."""

    experiment_id: Id
    left: Side | None = None
    right: Side | None = None
    compared_at: float | None = None


class ComparedReply(Struct, frozen=True, kw_only=True):
    """`comparison.add`, `comparison.undo`: the answer that was added, or taken back."""

    left: str
    right: str
    outcome: OutcomeWord
    compared: int  # answers that there are now
    compared_at: float = 0.0
    hint: str = ""
