"""Which experiments stay in memory: those that were used last, as long as they are few and their jobs are."""

import pytest

from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import Variant
from learning_service.storage import recent
from learning_service.storage.recent import RecentExperiments
from tests.support.factories import definition


def experiment(name: str, jobs: int) -> Experiment:
    """Return an experiment with so many planned jobs."""
    variant = Variant(index=0, value=1, jobs={f"{name}-{number}": "planned" for number in range(jobs)})
    return Experiment(name, definition(), [variant], created_at=1.0)


def kept(memory: RecentExperiments, *names: str) -> list[str]:
    """Return those of some experiments that are in memory."""
    return [name for name in names if memory.get(name)]


def test_what_was_not_used_for_longest_is_dropped_first() -> None:
    """A look counts as a use, and so does a new state."""
    memory = RecentExperiments()
    for name in "abcd":
        memory.put(experiment(name, 1))
    memory.get("a")
    memory.put(experiment("b", 2))

    memory.trim(2)

    assert kept(memory, "a", "b", "c", "d") == ["a", "b"]


def test_few_experiments_with_many_jobs_are_dropped_too_but_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of experiments alone says nothing about memory: each may have a hundred thousand jobs."""
    monkeypatch.setattr(recent, "JOBS_IN_MEMORY", 10)
    memory = RecentExperiments()
    for name in "abc":
        memory.put(experiment(name, 4))

    memory.trim(1000)
    assert kept(memory, "a", "b", "c") == ["b", "c"]

    memory.put(experiment("b", 1))  # it has fewer than before
    memory.put(experiment("d", 5))
    memory.trim(1000)
    assert kept(memory, "b", "c", "d") == ["b", "c", "d"]

    memory.put(experiment("large", 11))
    memory.trim(1000)
    assert kept(memory, "b", "c", "d", "large") == ["large"]


def test_what_is_put_away_or_deleted_is_dropped_with_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They no longer count; one that is not there may be dropped, too."""
    monkeypatch.setattr(recent, "JOBS_IN_MEMORY", 10)
    memory = RecentExperiments()
    for name in "abc":
        memory.put(experiment(name, 4))

    memory.drop("c")
    memory.drop("c")

    memory.trim(1000)
    assert kept(memory, "a", "b", "c") == ["a", "b"]


def test_to_look_at_an_experiment_is_no_use_of_it() -> None:
    """A page of the history keeps nothing in memory that nobody needs."""
    memory = RecentExperiments()
    for name in "ab":
        memory.put(experiment(name, 1))

    looked = memory.peek("a")
    assert (looked is not None, memory.peek("nobody")) == (True, None)

    memory.trim(1)
    assert kept(memory, "a", "b") == ["b"]
