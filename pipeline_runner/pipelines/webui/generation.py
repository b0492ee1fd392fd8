"""One job at the server: the request, a poll of its progress every second, and its end by the answer or by us."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.http_client import Exchange, HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.poller import Poller
from pipeline_runner.pipelines.webui.lists import API
from pipeline_runner.pipelines.webui.settings import ASK_SECONDS, read_options
from pipeline_runner.pipelines.webui.watch import (
    NOT_FOUND,
    PROGRESS_QUERY,
    ServerState,
    Watch,
    left_behind,
    server_state,
)

TASK_PATH: Final = "/internal/progress"
TICK_SECONDS: Final = 0.05
STOP_POLL_SECONDS: Final = 0.2  # the same while our job must end
LOAD_SECONDS: Final = 60.0  # for a model to be moved
INTERRUPT_AGAIN_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 600.0  # after a stop request; a job that has not ended then is left to the server
TIMED_OUT: Final = "interrupted, as it took longer than it may; raise config.timeout_seconds, or ask for less"
logger = logging.getLogger(__name__)


class JobCancelled(Exception):  # noqa: N818 - it is no error but an end
    """Our job was cancelled, and has ended at the server or is left to it."""


class Generation:
    """Sends one request and waits for its answer. No thread is left when `run` returns."""

    def __init__(self, client: HttpClient, path: str, payload: Mapping[str, Any], deadline: float) -> None:
        """`deadline` is by the monotonic clock."""
        self._client, self._path, self._payload = client, path, payload
        self._deadline = deadline
        self._tasks_known = "force_task_id" in payload

    def run(self, progress: Progress, cancelled: Cancelled) -> tuple[Reply, Watch]:
        """Send the request; return its answer and what the polls have shown.

        Raises:
            ServerFault: there is no answer (`unreachable`), or it took too long (`timeout`).
            JobCancelled: whatever the answer was, it is discarded.
        """
        if cancelled():
            raise JobCancelled
        before = self._poll()
        watch = Watch(idle_before=before is not None and not before.busy)
        with self._client.long_post(self._path, self._payload) as post:
            poller = Poller(self._poll_with_settings, "progress of the web UI")
            try:
                while not post.wait(TICK_SECONDS):
                    while state := poller.take():
                        watch.update(state)
                        if watch.mine:
                            progress(watch.fraction, state.step, state.steps)
                    if end := self._end_of(cancelled):
                        poller.close()
                        self._stop(watch, post)
                        raise end
            finally:
                poller.close()
            while state := poller.take():
                watch.update(state)
            reply = post.reply()
        if state := self._poll():  # the marks of an interruption stay until the next job begins
            watch.update(state)
        return reply, watch

    def _end_of(self, cancelled: Cancelled) -> Exception | None:
        """Return the reason why our job must end now, None if it may go on."""
        if cancelled():
            return JobCancelled()
        return ServerFault("timeout", TIMED_OUT) if time.monotonic() > self._deadline else None

    def _stop(self, watch: Watch, post: Exchange) -> None:
        """Interrupt our own job as soon as it runs, and wait for its answer."""
        leave = time.monotonic() + LEAVE_SECONDS
        again = 0.0
        while not post.done and time.monotonic() < leave:
            if state := self._poll():
                watch.update(state)
                if watch.mine and time.monotonic() >= again and not post.wait(0) and self._interrupt():
                    again = time.monotonic() + INTERRUPT_AGAIN_SECONDS
            post.wait(STOP_POLL_SECONDS)
        if not post.done:
            logger.warning("the job on %s did not end; its connection is closed", self._client.url)

    def _interrupt(self) -> bool:
        """Interrupt what runs; return whether the server took the request."""
        try:
            self._client.post(f"{API}/interrupt", {}, seconds=ASK_SECONDS)
        except ServerFault as fault:
            logger.warning("cannot interrupt the job: %s", fault.message)
            return False
        return True

    def _poll(self) -> ServerState | None:
        """Ask what runs, then at once whether it is ours; None if the server does not answer now."""
        try:
            progress = self._client.get(f"{API}/progress", PROGRESS_QUERY, seconds=ASK_SECONDS)
            return server_state(progress, self._ask_for_task() if self._tasks_known else None)
        except ServerFault:
            return None

    def _poll_with_settings(self) -> ServerState | None:
        """Ask in addition for the settings, which may be changed and changed back while our job runs."""
        state = self._poll()
        try:
            return state and state._replace(settings=read_options(self._client))
        except ServerFault:
            return state

    def _ask_for_task(self) -> Reply | None:
        question = {"id_task": self._payload["force_task_id"], "id_live_preview": -1, "live_preview": False}
        reply = self._client.post(TASK_PATH, question, seconds=ASK_SECONDS)
        if reply.status == NOT_FOUND:  # --nowebui
            self._tasks_known = False
            return None
        return reply


def end_orphans(client: HttpClient, task_ids: Iterable[str], cancelled: Cancelled, deadline: float) -> None:
    """End what the server still makes for earlier runs of a job, whose runner was killed; `deadline` is monotonic.

    One that waits in the server's queue is interrupted when its turn comes. Only a server with its page knows tasks.
    """
    for task_id in task_ids:
        question, again = {"id_task": task_id, "id_live_preview": -1, "live_preview": False}, 0.0
        while not cancelled() and time.monotonic() < deadline:
            try:
                state = server_state(client.get(f"{API}/progress", PROGRESS_QUERY, seconds=ASK_SECONDS), None)
                found = left_behind(client.post(TASK_PATH, question, seconds=ASK_SECONDS), state)
                if found == "running" and time.monotonic() >= again:
                    logger.info("ending what the server still makes for %s", task_id)
                    client.post(f"{API}/interrupt", {}, seconds=ASK_SECONDS)
                    again = time.monotonic() + INTERRUPT_AGAIN_SECONDS
            except ServerFault:
                return  # the job itself says so
            if found == "gone":
                break
            time.sleep(STOP_POLL_SECONDS)


def free_memory(client: HttpClient) -> None:
    """Unload and reload the model to free the graphics card, unless a job runs there, which would lose it."""
    try:
        state = server_state(client.get(f"{API}/progress", PROGRESS_QUERY, seconds=ASK_SECONDS), None)
        if state and not state.busy:
            client.post(f"{API}/unload-checkpoint", {}, seconds=LOAD_SECONDS)
            client.post(f"{API}/reload-checkpoint", {}, seconds=LOAD_SECONDS)  # it would stay in main memory
    except ServerFault as fault:
        logger.warning("cannot free the server's memory: %s", fault.message)
