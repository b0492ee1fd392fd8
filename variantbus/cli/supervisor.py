"""Keeps processes running: what dies is started again, and nothing outlives this process."""

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from bus.transport.loop import Loop
from variantbus.cli.processes import Lifeline, shown_status, stop

SETTLED_SECONDS: Final = 2.0  # a process that dies earlier is started again after 1, 2, 3 … seconds
LONGEST_REST_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.2


@dataclass(slots=True)
class Program:
    """A process that is to run for ever.

    Attributes:
        why: Returns why it has ended, for one that does not say so itself; empty if nobody knows.
        deaths: How many in a row came early.
    """

    name: str
    arguments: list[str]
    why: Callable[[], str] = str  # which returns nothing
    process: subprocess.Popen[str] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    due: float = field(default=0.0, init=False)
    deaths: int = field(default=0, init=False)

    def ended(self, now: float) -> float:
        """Take note of an end, and return after how many seconds it is to be started again."""
        self.deaths = self.deaths + 1 if now - self.started < SETTLED_SECONDS else 0
        rest = min(float(self.deaths), LONGEST_REST_SECONDS)
        self.due = now + rest
        self.process = None
        return rest


class Supervisor:
    """Runs programs until a signal. Their output goes where ours goes."""

    def __init__(self, folder: Path, programs: Sequence[Program]) -> None:
        """Start nothing yet; the data folder tells `variantbus down` to what a process belongs."""
        self._folder, self._programs = folder, programs

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or SIGHUP, then stop all, last started first."""
        with closing(Loop()) as loop, closing(Lifeline(self._folder)) as lifeline:
            loop.handle_signals()
            try:
                loop.every(LOOK_SECONDS, lambda: self._look(lifeline))
                self._look(lifeline)
                loop.run()
            finally:
                stop(one.process for one in reversed(self._programs) if one.process)

    def _look(self, lifeline: Lifeline) -> None:
        """Start what is due; note what has ended."""
        now = time.monotonic()
        for one in self._programs:
            if one.process is None and one.due <= now:
                one.started = now
                try:
                    one.process = lifeline.spawn(one.arguments)
                except OSError as error:  # such as no memory or process left: as if it had died at once
                    self._again(one, f"{one.name} cannot be started: {error.strerror}", now)
            elif one.process and one.process.poll() is not None:
                why = one.why()
                text = f"{one.name} has ended with status {shown_status(one.process)}"
                self._again(one, text + f" ({why})" * bool(why), now)

    def _again(self, one: Program, what: str, now: float) -> None:
        rest = one.ended(now)
        _tell(f"{what}; starting it again" + (f" in {rest:g} s" * (rest > 0)))


def _tell(text: str) -> None:
    """Write a line to stderr; whoever reads it may have gone, as a closed terminal."""
    with suppress(OSError):
        click.echo(text, err=True)
