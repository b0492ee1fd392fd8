"""However many events come, the learning service applies them some milliseconds at a time."""

from pathlib import Path

import pytest

from bus.config.limits import Limits
from learning_service.events import consumer
from tests.support.consumer_bench import Bench, bench
from tests.support.factories import EXPERIMENT, JobScript, context, planned_experiment, well

pytestmark = pytest.mark.fault(item="F139")
JOBS = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "learning.db"


def deliver_all(one: Bench) -> None:
    """Let the ends of all jobs come at once."""
    with one.log.transaction() as tx:
        one.store.insert(tx, planned_experiment(jobs=JOBS))
    names = (f"{EXPERIMENT}.0.{repeat}.0" for repeat in range(JOBS))
    ends = [JobScript(context(repeat=repeat), name).completed(well()) for repeat, name in enumerate(names)]
    one.deliver(1, *ends)


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_batch_ends_when_its_time_is_over(path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What was handled is on disk with its position, and the loop looks at its sockets before the next part."""
    monkeypatch.setattr(consumer, "HANDLE_SECONDS", seconds)
    applied: list[int] = []
    with bench(path) as one:
        deliver_all(one)
        applied.append(one.position().offset)
        assert one.variant().completed == applied[0]
        while one.loop.step(0.0):
            if one.position().offset != applied[-1]:
                applied.append(one.position().offset)

        assert one.variant().completed == JOBS

    step = consumer.EVENTS_A_LOOK
    assert applied == ([*range(step, JOBS, step), JOBS] if seconds == 0.0 else [JOBS])


def test_no_more_events_are_taken_while_many_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would need memory without bound, if they came faster than they are applied for long."""
    monkeypatch.setattr(consumer, "HANDLE_SECONDS", 0.0)
    held: list[tuple[bool, int]] = []
    with bench(path) as one:
        one.log.limits = Limits(batch_events=40)
        one.consumer.on_hold = lambda is_held: held.append((is_held, len(one.consumer._waiting)))
        deliver_all(one)
        while one.loop.step(0.0):
            pass

        assert one.variant().completed == JOBS

    assert [is_held for is_held, _ in held] == [True, False]
    assert held[0][1] > 40
    assert held[1][1] <= 10
