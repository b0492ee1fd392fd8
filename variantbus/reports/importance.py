"""What variables matter, what speed costs and what single prompts show, in text and in reports."""

from typing import Final, NamedTuple

from msgspec import UNSET

from bus.contracts.answers import AxisEffect, AxisValue, Share
from bus.contracts.messages import RecommendationUpdated
from learning_service.recommendation.labels import labels
from variantbus.reports.text import number_text, percent, value_text

NAMED: Final = 12  # prompts in a line; more are counted
LONGEST: Final = 40  # characters of a prompt
LIKELY: Final = 0.5  # that two variables depend on each other: less is not worth a word


class Level(NamedTuple):
    """One value of a variable, beside the first of which is what is said of the variable."""

    name: str  # "" but for the first value
    share: str  # of all differences between values, with its interval
    value: str
    estimate: AxisValue


def levels_of(made: RecommendationUpdated) -> list[Level]:
    """Return a row for each value of each variable, the most important variable first; none where there is but one."""
    return [
        Level(
            name=one.name if first else "", share=_told(one) if first else "", value=value_text(of.value), estimate=of
        )
        for one in (() if made.effects is UNSET else made.effects)
        for first, of in zip([True] + [False] * len(one.values), one.values, strict=False)
    ]


def importance_lines(made: RecommendationUpdated) -> list[str]:
    """Return which variables matter how much, and which two probably depend on each other."""
    if made.effects is UNSET or made.interactions is UNSET:
        return []
    pairs = [
        f"{' with '.join(one.names)} ({percent(one.probability)})"
        for one in made.interactions
        if one.probability >= LIKELY
    ]
    lines = [f"what matters: {', '.join(f'{one.name} {_told(one)}' for one in made.effects)}"]
    return [*lines, f"depend on each other: {', '.join(pairs)}"] if pairs else lines


def choice_lines(made: RecommendationUpdated) -> list[str]:
    """Return what better values cost in time, and what is the best in each block, such as under each prompt."""
    lines = []
    if made.pareto is not UNSET:
        front = [f"{value_text(one.value)} ({_seconds(one.seconds)}, {number_text(one.mean)})" for one in made.pareto]
        lines.append(f"better takes longer: {', '.join(front)}")
    if made.blocks is not UNSET:
        names = labels([one.name for one in made.blocks], LONGEST)
        best = [
            f'under "{name}" {value_text(one.value)}' + (f" ({percent(one.probability)})" if one.probability else "")
            for name, one in zip(names, made.blocks, strict=True)
        ]
        more = f" and {len(best) - NAMED} more" if len(best) > NAMED else ""
        lines.append(f"single prompts: {', '.join(best[:NAMED])}{more}")
    return lines


def _seconds(number: float) -> str:
    return f"{number_text(number)} s"


def _told(one: AxisEffect) -> str:
    alone = "" if one.alone.mean > one.total.mean - 0.01 else f", by itself {percent(one.alone.mean)}"
    return f"{percent(one.total.mean)} ({_interval(one.total)}{alone})"


def _interval(share: Share) -> str:
    return f"{100 * share.low:.0f} to {100 * share.high:.0f} %"
