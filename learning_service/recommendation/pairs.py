"""Which two pictures to compare next; a person sees them side by side, without their values."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np
from msgspec import Struct
from scipy.special import expit

from bus.contracts.fields import VariantValue
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.belief import Array, Belief
from learning_service.recommendation.layout import arrange
from learning_service.recommendation.preferences import believe_preferences, tally

SAME: Final = 1e-9  # relative difference of two gains that is only rounding
LIKELIEST: Final = 200  # values of which pairs tell something; what is less probably best tells next to nothing


class Pair(Struct, frozen=True, kw_only=True, gc=False):
    """Two pictures of different values."""

    left: Picture
    right: Picture


def next_pair(
    values: Mapping[int, VariantValue],
    pictures: Sequence[Picture],
    judged: Sequence[Preference],
    seed: int,
    passed: Collection[tuple[str, str]] = (),
) -> Pair | None:
    """Return the pair to compare next, or None if there are no two values with pictures that differ.

    One and the same picture under two values is no question, and two values are none that give the same picture under
    each seed. No pair of pictures is asked about again before all others were; pictures of one seed come before others,
    as they differ by the value alone. Among these it is the
    pair of values of which one more answer tells most: the expected fall of the variance of their difference, times the
    chances of both to be the best value; values that lie near each other tell about each other, so that what nobody has
    compared comes early by itself. Each value is on the left as often as on the right. What is left open is drawn, by
    `seed` and the number of answers, so the same question gives the same pair. `passed` are the hashes of pairs that
    are not to come now: they count as asked, but nothing was said of them.
    """
    of_variant: dict[int, set[Picture]] = {}
    for picture in pictures:
        of_variant.setdefault(picture.variant_index, set()).add(picture)
    variants = sorted(of_variant)
    # one by one: to sort 100,000 at once keeps all other threads waiting for a quarter of a second
    by_variant = {variant: sorted(of_variant[variant]) for variant in variants}
    if len(variants) < 2:  # noqa: PLR2004 - a pair
        return None
    random = np.random.default_rng([seed, len(judged) + len(passed)])
    asked = Counter(_key(one.left, one.right) for one in judged)
    asked.update(_pairs_of(passed, pictures))
    rounds = _rounds([by_variant[variant] for variant in variants], asked)
    if not np.isfinite(rounds.min()):
        return None
    worth = np.where(rounds == rounds.min(), _worth(judged, variants, values), -np.inf)
    pairs = np.argwhere(worth >= worth.max() - SAME * abs(worth.max()))
    one, other = (variants[place] for place in pairs[random.integers(len(pairs))])
    shown = Counter(picture for pair in asked.elements() for picture in pair)
    choices = [
        ((asked[_key(first, second)], first.repeat_index != second.repeat_index, shown[first] + shown[second]), pair)
        for pair in product(by_variant[one], by_variant[other])
        for first, second in (pair,)
        if first.sha256 != second.sha256
    ]
    least = min(key for key, _ in choices)
    equal = [pair for key, pair in choices if key == least]
    return _placed(*equal[random.integers(len(equal))], judged, swap=bool(random.integers(2)))


def _pairs_of(passed: Collection[tuple[str, str]], pictures: Sequence[Picture]) -> Iterator[tuple[Picture, Picture]]:
    """Yield the pairs that hashes name: several where several variants or seeds made a picture."""
    of_hash: dict[str, set[Picture]] = {sha256: set() for pair in passed for sha256 in pair}
    for picture in pictures:
        if picture.sha256 in of_hash:
            of_hash[picture.sha256].add(picture)
    for left, right in passed:
        for one, other in product(of_hash[left], of_hash[right]):
            if one.variant_index != other.variant_index:
                yield _key(one, other)


def _key(one: Picture, other: Picture) -> tuple[Picture, Picture]:
    return (one, other) if one < other else (other, one)


def _rounds(pictures: list[list[Picture]], asked: Counter[tuple[Picture, Picture]]) -> Array:
    """Return how often each two values were compared: 0 - not yet all of one seed, 1 - not yet all, 2 and up - all.

    Only places above the diagonal count, and of these not where each seed gives the same picture; the others are
    infinite.
    """
    seeds = {seed: place for place, seed in enumerate(sorted({one.repeat_index for row in pictures for one in row}))}
    cells = [place * len(seeds) + seeds[one.repeat_index] for place, row in enumerate(pictures) for one in row]
    counts = np.bincount(cells, minlength=len(pictures) * len(seeds)).reshape(len(pictures), -1).astype(np.float64)
    places = {picture: place for place, row in enumerate(pictures) for picture in row}
    same, met, times = np.zeros((3, len(pictures), len(pictures)))
    for (one, other), often in asked.items():
        if one in places and other in places:
            low, high = sorted((places[one], places[other]))
            same[low, high] += one.repeat_index == other.repeat_index
            met[low, high] += 1
            times[low, high] += often
    alike, alike_of_seed = _alike(places)
    all_pairs = np.outer(counts.sum(axis=1), counts.sum(axis=1)) - alike
    of_seed = counts @ counts.T - alike_of_seed
    rounds = np.where(met < all_pairs, 1, 1 + times // np.maximum(all_pairs, 1))
    rounds = np.where(same < of_seed, 0, rounds)
    differ = (of_seed > 0) | ((alike_of_seed == 0) & (all_pairs > 0))
    return np.asarray(np.where(np.triu(differ, 1), rounds, np.inf), np.float64)


def _alike(places: dict[Picture, int]) -> Array:
    """Return for each two values the number of pairs with identical pictures: all of them, and those of one seed."""
    size = max(places.values()) + 1
    alike = np.zeros((2, size, size))
    groups: dict[tuple[int, str, int], list[int]] = {}
    often = Counter(picture.sha256 for picture in places)
    for picture, place in places.items():
        if often[picture.sha256] > 1:
            groups.setdefault((0, picture.sha256, 0), []).append(place)
            groups.setdefault((1, picture.sha256, picture.repeat_index), []).append(place)
    for (of_seed, _, _), copies in groups.items():
        where, counts = np.unique(copies, return_counts=True)
        alike[of_seed][np.ix_(where, where)] += np.outer(counts, counts)
    return alike


def _worth(judged: Sequence[Preference], variants: list[int], values: Mapping[int, VariantValue]) -> Array:
    """Return the gain of one more comparison of each two values; only the order counts."""
    seen = tally(judged, {variant: place for place, variant in enumerate(variants)})
    if not len(seen.values):
        return np.zeros((len(variants), len(variants)))
    return _told(believe_preferences(arrange([values[variant] for variant in variants]), seen))


def _told(belief: Belief) -> Array:
    """Return how much one more comparison of each two values tells of which is the best."""
    best = belief.p_best
    likeliest = np.sort(np.argsort(-best, kind="stable")[:LIKELIEST])
    means, chances = belief.centred[likeliest], best[likeliest]
    gaps = means[:, None] - means
    joint = np.cov(belief.sample[:, likeliest], rowvar=False)
    own = np.diagonal(joint)
    variance = np.maximum(own[:, None] + own - 2 * joint, 0.0)
    told = 4 * expit(gaps) * expit(-gaps) / (2 * belief.looked)  # a sure winner's next win tells little
    gains = np.zeros((len(best), len(best)))
    gains[np.ix_(likeliest, likeliest)] = np.outer(chances, chances) * variance**2 * told / (1 + variance * told)
    return gains


def _placed(one: Picture, other: Picture, judged: Sequence[Preference], *, swap: bool) -> Pair:
    """Return the pair with the value on the left that was there less often; `swap` decides between equal counts."""
    lean: Counter[int] = Counter()  # to the left
    for answer in judged:
        lean[answer.left.variant_index] += 1
        lean[answer.right.variant_index] -= 1
    gap = lean[one.variant_index] - lean[other.variant_index]
    if gap > 0 or (gap == 0 and swap):
        one, other = other, one
    return Pair(left=one, right=other)
