"""Operating the services: check, the config file, logs whose reader has gone, and ending in time."""

import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families

from bus.protocol.control import ControlError, InfoReply, MetricsReply
from bus.transport.client import request
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import PATIENCE, wait_until
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, wait_for_jobs
from variantbus.reports.health import Readings

STOP_SECONDS: Final = 5.0
AT_ONCE_SECONDS: Final = 1.0


def test_check_says_that_all_is_well_and_what_is_not(workspace: Workspace) -> None:
    """Status 0, 4 beyond a threshold, 3 for a process that does not answer; each in text, JSON and for Prometheus."""
    runner, learning = services(workspace)
    wait_for_jobs(learning, submit(workspace, program(values=2, jobs=2)), 4)

    text = workspace.run("check").out.splitlines()
    assert text[0] == "ok"
    assert [line.split()[0] for line in text[1:]] == ["service", "runner", "learning"]
    report = workspace.run("check", "--json").json
    assert (report["ok"], [one["service"] for one in report["services"]]) == (True, ["runner", "learning"])
    page = workspace.run("check", "--format", "prometheus").out
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert {sample.labels["service"]: sample.value for sample in families["variantbus_up"].samples} == {
        "runner": 1,
        "learning": 1,
    }
    completed = [
        sample.value
        for sample in families["variantbus_events_published"].samples
        if sample.labels["topic"] == "job.completed"
    ]
    assert completed == [4]

    assert workspace.run("check", "--min-free", str(1 << 40), code=4).out.startswith("not ok: runner: only ")
    alone = workspace.run("check", "--from", "learning").out.splitlines()
    assert [line.split()[0] for line in alone] == ["ok", "service", "learning"]
    assert runner.terminate() == 0
    gone = workspace.run("check", "--timeout", "0.5", "--json", code=3).json
    assert [problem["code"] for problem in gone["services"][0]["problems"]] == ["not_answering"]
    page = workspace.run("check", "--format", "prometheus", "--timeout", "0.5", code=3).out
    assert f'variantbus_up{{address="{runner.control}",service="runner"}} 0.0' in page


def test_check_finds_jobs_at_a_runner_that_is_not_followed_any_more(workspace: Workspace) -> None:
    """They would wait forever, and nobody would know why."""
    runner, learning = services(workspace)
    submit(workspace, program(values=1, jobs=1, script="sleep 60"))
    wait_until(lambda: runner.head >= 2, what="the job's start")
    assert learning.terminate() == 0
    other = workspace.runner("--data-dir", str(workspace.folder / "other"))
    workspace.learning(other)

    found = workspace.run("check", "--json", code=4).json

    (problem,) = found["services"][1]["problems"]
    assert problem["code"] == "runner_unfollowed"
    assert runner.control in problem["detail"]


def test_a_config_file_sets_limits_and_ports(workspace: Workspace) -> None:
    """A service reads it, and a command finds the service by it."""
    feed, control = steady_ports()
    text = f"""
[runner]
feed_port = {feed}
control_port = {control}
address = "tcp://127.0.0.1:{control}"
[limits]
page_events = 7
"""
    config = workspace.write("settings.toml", text)
    data = str(workspace.folder / "data")
    running = workspace.command("runner", "--config", config, "--data-dir", data)
    assert running.wait_for_line("listening").endswith(f"control=tcp://127.0.0.1:{control}")
    info = request(f"tcp://127.0.0.1:{control}", "info", {}, InfoReply)
    assert info.limits["page"] == 7
    assert workspace.run("job", "list", "--config", config, "--json").json == []
    assert running.terminate() == 0

    workspace.write("settings.toml", text.replace("page_events", "page_event"))
    refused = workspace.run("runner", "--config", config, "--data-dir", data, code=2)
    assert refused.err.strip() == f"Error: {config}: limits.page_event: unknown key; did you mean 'page_events'?"


def send_garbage(control: str, count: int) -> None:
    """Send requests that have not even the form of one."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = int(PATIENCE * 1000)
        socket.connect(control)
        for _ in range(count):
            socket.send_multipart([b"one frame\nis no request"])


def dropped(control: str) -> float:
    """Ask how many requests were dropped."""
    readings = Readings(request(control, "metrics", {}, MetricsReply).metrics)
    return readings.get("variantbus_requests_dropped_total", reason="frames") or 0


def test_json_logs_are_one_object_a_line_and_do_not_flood(workspace: Workspace) -> None:
    """However much garbage comes, ten lines a minute say so."""
    runner = workspace.runner("--log-format", "json", "--log-level", "debug")
    send_garbage(runner.control, 200)
    wait_until(lambda: dropped(runner.control) == 200, what="the garbage")
    assert runner.terminate() == 0

    lines = [json.loads(line) for line in runner.process.errors().splitlines()]

    assert {line["service"] for line in lines} == {"runner"}
    warnings = [line for line in lines if line["level"] == "warning"]
    assert [line["message"] for line in warnings] == [
        "a request of 127.0.0.1 was dropped: it has not the three frames id, method and parameters"
    ] * 10


@pytest.mark.fault(item="F46")
@pytest.mark.fault(item="B47")
@pytest.mark.parametrize("redirect", ["2>&1 | head -1", "2>/dev/full", ">/dev/full 2>&1", "2>&-", ">&- 2>&- <&-"])
def test_a_service_goes_on_when_nobody_takes_what_it_says(workspace: Workspace, redirect: str) -> None:
    """A pipe whose reader has gone, a full disk and closed descriptors cost lines, not the service, nor its files."""
    feed, control = steady_ports()
    words = [
        sys.executable,
        "-m",
        "pipeline_runner",
        "--data-dir",
        str(workspace.folder / "data"),
        "--log-level",
        "debug",
    ]
    words += ["--feed-port", str(feed), "--control-port", str(control)]
    status = workspace.folder / "status"
    workspace.start("shell", "sh", "-c", f"{{ {shlex.join(words)}; echo $? > {status}; }} {redirect}")
    address = f"tcp://127.0.0.1:{control}"
    wait_until(lambda: answers(address), 20, what="an answer")

    send_garbage(address, 200)
    wait_until(lambda: dropped(address) == 200, what="the garbage")

    (service,) = workspace.running("pipeline_runner")
    service.send_signal(signal.SIGTERM)
    wait_until(lambda: status.exists() and status.read_text(encoding="ascii"), what="the end")
    assert status.read_text(encoding="ascii") == "0\n"
    for file in (workspace.folder / "data").glob("runner.*"):
        assert b"dropped" not in file.read_bytes(), f"{file.name} got what was meant for stderr"


def answers(address: str) -> bool:
    """Ask once whether a service is there; not for long, as one that stops is soon gone."""
    try:
        request(address, "info", {}, InfoReply, 0.5)
    except ControlError:
        return False
    return True


@contextmanager
def flood(service: ServiceProcess) -> Iterator[None]:
    """Ask without end and never read an answer, and subscribe to everything and never read it either."""
    ended = threading.Event()

    def ask() -> None:
        with zmq.Context() as context, context.socket(zmq.DEALER) as asking, context.socket(zmq.SUB) as subscribed:
            for socket, address in ((asking, service.control), (subscribed, service.feed)):
                socket.linger, socket.rcvhwm = 0, 1
                socket.connect(address)
            subscribed.subscribe(b"")
            while not ended.is_set():
                if asking.poll(10, zmq.POLLOUT):
                    asking.send_multipart([b"1", b"fetch", b"\x80"])

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.fault(item="F7")
def test_sigterm_ends_services_in_time_under_load_and_with_stalled_peers(workspace: Workspace) -> None:
    """Within five seconds and with status 0, though clients ask and ask, and neither they nor a subscriber read."""
    runner, learning = services(workspace)
    submit(workspace, program(values=20, jobs=20))
    stalled = workspace.command("tail", "--all", "--json")
    wait_until(stalled.text, 20, what="the first event")
    stalled.send(signal.SIGSTOP)
    with flood(learning), flood(runner):
        wait_until(lambda: runner_has_run(runner), 30, what="the first jobs")
        for service in (learning, runner):
            assert service.process.terminate(STOP_SECONDS) == 0


def runner_has_run(runner: ServiceProcess) -> bool:
    """Ask, among the crowd, whether some jobs have ended."""
    return runner.head > 30


@pytest.mark.fault(item="F7")
def test_a_second_sigterm_ends_a_service_at_once(workspace: Workspace) -> None:
    """While the first one still waits for a program that does not want to end."""
    runner, learning = services(workspace)
    started, asked = workspace.folder / "started", workspace.folder / "asked"
    script = f"trap 'touch {asked}' TERM; touch {started}; sleep 5; sleep 5"  # the first `sleep` gets the signal, too
    submit(workspace, program(values=1, jobs=1, script=script))
    wait_until(started.exists, what="the program's start")
    runner.process.send(signal.SIGTERM)
    wait_until(asked.exists, what="the request to the program")

    assert runner.process.terminate(AT_ONCE_SECONDS) == 128 + signal.SIGTERM, "the first one would have ended it well"

    assert learning.terminate() == 0
    wait_until(lambda: workspace.left() == [], 20, what="the end of the program, which nobody waits for")


def test_a_low_limit_of_open_files_is_said_at_the_start(workspace: Workspace) -> None:
    """Before clients that come in vain are the first to notice."""
    words = shlex.join([sys.executable, "-m", "pipeline_runner", "--data-dir", "data", "--feed-port", "0"])
    running = workspace.start("limited", "sh", "-c", f"ulimit -n 200; exec {words} --control-port 0")
    running.wait_for_line("listening")

    assert "only 200 files may be open" in running.errors()
    assert running.terminate() == 0
