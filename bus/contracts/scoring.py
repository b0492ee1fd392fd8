"""What measures the pictures of a job: scorers that the runner has, and a program; checks that need no runner."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated, Final

from msgspec import Struct, field
from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.protocol.doors import bounds
from bus.protocol.validation import InvalidInputError, near_miss

MetricName = Annotated[str, bounds(min_length=1, max_length=100)]
TAKEN: Final = ("stars", "preference", "seconds")  # objectives that are no metrics


class ScoreSettings(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What measures each picture after its job: scorers that the runner has, and a program perhaps.

    A scorer reports one number under its own name. The program is started once for many pictures; it reads one JSON
    object a line, and answers each with one that has the `metrics`. A job with several pictures gets the mean of each
    metric. docs/scorers.md has the protocol.
    """

    use: tuple[Annotated[str, bounds(min_length=1, max_length=64)], ...] = ()
    options: dict[str, Config] = field(default_factory=dict)  # by scorer
    command: tuple[str, ...] = ()  # program and arguments
    metrics: tuple[MetricName, ...] = ()  # the numbers of the program's answers that count
    timeout_seconds: Annotated[float, bounds(ge=0.1, le=86_400)] = 120.0  # of an answer; the first one loads a model


def metric_names(score: ScoreSettings | None) -> tuple[str, ...]:
    """Return the metrics that a job gets by its scorers."""
    return (*score.use, *score.metrics) if score else ()


def check_score(score: ScoreSettings, reported: Collection[str] = ()) -> None:
    """Refuse what contradicts itself, or the metrics that the pipeline itself `reported`.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    if not score.use and not score.command:
        raise InvalidInputError('score: names nothing; write for example use = ["sharpness"], or a command')
    if bool(score.command) != bool(score.metrics):
        missing, other = ("metrics", "command") if score.command else ("command", "metrics")
        what = "which numbers its answers have" if score.command else "the program that reports them"
        raise InvalidInputError(f"score.{missing}: missing beside {other}; name {what}")
    if score.command and not score.command[0]:
        raise InvalidInputError("score.command: is empty; name a program, and its arguments if it has any")
    for name in score.options:
        if name not in score.use:
            hint = near_miss(name, list(score.use))
            raise InvalidInputError(f"score.options.{name}: is none of the scorers in use; {hint}")
    for name, number in Counter(metric_names(score)).items():
        where = "score.metrics" if name in score.metrics else "score.use"
        if name in TAKEN:
            raise InvalidInputError(f"{where}: {name!r} is an objective of its own; take another name")
        if name in reported:
            raise InvalidInputError(f"{where}: {name!r} is what the pipeline reports itself; take another name")
        if number > 1:
            raise InvalidInputError(f"{where}: {name!r} is there twice; every metric needs a name of its own")


def missing_score(
    asked: ScoreSettings, had: ScoreSettings | None, metrics: Mapping[str, float]
) -> ScoreSettings | None:
    """Return those of the scorers asked for whose numbers a result does not have yet, None if it has them all.

    `had` is what has made the metrics: a number that other options have made is another one.
    """
    same = had or ScoreSettings()
    use = tuple(name for name in asked.use if name not in metrics or not _is_same(name, asked, same))
    has_command = not asked.command or (
        asked.command == same.command and all(name in metrics for name in asked.metrics)
    )
    if not use and has_command:
        return None
    command = () if has_command else asked.command
    return replace(
        asked,
        use=use,
        options={name: options for name, options in asked.options.items() if name in use},
        command=command,
        metrics=asked.metrics if command else (),
    )


def merged_score(had: ScoreSettings | None, more: ScoreSettings) -> ScoreSettings:
    """Return the scorers of both; where both have one, that of `more` holds."""
    if had is None:
        return more
    return ScoreSettings(
        use=tuple(dict.fromkeys((*had.use, *more.use))),
        options={name: one for name, one in had.options.items() if name not in more.use} | more.options,
        command=more.command or had.command,
        metrics=more.metrics if more.command else had.metrics,
        timeout_seconds=more.timeout_seconds,
    )


def without_program(score: ScoreSettings | None) -> ScoreSettings | None:
    """Return settings that start no program, None if nothing is left: a file of somebody else must not start one."""
    if score is None or not score.command:
        return score
    return replace(score, command=(), metrics=()) if score.use else None


def _is_same(name: str, one: ScoreSettings, other: ScoreSettings) -> bool:
    return name in other.use and one.options.get(name, {}) == other.options.get(name, {})
