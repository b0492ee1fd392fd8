"""Programs that score pictures as a test says, and a runner that uses them."""

import sys
from collections.abc import Callable
from pathlib import Path

from bus.contracts.jobs import JobRequest, PipelinesReply, ScoreParams, ScoreReply
from bus.contracts.messages import JobScored, LearningContext
from bus.contracts.scoring import ScoreSettings
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.scoring import builtin
from pipeline_runner.scoring.registry import Scorers
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread
from tests.support.helpers import LOCALHOST, wait_until
from tests.support.painting_runner import PaintingRunner

BUILTIN: Scorers = {
    "change": builtin.Change,
    "contrast": builtin.Contrast,
    "psnr": builtin.Psnr,
    "sharpness": builtin.Sharpness,
}
GOOD = 'answer({"value": 0.5})'
# each question is noted, so that a test can count them; `number` counts those of this process
PROGRAM = """
import json, os, sys, time
def answer(found):
    print(json.dumps(found), flush=True)
noted = {noted!r}
for number, line in enumerate(sys.stdin, 1):
    asked = json.loads(line)
    with open(noted, "a") as file:
        file.write(f"{{os.getpid()}} {{asked.get('job_id', '')}}\\n")
    total = sum(1 for _ in open(noted))
{body}
"""


def program(folder: Path, body: str = GOOD) -> tuple[str, ...]:
    """Return the command of a scorer that does this for each question."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return sys.executable, "-c", PROGRAM.format(noted=str(folder / "asked.txt"), body=lines)


def asked(folder: Path) -> list[tuple[str, str]]:
    """Return process and job of each question so far."""
    path = folder / "asked.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(process, job) for process, _, job in (line.partition(" ") for line in lines)]


def by_program(folder: Path, body: str = GOOD, *, seconds: float = 60.0) -> ScoreSettings:
    """Return settings that measure `value` by such a program."""
    return ScoreSettings(command=program(folder, body), metrics=("value",), timeout_seconds=seconds)


class ScoringRunner(PaintingRunner):
    """A runner with the painting pipeline and scorers; it can be started again with the same data."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.folder = folder
        super().__init__(folder)

    def _make(self, pipelines: dict[str, Pipeline], outputs: Outputs) -> Callable[[Log, Loop], Runner]:
        def make(log: Log, loop: Loop) -> Runner:
            return Runner(log, loop, pipelines, outputs, workers=2, feed=LOCALHOST, control=LOCALHOST, scorers=BUILTIN)

        return make

    def restart(self) -> None:
        """Start it anew, after its service has stopped."""
        self.runner = ServiceThread(
            self.folder / "runner.db", self._make({"painter": self.painter}, self.painter.outputs)
        )
        self.address = str(self.runner.service.publisher.control)

    def job(
        self, name: str, score: ScoreSettings | None, mark: LearningContext | None = None, *, base: str = ""
    ) -> JobRequest:
        """Return a job that is measured."""
        return JobRequest(
            job_id=name,
            pipeline="painter",
            stage="paint",
            learning_context=mark,
            config={"seed": 1},
            score=score,
            score_base=base,
        )

    def score(
        self, score: ScoreSettings | None = None, *, experiment: str = "exp-1", again: bool = False, **jobs: str
    ) -> ScoreReply:
        """Ask to measure jobs, each with what it is compared with, or how far that is."""
        params = ScoreParams(experiment_id=experiment, jobs=jobs, score=score, again=again)
        reply = self.ask("job.score", params, ScoreReply)
        assert isinstance(reply, ScoreReply)
        return reply

    def scored(self) -> list[JobScored]:
        """Return what was published of measures."""
        return [one for one in self.runner.logged("job.scored.") if isinstance(one, JobScored)]

    def settle(self, experiment: str = "exp-1") -> ScoreReply:
        """Wait until nothing is left to be measured."""
        replies: list[ScoreReply] = []

        def is_done() -> bool:
            replies[:] = [self.score(experiment=experiment)]
            return not replies[0].waiting

        wait_until(is_done, what="the measures")
        return replies[0]

    def offered(self) -> PipelinesReply:
        """Return what it offers."""
        reply = self.ask("pipelines", {}, PipelinesReply)
        assert isinstance(reply, PipelinesReply)
        return reply
