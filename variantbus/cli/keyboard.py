"""Questions to a person at the keyboard, each answered by a line."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

import click

from bus.console.printable import harmless
from bus.protocol.control import ControlError

T = TypeVar("T", bound=str)
QUIT: Final = "q"


def ask(question: str, answers: Mapping[str, T]) -> T:
    """Return the answer of the person, one of `answers` by their letters; ask again until it is valid."""
    *letters, last = answers
    while True:
        click.echo(question, nl=False, err=True)
        answer = read_answer(sys.stdin.buffer.readline() if sys.stdin else b"", answers)
        if answer:
            return answer
        click.echo(f"write {', '.join(letters)} or {last}", err=True)


def read_answer(line: bytes, answers: Mapping[str, T]) -> T | None:
    """Return the answer of a letter or its whole word, in any case; None if it is neither. End of input: quit."""
    if not line:
        return answers[QUIT]
    word = line.decode(errors="replace").strip().lower().replace(" ", "_")
    return answers.get(word) or next((answer for answer in answers.values() if answer == word), None)


@contextmanager
def going_on() -> Iterator[None]:
    """Tell what was not found, such as an answer to undo, and go on with the questions."""
    try:
        yield
    except ControlError as error:
        if error.code != "not_found":
            raise
        click.echo(harmless(error.message), err=True)
