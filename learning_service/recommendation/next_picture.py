"""Which picture to rate next, and whether anybody has to rate any more. A person sees it without its value."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from bus.contracts.fields import VariantValue
from learning_service.experiments.judgements import Picture, rated_once
from learning_service.experiments.space import spread
from learning_service.recommendation.belief import Belief
from learning_service.recommendation.choice import Look, pairing, top_two
from learning_service.recommendation.evidence import STARS, Limit, star_scores
from learning_service.recommendation.layout import Layout, arrange
from learning_service.recommendation.recommend import believe, margin_of
from learning_service.recommendation.sentence import percent
from learning_service.recommendation.times import in_time
from learning_service.recommendation.verdict import ENOUGH, SURE, certainty

FIRST: Final = 5  # values that are rated before a belief chooses: evenly spread, as a search begins


class Suggestion(NamedTuple):
    """The picture to rate next, if there is one, and why nobody has to rate any more, "" if that is not so."""

    picture: Picture | None
    enough: str


def next_picture(
    values: Mapping[int, VariantValue],
    pictures: Collection[Picture],
    stars: Mapping[str, int],
    seed: int,
    passed: Collection[str] = (),
    blocks: int = 0,
    limit: Limit | None = None,
) -> Suggestion:
    """Return which picture to rate next, so that the best value is found with few ratings.

    `values` are those of the variants, `stars` the ratings by the hashes of pictures, `passed` the hashes of those that
    somebody does not want to rate. First come some values that are spread evenly; then `top_two` chooses among the
    values with pictures that are not rated; of several that a job has made, one is rated before any job has two. The
    picture is that of the seed that compares the value best with its rival. `seed` decides what is left to chance, so
    the same question gives the same picture. Of several `blocks` each is one look, as in the recommendation, which
    would otherwise doubt when this one says that nobody has to go on; and with a `limit` of the time only those values
    count that keep to it.
    """
    rated = list(rated_once(pictures, stars).values())
    places = {variant: place for place, variant in enumerate(sorted({one.variant_index for one in pictures}))}
    looked = {(one.variant_index, one.repeat_index) for one in rated}
    waiting = [one for one in sorted(set(pictures)) if one.sha256 not in stars and one.sha256 not in passed]
    fresh = [one for one in waiting if (one.variant_index, one.repeat_index) not in looked]
    open_: dict[int, list[Picture]] = {}
    for one in fresh or waiting:
        open_.setdefault(places[one.variant_index], []).append(one)
    seeds: dict[int, set[int]] = {place: set() for place in places.values()}
    for one in rated:
        seeds[places[one.variant_index]].add(one.repeat_index)
    known = sum(bool(one) for one in seeds.values())
    belief = None
    if known > 1:
        layout = arrange([values[variant] for variant in places])
        belief = _believe_stars(layout, rated, stars, places, blocks)
        belief = in_time(belief, layout, places, limit.times, limit.within) if limit else belief
    enough = _enough(belief, seeds) if belief else ""
    if not open_:
        return Suggestion(None, enough)
    look = _first_look(len(places), seeds, open_)
    if look is None:
        random = np.random.default_rng([seed, len(stars), len(passed)])
        look = top_two(belief, open_, random) if belief else Look(min(open_), min(open_))
    everyone: set[int] = set().union(*seeds.values())
    chosen = min(
        open_[look.value], key=lambda one: (pairing(one.repeat_index, seeds[look.rival], everyone), one.sha256)
    )
    return Suggestion(chosen, enough)


def _believe_stars(
    layout: Layout,
    rated: Sequence[Picture],
    stars: Mapping[str, int],
    place_of: Mapping[int, int],
    blocks: int,
) -> Belief:
    scores = star_scores(rated, stars)
    places = np.array([place_of[one.variant_index] for one in scores], np.intp)
    repeats = np.array([one.repeat_index for one in scores], np.intp)
    return believe(layout, places, repeats, np.array([one.score for one in scores]), STARS, blocks)[0]


def _enough(belief: Belief, seeds: Mapping[int, Collection[int]]) -> str:
    leader = belief.leader([place for place, of in seeds.items() if of])
    if len(seeds[leader]) < ENOUGH:
        return ""
    untried = [place for place, of in seeds.items() if not of]
    found = certainty(belief, leader, untried, margin_of(STARS, belief), SURE)
    if found is None:
        return ""
    what = "the best" if found.is_best else "as good as any"
    return f"one value is {what} with a probability of {percent(found.probability)}"


def _first_look(count: int, seeds: Mapping[int, Collection[int]], open_: Collection[int]) -> Look | None:
    """Return a value of the first few, which have no rating yet; None if each has one."""
    firsts = spread(count, FIRST)
    rated = [place for place in firsts if seeds[place]]
    left = [place for place in firsts if place in open_ and not seeds[place]]
    return Look(left[0], rated[0] if rated else left[0]) if left else None
