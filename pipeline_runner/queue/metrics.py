"""The metrics that a job reports, and what its result has to say of those that are none. No socket, no file."""

import math
from collections.abc import Collection, Mapping
from typing import Final

from msgspec.structs import replace

from bus.contracts.messages import JobResult, LearningContext
from bus.contracts.scoring import ScoreSettings, metric_names

NAMED: Final = 5  # in one warning
NAME_LIMIT: Final = 60  # characters of a name there
NOT_SCORED: Final = "not scored: "  # so warnings begin that are about what scorers say
NOT_KEPT: Final = "not kept: "


def finite(reported: Mapping[str, object]) -> tuple[dict[str, float], str]:
    """Return the finite numbers of what was reported, and a warning that names all else, "" if there is nothing."""
    metrics: dict[str, float] = {}
    others: list[str] = []
    for name, value in reported.items():
        number = _number(value)
        if number is not None and _is_text(name):
            metrics[name] = number
        else:
            why = _described(value) if _is_text(name) else "its name cannot be written"
            others.append(f"{name[:NAME_LIMIT]!a} ({why})")
    if not others:
        return metrics, ""
    more = f" and {len(others) - NAMED} others" if len(others) > NAMED else ""
    return metrics, f"left out, as a metric is a finite number: {', '.join(others[:NAMED])}{more}"


def with_checked_metrics(
    result: JobResult, context: LearningContext | None, awaited: Collection[str] = ()
) -> JobResult:
    """Return a result with finite metrics only, and with a warning where the one that is needed is missing.

    What is `awaited` comes later: it is not missing yet.
    """
    if not result.success:
        return result
    metrics, left_out = finite(result.metrics)
    warnings = [left_out] if left_out else []
    needed = context.metric if context else None
    if isinstance(needed, str) and needed not in metrics and needed not in awaited:
        reported = ", ".join(sorted(metrics)[:NAMED])
        has = f"it reports {reported}" if reported else "it reports none"
        warnings.append(f"no metric {needed[:NAME_LIMIT]!r}, by which the experiment is decided; {has}")
    return replace(result, metrics=metrics, warnings=(*result.warnings, *warnings)) if warnings else result


def unmeasured(result: JobResult, names: Collection[str]) -> JobResult:
    """Return a result as its pipeline has made it, without what scorers say: another job has scorers of its own."""
    if not names:
        return result
    begins = (NOT_SCORED, NOT_KEPT, *_complaints(names))
    return replace(
        result,
        metrics={name: number for name, number in result.metrics.items() if name not in names},
        warnings=tuple(text for text in result.warnings if not text.startswith(begins)),
    )


def measured(result: JobResult, score: ScoreSettings, more: Mapping[str, float]) -> JobResult:
    """Return a result with more measures, and without the warnings that they are missing."""
    metrics = {**result.metrics, **more}
    is_whole = all(name in metrics for name in metric_names(score))
    begins = (*_complaints(more), *((NOT_SCORED,) if is_whole else ()))
    return replace(
        result, metrics=metrics, warnings=tuple(text for text in result.warnings if not text.startswith(begins))
    )


def _complaints(names: Collection[str]) -> list[str]:
    """Return how warnings begin that these metrics are missing."""
    return [f"{begin} {name!r}" for begin in ("no", "no metric") for name in names]


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of 400 digits
        return None
    return number if math.isfinite(number) else None


def _is_text(name: str) -> bool:
    """Return whether a name can be written; JSON may have half a surrogate in it."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _described(value: object) -> str:  # noqa: PLR0911 - one a type
    match value:
        case None:
            return "null"
        case bool():
            return "true or false; write 1 or 0"
        case float() if math.isnan(value):
            return "not a number"
        case float() if math.isinf(value):
            return "infinite"
        case int():
            return "too large"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "a map"
