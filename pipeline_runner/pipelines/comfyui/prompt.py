"""One job at the server: its prompt submitted or found again, waited for, withdrawn, and its pictures fetched."""

import itertools
import logging
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Final

from bus.contracts.messages import JobResult
from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.comfyui.errors import dropped_outputs, node_errors_text
from pipeline_runner.pipelines.comfyui.graph import Graph, Target, described
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.previews import Shown
from pipeline_runner.pipelines.comfyui.progress import Entered, News, ProgressFeed, Steps
from pipeline_runner.pipelines.comfyui.server import Accepted, ComfyServer, Queue
from pipeline_runner.pipelines.comfyui.times import Stopwatch
from pipeline_runner.pipelines.comfyui.workflow import Workflow, patched
from pipeline_runner.pipelines.http_client import ServerFault
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

TICK_SECONDS: Final = 0.1  # at most until a cancellation is noticed
POLL_SECONDS: Final = 1.0  # between two polls of the history, whatever the websocket says
QUEUE_SECONDS: Final = 5.0  # between two polls of the queue, whose answer holds the prompts of all users
LAST_WORDS_SECONDS: Final = 0.2  # for the messages of a prompt that has ended, which tell what its nodes took
WITHDRAW_SECONDS: Final = 2.0
ROUNDS: Final = 2  # of a job that ran out of memory: the second one after all models were unloaded
AGAINS: Final = 2  # of nodes that the server has in its cache: without a picture, or with one that is gone
AGAIN: Final = "variantbus"  # an input that no node has: the server takes it for a change, and the node does not see it
LOOK_BACK: Final = 5  # attempts whose prompts are looked for
NAMESPACE: Final = uuid.UUID("6d1b2f0e-6f0a-4a53-9d8c-3d5f2f7c9b11")
logger = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - no error: the job ends with this result
    """The job has ended before its prompt did."""

    def __init__(self, result: JobResult) -> None:
        """Keep the result."""
        super().__init__()
        self.result = result


def prompt_id_of(job_id: str, queued_at: float, attempt: int, number: int) -> str:
    """Return the id of a prompt. It depends only on the job, so that a restarted runner finds its prompt again.

    `queued_at` is another one when a person has a job run again: what it left before it ended is not looked for.
    """
    return str(uuid.uuid5(NAMESPACE, f"{job_id}/{queued_at!r}/{attempt}/{number}"))


def client_id_of(job_id: str) -> str:
    """Return the client id for the messages about a job, the same for all its attempts."""
    return uuid.uuid5(NAMESPACE, job_id).hex


class PromptRun:
    """Takes one job to the end of its prompt."""

    def __init__(
        self,
        server: ComfyServer,
        job: NormalizedJobRecord,
        workflow: Workflow,
        graph: Graph,
        progress: Progress,
        cancelled: Cancelled,
    ) -> None:
        """Submit nothing yet."""
        self._server, self._job, self._workflow = server, job, workflow
        self._progress, self.cancelled = progress, cancelled
        self._deadline = time.monotonic() + workflow.timeout_seconds
        self._steps: Steps | None = None  # as the prompt that is waited for has told last
        self._more = itertools.count(ROUNDS)
        self.graph = graph  # as it was sent last
        self.node_errors = ""  # of outputs that the server left out
        self.seen: Mapping[str, float] | None = None  # what its nodes took, None if not all of it was told

    def run(self) -> Ended:
        """Execute the prompt; if memory runs out, unload all models and execute it once more.

        Raises:
            Stopped: the job was cancelled, or took too long.
            ServerFault: the server refused it, failed, or knows nothing of it any more.
        """
        with ProgressFeed(self._server.feed_url, client_id_of(self._job.job_id)) as feed:
            left = self._left_behind()
            if left:
                ended = self._wait(feed, left)
                if ended.state == "success":
                    return ended
            ended = self._submitted(feed, 0)
            for number in range(1, ROUNDS):
                if ended.error is None or ended.error.kind != "oom":
                    break
                self._server.free()
                ended = self._submitted(feed, number)
            return ended

    def again(self, nodes: Collection[str]) -> Ended:
        """Have nodes executed once more, though the server has their results in its cache; raises as `run` does."""
        number = next(self._more)
        prompt_id = self._prompt_id(self._job.attempt, number)
        self.graph = patched(self.graph, {Target(node, AGAIN): prompt_id for node in nodes})
        with ProgressFeed(self._server.feed_url, client_id_of(self._job.job_id)) as feed:
            return self._submitted(feed, number)

    def _left_behind(self) -> str | None:
        """Find a usable prompt that an earlier attempt has left at the server.

        A runner that ends in good order withdraws its prompt, if the server hears of it in time.
        """
        earlier = [
            self._prompt_id(attempt, number)
            for attempt in range(self._job.attempt - 1, max(0, self._job.attempt - 1 - LOOK_BACK), -1)
            for number in range(ROUNDS + AGAINS)
        ]
        queue = self._server.queue() if earlier else Queue((), ())
        for prompt_id in earlier:
            if prompt_id in queue.running or prompt_id in queue.pending:
                return prompt_id
            ended = self._server.history(prompt_id)
            if ended and ended.state == "success":
                return prompt_id
        return None

    def _submitted(self, feed: ProgressFeed, number: int) -> Ended:
        prompt_id = self._prompt_id(self._job.attempt, number)
        accepted = self._server.submit(self.graph, prompt_id, client_id_of(self._job.job_id))
        self._check_outputs(accepted)
        return self._wait(feed, accepted.prompt_id)

    def _prompt_id(self, attempt: int, number: int) -> str:
        return prompt_id_of(self._job.job_id, self._job.queued_at, attempt, number)

    def _check_outputs(self, accepted: Accepted) -> None:
        """Continue without the outputs that the server left out, unless one of them is requested."""
        self.node_errors = node_errors_text(accepted.node_errors)
        missing = dropped_outputs(accepted.node_errors).intersection(self._workflow.output_nodes)
        if missing:
            self._withdraw(accepted.prompt_id)
            raise ServerFault("invalid_request", f"node {min(missing)} gives nothing: {self.node_errors}")

    def _wait(self, feed: ProgressFeed, prompt_id: str) -> Ended:
        next_poll = time.monotonic() + POLL_SECONDS
        next_queue = time.monotonic() + QUEUE_SECONDS
        watch, self._steps = Stopwatch(), None
        while True:
            self._check_stop(prompt_id)
            news = self._heard(feed, prompt_id, watch)
            now = time.monotonic()
            if news != "ended" and now < next_poll:
                continue
            try:
                ended = self._server.history(prompt_id)
                if ended is None and now >= next_queue:
                    ended = self._check_known(prompt_id)
                    next_queue = time.monotonic() + QUEUE_SECONDS
            except ServerFault as fault:
                if fault.kind != "timeout":  # while it loads a model, a server may not answer for long
                    raise ServerFault(fault.kind, fault.message + self._place(watch)) from None
                ended = None
            if ended:
                self._listen_to_the_end(feed, prompt_id, watch)
                return ended
            next_poll = time.monotonic() + POLL_SECONDS

    def _place(self, watch: Stopwatch) -> str:
        """Say which node was executed last: it may have ended the server's process."""
        return f"; it was executing {described(self.graph, watch.node)}" if watch.node else ""

    def _heard(self, feed: ProgressFeed, prompt_id: str, watch: Stopwatch) -> News:
        """Wait for the next message, and act upon it."""
        news = feed.wait(prompt_id, TICK_SECONDS)
        match news:
            case Steps():
                self._steps = news
                self._tell(news)
            case Shown(picture, is_ours):
                if is_ours or self._steps:  # what names no prompt is of ours only while ours runs
                    self._tell(self._steps or Steps(0, 1), picture)
            case Entered(node):
                watch.enter(node, feed.heard_at)
            case "started":
                watch.start(feed.heard_at)
            case "ended":
                watch.end(feed.heard_at)
        return news

    def _tell(self, steps: Steps, preview: bytes | None = None) -> None:
        done, total = steps
        self._progress(done / total, int(done), int(total), preview=preview)

    def _listen_to_the_end(self, feed: ProgressFeed, prompt_id: str, watch: Stopwatch) -> None:
        """Hear what the server told before the history knew of the end."""
        limit = time.monotonic() + LAST_WORDS_SECONDS
        while watch.seconds is None and feed.is_whole and time.monotonic() < limit:
            self._heard(feed, prompt_id, watch)
        self.seen = watch.seconds if feed.is_whole else None

    def _check_known(self, prompt_id: str) -> Ended | None:
        """Check that the server still has the prompt; it may have ended since the last poll of the history."""
        queue = self._server.queue()
        if prompt_id in queue.running or prompt_id in queue.pending:
            return None
        ended = self._server.history(prompt_id)
        if ended is None:
            text = "the server knows the prompt no more: it was started again, or somebody cleared its queue or history"
            raise ServerFault("unreachable", text)
        return ended

    def _check_stop(self, prompt_id: str) -> None:
        if self.cancelled():
            self._withdraw(prompt_id)
            raise Stopped(cancelled_result())
        if time.monotonic() > self._deadline:
            self._withdraw(prompt_id)
            seconds = self._workflow.timeout_seconds
            text = f"the prompt was withdrawn after {seconds:g} s, the server's queue included (config.timeout_seconds)"
            raise Stopped(failed_result("timeout", text))

    def _withdraw(self, prompt_id: str) -> None:
        """Remove our prompt from the queue, or interrupt it while it runs; never a prompt of others."""
        limit = time.monotonic() + WITHDRAW_SECONDS
        try:
            while time.monotonic() < limit:
                queue = self._server.queue()
                if prompt_id in queue.running:
                    self._server.interrupt(prompt_id)
                    return
                if prompt_id not in queue.pending:
                    return
                self._server.dequeue(prompt_id)  # and poll again: it may have started meanwhile
        except ServerFault as fault:
            logger.warning("prompt %s cannot be withdrawn: %s", prompt_id, fault.message)
