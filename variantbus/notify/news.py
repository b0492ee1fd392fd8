"""What of the state of an experiment is worth a message to a person, and its words. No socket, file or clock."""

from typing import Any, Final, Literal, get_args

from msgspec import Struct, to_builtins

from bus.contracts.messages import ExperimentStatus, RecommendationUpdated
from learning_service.experiments.plan import OF_PEOPLE

Kind = Literal["end", "failure", "stars"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ENDED: Final = frozenset({"completed", "partial", "failed"})  # who cancels an experiment knows it
STARS_SECONDS: Final = 3600.0  # at least so long between two requests for stars: a search waits again and again


class Told(Struct, frozen=True, kw_only=True):
    """What a person knows of an experiment: what holds of it, and when (unix seconds) stars were asked for."""

    kinds: tuple[Kind, ...] = ()
    stars_at: float = 0.0


class Message(Struct, frozen=True, kw_only=True):
    """A message to a person, and its content as data, for a program behind a webhook."""

    title: str
    text: str
    data: dict[str, Any]


def holding(status: ExperimentStatus) -> tuple[Kind, ...]:
    """Return what holds of an experiment now."""
    totals, search = status.totals, status.search
    is_searching = search is not None and search.state == "searching"
    has_ended = status.status in ENDED and not is_searching
    is_idle = totals.completed > 0 and totals.completed + totals.failed + totals.cancelled >= totals.jobs
    is_decided = search is not None and search.state == "decided"
    true: dict[Kind, bool] = {
        "end": has_ended,
        "failure": totals.failed > 0,
        "stars": status.definition.objective in OF_PEOPLE
        and (has_ended or (is_searching and is_idle))
        and not is_decided,
    }
    return tuple(kind for kind in KINDS if true[kind])


def news(status: ExperimentStatus, told: Told, now: float) -> tuple[tuple[Kind, ...], Told]:
    """Return what is new of an experiment, and what is told of it then.

    What no longer holds is forgotten, so that it is news again: after a retry, a job may fail once more.
    """
    holds = holding(status)
    fresh = [kind for kind in holds if kind not in told.kinds]
    if "stars" in fresh and "end" not in fresh and now < told.stars_at + STARS_SECONDS:
        fresh.remove("stars")
        holds = tuple(kind for kind in holds if kind != "stars")
    stars_at = now if "stars" in fresh else told.stars_at
    return tuple(fresh), Told(kinds=holds, stars_at=stars_at)


def message_of(
    kinds: tuple[Kind, ...], status: ExperimentStatus, answer: RecommendationUpdated | None, error: str | None
) -> Message | None:
    """Return the message, from the newest state; None if nothing of it is true any more.

    `answer` is the recommendation if there is one, `error` that of the newest job that failed.
    """
    # more stars would change nothing where it is certain, and none can be given where there is a problem
    is_done = answer is not None and ((answer.p_best or 0.0) >= status.definition.stop_p_best or bool(answer.problem))
    true = [kind for kind in kinds if kind in holding(status) and not (kind == "stars" and is_done)]
    if not true:
        return None
    title = f"{status.experiment_name}: {_headline(true, status)}"
    lines = [_jobs(status)]
    if error and "failure" in true:
        lines.append(f"The newest error: {error}")
    if answer:
        lines.append(answer.sentence)
    if "stars" in true:
        verb = "compare" if status.definition.objective == "preference" else "rate"
        lines.append(f"variantbus {verb} {status.experiment_id}" + (" --next" if verb == "rate" else ""))
    data = {
        "events": true,
        "experiment_id": status.experiment_id,
        "experiment_name": status.experiment_name,
        "status": status.status,
        "totals": to_builtins(status.totals),
        "value": answer.value if answer else None,
        "p_best": answer.p_best if answer else None,
        "title": title,
        "text": "\n".join(lines),
    }
    return Message(title=title, text="\n".join(lines), data=data)


def _headline(kinds: list[Kind], status: ExperimentStatus) -> str:
    ended = "ended" if status.status == "completed" else f"ended, {status.status}"
    words: dict[Kind, str] = {"end": ended, "failure": "a job failed", "stars": "your stars are needed"}
    if "end" in kinds and status.totals.failed:
        kinds = [kind for kind in kinds if kind != "failure"]  # the end says so
    return ", ".join(words[kind] for kind in kinds)


def _jobs(status: ExperimentStatus) -> str:
    totals = status.totals
    failed = f", {totals.failed} failed" if totals.failed else ""
    cancelled = f", {totals.cancelled} cancelled" if totals.cancelled else ""
    return f"{totals.completed} of {totals.jobs} jobs completed{failed}{cancelled}."
