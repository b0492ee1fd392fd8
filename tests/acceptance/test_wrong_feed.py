"""A service tells a feed that is another one's here: commands say so and end, and take the feed that they are given."""

import json
from pathlib import Path

import pytest

from bus.protocol.control import MetricsReply
from tests.support.helpers import wait_until
from tests.support.workspace import ServiceProcess, Workspace, sentence_of

JOB = """
pipeline = "command"
stage = "run"
[config]
command = ["true"]
"""


def is_ready(learning: ServiceProcess) -> bool:
    """Return whether a learning service is connected to the feed of its runner."""
    metrics = {one.name: one for one in learning.ask("metrics", {}, MetricsReply).metrics}
    return [sample.value for sample in metrics["variantbus_consumer_ready"].samples] == [1]


def checked(workspace: Workspace, learning: ServiceProcess) -> str:
    """Return what `check` says of a learning service."""
    check = workspace.command("check", "--from", learning.control)
    check.wait()
    return check.text()


@pytest.mark.fault(item="F51")
def test_commands_end_with_a_sentence_and_take_the_feed_that_they_are_given(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Runner B advertises the feed of A, as if its control port were forwarded to where A is."""
    a = workspace.runner(data=tmp_path / "a")
    b = workspace.runner("--advertise", a.feed, data=tmp_path / "b")
    workspace.run("job", "submit", str(workspace.write("job.toml", JOB)), "--runner", b.control)
    tailing = workspace.command("tail", "--from", b.control, "--all")
    topping = workspace.command("top", "--from", b.control, "--seconds", "60")
    submitting = workspace.command("job", "submit", "job.toml", "--wait", "--runner", b.control)
    learning, misled = workspace.learning(b, "--runner-feed", b.feed), workspace.learning(b, data=tmp_path / "misled")

    named = workspace.run("tail", "--from", b.control, "--feed", b.feed, "--all", "--count", "1", "--json")
    assert json.loads(named.out)["topic"] == "job.queued."
    wait_until(lambda: is_ready(learning), what="the connection of the learning service to the feed that is named")
    wait_until(lambda: checked(workspace, misled).startswith("not ok: learning: "), what="the finding of `check`")
    assert f"{b.control}: the feed at {a.feed} belongs to another publisher; " in checked(workspace, misled)
    for running in (tailing, topping, submitting):
        assert running.wait() == 3, running.errors()
        text = running.errors()
        assert f"Error: {b.control}: the feed at {a.feed} belongs to another publisher; " in text
        assert "Traceback" not in text
        assert "job." not in running.text()


def test_a_feed_that_is_none_or_nobodys_is_refused_in_a_sentence(workspace: Workspace) -> None:
    """Before anything is asked."""
    for words in (
        ("tail", "--from", "tcp://127.0.0.1:9", "--feed", "127.0.0.1:5560"),
        ("tail", "--from", "tcp://127.0.0.1:9", "--feed", "tcp://127.0.0.1:8=tcp://127.0.0.1:7"),
        ("tail", "--feed", "tcp://127.0.0.1:8"),
        ("top", "--feed", "tcp://127.0.0.1:8", "--feed", "tcp://127.0.0.1:7"),
        ("runner", "--advertise", "here"),
        ("learning", "--runner-feed", "tcp://127.0.0.1:8=there"),
    ):
        assert sentence_of(workspace.run(*words, code=2))
