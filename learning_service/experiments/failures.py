"""What fails again and again for an experiment: how often in a row, why, and when it is tried again. No clock."""

from typing import Final, NamedTuple

from bus.protocol.control import ControlError

FIRST_SECONDS: Final = 1.0  # until the second try; each further one takes twice as long
MOST_SECONDS: Final = 300.0
SHOWN: Final = 100  # experiments in a list
REASON_LIMIT: Final = 300  # characters


def reason_of(error: Exception) -> str:
    """Return an error as a reason, for a person."""
    if isinstance(error, ControlError):
        return error.message
    return f"{type(error).__name__}: {str(error)[:REASON_LIMIT]}; see the log of the learning service"


class Failure(NamedTuple):
    """The newest failure of several in a row."""

    tries: int
    why: str

    @property
    def seconds(self) -> float:
        """How long to wait before the next try."""
        return float(min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(self.tries - 1, 20)))

    @property
    def text(self) -> str:
        """The failure in words."""
        return f"{self.why}; it is tried again within {self.seconds:g} s"


class Failures:
    """Counts the failures of one kind of work; a success ends a row."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._found: dict[str, Failure] = {}

    def note(self, experiment_id: str, why: str) -> Failure:
        """Count a failure, and return it."""
        before = self.find(experiment_id)
        tries = before.tries + 1 if before else 1
        self._found[experiment_id] = Failure(tries, why)
        return self._found[experiment_id]

    def find(self, experiment_id: str) -> Failure | None:
        """Return the newest failure, None if the last try was a success."""
        return self._found.get(experiment_id)

    def forget(self, experiment_id: str) -> None:
        """Note a success."""
        self._found.pop(experiment_id, None)

    def longest(self) -> list[tuple[str, int]]:
        """Return experiments with their number of failures in a row, those first that have failed for longest."""
        return [(experiment_id, failure.tries) for experiment_id, failure in self._found.items()][:SHOWN]
