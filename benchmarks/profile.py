"""Where the time of a process goes: py-spy looks at it from outside, so that it runs as fast as without."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final, Self

from benchmarks.crew import BenchmarkError, Child

SAMPLES_A_SECOND: Final = 500
LINES: Final = 30


class Profiler:
    """Samples a process from now on until `report`."""

    def __init__(self, child: Child, folder: Path) -> None:
        """Attach to it.

        Raises:
            BenchmarkError: py-spy is not there.
        """
        command = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if command is None:
            raise BenchmarkError("py-spy is not installed; `make bench` installs it")
        self._name = child.name
        self._raw, self._errors = folder / f"{child.name}.raw", folder / f"{child.name}.profile-err"
        arguments = ["record", "--nonblocking", "--format", "raw", "--rate", str(SAMPLES_A_SECOND)]
        arguments += ["--output", str(self._raw), "--pid", str(child.popen.pid)]
        with self._errors.open("wb") as errors:
            self._popen = subprocess.Popen([command, *arguments], stdout=errors, stderr=errors)  # noqa: S603 - ours

    def report(self) -> str:
        """Stop sampling, and give the functions in which the time went.

        Raises:
            BenchmarkError: py-spy could not look at the process.
        """
        self._popen.send_signal(signal.SIGINT)
        self._popen.wait()
        if not self._raw.exists():
            raise BenchmarkError(f"py-spy: {self._errors.read_text(encoding='utf-8', errors='replace')}")
        return f"  {self._name}\n{summary(self._raw.read_text(encoding='utf-8'))}"

    def __enter__(self) -> Self:
        """Use it in a `with` block, which ends it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()


def summary(raw: str) -> str:
    """Turn collapsed stacks, `outer;inner count` a line, into a table: lines by own time, functions by whole time.

    A line without a count is left out: as the process runs on while it is looked at, a name may be anything.
    """
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdecimal():
            continue
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for function in {frame.rpartition(":")[0] for frame in frames}:
            whole[function] += int(count)
    total = own.total() or 1
    lines = ["  own time of lines"]
    lines += [f"  {100 * count / total:5.1f} %  {frame}" for frame, count in own.most_common(LINES)]
    lines += ["  whole time of functions"]
    lines += [f"  {100 * count / total:5.1f} %  {function})" for function, count in whole.most_common(LINES)]
    return "\n".join(lines)
