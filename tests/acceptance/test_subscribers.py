"""Subscribers that are early, late, stopped or killed: all of them end with the same state."""

import signal
import sys
from itertools import groupby

import pytest

from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import VariantStatus, decode_body
from bus.subscriber.sync import Start, Subscriber
from tests.support.checker import whole_log
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import REPLY_SECONDS, wait_until
from tests.support.invariants import check_offsets
from tests.support.recorder import Recorded, read
from tests.support.workspace import COMMAND_SECONDS, ROOT, Running, ServiceProcess, Workspace, view_of, wait_for_jobs

RECORDER = str(ROOT / "tests" / "support" / "recorder.py")


def start_recorder(
    workspace: Workspace, name: str, start: Start, *services: ServiceProcess, prefix: str = ""
) -> Running:
    """Start a subscriber that records, and wait until it is subscribed."""
    addresses = [service.control for service in services]
    database = str(workspace.folder / f"{name}.db")
    recorder = workspace.start(name, sys.executable, RECORDER, database, start.value, prefix, *addresses)
    recorder.wait_for_line("ready")
    return recorder


def recorded(workspace: Workspace, name: str) -> list[Recorded]:
    """Return what a recorder has stored so far."""
    return read(workspace.folder / f"{name}.db")


def of(service: ServiceProcess, events: list[Recorded]) -> list[Recorded]:
    """Return the events of one service."""
    return [event for event in events if event.source == service.control]


def wait_for_all(workspace: Workspace, name: str, *services: ServiceProcess) -> None:
    """Wait until a recorder of everything has the newest event of each service."""
    for service in services:
        head = service.head
        wait_until(
            lambda one=service, end=head: any(event.offset == end for event in of(one, recorded(workspace, name))),  # type: ignore[misc]
            COMMAND_SECONDS,
            what=f"event {head} at {name}",
        )


def check_complete(workspace: Workspace, name: str, service: ServiceProcess) -> None:
    """Check that a recorder has every event of a service's log, once, in order, and unchanged."""
    events = of(service, recorded(workspace, name))
    check_offsets([event.offset for event in events], service.head)
    assert [(event.offset, event.topic, decode_body(event.body)) for event in events] == whole_log(service)


def final_states(events: list[Recorded]) -> dict[int, VariantStatus]:
    """Return the newest state of each variant."""
    states: dict[int, VariantStatus] = {}
    for event in events:
        message = decode_body(event.body)
        if isinstance(message, VariantStatus):
            known = states.get(message.variant_index)
            assert known is None or known.revision < message.revision, "a state came twice or too late"
            states[message.variant_index] = message
    return states


def states_of(view: ExperimentView) -> dict[int, VariantStatus]:
    """Return the states that `experiment show` gives."""
    return {variant.variant_index: variant for variant in view.variants}


def test_subscribers_that_come_early_late_or_after_the_end_agree(workspace: Workspace) -> None:
    """Whoever subscribes before the run, in mid-run or after its end has the state that `experiment show` gives."""
    runner, learning = services(workspace)
    start_recorder(workspace, "early", Start.NOW, runner, learning)
    experiment_id = submit(workspace, program(values=4, jobs=8, script="sleep 0.05"))
    wait_for_jobs(learning, experiment_id, 10)
    start_recorder(workspace, "middle", Start.LATEST, learning, prefix="variant.status")
    start_recorder(workspace, "reader", Start.BEGINNING, runner, learning)
    wait_for_jobs(learning, experiment_id, 32)
    start_recorder(workspace, "late", Start.LATEST, learning, prefix="variant.status")

    expected = states_of(view_of(learning, experiment_id))
    for name in ("early", "middle", "reader", "late"):
        wait_until(lambda one=name: final_states(recorded(workspace, one)) == expected, COMMAND_SECONDS)  # type: ignore[misc]
    assert len(recorded(workspace, "late")) == len(expected), "who comes after the end needs one event a variant"
    for name in ("early", "reader"):
        wait_for_all(workspace, name, runner, learning)
        for service in (runner, learning):
            check_complete(workspace, name, service)


@pytest.mark.fault(item="F6")
def test_a_subscriber_whose_connection_breaks_while_it_is_stopped_misses_nothing(workspace: Workspace) -> None:
    """A stopped subscriber loses its connections as its publishers are killed; later it fetches what it missed."""
    runner, learning = services(workspace, workers=4, steady=True)
    stopped = start_recorder(workspace, "stopped", Start.NOW, runner, learning)
    experiment_id = submit(workspace, program(values=10, jobs=30))
    wait_for_jobs(learning, experiment_id, 20)

    stopped.send(signal.SIGSTOP)
    for service in (runner, learning):
        service.kill()
        service.start()
    ran, learned = runner.head, learning.head
    second = submit(workspace, program(values=5, jobs=30))
    wait_for_jobs(learning, experiment_id, 300)
    wait_for_jobs(learning, second, 150)
    assert runner.head > ran + 150
    assert learning.head > learned + 10, "the plan and the end of five variants: what comes together is told at once"
    stopped.send(signal.SIGCONT)

    wait_for_all(workspace, "stopped", runner, learning)
    for service in (runner, learning):
        check_complete(workspace, "stopped", service)
    both = [one for one in recorded(workspace, "stopped") if f".{experiment_id}." in one.topic]
    assert final_states(both) == states_of(view_of(learning, experiment_id))


def test_a_subscriber_that_is_killed_goes_on_where_it_stopped(workspace: Workspace) -> None:
    """A subscriber that stores positions with its effects is killed twice, and has every event once."""
    runner, learning = services(workspace)
    recorder = start_recorder(workspace, "killed", Start.BEGINNING, runner, learning)
    experiments = []
    for _ in range(2):
        experiments.append(submit(workspace, program(values=4, jobs=8, script="sleep 0.05")))
        wait_for_jobs(learning, experiments[-1], 8)
        recorder.kill()
        wait_for_jobs(learning, experiments[-1], 32)
        recorder = start_recorder(workspace, "killed", Start.BEGINNING, runner, learning)

    wait_for_all(workspace, "killed", runner, learning)
    for service in (runner, learning):
        check_complete(workspace, "killed", service)
    for experiment_id in experiments:
        mine = [one for one in recorded(workspace, "killed") if f".{experiment_id}." in one.topic]
        assert final_states(mine) == states_of(view_of(learning, experiment_id))


def test_subscribers_of_one_variant_get_that_one_only(workspace: Workspace) -> None:
    """A prefix of whole tokens narrows what is sent: variant 1 is not variant 11."""
    _, learning = services(workspace)
    experiment_id = submit(workspace, program(values=12, jobs=1))
    wait_for_jobs(learning, experiment_id, 12)
    prefix = f"variant.status.{experiment_id}.1."

    with Subscriber([learning.control], [prefix], start=Start.BEGINNING) as subscriber:
        assert subscriber.wait_ready()
        topics = [topic for topic, _ in groupby(event.topic for event in subscriber.receive(REPLY_SECONDS))]

    assert topics == [prefix]
