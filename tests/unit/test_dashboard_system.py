"""One look for many pages, and each runner once."""

import pytest
from msgspec.structs import replace

from bus.contracts.runners import RunnerView
from bus.protocol.validation import InvalidInputError
from variantbus.dashboard.fresh import Fresh
from variantbus.dashboard.system import MOVES, RunnerState, System, merged

KNOWN = RunnerView(
    address="tcp://b:1",
    followed=True,
    answers=True,
    away_since=None,
    pipelines=[],
    jobs=0,
    stranded=0,
    cancels=0,
    withdrawals=0,
)


def test_an_answer_is_kept_for_a_moment() -> None:
    """Longer if it takes long, as when a hundred thousand jobs wait; and not at all after a change."""
    now, taken, answers = 0.0, 0.0, 0

    def make() -> int:
        nonlocal now, answers
        now += taken
        answers += 1
        return answers

    fresh = Fresh(make, clock=lambda: now)
    assert (fresh.get(), fresh.get()) == (1, 1)
    now = 1.0
    taken = 0.5
    assert fresh.get() == 2
    now += 4.9
    assert fresh.get() == 2
    now += 0.2
    assert fresh.get() == 3
    fresh.forget()
    assert fresh.get() == 4


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    """The change came while it was made: whoever asked gets it, and the next one a new answer."""
    answers = 0

    def make() -> int:
        nonlocal answers
        answers += 1
        if answers == 1:
            fresh.forget()
        return answers

    fresh = Fresh(make, clock=lambda: 0.0)
    assert (fresh.get(), fresh.get(), fresh.get()) == (1, 2, 2)


def test_too_many_moves_are_refused() -> None:
    """Before any of them; each is synced to the disk of the runner."""
    body = {"runner": "tcp://127.0.0.1:1", "moves": [{"priority": 1, "job_id": "j"}] * (MOVES + 1)}
    with pytest.raises(InvalidInputError, match="moves"):
        System("tcp://127.0.0.1:1", "tcp://127.0.0.1:1", None).change("prioritize", body)


def test_what_goes_wrong_is_not_kept() -> None:
    """The next question asks again."""
    tries = iter([ValueError("no"), None])

    def make() -> None:
        if error := next(tries):
            raise error

    fresh = Fresh(make)
    with pytest.raises(ValueError, match="no"):
        fresh.get()
    fresh.get()


def test_a_runner_with_two_names_is_one() -> None:
    """The dashboard may know it by another address than the learning service does; one that is away is itself."""
    own, same, other, away = (
        RunnerState(address=f"tcp://{name}:1", epoch=epoch) for name, epoch in (("a", 7), ("b", 7), ("c", 8), ("d", 0))
    )
    known = {one.address: replace(KNOWN, address=one.address) for one in (same, other, away)}

    assert [(one.address, one.known and one.known.address) for one in merged([own, same, other, away], known)] == [
        ("tcp://a:1", "tcp://b:1"),
        ("tcp://c:1", "tcp://c:1"),
        ("tcp://d:1", "tcp://d:1"),
    ]
    assert [one.known for one in merged([away], {})] == [None]
