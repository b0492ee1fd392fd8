"""A connection to the servers of a test, which is closed whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import nats.errors

from bus.cluster import names, streams
from bus.cluster.access import parse_access
from bus.cluster.connection import Connection, Work
from bus.cluster.errors import ClusterError, ClusterRefusedError
from bus.cluster.messages import End
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until

ANSWER_SECONDS: Final = 3 * PATIENCE * TIME_FACTOR  # elections take seconds, and processors are shared


class Client:
    """A connection, and what tests ask through it."""

    def __init__(self, url: str) -> None:
        """Begin to connect."""
        self.connection = Connection(parse_access(url), "test")
        self.js = self.connection.js

    def run(self, work: Work[Any]) -> Any:
        """Do work and return its result."""
        return self.connection.run(work, ANSWER_SECONDS)

    def count(self, stream: str) -> int:
        """Count the messages of a stream."""
        return int(self.run(self.js.stream_info(stream)).state.messages)

    def have_answers_at(self, subject: str, stream: str, number: int = 1) -> None:
        """Ask NATS about something, and let the answers go into a stream, as anybody who may ask can."""
        there = self.count(stream) + number
        for _ in range(number):
            self.run(self.connection.client.publish(f"$JS.API.STREAM.INFO.{stream}", reply=subject))
        wait_until(lambda: self.count(stream) >= there, what="answers in the stream")

    def ensure(self) -> int:
        """Make the streams and return with how many copies."""
        self.run(self.connection.ready())
        copies = self.run(streams.ensure(self.js))
        assert isinstance(copies, int)
        return copies

    def ensure_three(self) -> None:
        """Make the streams with three copies, once the leader of new servers knows that all have room."""

        def has_three() -> bool:
            try:
                return self.ensure() == streams.COPIES
            except ClusterRefusedError:
                raise
            except (ClusterError, nats.errors.Error):  # they choose who leads
                return False

        wait_until(has_three, ANSWER_SECONDS / TIME_FACTOR, what="a place for three copies", longest_poll=0.2)


@contextmanager
def connected(url: str) -> Iterator[Client]:
    """Connect to servers."""
    client = Client(url)
    try:
        yield client
    finally:
        client.connection.close()


def wait_for_pending(connection: Connection, pipeline: str, jobs: dict[str, int]) -> None:
    """Wait until those who hand out jobs know of them: the server says before that it has taken one."""
    js, run = connection.js, connection.run

    def are_known() -> bool:
        consumers = {band: names.consumer_of(pipeline, band) for band in jobs}
        found = {band: run(js.consumer_info(names.JOBS, one), ANSWER_SECONDS) for band, one in consumers.items()}
        return {band: one.num_pending for band, one in found.items()} == jobs

    wait_until(are_known, what="jobs that can be handed out")


def end(run: str, **fields: Any) -> End:
    """Make the end of a job."""
    some: dict[str, Any] = {"runner": "machine-1", "epoch": 5, "number": 1, "complete": 0, "body": msgspec.Raw(b"\x80")}
    return End(run=run, **{**some, **fields})
