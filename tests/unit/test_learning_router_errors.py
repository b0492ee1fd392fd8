"""What an error during routing means: one of the event rejects it, one of a look-up passes through."""

import sqlite3

import pytest

from bus.eventlog.errors import LogError, StorageError
from learning_service.events.router import LearningController, Rejected
from learning_service.experiments.model import Experiment
from tests.support.factories import JobScript, context

ZERO = context(0, 2.0)


class _Broken(Experiment):
    """An experiment at which a decision fails."""

    def __init__(self, error: Exception) -> None:
        """Fail so."""
        self.error = error

    def __getattr__(self, _name: str) -> object:
        raise self.error


def test_a_decision_that_raises_rejects_the_event() -> None:
    """The outcome carries the error in one line: it comes from event and state alone, and would come again."""
    broken = _Broken(ZeroDivisionError("a bug of ours"))

    refused = LearningController().handle(JobScript(ZERO).completed(), lambda _: broken)

    assert refused == Rejected("handler_error", "ZeroDivisionError: a bug of ours")


@pytest.mark.parametrize("error", [StorageError("full"), LogError("failed"), sqlite3.OperationalError(), MemoryError()])
def test_a_look_up_that_fails_is_no_fault_of_the_event(error: Exception) -> None:
    """It passes through, so that the event is not passed over."""

    def find(_experiment_id: str) -> Experiment:
        raise error

    with pytest.raises(type(error)):
        LearningController().handle(JobScript(ZERO).completed(), find)


def test_no_memory_for_a_decision_is_no_fault_of_the_event() -> None:
    """It passes through, so that the process ends and the event is read again."""
    with pytest.raises(MemoryError):
        LearningController().handle(JobScript(ZERO).completed(), lambda _: _Broken(MemoryError()))
