"""The values of one axis, from a list or a range that a person wrote."""

from typing import Any

import pytest

from bus.contracts.definition import Variable
from bus.contracts.fields import Scalar
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import MAX_VARIANTS, axis_values


def listed(*values: Scalar) -> Variable:
    """Return a variable with a list of values."""
    return Variable(name="x", values=list(values))


def ranged(start: Any = None, stop: Any = None, step: Any = None) -> Variable:
    """Return a variable with a range."""
    return Variable(name="x", start=start, stop=stop, step=step)


def test_a_list_of_values_is_taken_as_it_is() -> None:
    """Order and types stay."""
    values: list[Scalar] = [8, 1, 2.5, "euler", True]

    assert axis_values("variable", listed(*values)) == values
    assert [type(value) for value in axis_values("variable", listed(*values))] == [int, int, float, str, bool]


@pytest.mark.parametrize(
    ("variable", "count", "last"),
    [
        (ranged(0.5, 0.9, 0.05), 9, 0.9),
        (ranged(0, 1, 0.05), 21, 1.0),
        (ranged(0, 0.3, 0.1), 4, 0.3),
        (ranged("0", "0.3", "0.1"), 4, 0.3),
        (ranged(0.1, 0.7, 0.2), 4, 0.7),
        (ranged(1, 10, 4), 3, 9),
        (ranged(3, 3, 1), 1, 3),
        (ranged(3, 3, -1), 1, 3),
        (ranged(1e-7, 3e-7, 1e-7), 3, 3e-7),
    ],
)
def test_a_range_is_exact_in_decimal(variable: Variable, count: int, last: float) -> None:
    """Both ends are included, and the last value is what a person would write, not 0.8999999999999999."""
    values = axis_values("variable", variable)

    assert len(values) == count
    assert values[-1] == last


def test_the_values_of_a_range_are_what_a_person_would_write() -> None:
    """No value in the middle carries the error of binary addition either."""
    assert axis_values("variable", ranged(0, 1, 0.1)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_whole_numbers_stay_whole() -> None:
    """A range of steps gives integers, as a list would."""
    values = axis_values("variable", ranged(10, 30, 10))

    assert values == [10, 20, 30]
    assert all(type(value) is int for value in values)


def test_a_range_with_one_fraction_has_only_fractions() -> None:
    """All values of a range have one type."""
    assert [type(value) for value in axis_values("variable", ranged(0, 1, 0.5))] == [float, float, float]


def test_a_negative_step_goes_down() -> None:
    """From a large start to a small stop."""
    assert axis_values("variable", ranged(1, 0, "-0.25")) == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (ranged(0, 1, 0), "variable.step: 0 never gets"),
        (ranged(0, 1, -0.1), "variable.step: -0.1 leads away from stop"),
        (ranged(1, 0, 0.1), "variable.step: 0.1 leads away from stop"),
        (listed(), "variable.values: empty"),
        (listed(1, 1.0), r"variable.values #2: 1.0 is there twice"),
        (listed("a", "b", "a"), r"variable.values #3: 'a' is there twice"),
        (listed(float("nan")), r"variable.values #1: nan is no usable value"),
        (listed(1.0, float("inf")), r"variable.values #2: inf is no usable value"),
        (listed("", "a", ""), r"variable.values #3: '' is there twice"),
        (Variable(name="x", values=[1], start=0), "variable.start: give either values or"),
        (Variable(name="x", values=[1], step=1), "variable.step: give either values or"),
        (ranged(), "variable.start: missing"),
        (ranged(0, None, 1), "variable.stop: missing"),
        (ranged(0, 1), "variable.step: missing"),
        (ranged("zero", 1, 1), "variable.start: 'zero' is no number"),
        (ranged("", 1, 1), "variable.start: '' is no number"),
        (ranged(0, "inf", 1), "variable.stop: 'inf' is no usable number"),
        (ranged(0, 1, float("nan")), "variable.step: nan is no usable number"),
        (ranged(0, 1, True), "variable.step: True is no number"),
        (ranged(0, 1, "1e-19"), "variable.step: '1e-19' is no usable number"),
        (ranged(0, 2**70, 2**69), "variable.stop: .* is no usable number"),
    ],
)
def test_values_that_make_no_sense_are_refused(variable: Variable, message: str) -> None:
    """Each refusal names the field."""
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        axis_values("variable", variable)


@pytest.mark.parametrize("values", [[1, True], [0, False], [1.0, True], ["1", 1], ["", 0, False], ["", " "]])
def test_values_of_other_types_are_other_values(values: list[Scalar]) -> None:
    """True and 1 are two variants, as they are two settings."""
    assert axis_values("variable", listed(*values)) == values


@pytest.mark.parametrize(
    "variable",
    [
        ranged(0, 10**9, 1),
        ranged(0, 1, "1e-9"),
        ranged(0, 10**18, "0.001"),
        ranged(0, 1, "1e-900000"),
        ranged(0, 1, "1e-999999999"),
    ],
    ids=str,
)
def test_far_too_many_variants_are_refused_at_once(variable: Variable) -> None:
    """The count is known without expanding the range, whatever the step; expanding these would not return."""
    with pytest.raises(InvalidInputError, match=r"^variable\."):
        axis_values("variable", variable)


def test_the_number_of_variants_is_capped() -> None:
    """One more than the cap is refused, whether listed or ranged, with the number and the option that raises it."""
    assert len(axis_values("variable", ranged(1, MAX_VARIANTS, 1))) == MAX_VARIANTS
    for variable in (ranged(0, MAX_VARIANTS, 1), listed(*range(MAX_VARIANTS + 1))):
        with pytest.raises(InvalidInputError, match=r"1001 variants are more than 1000; .*--max-variants"):
            axis_values("variable", variable)


def test_the_cap_is_configurable() -> None:
    """A service can allow fewer or more."""
    assert len(axis_values("variable", ranged(0, 1000, 1), max_variants=1001)) == 1001
    with pytest.raises(InvalidInputError, match="3 variants are more than 2"):
        axis_values("variable", listed(1, 2, 3), max_variants=2)


def test_the_largest_cap_is_checked_in_reasonable_time() -> None:
    """Looking for duplicates among 100,000 values does not compare each with each."""
    values = axis_values("variable", listed(*range(100_000)), max_variants=100_000)

    assert len(values) == 100_000
