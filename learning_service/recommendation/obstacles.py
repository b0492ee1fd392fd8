"""What keeps an experiment from being decided however many of its jobs run, and how a person can change that."""

from typing import Final, NamedTuple

from bus.contracts.media import TEXT_LEVEL, level_of
from bus.protocol.validation import near_miss
from learning_service.experiments.model import Experiment
from learning_service.recommendation.evidence import Objective

CHANGE: Final = "change"  # the scorer that compares each picture with that of the first value
NAMED: Final = 5  # metrics in one sentence
DEED: Final = {"stars": "rate", "preference": "compare"}


class Reported(NamedTuple):
    """What the completed jobs of an experiment have brought, whatever its objective is."""

    completed: int
    metrics: list[str]  # their names
    level: int  # how much their results say to who looks at them, see `bus.contracts.media`
    is_changeless: bool = False  # with the same seed, every value has made the picture of the first one


def reported_by(experiment: Experiment) -> Reported:
    """Return what the completed jobs of an experiment have brought."""
    variants = list(experiment.variants.values())
    names = sorted({name for variant in variants for name in variant.metric_sums})
    level = max((level_of(image) for variant in variants for image in variant.images), default=0)
    return Reported(experiment.counts.completed, names, level, _is_changeless(experiment))


def _is_changeless(experiment: Experiment) -> bool:
    """Return whether the scorer `change` has found no difference, in any picture of any value."""
    score = experiment.definition.score
    if score is None or CHANGE not in score.use:
        return False
    others = [one for index, one in experiment.variants.items() if index and one.completed]
    return bool(others) and all(one.metric_sums.get(CHANGE) == (0.0, one.completed) for one in others)


def changeless_text(variable: str, reported: Reported) -> str:
    """Return that a variable changes nothing, "" if it does or nobody has looked; more jobs would show the same."""
    if not reported.is_changeless:
        return ""
    return f"{variable} changes nothing: with the same seed, all values so far make the same picture"


def problem_of(experiment_id: str, objective: Objective, seen: int, reported: Reported) -> str:
    """Return why there is nothing to go by though jobs have completed, and what to do; "" if there is no reason.

    `seen` is the number of observations for the objective.
    """
    if seen or not reported.completed:
        return ""
    change = f"`variantbus experiment set {experiment_id} objective=NAME` changes the objective"
    known = ", ".join(reported.metrics[:NAMED])
    if objective.kind == "metric":
        if not reported.metrics:
            return f"no job has reported {objective.name!r}, nor any other metric; {change}"
        hint = near_miss(objective.name, reported.metrics)
        told = f"; {hint}" if hint.endswith("?") else f", they report {known};"
        return f"no job has reported {objective.name!r}{told} {change}"
    if reported.level > TEXT_LEVEL or (reported.level and not known):
        return ""
    deed = DEED[objective.kind]
    if reported.level:  # a text may be what is judged, or a log
        return f"only texts have come, which nobody has {deed}d yet, and they report {known}; {change}"
    has = f"they report {known}" if known else "nor reported a metric"
    return f"no job has made anything to {deed}, {has}; {change}"


def remark_on(objective: Objective, seen: int, reported: Reported) -> str:
    """Return how many completed jobs lack the metric that others have reported, "" if none does."""
    missing = reported.completed - seen
    if objective.kind != "metric" or not seen or missing <= 0:
        return ""
    jobs = "jobs report" if missing > 1 else "job reports"
    return f"{missing} of {reported.completed} completed {jobs} no {objective.name!r}"
