"""Looking back over experiments: known ones give known numbers."""

import time

from msgspec.structs import replace

from bus.contracts.archive import HistoryReply
from bus.contracts.fields import VariantValue
from bus.contracts.messages import RatingSummary
from learning_service.experiments.history import Looked, joined, look_back
from learning_service.experiments.judgements import Pictures, Stars, count_pictures, mean_of
from learning_service.experiments.model import Experiment
from learning_service.experiments.pictures import pack
from learning_service.experiments.variants import Variant
from tests.support.factories import definition, image
from variantbus.cli.history import bars, experiments_table, values_table


def experiment(name: str, *values: VariantValue, at: float = 1.0, seconds: float = 2.0) -> Experiment:
    """Return an experiment of which each value has two pictures, of one job each."""
    made = [
        Variant(
            index=index,
            value=value,
            jobs={},
            packed=pack([image(f"{index}a"), image(f"{index}b")]),
            completed=2,
            duration_sum=2 * seconds,
        )
        for index, value in enumerate(values)
    ]
    return Experiment(name, replace(definition(), name=name.upper()), made, created_at=at)


def looked(one: Experiment, **stars: Stars) -> Looked:
    """Return an experiment with its pictures; `a0` are the stars of the first variant of the experiment `a`."""
    name = one.experiment_id
    return Looked(one, {index: Pictures(2, stars.get(f"{name}{index}", (0, 0, 0, 0, 0))) for index in one.variants})


def back(*experiments: Experiment, **stars: Stars) -> HistoryReply:
    """Look back."""
    return look_back(looked(one, **stars) for one in experiments)


def test_the_ratings_of_a_value_are_added_up_over_experiments() -> None:
    """Zero is a value; 2 and 2.0 are the same one; numbers come in their order."""
    told = back(
        experiment("a", 2, 0),
        experiment("b", 2.0, 10, seconds=4.0),
        a0=(0, 0, 0, 0, 2),
        a1=(1, 0, 0, 0, 0),
        b0=(0, 0, 1, 0, 0),
    )

    assert [(one.value, one.experiments, one.images, one.stars) for one in told.values] == [
        (0, 1, 2, (1, 0, 0, 0, 0)),
        (2, 2, 4, (0, 0, 1, 0, 2)),
        (10, 1, 2, (0, 0, 0, 0, 0)),
    ]
    assert [one.mean for one in told.values] == [1.0, 13 / 3, None]
    assert [one.seconds for one in told.values] == [2.0, 3.0, 4.0]
    assert (told.images, told.ratings, told.mean) == (8, 4, 3.5)


def test_each_experiment_tells_its_best_and_worst_value() -> None:
    """Also where that is 0, a text or a map; nothing without ratings."""
    told = back(
        experiment("a", 0, "euler", {"cfg": 0, "steps": 4}),
        experiment("b", 1),
        a0=(0, 0, 0, 0, 1),
        a1=(0, 1, 0, 0, 0),
        a2=(1, 0, 1, 0, 0),
    )

    first, second = told.experiments
    assert (first.best, first.best_mean, first.worst, first.worst_mean, first.ratings) == (0, 5.0, "euler", 2.0, 4)
    assert (second.best, second.worst, second.mean, second.ratings) == (None, None, None, 0)


def test_nothing_is_nothing() -> None:
    """No experiment, no rating."""
    assert look_back([]) == joined([]) == HistoryReply(experiments=[], values=[], images=0, ratings=0, mean=None)
    assert mean_of((0, 0, 0, 0, 0)) is None


def test_pictures_come_together_by_variant() -> None:
    """Those without a rating are pictures, too."""
    stars = {"a": 5, "b": 5, "c": 1, "other": 2}

    assert count_pictures(["a", "b", "c", "d", "e"], stars) == Pictures(5, (1, 0, 0, 0, 2))
    assert count_pictures([], stars) == Pictures()


def test_a_variant_is_rated_by_its_pictures() -> None:
    """Their mean and number; nothing where none of them is rated."""
    assert Pictures(9, (1, 0, 0, 0, 2)).rating == RatingSummary(mean=11 / 3, count=3)
    assert Pictures(9).rating is None


def test_pages_together_are_the_history_of_all() -> None:
    """Each with its own number of experiments, values, pictures and jobs; the oldest experiment comes first again."""
    experiments = [experiment("a", 2, 0), experiment("b", 2.0, 10, seconds=4.0), experiment("c", 0)]
    stars: dict[str, Stars] = {"a0": (0, 0, 0, 0, 2), "b0": (0, 0, 1, 0, 0), "c0": (1, 0, 0, 0, 0)}
    whole = back(*experiments, **stars)

    assert joined([back(experiments[2], **stars), back(*experiments[:2], **stars)]) == whole
    assert joined([back(experiments[2], **stars), back(), back(*experiments[:2], **stars)]) == whole
    assert [one.seconds for one in whole.values] == [2.0, 3.0, 4.0]


def test_a_hundred_thousand_ratings_take_less_than_a_second() -> None:
    """A thousand experiments of twenty values."""
    pictures = {index: Pictures(5, (1, 1, 1, 1, 1)) for index in range(20)}
    experiments = [Looked(experiment(f"e{number}", *range(20)), pictures) for number in range(1000)]
    began = time.process_time()

    told = look_back(experiments)

    assert time.process_time() - began < 1
    assert (told.ratings, told.mean, len(told.values)) == (100_000, 3.0, 20)


def test_the_tables_show_what_there_is() -> None:
    """A distribution as bars; an empty one as nothing."""
    told = back(experiment("a", 0, 5), a0=(0, 0, 1, 0, 4))

    assert (values_table(told).row_count, experiments_table(told).row_count) == (2, 1)
    assert bars((0, 1, 0, 0, 8)) == "▁▂▁▁█"
    assert bars((0, 0, 0, 0, 0)) == ""
