"""`tail` from a moment, by a template and on a terminal; `top`; what they say of what a publisher cannot give."""

import os
import pty
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from bus.protocol.control import FetchParams, FetchReply
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import wait_until
from tests.support.in_process import run_in_process
from tests.support.workspace import VARIANTBUS, ServiceProcess, Workspace, wait_for_jobs


@dataclass(frozen=True)
class Past:
    """Services with one experiment that has ended, and the means to start commands that only read."""

    workspace: Workspace
    learning: ServiceProcess


def run_experiment(workspace: Workspace) -> ServiceProcess:
    """Run an experiment to its end, and return the learning service."""
    _, learning = services(workspace)
    wait_for_jobs(learning, submit(workspace, program(values=4, jobs=5)), 20)
    return learning


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Yield services to which nothing happens any more."""
    with closing(Workspace(tmp_path_factory.mktemp("past"))) as workspace:
        yield Past(workspace, run_experiment(workspace))


def test_the_log_can_be_read_from_a_moment_on(past: Past) -> None:
    """`--since` begins at the first event of that time; a duration back, and a time of day, are other words for it."""
    times = [event.time_ns for event in past.learning.ask("fetch", FetchParams(), FetchReply).events]
    microseconds = times[len(times) // 2] // 1000
    middle = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
    words = ("tail", "--from", "learning", "--exit-at-end", "--json", "--since")

    lines = past.workspace.run(*words, middle.isoformat()).lines
    after = [number for number, time in enumerate(times, 1) if time >= microseconds * 1000]
    assert [line["offset"] for line in lines] == after
    assert 0 < len(after) < len(times)
    assert len(past.workspace.run(*words, "1h").lines) == len(times)
    assert len(past.workspace.run(*words, (middle - timedelta(hours=1)).isoformat(sep=" ")).lines) == len(times)
    assert past.workspace.run(*words, "0s").lines == []


def test_a_template_makes_lines(past: Past) -> None:
    """One line an event, in the words of the user."""
    lines = past.workspace.run(
        *("tail", "variant.status", "--all", "--exit-at-end"),
        *("--format", r"{offset}\t{body[variant_index]} {body[status]} {body[completed]}/{body[planned]}{body[none]}"),
    ).out.splitlines()

    told = past.learning.ask("fetch", FetchParams(prefix="variant.status."), FetchReply).events
    assert len(lines) == len(told)  # how many depends on how many events of jobs came together
    assert sum(line.endswith("completed 5/5") for line in lines) == 4
    assert all("\t" in line for line in lines)


REFUSED = {
    "a since with an after": ("--since 1h --after 3", "--after and --since exclude each other"),
    "a since with all": ("--since 1h --all", "--since and --all exclude each other"),
    "json with a format": ("--json --format {topic}", "--json and --format exclude each other"),
    "no time": ("--since soon", "'soon' is no time"),
    "the future": ("--since 2999-01-01", "in the future"),
    "an attribute": ("--format {topic.__class__}", "keys in brackets"),
    "a field": ("--format {bdy[x]}", "did you mean 'body'?"),
}


@pytest.mark.parametrize(("line", "words"), REFUSED.values(), ids=REFUSED)
def test_words_that_make_no_sense_are_refused(workspace: Workspace, line: str, words: str) -> None:
    """With status 2 and one sentence, before anything is asked."""
    assert words in run_in_process(workspace, "tail", *line.split(), code=2).err


def test_on_a_terminal_lines_have_colours(past: Past) -> None:
    """And none with NO_COLOR."""
    shown = []
    for no_color in ({}, {"NO_COLOR": "1"}):
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        path, words = os.ttyname(theirs), f"{VARIANTBUS} tail variant.status --all --exit-at-end"
        shell = past.workspace.start(
            "shell",
            "sh",
            "-c",
            f"{words} >{path}",
            environment={**past.workspace.environment, "TERM": "xterm", **no_color},
        )
        text = b""

        def read() -> bool:
            nonlocal text
            has_ended = not shell.lives  # noqa: B023 - called in this turn alone; asked first: nothing comes after it
            try:
                text += os.read(ours, 65_536)  # noqa: B023 - likewise
            except BlockingIOError:
                return has_ended
            return False

        wait_until(read, 20, what="the end of the output")
        assert shell.wait() == 0, shell.errors()
        os.close(ours)
        os.close(theirs)
        shown.append(text.decode())

    assert "\x1b[36mvariant.status." in shown[0]
    assert "\x1b[32m completed" in shown[0]
    assert "\x1b[" not in shown[1].replace("\x1b[2m", "").replace("\x1b[0m", "")


def test_what_a_publisher_cannot_give_is_one_sentence_on_stderr(past: Past) -> None:
    """A position beyond the end of the log, as of a log that has been replaced: the tail goes back, and says so."""
    head = past.learning.head

    tail = past.workspace.command("tail", "--from", "learning", "--after", str(head + 5))
    wait_until(lambda: tail.errors().endswith("\n"), what="the sentence")
    tail.send(signal.SIGINT)

    assert tail.wait() == 130
    assert tail.errors() == (
        f"{past.learning.control}: the log is another one or lost its end: "
        f"reading continues after event {head}, it was at {head + 5}\n"
    )


def test_top_counts_what_is_published(workspace: Workspace) -> None:
    """As JSON, one object a second, until it is interrupted or its time is over; also by `python -m bus top`."""
    learning = run_experiment(workspace)
    counting = workspace.command("top", "--json")
    plain = workspace.start("bus", sys.executable, "-m", "bus", "top", "job")
    for running in (counting, plain):
        wait_until(running.text, what="the first line")
    wait_until(lambda: all(one["ready"] for one in counting.lines()[-1]["publishers"]), what="the connections")
    wait_until(lambda: plain.text().endswith(" no event yet\n"), what="the connections of the other one")
    before = learning.head
    wait_for_jobs(learning, submit(workspace, program(values=2, jobs=5)), 10)

    def counts() -> Counter[str]:
        return Counter({rate["topic"]: rate["count"] for rate in counting.lines()[-1]["topics"]})

    told = ("variant.status.", "experiment.status.")  # nothing is recommended before a person says anything
    wait_until(lambda: counts()["job.completed."] == 10, what="the count of the jobs")
    wait_until(lambda: sum(counts()[topic] for topic in told) == learning.head - before, what="the count of the rest")
    assert sum(rate["mean_per_second"] for rate in counting.lines()[-1]["topics"]) > 1
    wait_until(lambda: "job.completed. " in plain.text(), what="the count of the jobs by the other one")
    assert "variant.status" not in plain.text()
    for running in (counting, plain):
        running.send(signal.SIGINT)
        assert running.wait() == 130, running.errors()
    assert workspace.run("top", "--seconds", "1.5", "--json").lines[-1]["seconds"] >= 1.5


def test_top_ends_with_an_interrupt(past: Past) -> None:
    """Ctrl-C is status 130, without a traceback."""
    top = past.workspace.command("top")
    plain = past.workspace.command("tail", "--all")
    wait_until(plain.text, what="the first line")
    wait_until(lambda: _is_connected(top.popen.pid), what="the connection of top")
    for running in (top, plain):
        running.send(signal.SIGINT)
        assert running.wait() == 130
        assert running.errors() == ""


def _is_connected(pid: int) -> bool:
    """Return whether a process has begun to talk to a service."""
    return any(one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(pid).net_connections())
