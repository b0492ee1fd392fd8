"""The process of a scorer that is a class: `python -m pipeline_runner.scoring.host NAME` answers line by line.

So a model that crashes, hangs or fills the memory costs numbers, and never the runner.
"""

import json
import os
import signal
import sys
import traceback
from typing import BinaryIO

from pipeline_runner.scoring.base import Scorer
from pipeline_runner.scoring.lines import ERROR, SHOWN, decode_question
from pipeline_runner.scoring.registry import load_scorer


def serve(name: str, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer questions until there are no more; the scorer is made for the first one."""
    scorer: Scorer | None = None
    for line in questions:
        try:
            question = decode_question(line)
            scorer = scorer or load_scorer(name)(question.options)
            answer: dict[str, float | str] = {name: float(scorer.score(question))}
        except Exception as error:  # noqa: BLE001 - whatever a scorer raises costs this number alone
            traceback.print_exc()
            answer = {ERROR: f"{type(error).__name__}: {error}"[:SHOWN]}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    """Serve the scorer that is named; what it prints itself goes to stderr, as stdout is for answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner ends it, also after a ^C in its terminal
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
