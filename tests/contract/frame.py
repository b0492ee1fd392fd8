"""The contract of image servers: questions, each with the answer that was recorded from a real server.

A case asks one server and returns what it saw as plain values. The ordinary test suite asks our fakes, which have to
answer as recorded; `make contract` asks any server, and prints where it differs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

S = TypeVar("S")  # what the cases of one kind of server are given


class NotPossibleError(Exception):
    """This server lacks what the case needs, such as a second model; the text says what."""


@dataclass(frozen=True)
class Case(Generic[S]):
    """One question: its title, what a real server answered, and how it is asked."""

    title: str
    recorded: object
    ask: Callable[[S], object]


@dataclass
class Contract(Generic[S]):
    """The cases of one kind of server, in the order in which they are written."""

    cases: list[Case[S]] = field(default_factory=list)

    def case(self, recorded: object) -> Callable[[Callable[[S], object]], Callable[[S], object]]:
        """Add the function below as a case; its name is the title."""

        def add(ask: Callable[[S], object]) -> Callable[[S], object]:
            self.cases.append(Case(ask.__name__.replace("_", " "), recorded, ask))
            return ask

        return add


class Outcome(NamedTuple):
    """How one server answered one case."""

    title: str
    verdict: Literal["as recorded", "different", "not possible"]
    recorded: object
    seen: object


def ask(case: Case[S], server: S) -> Outcome:
    """Ask a server; whatever goes wrong with it is its answer."""
    try:
        seen = case.ask(server)
    except NotPossibleError as error:
        return Outcome(case.title, "not possible", case.recorded, str(error))
    except Exception as error:  # noqa: BLE001 - the other cases are asked all the same
        seen = f"{type(error).__name__}: {error}"
    return Outcome(case.title, "as recorded" if seen == case.recorded else "different", case.recorded, seen)


def table(kind: str, outcomes: Iterable[Outcome]) -> str:
    """Return the differences as a table in Markdown, below a line that counts the cases."""
    found = list(outcomes)
    verdicts = ("as recorded", "different", "not possible")
    counts = ", ".join(f"{sum(one.verdict == verdict for one in found)} {verdict}" for verdict in verdicts)
    lines = [f"{kind}: {len(found)} cases, {counts}"]
    rest = [one for one in found if one.verdict != "as recorded"]
    if rest:
        lines += ["", "| case | recorded | this server |", "|---|---|---|"]
        lines += [f"| {one.title} | {_cell(one.recorded)} | {_cell(_seen(one))} |" for one in rest]
    return "\n".join(lines)


def _seen(one: Outcome) -> object:
    return f"not possible: {one.seen}" if one.verdict == "not possible" else one.seen


def _cell(value: object) -> str:
    """Write a value into one cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
