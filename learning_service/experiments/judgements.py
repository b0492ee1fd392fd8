"""What people say of pictures: stars for one, and which of two is better. No socket, no file.

A picture is its content, and a rating is about that. It counts once for each variant that made the picture, however
many of its jobs did: this holds for the ratings of a variant, the history, recommendations and reports alike.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from bus.contracts.messages import Outcome, RatingSummary


class Picture(Struct, frozen=True, kw_only=True, order=True, gc=False):
    """A picture that can be shown beside another."""

    variant_index: int
    repeat_index: int
    sha256: str


class Preference(Struct, frozen=True, kw_only=True, order=True, gc=False):
    """Which of two pictures is better. `both_bad` is counted like `tie`."""

    left: Picture
    right: Picture
    outcome: Outcome


Stars = tuple[int, int, int, int, int]  # how many have 1, 2 … 5
NONE: Final[Stars] = (0, 0, 0, 0, 0)


class Pictures(NamedTuple):
    """How many pictures a variant has made, and how they are rated."""

    images: int = 0
    stars: Stars = NONE

    @property
    def rating(self) -> RatingSummary | None:
        """The mean of their ratings; None if none of them is rated."""
        mean = mean_of(self.stars)
        return None if mean is None else RatingSummary(mean=mean, count=sum(self.stars))


def count_pictures(hashes: Iterable[str], stars: Mapping[str, int]) -> Pictures:
    """Return how the pictures of a variant are rated; `stars` are those of each rated picture by its hash."""
    count = Counter(stars.get(one, 0) for one in hashes)
    return Pictures(count.total(), (count[1], count[2], count[3], count[4], count[5]))


def rated_once(
    pictures: Iterable[Picture], stars: Mapping[str, int], found: dict[tuple[int, str], Picture] | None = None
) -> dict[tuple[int, str], Picture]:
    """Return the rated pictures of each variant, by its index and their hashes; one of several jobs has the first seed.

    `stars` are those of each picture by its hash; `found`, if given, is continued.
    """
    first = {} if found is None else found
    for one in pictures:
        key = one.variant_index, one.sha256
        if one.sha256 in stars and (key not in first or one.repeat_index < first[key].repeat_index):
            first[key] = one
    return first


def mean_of(stars: Stars) -> float | None:
    """Return the mean of ratings; None if there is none."""
    count = sum(stars)
    return sum(number * many for number, many in enumerate(stars, 1)) / count if count else None


def added(one: Stars, other: Stars) -> Stars:
    """Return the counts of two together."""
    first, second, third, fourth, fifth = (mine + theirs for mine, theirs in zip(one, other, strict=True))
    return first, second, third, fourth, fifth
