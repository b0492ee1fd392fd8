"""Requests about stars and comparisons, as services of earlier versions take them."""

import msgspec
import pytest
from msgspec import Struct

from bus.contracts.feedback import CompareParams, PairNextParams, RateParams, UndoComparisonParams, UndoRatingParams

HASH = "a" * 64


@pytest.mark.parametrize(
    "params",
    [
        RateParams(experiment_id="e", image=HASH, stars=None),
        UndoRatingParams(experiment_id="e"),
        PairNextParams(experiment_id="e"),
        CompareParams(experiment_id="e", left=HASH, right=HASH, outcome="tie"),
        UndoComparisonParams(experiment_id="e"),
    ],
)
def test_a_request_has_no_key_that_it_does_not_need(params: Struct) -> None:
    """A service that does not know a key refuses the request, so that a newer client could not even rate."""
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(params))

    assert sent.keys() <= {"experiment_id", "image", "stars", "left", "right", "outcome"}
