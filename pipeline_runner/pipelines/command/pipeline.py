"""The `command` pipeline: runs any program, one process for each job.

    [config]
    command = ["my-tool", "--steps", "{steps}", "--out", "{output_dir}/result.png"]
    timeout_seconds = 600

The arguments are a list and never pass through a shell. The files that the program writes to `{output_dir}` are the
results; its last line on stdout, if it is a JSON map, gives metrics, and a warning for what of it is no finite number.
A non-zero exit status is a failure, with the end of stderr as its message.
"""

import contextlib
import json
import math
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from msgspec import UNSET

from bus.contracts.fields import Config, ConfigValue
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import PLACEHOLDER, StageSpec, VariableSpec
from bus.eventlog.disk_faults import disk_fault
from bus.eventlog.errors import StorageError
from pipeline_runner.outputs.files import FileTooLargeError, Outputs, id_name
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, Setup
from pipeline_runner.pipelines.command.processes import ProcessGroup, Streams, kill_leftovers, remove_folder
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result
from pipeline_runner.queue.metrics import finite

DEFAULT_TIMEOUT: Final = 3600.0  # seconds
POLL_SECONDS: Final = 0.05
TAIL_BYTES: Final = 4096  # of stderr, for the message
LINE_BYTES: Final = 65_536  # of stdout: a longer last line is not read
SHOWN: Final = 60  # characters of a line in a warning
LOOK_SECONDS: Final = 1.0  # between two looks at how much a program has written
BLIND_SECONDS: Final = 0.25  # without a look at the disk: the runner was stopped meanwhile, or the machine slept
UNSURE_SECONDS: Final = 5.0  # behind a disk that is full or nearly: it may have been full for a moment again
MOST_UNSURE: Final = 3  # failures of a job that do not count as nobody knows of the disk, so that none runs for ever
_ENDS: Final = re.compile(r"[\r\n]")  # of lines: others, such as U+2028, may stand in the texts of a JSON map
_STAGES: Final = {
    "run": StageSpec(
        config={
            "command": VariableSpec(kind="list", target="program and arguments; {placeholders} are variables"),
            "timeout_seconds": VariableSpec(
                kind="float", minimum=0.1, maximum=7 * 86_400, unit="seconds", target="when the program is ended"
            ),
        },
        required=("command",),
        template="command",
        provided=("output_dir", "job_id"),
    )
}


class CommandPipeline(Pipeline):
    """Runs a program for each job, in a process group of its own."""

    def __init__(self, setup: Setup) -> None:
        """Keep working folders inside the output folder, and end programs that a dead runner left behind."""
        self._outputs = setup.outputs
        self._most = setup.output_bytes
        self._work = setup.outputs.root / ".work"
        self._since = time.monotonic()  # a job that ran before may have met a full disk, and may meet it again
        self._unsure: Counter[str] = Counter()  # by job
        kill_leftovers(self._work)

    def stages(self) -> Mapping[str, StageSpec]:
        """Return the one stage, `run`; its variables are the placeholders of its command."""
        return _STAGES

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run the program to its end, its timeout or the cancellation of the job."""
        progress(0.0)
        work = self._work / f"{id_name(job.job_id)}.{job.attempt}"
        output_dir = work / "output"
        try:
            with self._outputs.writing():
                output_dir.mkdir(parents=True, exist_ok=True)
                return self._run_in(job, work, output_dir, cancelled)
        except RecursionError:
            return failed_result("too_deep", "the program has nested its folders too deep; it must make fewer levels")
        finally:
            remove_folder(work)

    def _run_in(self, job: NormalizedJobRecord, work: Path, output_dir: Path, cancelled: Cancelled) -> JobResult:
        arguments = fill_in(job.config, {"output_dir": str(output_dir), "job_id": job.job_id})
        if not arguments:
            return failed_result("invalid_request", "config.command: empty; name at least a program")
        room = _RoomSeen(self._outputs, known_since=self._since if job.attempt > 1 else -math.inf)
        with (work / "stdout").open("w+b") as stdout, (work / "stderr").open("w+b") as stderr:
            try:
                group = ProcessGroup(arguments, work, Streams(stdout, stderr))
            except (OSError, ValueError) as error:  # ValueError: an argument has a NUL
                if isinstance(error, OSError) and disk_fault(error, work):
                    raise
                return failed_result("invalid_request", f"config.command: cannot start {arguments[0]!r}: {error}")
            timeout = job.config.get("timeout_seconds", DEFAULT_TIMEOUT)
            seconds = float(timeout) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT
            try:
                ended = _wait(group, seconds, cancelled, work, self._most, room)
            except BaseException:
                group.kill()
                raise
            printed, complaint = _tail(stdout, LINE_BYTES), _tail(stderr, TAIL_BYTES)
        if not ended and group.returncode:
            if fault := room.fault() or self._doubt(job, room) or self._outputs.probe():
                raise fault  # a program that cannot write ends with any status
            ended = failed_result("command_failed", _reason(group.returncode, complaint))
        elif not ended and _bytes_in(work) > self._most:
            ended = _too_large(self._most)
        self._outputs.check_room()  # a program may have ended well all the same, with half of its files
        return ended or self._result(job, output_dir, printed, cancelled)

    def _doubt(self, job: NormalizedJobRecord, room: "_RoomSeen") -> StorageError | None:
        """Return why a failure is not believed, the first times."""
        if room.is_sure or self._unsure[job.job_id] == MOST_UNSURE:
            del self._unsure[job.job_id]
            return None
        self._unsure[job.job_id] += 1
        return StorageError(
            f"a program failed, and it is not sure that {self._outputs.root} had room left all the time"
        )

    def _result(self, job: NormalizedJobRecord, output_dir: Path, printed: str, cancelled: Cancelled) -> JobResult:
        """Copy what the program has made; something else may still write there."""
        del self._unsure[job.job_id]
        seed, left = job.config.get("seed"), self._most
        images = []
        for path in _files(output_dir):
            if cancelled():
                return cancelled_result()
            try:
                name, own = str(path.relative_to(output_dir)), seed if isinstance(seed, int) else None
                image, size = self._outputs.save_file(job, path, left, seed=own, name=name)
            except FileTooLargeError:
                return _too_large(self._most)
            images.append(image)
            left -= size
        context = job.learning_context
        metrics, warning = metrics_of(printed, is_needed=context is not None and context.metric is not UNSET)
        warnings = (warning,) if warning else ()
        return JobResult(success=True, images=tuple(images), metrics=metrics, effective=job.config, warnings=warnings)


def fill_in(config: Config, provided: dict[str, str]) -> list[str]:
    """Return the arguments with every `{placeholder}` replaced; one that has no value stays as it is.

    `{{word}}` becomes `{word}`.
    """
    template = config["command"]
    values = {**{key: _argument(value) for key, value in config.items()}, **provided}
    parts = template if isinstance(template, list) else [template]
    return [PLACEHOLDER.sub(lambda match: _filled(match, values), _argument(part)) for part in parts]


def _filled(match: re.Match[str], values: Mapping[str, str]) -> str:
    name = match["name"]
    return f"{{{match['literal']}}}" if name is None else values.get(name, match[0])


def metrics_of(stdout: str, *, is_needed: bool = False) -> tuple[dict[str, float], str]:
    """Return the finite numbers of the last line, if that is a JSON map, and a warning about all else, "" if none.

    A last line of another kind is worth a warning only if it was meant as a map, or if a metric is needed.
    """
    lines = [line.strip() for line in _ENDS.split(stdout)]
    line = next(filter(None, reversed(lines)), "").removeprefix("\ufeff")
    try:
        found = json.loads(line) if line else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return finite(found)
    if is_needed or line.startswith("{"):
        shown = f"it is {line[:SHOWN]!r}" if line else "there is none"
        return {}, f'metrics are read of a last line on stdout such as {{"loss": 0.5}}, in JSON; {shown}'
    return {}, ""


def _argument(value: ConfigValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _RoomSeen:
    """Whether the disk of the results may have been full during a run, also if there is room again at its end."""

    def __init__(self, outputs: Outputs, known_since: float) -> None:
        """`known_since` is from when on it is known whether it was full, by the monotonic clock."""
        self._outputs, self._known_since = outputs, known_since
        self._began = self._looked_at = time.monotonic()
        self._was_blind = False
        outputs.is_full()

    def look(self) -> None:
        now = time.monotonic()
        self._was_blind = self._was_blind or now - self._looked_at > BLIND_SECONDS
        self._looked_at = now
        self._outputs.is_full()

    def fault(self) -> StorageError | None:
        """Return why a failure says nothing of the program, None if it may."""
        self.look()
        if self._outputs.full_at < self._began:
            return None
        return StorageError(f"{self._outputs.root} had no room left while a program ran")

    @property
    def is_sure(self) -> bool:
        """Whether it certainly had room all the time."""
        seen = max(self._outputs.full_at, self._outputs.low_at, self._known_since)
        return not self._was_blind and seen < self._began - UNSURE_SECONDS


def _wait(
    group: ProcessGroup, timeout: float, cancelled: Cancelled, work: Path, most: int, room: _RoomSeen
) -> JobResult | None:
    """Wait for the program; return a result only if it was ended by us."""
    now = time.monotonic()
    deadline, look = now + timeout, now + LOOK_SECONDS
    while not group.wait(POLL_SECONDS):
        room.look()
        if cancelled():
            group.kill()
            return cancelled_result()
        now = time.monotonic()
        if now > deadline:
            group.kill()
            return failed_result("timeout", f"the program was ended after {timeout:g} s (config.timeout_seconds)")
        if now > look:
            if _bytes_in(work) > most:
                group.kill()
                return _too_large(most)
            look = time.monotonic() + LOOK_SECONDS
    return None


def _too_large(most: int) -> JobResult:
    text = f"the program has written more than {most} bytes; it must write less, or raise output_bytes in [limits]"
    return failed_result("too_large", text)


def _reason(returncode: int, stderr: str) -> str:
    how = f"exit status {returncode}" if returncode > 0 else f"ended by {_signal_name(-returncode)}"
    return f"{how}: {stderr.strip()}" if stderr.strip() else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def _tail(file: IO[bytes], most: int) -> str:
    """Return the end of what a program has printed, by our own file: its name may be anything's meanwhile."""
    number = file.fileno()
    start = max(0, os.fstat(number).st_size - most)
    return os.pread(number, most, start).decode("utf-8", "replace")


def _files(folder: Path) -> list[Path]:
    """Return the regular files of a folder; a link could point anywhere, also one in the place of the folder."""
    if folder.is_symlink():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _bytes_in(folder: Path) -> int:
    """Return the size of all files below a folder, as a copy of them would have it; some may go meanwhile."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{path}/{name}").st_size
    return total
