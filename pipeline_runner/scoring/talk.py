"""A program that answers line by line: started in a group of its own, and asked without ever waiting for ever."""

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from pipeline_runner.pipelines.command.processes import ProcessGroup, Streams, remove_folder
from pipeline_runner.scoring.lines import ANSWER_BYTES, Answer, begins_answer, read_answer

Stopped = Callable[[], bool]
POLL_SECONDS: Final = 0.05
END_SECONDS: Final = 1.0  # for a program that has closed its stdout to end
TAIL_BYTES: Final = 2048  # of stderr, for the warning
PART_BYTES: Final = 65_536
_EVENTS: Final = (selectors.EVENT_WRITE, selectors.EVENT_READ, selectors.EVENT_READ)
UNBUFFERED: Final = {"PYTHONUNBUFFERED": "1"}  # else the answers of a Python program would wait in its buffer


class ScorerError(Exception):
    """A program gave no answer; `has_ended` by itself and well, before it had read the question perhaps."""

    def __init__(self, reason: str, *, has_ended: bool = False) -> None:
        """Say why."""
        super().__init__(reason)
        self.has_ended = has_ended


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


class Talk:
    """A running program; one question at a time. After any error it is to be ended."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        """Start the program where the runner was started; it is noted in a folder.

        Raises:
            ScorerError: it cannot be started.
        """
        self._folder, self._buffer, self._tail = folder, bytearray(), bytearray()
        self._left = memoryview(b"")  # of the question, to be written
        self._ends: list[int] = []  # ours, of its stdin, stdout and stderr
        self.answers = 0
        theirs: list[int] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for reading in (False, True, True):
                pair = os.pipe()
                self._ends.append(pair[0] if reading else pair[1])
                theirs.append(pair[1] if reading else pair[0])
            stdin, stdout, stderr = theirs
            self._group = ProcessGroup(arguments, folder, Streams(stdout, stderr, stdin), inside=False, more=UNBUFFERED)
        except (OSError, ValueError) as error:  # ValueError: an argument has a NUL
            self._release()
            raise ScorerError(f"cannot start {arguments[0]!r}: {error}") from None
        finally:
            for number in theirs:
                os.close(number)
        for number in self._ends:
            os.set_blocking(number, False)

    def has_ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._group.wait(0)

    def ask(self, line: bytes, wanted: Collection[str], seconds: float, stopped: Stopped) -> Answer:
        """Write a question and return the answer.

        Raises:
            ScorerError: there is none in time, or none at all; or one was there before the question.
            StoppedError: nobody waits for it any more.
        """
        self._check_silent()
        self._left, printed = memoryview(line), 0
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            for number, event in zip(self._ends, _EVENTS, strict=True):
                ready.register(number, event)
            while not stopped():
                if time.monotonic() > deadline:
                    raise ScorerError(self._late(seconds))
                for key, _ in ready.select(POLL_SECONDS):
                    if key.fd == self._ends[1]:
                        printed += self._read()
                    elif not (self._write() if key.fd == self._ends[0] else self._note_errors()):
                        ready.unregister(key.fd)
                if answer := self._answer(wanted):
                    return answer
                if printed > ANSWER_BYTES:
                    raise ScorerError(f"it has printed {ANSWER_BYTES} bytes and no answer")
        raise StoppedError

    def close(self, grace: float = 0.0) -> None:
        """End it with its children."""
        self._group.kill(grace)
        self._release()

    def _release(self) -> None:
        for number in self._ends:
            os.close(number)
        self._ends = []
        remove_folder(self._folder)

    def _check_silent(self) -> None:
        """Refuse an answer that nobody has asked for: the next picture would get the number of the last one."""
        self._read()
        if self._answer(()) or begins_answer(self._buffer):  # of which the rest is to come
            raise ScorerError("it has printed a second answer; each question gets one")

    def _write(self) -> bool:
        """Write more of the question; return whether there is still more."""
        try:
            self._left = self._left[os.write(self._ends[0], self._left[:PART_BYTES]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # its end is read of its stdout
            return False
        return bool(self._left)

    def _read(self) -> int:
        """Read what it has printed; return how many bytes.

        Raises:
            ScorerError: it has ended.
        """
        try:
            part = os.read(self._ends[1], PART_BYTES)
        except BlockingIOError:
            return 0
        if not part:
            raise self._ended()
        self._buffer += part
        return len(part)

    def _answer(self, wanted: Collection[str]) -> Answer | None:
        """Return the answer among the lines that it has printed, None if it is not there yet."""
        while b"\n" in self._buffer:
            line, _, rest = self._buffer.partition(b"\n")
            self._buffer = rest
            if answer := read_answer(bytes(line), wanted):
                self.answers += 1
                return answer
        return None

    def _note_errors(self) -> bool:
        """Keep the end of stderr; return whether more may come."""
        try:
            part = os.read(self._ends[2], PART_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + part)[-TAIL_BYTES:]
        return bool(part)

    def _ended(self) -> ScorerError:
        if not self._group.wait(END_SECONDS):
            return ScorerError(f"it has closed its stdout{self._complaint()}")
        code = self._group.returncode
        how = f"exit status {code}" if code >= 0 else f"signal {-code}"
        return ScorerError(f"it ended with {how}{self._complaint()}", has_ended=code == 0 and bool(self.answers))

    def _late(self, seconds: float) -> str:
        hint = "" if self._tail or self.answers else "; each answer has to be flushed"
        return f"no answer within {seconds:g} s (score.timeout_seconds){hint}{self._complaint()}"

    def _complaint(self) -> str:
        """Return what it has last printed on stderr, as the end of a sentence."""
        with contextlib.suppress(OSError):
            while len(self._tail) < TAIL_BYTES and (part := os.read(self._ends[2], PART_BYTES)):
                self._tail += part
        text = self._tail[-TAIL_BYTES:].decode("utf-8", "replace").strip()
        return f": {text}" if text else ""
