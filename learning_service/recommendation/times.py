"""Only values that are not much slower than the fastest one count, if an experiment says so.

The time of a value is as uncertain as its score, and values that lie near each other take about as long. So times have
a belief of their own, of their logarithms; and of each member of the belief about scores those values count whose time
is within the limit in a member of that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from learning_service.recommendation.belief import Belief
from learning_service.recommendation.evidence import Score
from learning_service.recommendation.layout import Layout
from learning_service.recommendation.scores import believe_scores
from learning_service.recommendation.tables import METRIC_NOISE

SHORTEST: Final = 1e-6  # seconds: no clock tells less


def in_time(belief: Belief, layout: Layout, places: Mapping[int, int], times: Sequence[Score], within: float) -> Belief:
    """Return a belief in which a value counts only if it takes at most the share `within` longer than the fastest one.

    `times` are the seconds of jobs, `places` those of variants in the layout. Nothing is changed while fewer than two
    values have any.
    """
    known = [one for one in times if one.variant_index in places]
    values = np.array([places[one.variant_index] for one in known], np.intp)
    if len(set(values.tolist())) < 2:  # noqa: PLR2004 - the fastest, and another one
        return belief
    repeats = np.array([one.repeat_index for one in known], np.intp)
    seconds = np.log(np.maximum([one.score for one in known], SHORTEST))
    believed = believe_scores(replace(layout, is_explained=False), values, repeats, seconds, METRIC_NOISE)
    sample = believed.sample * believed.unit
    fits = sample <= sample.min(axis=1, keepdims=True) + np.log1p(within)
    members = np.random.default_rng(4).permutation(len(fits))[np.arange(len(belief.sample)) % len(fits)]
    return replace(belief, fits=fits[members])
