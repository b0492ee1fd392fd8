"""The curve of an answer: what is drawn where."""

import pytest
from msgspec.structs import replace

from bus.contracts.fields import VariantValue
from bus.contracts.messages import RecommendationUpdated, ValueEstimate
from learning_service.recommendation.evidence import Score
from variantbus.reports.curve import curve_of
from variantbus.reports.plot import Scale

TEN = Scale(0, 10, (0, 5, 10))


def estimate(value: VariantValue, mean: float | None = None, p_best: float | None = None) -> ValueEstimate:
    """Return what is known of a value, one to each side."""
    low, high = (None, None) if mean is None else (mean - 1, mean + 1)
    return ValueEstimate(value=value, mean=mean, low=low, high=high, n=1, p_best=p_best)


def answer(*estimates: ValueEstimate, value: VariantValue | None = None) -> RecommendationUpdated:
    """Return an answer."""
    return RecommendationUpdated(
        experiment_id="e", value=value, p_best=None, sentence="", tier="some", objective="stars", estimates=estimates
    )


def test_values_stand_in_the_order_of_their_numbers() -> None:
    """Whatever their order in the plan; each has as much room, its estimate, band and results."""
    made = answer(estimate(8, 4.0, 0.01), estimate(1, 2.0, 0.3), estimate(2.5, 6.0, 0.69), value=2.5)

    curve = curve_of(made, [Score(variant_index=0, repeat_index=0, score=5.0)], TEN)

    assert curve
    third = 100 / 6
    assert [round(mark.x, 6) for mark in curve.marks] == [round(place * third, 6) for place in (1, 3, 5)]
    assert [(mark.text, mark.y, mark.is_chosen, mark.is_out) for mark in curve.marks] == [
        ("1", 80.0, False, False),
        ("2.5", 40.0, True, False),
        ("8", 60.0, False, True),
    ]
    assert curve.points == [(curve.marks[2].x, 50.0)]
    assert curve.means == ["16.667,80.000 50.000,40.000 83.333,60.000"]
    assert curve.bands == ["16.667,70.000 50.000,30.000 83.333,50.000 83.333,70.000 50.000,50.000 16.667,90.000"]


def test_a_value_without_an_estimate_is_a_gap() -> None:
    """It has its place below the curve, and no point in it; an estimate without an interval has no band."""
    lone = replace(estimate(4, 5.0), low=None, high=None)
    curve = curve_of(answer(estimate(1, 2.0), estimate(2, 3.0), estimate(3), lone), [], TEN)

    assert curve
    assert [len(line.split()) for line in curve.means] == [2, 1]
    assert [len(band.split()) for band in curve.bands] == [4]
    assert curve.marks[2].y is None
    assert curve.marks[2].text == "3"


def test_of_many_values_some_are_named() -> None:
    """As many as can be read."""
    curve = curve_of(answer(*(estimate(number, 5.0) for number in range(100))), [], TEN)

    assert curve
    named = [mark.text for mark in curve.marks if mark.text]
    assert named == [str(number) for number in range(0, 100, 7)]


@pytest.mark.parametrize(
    "values",
    [[1, 2], ["a", "b", "c"], [False, True, 3], [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}], [1, 2, "auto"]],
)
def test_what_has_no_order_has_no_curve(values: list[VariantValue]) -> None:
    """Nor has what is too little for one."""
    assert curve_of(answer(*(estimate(value, 1.0) for value in values)), [], TEN) is None
