"""Which learning service an experiment belongs to."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.protocol.validation import InvalidInputError
from learning_service.events.router import LearningController
from learning_service.experiments.selection import Selection
from learning_service.experiments.sharding import ALL, Shard, owner
from tests.support.factories import JobScript, context
from variantbus.client.planning import new_id

KINDS = ("queued", "started", "completed", "progress", "scored")


@given(st.text(min_size=1), st.integers(1, 1000))
def test_each_experiment_belongs_to_exactly_one_shard(experiment_id: str, total: int) -> None:
    """Whatever its id is."""
    number = owner(experiment_id, total)

    assert 1 <= number <= total
    assert Shard(number, total).owns(experiment_id)
    assert not Shard(number % total + 1, total).owns(experiment_id) or total == 1
    assert ALL.owns(experiment_id)


def test_experiments_spread_evenly() -> None:
    """Of 10,000 ids each of seven shards has a seventh, give or take a tenth of it."""
    counts = Counter(owner(f"cfg-sweep-{number}", 7) for number in range(10_000))

    assert set(counts) == set(range(1, 8))
    assert all(abs(count - 10_000 / 7) < 10_000 / 70 for count in counts.values())


@pytest.mark.parametrize(
    ("experiment_id", "total", "number"),
    [("cfg-sweep-k3f9ax", 2, 1), ("cfg-sweep-k3f9ax", 3, 1), ("fünf", 5, 1), ("a", 1000, 162)],
)
def test_the_hash_is_the_same_for_ever(experiment_id: str, total: int, number: int) -> None:
    """Other clients compute it, and databases were divided by it."""
    assert owner(experiment_id, total) == number


@pytest.mark.parametrize(("text", "shard"), [("1/1", ALL), (" 2/3 ", Shard(2, 3)), ("1000/1000", Shard(1000, 1000))])
def test_a_shard_is_read_as_it_is_written(text: str, shard: Shard) -> None:
    """The first one is number 1."""
    assert Shard.parse(text) == shard
    assert Shard.parse(str(shard)) == shard


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "-1/3", "1/1001", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(InvalidInputError, match="write I/N, such as 1/3, 2/3 and 3/3"):
        Shard.parse(text)


def test_a_new_id_belongs_to_the_shard_that_is_asked_for() -> None:
    """However many shards there are."""
    for number in (1, 20):
        assert Shard(number, 20).owns(new_id("CFG sweep", Shard(number, 20)))


def test_what_belongs_to_others_is_not_followed() -> None:
    """Not even adopted, where strange experiments are."""
    mine, other = (LearningController(discover=True, shard=Shard(number, 2)) for number in (1, 2))
    event = JobScript(context(experiment="cfg-sweep-k3f9ax")).completed()

    assert mine.handle(event, lambda _: None).label == ("applied", "")
    assert other.handle(event, lambda _: None).label == ("ignored", "not_followed")


@pytest.mark.parametrize(
    ("selection", "prefixes"),
    [
        (Selection(), ["job."]),
        (Selection(variants=(0,)), ["job."]),
        (
            Selection(experiments=("a", "b.c")),
            [f"job.{kind}.{name}." for kind in KINDS for name in ("a", "b%2Ec")],
        ),
        (
            Selection(experiments=("a",), variants=(0, 7)),
            [f"job.{kind}.a.{index}." for kind in KINDS for index in (0, 7)],
        ),
    ],
)
def test_what_is_followed_is_subscribed_to_and_nothing_else(selection: Selection, prefixes: list[str]) -> None:
    """So libzmq filters at the publisher; an id may hold any character."""
    assert selection.prefixes() == prefixes
