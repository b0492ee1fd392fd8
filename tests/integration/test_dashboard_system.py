"""What the System page asks of several runners, and whom it does not ask."""

import pytest

from bus.contracts.jobs import JobView
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from tests.support.factories import request_for
from tests.support.held_pipelines import Local
from tests.support.helpers import wait_until
from tests.support.learning_services import Services, address_of
from tests.support.workspace import steady_ports
from variantbus.dashboard.system import RunnerState, System

STRANGE = "tcp://127.0.0.1:1"


def nobody() -> str:
    """Return an address at which nothing listens."""
    return f"tcp://127.0.0.1:{steady_ports()[0]}"


def states(system: System) -> list[RunnerState]:
    """Return the runners as they are now."""
    system.change("resume", {"runner": system._runner})  # what many pages share is asked again after a change
    found: list[RunnerState] = system.view()["runners"]
    return found


def test_each_runner_is_shown_once(services: Services) -> None:
    """Also one that the learning service knows by another name; an older one and one that is away say what is wrong."""
    local = Local()
    address = str(services.runner(local).service.publisher.control)
    alias, older, away = address.replace("127.0.0.1", "localhost"), services.scripted().address, nobody()
    learning = services.learning(alias, older, away)
    system = System(address, address_of(learning), None)

    wait_until(lambda: all(one.known for one in states(system)), what="what the learning service knows")
    own, old, gone = states(system)

    assert [own.address, old.address, gone.address] == [address, older, away]
    assert own.known
    assert own.known.address == alias
    assert own.queue
    assert own.queue.lanes["embedded"].concurrency == 1
    assert own.disk
    assert own.disk.files == 0
    assert "queue.list" in old.problem
    assert old.known
    assert old.known.pipelines == ["embedded"]
    assert gone.problem
    assert gone.queue is None


def test_changes_reach_only_runners_that_are_ours(services: Services) -> None:
    """A page of ours that was taken over could else have us connect to anybody."""
    local = Local()
    address = str(services.runner(local).service.publisher.control)
    system = System(address, nobody(), None)  # without a learning service the own one is known
    jobs = [request_for(name, stage="run", config={"level": 1}) for name in ("a", "b", "c")]
    request(address, "job.submit", {"jobs": jobs}, dict)
    # a request that comes at once may be before the first job
    wait_until(lambda: request(address, "job.show", {"job_id": "a"}, JobView).state == "running", what="the first job")

    assert system.change("pause", {"runner": address}).paused
    moves = [{"job_id": "c", "priority": 2}, {"job_id": "b", "priority": 1}]
    assert system.change("prioritize", {"runner": address, "moves": moves}) == {"waiting": 2}
    assert system.change("cancel-job", {"runner": address, "job_id": "b"}).cancelled == 1
    assert not system.change("resume", {"runner": address}).paused
    for what, body in (
        ("pause", {}),
        ("cancel-job", {"job_id": "a"}),
        ("prioritize", {"moves": []}),
    ):
        with pytest.raises(InvalidInputError, match="none of the runners"):
            system.change(what, {**body, "runner": STRANGE})
    with pytest.raises(InvalidInputError, match="moves"):
        system.change("prioritize", {"runner": address, "moves": [{"job_id": "c", "priority": 101}]})
    with pytest.raises(InvalidInputError, match="runner"):
        system.change("pause", [])
    with pytest.raises(ControlError, match="was not found"):
        system.change("cancel-job", {"runner": address, "job_id": "nobody"})

    local.released.set()
    wait_until(lambda: local.ran == ["a", "c"], what="the other order")
    assert request(address, "job.show", {"job_id": "b"}, JobView).state == "cancelled"
