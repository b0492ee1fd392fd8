"""Two learning services with one experiment are told of each other by the runner that both submit to."""

import pytest

from bus.contracts.jobs import SubmittersParams
from pipeline_runner.submitters import MOST, SILENT_SECONDS, Submitters

pytestmark = pytest.mark.fault(item="F61")


def said(instance: str, *experiments: str) -> SubmittersParams:
    """Return what a learning service says of itself; its address is made of its instance."""
    return SubmittersParams(instance=instance, control=f"tcp://{instance}:1", experiments=list(experiments))


def test_both_are_told_of_what_they_have_in_common() -> None:
    """The one that was there first when it speaks again, the other once it has heard that."""
    submitters = Submitters()

    answers = [
        submitters.announce(said("a", "exp-1", "exp-2"), 1.0),
        submitters.announce(said("b", "exp-2", "exp-3"), 2.0),
        submitters.announce(said("a", "exp-1", "exp-2"), 3.0),
        submitters.announce(said("b", "exp-2", "exp-3"), 4.0),
        submitters.announce(said("c", "exp-4"), 5.0),
    ]

    assert answers == [{}, {}, {"exp-2": ["tcp://b:1"]}, {"exp-2": ["tcp://a:1"]}, {}]


def test_a_service_that_was_started_again_is_not_two() -> None:
    """The one before does not speak any more."""
    submitters = Submitters()
    submitters.announce(said("before", "exp-1"), 1.0)

    answers = [submitters.announce(said("after", "exp-1"), 2.0 + second) for second in range(5)]

    assert answers == [{}] * 5


def test_one_that_is_silent_or_has_no_such_experiment_any_more_is_forgotten() -> None:
    """What was shared is not shared for ever."""
    submitters = Submitters()
    submitters.announce(said("a", "exp-1"), 1.0)
    submitters.announce(said("b", "exp-1"), 2.0)
    submitters.announce(said("a", "exp-1"), 3.0)

    assert submitters.announce(said("a", "exp-1"), 2.0 + SILENT_SECONDS) == {"exp-1": ["tcp://b:1"]}
    assert submitters.announce(said("a", "exp-1"), 2.1 + SILENT_SECONDS) == {}
    submitters.announce(said("b"), 3.0 + SILENT_SECONDS)
    assert submitters.announce(said("a", "exp-1"), 3.0 + SILENT_SECONDS) == {}


def test_only_so_many_are_kept() -> None:
    """A client that calls itself something else each time does not fill the memory; the newest are known."""
    submitters = Submitters()
    for number in range(3 * MOST):
        submitters.announce(said(f"s{number}", "exp-1"), 1.0)

    assert len(submitters._known) == MOST
    assert len(submitters.announce(said("one more", "exp-1"), 1.0)["exp-1"]) == MOST
