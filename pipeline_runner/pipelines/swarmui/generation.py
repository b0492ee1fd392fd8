"""One job at the server, from the request to its picture, or to its end by us."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.http_client import NoAnswer, ServerFault
from pipeline_runner.pipelines.swarmui.conversation import Conversation
from pipeline_runner.pipelines.swarmui.errors import INTERRUPTED, SessionGone
from pipeline_runner.pipelines.swarmui.news import Ended, Moved, Painted, Told, Working, picture_in
from pipeline_runner.pipelines.swarmui.server import SwarmServer

TICK_SECONDS: Final = 0.05
LEAVE_SECONDS: Final = 30.0  # after a stop request: a backend that loads a model hears it only then
TIMED_OUT: Final = "interrupted, as it took longer than it may; raise config.timeout_seconds, or ask for less"
REFUSED: Final = "an extension of the server refused the picture"
logger = logging.getLogger(__name__)


class JobCancelled(Exception):  # noqa: N818 - it is no error but an end
    """Our job was cancelled, and has ended at the server or is left to it."""


class Unended(ServerFault):
    """There is no picture, and the server may still work on it."""


class Made(NamedTuple):
    """A picture, what the server says of it, and the seconds that it took, None if nobody knows."""

    picture: bytes
    told: Told
    seconds: float | None


class Generation:
    """Takes the request of one job to its end. No thread is left when `run` returns."""

    def __init__(self, server: SwarmServer, body: Mapping[str, Any], deadline: float) -> None:
        """`deadline` is by the monotonic clock."""
        self._server, self._body, self._deadline = server, body, deadline

    def run(self, progress: Progress, cancelled: Cancelled) -> Made:
        """Make the picture.

        Raises:
            ServerFault: there is none.
            JobCancelled: it was cancelled.
        """
        try:
            return self._once(progress, cancelled)
        except SessionGone:
            self._server.renew()
            return self._once(progress, cancelled)

    def _once(self, progress: Progress, cancelled: Cancelled) -> Made:
        if cancelled():
            raise JobCancelled
        with self._server.generate(self._body) as talk:
            try:
                painted, seconds = self._listen(talk, progress, cancelled)
            except (Unended, JobCancelled):
                self._end(talk)
                raise
        picture = picture_in(painted.place)
        return Made(self._server.fetch(painted.place) if picture is None else picture, painted.told, seconds)

    def _listen(self, talk: Conversation, progress: Progress, cancelled: Cancelled) -> tuple[Painted, float | None]:
        """Wait for the picture, and for the word that it is not refused; return it with the seconds that it took."""
        start, painted, end = None, None, 0.0
        while True:
            self._check_stop(cancelled)
            news = talk.wait(TICK_SECONDS)
            if isinstance(news, Moved):
                progress(news.fraction, preview=news.preview)
            elif isinstance(news, Working):
                start = start or time.perf_counter()
            elif isinstance(news, Painted):
                painted, end = news, time.perf_counter()
            elif news is not None:
                if painted is None or not _keeps(news):
                    raise self._fault_of(news)
                return painted, _seconds(painted, start, end)

    def _check_stop(self, cancelled: Cancelled) -> None:
        if cancelled():
            raise JobCancelled
        if time.monotonic() > self._deadline:
            raise Unended("timeout", TIMED_OUT)

    def _fault_of(self, news: Ended | ServerFault) -> ServerFault:
        """Return why there is no picture."""
        if isinstance(news, Ended):
            return ServerFault("server_error", REFUSED) if news.discarded else self._silent_end()
        return Unended(news.kind, news.message) if isinstance(news, NoAnswer) else news

    def _silent_end(self) -> ServerFault:
        """Return why a job ended without a picture and without a word.

        It was interrupted before a backend began with it, or the server goes down.
        """
        reason = self._server.status().reason
        return ServerFault("unreachable", reason) if reason else ServerFault("interrupted", INTERRUPTED)

    def _end(self, talk: Conversation) -> None:
        """End what the server may still do for our session, and wait until it says so: to hang up ends nothing."""
        if not self._server.end(talk.session):
            return
        leave = time.monotonic() + LEAVE_SECONDS
        while not talk.is_over and not isinstance(talk.wait(TICK_SECONDS), Ended):
            if time.monotonic() > leave:
                logger.warning("the job on %s did not end; its connection is closed", self._server.url)
                return


def _keeps(news: Ended | ServerFault) -> bool:
    """Return whether a picture that has come is one of the job, now that nothing more comes."""
    return isinstance(news, NoAnswer) or news == Ended(discarded=False)


def _seconds(painted: Painted, start: float | None, end: float) -> float | None:
    """Return what the work took: as the server says, else as it seemed, None if its beginning was not seen."""
    if painted.told.seconds is not None or start is None:
        return painted.told.seconds
    return end - start
