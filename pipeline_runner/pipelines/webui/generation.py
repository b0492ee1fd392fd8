"""One job at the server: the request, a look at it every second, and its end by the answer or by us."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.http_client import Exchange, HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.webui.lists import API
from pipeline_runner.pipelines.webui.watch import NOT_FOUND, Sight, Watch, sight_of

TICK_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0  # between two looks at the progress
STOP_LOOK_SECONDS: Final = 0.2  # while we want our job to end
ASK_SECONDS: Final = 5.0  # for an answer about the progress
LOAD_SECONDS: Final = 60.0  # for a model to be moved
INTERRUPT_AGAIN_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 600.0  # a job that has not ended so long after we wanted it is left to the server
_PROGRESS: Final = {"skip_current_image": "true"}
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
        """Return the answer, and what was seen meanwhile.

        Raises:
            ServerFault: there is no answer (`unreachable`), or it took too long (`timeout`).
            JobCancelled: whatever the answer was, it is discarded.
        """
        if cancelled():
            raise JobCancelled
        before = self._look()
        watch = Watch(idle_before=before is not None and not before.busy)
        with self._client.long_post(self._path, self._payload) as post:
            looker = _Looker(self._look)
            try:
                while not post.wait(TICK_SECONDS):
                    if sight := looker.take():
                        watch.see(sight)
                        if watch.mine:
                            progress(watch.fraction, sight.step, sight.steps)
                    if end := self._end_of(cancelled):
                        looker.close()
                        self._stop(watch, post)
                        raise end
            finally:
                looker.close()
            reply = post.reply()
        if sight := self._look():  # the marks of an interruption stay until the next job begins
            watch.see(sight)
        return reply, watch

    def _end_of(self, cancelled: Cancelled) -> Exception | None:
        """Say why our job has to end now, if it has to."""
        if cancelled():
            return JobCancelled()
        return ServerFault("timeout", TIMED_OUT) if time.monotonic() > self._deadline else None

    def _stop(self, watch: Watch, post: Exchange) -> None:
        """Interrupt our own job as soon as it is the one that runs, and wait for its answer."""
        leave = time.monotonic() + LEAVE_SECONDS
        again = 0.0
        while not post.done and time.monotonic() < leave:
            if sight := self._look():
                watch.see(sight)
                if watch.mine and time.monotonic() >= again and not post.wait(0) and self._interrupt():
                    again = time.monotonic() + INTERRUPT_AGAIN_SECONDS
            post.wait(STOP_LOOK_SECONDS)
        if not post.done:
            logger.warning("the job on %s did not end; its connection is closed", self._client.url)

    def _interrupt(self) -> bool:
        """Say whether the server has heard of it."""
        try:
            self._client.post(f"{API}/interrupt", {}, seconds=ASK_SECONDS)
        except ServerFault as fault:
            logger.warning("cannot interrupt the job: %s", fault.message)
            return False
        return True

    def _look(self) -> Sight | None:
        """Ask what runs, then at once whether it is ours; None if the server says nothing now."""
        try:
            progress = self._client.get(f"{API}/progress", _PROGRESS, seconds=ASK_SECONDS)
            return sight_of(progress, self._ask_for_task() if self._tasks_known else None)
        except ServerFault:
            return None

    def _ask_for_task(self) -> Reply | None:
        question = {"id_task": self._payload["force_task_id"], "id_live_preview": -1, "live_preview": False}
        reply = self._client.post("/internal/progress", question, seconds=ASK_SECONDS)
        if reply.status == NOT_FOUND:  # --nowebui
            self._tasks_known = False
            return None
        return reply


def free_memory(client: HttpClient) -> None:
    """Have the server free the graphics card, unless somebody's job runs there, from which it would take the model."""
    try:
        sight = sight_of(client.get(f"{API}/progress", _PROGRESS, seconds=ASK_SECONDS), None)
        if sight and not sight.busy:
            client.post(f"{API}/unload-checkpoint", {}, seconds=LOAD_SECONDS)
            client.post(f"{API}/reload-checkpoint", {}, seconds=LOAD_SECONDS)  # it would stay in main memory
    except ServerFault as fault:
        logger.warning("cannot free the server's memory: %s", fault.message)


class _Looker:
    """Looks every second in a thread of its own, so that a slow server does not keep the job's thread."""

    def __init__(self, look: Callable[[], Sight | None]) -> None:
        """Start; the first look is in a second."""
        self._look = look
        self._sight: Sight | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress of the web UI", daemon=True)
        self._thread.start()

    def take(self) -> Sight | None:
        """Return what was seen since the last time, if anything."""
        sight, self._sight = self._sight, None
        return sight

    def close(self) -> None:
        """End, as soon as the look that goes on is over."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._sight = self._look()
