"""A scorer whose process is kept for the next picture, and started anew after it has failed."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pipeline_runner.scoring.lines import Answer, Question, encode_question
from pipeline_runner.scoring.talk import POLL_SECONDS, ScorerError, Stopped, StoppedError, Talk

ATTEMPTS: Final = 3  # at one picture; one alone while nothing but failures came before
REST_SECONDS: Final = (0.5, 2.0)  # between them
logger = logging.getLogger(__name__)


class KeptScorer:
    """Asks one scorer, one question at a time, from any thread."""

    def __init__(
        self, title: str, arguments: Sequence[str], metrics: Sequence[str], folder: Callable[[], Path]
    ) -> None:
        """Start nothing yet; `folder` gives a new one for each process, and `title` is for people."""
        self._title, self._arguments, self._metrics, self._folder = title, arguments, metrics, folder
        self._talk: Talk | None = None
        self._turn = threading.Lock()
        self._is_failing = self._is_closed = False
        self.used_at = time.monotonic()

    def means(self, questions: Sequence[Question], seconds: float, stopped: Stopped) -> dict[str, float]:
        """Return the mean of each metric over some pictures; each answer may take so many seconds.

        Raises:
            ScorerError: one of them has no answer, after all attempts.
            StoppedError: nobody waits for it any more.
        """
        while not self._turn.acquire(timeout=POLL_SECONDS):
            _check(stopped)
        try:
            answers = [self._measured(encode_question(one), seconds, stopped) for one in questions]
        finally:
            self.used_at = time.monotonic()
            self._turn.release()
        return {name: sum(one[name] for one in answers) / len(answers) for name in self._metrics}

    def is_idle(self, since: float) -> bool:
        """Return whether there is a process that nobody has asked since a time, by the monotonic clock."""
        return self._talk is not None and self.used_at <= since

    def close(self, idle_since: float | None = None) -> None:
        """End the process; with a time, by the monotonic clock, only if nobody has asked it since."""
        if idle_since is None:
            self._is_closed = True
        elif self.used_at > idle_since or not self._turn.acquire(blocking=False):
            return
        self._end()
        if idle_since is not None:
            self._turn.release()

    def _measured(self, question: bytes, seconds: float, stopped: Stopped) -> dict[str, float]:
        most = 1 if self._is_failing else ATTEMPTS
        for attempt in range(1, most + 1):
            try:
                answer = self._ask(question, seconds, stopped)
                if not answer.problem:
                    self._is_failing = False
                    return answer.metrics
                reason = answer.problem
            except ScorerError as error:
                reason = str(error)
            except BaseException:
                self._end()  # it may answer the old question yet
                raise
            self._end()
            logger.warning("%s failed, attempt %d of %d: %s", self._title, attempt, most, reason)
            if attempt < most:
                _rest(REST_SECONDS[attempt - 1], stopped)
        self._is_failing = True
        raise ScorerError(reason)

    def _ask(self, question: bytes, seconds: float, stopped: Stopped) -> Answer:
        _check(stopped)
        if self._talk and self._talk.has_ended():
            self._end()
        is_known = self._talk is not None
        try:
            return self._started().ask(question, self._metrics, seconds, stopped)
        except ScorerError as error:
            if not (is_known and error.has_ended):
                raise
        self._end()  # a program for one picture: it had not quite ended when it was asked for the next one
        return self._started().ask(question, self._metrics, seconds, stopped)

    def _started(self) -> Talk:
        if self._is_closed:
            raise StoppedError
        self._talk = self._talk or Talk(self._arguments, self._folder())
        return self._talk

    def _end(self) -> None:
        talk, self._talk = self._talk, None
        if talk:
            talk.close()


def _check(stopped: Stopped) -> None:
    if stopped():
        raise StoppedError


def _rest(seconds: float, stopped: Stopped) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _check(stopped)
        time.sleep(POLL_SECONDS)
