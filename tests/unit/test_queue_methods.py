"""The methods for the order of the queue, where the disk is full in the middle of a request."""

from types import SimpleNamespace
from typing import cast

import pytest

from bus.contracts.queues import PrioritizeParams
from bus.eventlog.errors import StorageError
from pipeline_runner.methods import JobMethods
from pipeline_runner.queue.service import JobService
from pipeline_runner.queue_methods import QueueMethods


def test_what_is_on_disk_goes_on_though_the_disk_is_full_now() -> None:
    """The priority of the experiment is written, and its jobs are not moved yet: the runner tries again by itself."""

    def fail() -> bool:
        raise StorageError("the disk is full")

    woken: list[str] = []
    priorities = SimpleNamespace(prioritize_experiment=lambda *_: 3, move_some=fail)
    service = cast("JobService", SimpleNamespace(store=None, queues=None, priorities=priorities))
    methods = QueueMethods(service, cast("JobMethods", None), {}, {}, lambda: woken.append("woken"))

    with pytest.raises(StorageError):
        methods._prioritize(PrioritizeParams(experiment_id="a", priority=1))
    assert woken == ["woken"]
