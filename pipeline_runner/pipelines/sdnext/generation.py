"""One job at the server: the request, a look at it every second, and its end by the answer or by us."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.http_client import Exchange, ServerFault
from pipeline_runner.pipelines.poller import Poller
from pipeline_runner.pipelines.sdnext.answer import Answer, NoPictureError, read_answer
from pipeline_runner.pipelines.sdnext.failures import fault_of, why_no_picture
from pipeline_runner.pipelines.sdnext.server import SdnextServer
from pipeline_runner.pipelines.sdnext.watch import Look, Watch

TICK_SECONDS: Final = 0.05
STOP_POLL_SECONDS: Final = 1.0  # the server counts how often it is asked
INTERRUPT_AGAIN_SECONDS: Final = 5.0  # it forgets an interruption with the next part of the job
LEAVE_SECONDS: Final = 600.0  # after a stop request; a job that has not ended then is left to the server
TIMED_OUT: Final = "interrupted, as it took longer than it may; raise config.timeout_seconds, or ask for less"
logger = logging.getLogger(__name__)


class JobCancelled(Exception):  # noqa: N818 - it is no error but an end
    """Our job was cancelled, and has ended at the server or is left to it."""


class Generation:
    """Sends one request and waits for its answer. No thread is left when `run` returns."""

    def __init__(self, server: SdnextServer, stage: str, body: Mapping[str, Any], deadline: float) -> None:
        """`deadline` is by the monotonic clock."""
        self._server, self._stage, self._body, self._deadline = server, stage, body, deadline
        self._watch = Watch(stage)

    def run(self, progress: Progress, cancelled: Cancelled) -> Answer:
        """Send the request; return its answer.

        Raises:
            ServerFault: there is no picture.
            JobCancelled: whatever the answer was, it is discarded.
        """
        if cancelled():
            raise JobCancelled
        watch = self._watch
        watch.start(self._server.look(""))
        with self._server.send(self._stage, self._body) as post:
            poller = Poller(self._look, "progress of SD.Next")
            try:
                while not post.wait(TICK_SECONDS):
                    self._read(poller, progress)
                    if end := self._end_of(cancelled):
                        poller.close()
                        self._stop(post)
                        raise end
            finally:
                poller.close()
            self._read(poller, progress)
            reply = post.reply()
        if not reply.ok:
            raise fault_of(reply, self._server.url)
        if look := self._server.look(""):  # the marks of an interruption stay until the next job begins
            watch.finish(look)
        try:
            answer = read_answer(self._stage, reply)
        except NoPictureError:
            answer = None
        if answer is None or watch.halted:
            raise why_no_picture(self._server.log(), watch.began, halted=watch.halted)
        return answer

    def _look(self) -> Look | None:
        return self._server.look(self._watch.own)

    def _read(self, poller: Poller[Look], progress: Progress) -> None:
        while look := poller.take():
            self._watch.update(look)
            if self._watch.mine:
                progress(self._watch.fraction, look.step, look.steps)

    def _end_of(self, cancelled: Cancelled) -> Exception | None:
        """Return the reason why our job must end now, None if it may go on."""
        if cancelled():
            return JobCancelled()
        return ServerFault("timeout", TIMED_OUT) if time.monotonic() > self._deadline else None

    def _stop(self, post: Exchange) -> None:
        """Interrupt our own job as soon as it runs, and wait for its answer."""
        leave, again = time.monotonic() + LEAVE_SECONDS, 0.0
        while not post.done and time.monotonic() < leave:
            if look := self._look():
                self._watch.update(look)
                if self._watch.mine and time.monotonic() >= again and not post.wait(0) and self._server.interrupt():
                    again = time.monotonic() + INTERRUPT_AGAIN_SECONDS
            post.wait(STOP_POLL_SECONDS)
        if not post.done:
            logger.warning("the job on %s did not end; its connection is closed", self._server.url)
