"""`python -m benchmarks.timed_service learning|runner FOLDER [RUNNER]`: a service whose loop is measured.

The loop and the code are those of the real service; clocks are read around each wait.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import zmq

from benchmarks.role import Parent
from bus import Log, Loop
from bus.console.process import service_loop
from bus.contracts.topics import STATE_TOPICS
from bus.protocol.addresses import Address
from learning_service.experiments.selection import Selection
from learning_service.service import LearningService
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Pipeline, Setup
from pipeline_runner.pipelines.noop import NoopPipeline
from pipeline_runner.service import Runner

ANY_PORT: Final = Address("127.0.0.1", 0)
STACKS: Final = "TURNS_STACKS"  # an environment variable that may name a file: it gets where each long turn is
LONG: Final = 0.04  # seconds


class TimedPoller(zmq.Poller):
    """Measures what happens between two polls."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        super().__init__()
        self.began: float | None = None
        self._cpu = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget what was measured; the present turn counts for nothing."""
        self.longest = self.longest_cpu = 0.0
        self.turns = 0
        self.began = None

    def poll(self, timeout: int | None = None) -> list[tuple[Any, int]]:
        """End a turn, wait, and begin the next one."""
        if self.began is not None:
            self.longest = max(self.longest, time.monotonic() - self.began)
            self.longest_cpu = max(self.longest_cpu, time.thread_time() - self._cpu)
            self.turns += 1
            self.began = None
        found = super().poll(timeout)
        self._cpu, self.began = time.thread_time(), time.monotonic()
        return found


@contextmanager
def timed_loop() -> Iterator[tuple[Loop, TimedPoller]]:
    """Yield a loop as services have it, with what measures it."""
    poller = TimedPoller()
    with service_loop() as loop:
        for source in loop._readers:  # noqa: SLF001 - the poller takes the place of the loop's own
            poller.register(source, zmq.POLLIN)
        loop._poller = poller  # noqa: SLF001 - the same
        yield loop, poller


def main() -> None:
    """Be a service; at the word `turns`, tell what was measured since the last time."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    parent = Parent()
    with timed_loop() as (loop, poller):
        log = Log(folder / f"{kind}.db", keep_newest=STATE_TOPICS if kind == "learning" else ())
        service = _learning(log, loop) if kind == "learning" else _runner(log, loop, folder)

        def tell() -> None:
            parent.tell("turns", longest=poller.longest, cpu=poller.longest_cpu, turns=poller.turns)
            poller.reset()

        parent.on_word = lambda _: loop.call(tell)
        if stacks := os.environ.get(STACKS):
            threading.Thread(target=_watch, args=(poller, threading.get_ident(), Path(stacks)), daemon=True).start()
        parent.tell("ready", control=str(service.publisher.control))
        loop.run()
        service.close()
        log.close()


def _learning(log: Log, loop: Loop) -> LearningService:
    return LearningService(log, loop, Selection(runners=sys.argv[3:4]), feed=ANY_PORT, control=ANY_PORT)


def _runner(log: Log, loop: Loop, folder: Path) -> Runner:
    outputs = Outputs(folder / "outputs")
    pipelines: dict[str, Pipeline] = {"noop": NoopPipeline(Setup(outputs=outputs))}
    return Runner(log, loop, pipelines, outputs, workers=1, feed=ANY_PORT, control=ANY_PORT)


def _watch(poller: TimedPoller, thread: int, stacks: Path) -> None:
    """Write where a turn is that takes long; for whoever looks for the reason."""
    seen = 0
    while True:
        time.sleep(LONG / 4)
        if poller.began is not None and time.monotonic() - poller.began > LONG and poller.turns != seen:
            seen = poller.turns
            frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way there is
            with stacks.open("a", encoding="utf-8") as file:
                file.write(f"--- {sys.argv[1]}, turn {seen}\n{''.join(traceback.format_stack(frame)[-9:])}")


if __name__ == "__main__":
    main()
