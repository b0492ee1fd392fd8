"""What the numbers of ends show to be lost."""

import random

import pytest

from learning_service.cluster.numbers import Lost, Seen


def seen(*ends: tuple[int, int]) -> tuple[Seen, list[Lost]]:
    """Return what was seen after ends with these numbers, and what was told to be lost."""
    state, told = Seen(), []
    for number, complete in ends:
        state, lost = state.after(number, complete)
        told += [lost] if lost else []
    return state, told


def test_ends_in_any_order_of_a_window_lose_nothing() -> None:
    """Some are sent at once, so that a later one may come first."""
    assert seen((2, 0), (1, 0), (4, 2), (3, 2), (5, 4)) == (Seen(5), [])


def test_what_was_acknowledged_and_never_seen_is_lost() -> None:
    """It is told once, and what came behind it stays seen."""
    assert seen((1, 0), (3, 0), (5, 3)) == (Seen(3, frozenset({5})), [Lost(2, 1)])
    assert seen((1, 0), (3, 0), (5, 3), (6, 3)) == (Seen(3, frozenset({5, 6})), [Lost(2, 1)])
    assert seen((9, 6)) == (Seen(6, frozenset({9})), [Lost(1, 6)])


def test_what_is_not_acknowledged_yet_may_still_come() -> None:
    """A number that is missing is none that is lost."""
    assert seen((1, 0), (3, 1)) == (Seen(1, frozenset({3})), [])


def test_an_end_that_is_published_again_says_nothing_new() -> None:
    """Neither one that was seen, nor one that was told to be lost."""
    state, told = seen((1, 0), (3, 2), (1, 0), (2, 0), (3, 2))
    assert (state, told) == (Seen(3), [Lost(2, 1)])


def test_a_number_beyond_all_bounds_costs_nothing() -> None:
    """A peer decides what it sends, not for how long we count."""
    assert seen((1, 0), (2**62, 2**61)) == (Seen(2**61, frozenset({2**62})), [Lost(2, 2**61 - 1)])


@pytest.mark.parametrize("seed", range(20))
def test_each_loss_is_told_once_whatever_the_order(seed: int) -> None:
    """Ends are sent in a window; all that are dropped are told as soon as a later one says that they were there."""
    chance = random.Random(seed)  # noqa: S311 - a test wants the same ones again
    dropped = {number for number in range(1, 200) if chance.random() < 0.1}
    window: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    for number in range(1, 240):
        done = min((one for one, _ in window), default=number) - 1  # all up to there were acknowledged
        window.append((number, done))
        while len(window) > chance.randrange(8):
            ends.append(window.pop(chance.randrange(len(window))))
    _, told = seen(*(end for end in ends if end[0] not in dropped))
    assert sum(lost.ends for lost in told) == len(dropped)
