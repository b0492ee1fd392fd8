"""Why an answer is what it is, in plain text: what may still be the best, and what is ruled out."""

from collections.abc import Sequence
from typing import Final

from bus.contracts.answers import AxisValue
from bus.contracts.messages import RecommendationUpdated, ValueEstimate
from learning_service.recommendation.evidence import POSSIBLE
from learning_service.recommendation.labels import labels
from variantbus.reports.curve import is_ruled_out
from variantbus.reports.importance import choice_lines, importance_lines
from variantbus.reports.plot import Scale, order_of
from variantbus.reports.text import percent, value_text

NAMED: Final = 12  # values in a line; more are counted
LONGEST: Final = 40  # characters of a value
BAND: Final = 32  # characters for an interval


def why_lines(made: RecommendationUpdated) -> list[str]:
    """Return what matters, which values may be the best, the likeliest first, and which are ruled out or untried."""
    names = labels([value_text(one.value) for one in made.estimates], LONGEST)
    ordered = [(names[at], made.estimates[at]) for at in order_of(made.estimates)]
    found = [(name, one) for name, one in ordered if one.p_best is not None]
    likely = sorted(found, key=lambda pair: -(pair[1].p_best or 0.0))
    return [*importance_lines(made), *choice_lines(made)] + [
        f"{what}: {_listed(parts)}"
        for what, parts in (
            ("may be the best", [f"{name} ({percent(one.p_best)})" for name, one in likely if not is_ruled_out(one)]),
            (f"ruled out, each with less than {percent(POSSIBLE)}", [name for name, one in found if is_ruled_out(one)]),
            ("never tried", [name for name, one in ordered if not one.n]),
        )
        if parts
    ]


def band_text(one: ValueEstimate | AxisValue, scale: Scale) -> str:
    """Return an interval as a line of characters, with its mean; "" if there is none."""
    if one.mean is None or one.low is None or one.high is None:
        return ""
    low, mean, high = (round(scale.at(number) / 100 * (BAND - 1)) for number in (one.low, one.mean, one.high))
    return "".join("o" if at == mean else "-" if low <= at <= high else " " for at in range(BAND))


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return ", ".join(parts[:NAMED]) + more
