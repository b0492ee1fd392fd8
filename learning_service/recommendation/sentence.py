"""The verdict as a sentence for a person."""

from collections.abc import Sequence
from math import exp
from typing import Final

import numpy as np

from bus.contracts.answers import AxisEffect, Share
from bus.contracts.fields import VariantValue
from bus.contracts.values import written
from learning_service.recommendation.belief import PROBABLY, Array, Belief
from learning_service.recommendation.crossing import Apart
from learning_service.recommendation.evidence import POSSIBLE, Objective
from learning_service.recommendation.labels import labels
from learning_service.recommendation.verdict import SURE, Bargain, Verdict

TEXT_LIMIT: Final = 40  # characters of a value that is a text
NAMED_LIMIT: Final = 3  # values in a row; more are counted
MANY: Final = 10  # from here on a number is rounded, as it is a guess; so many values are the most in a sentence
CLOSE: Final = 0.05  # probabilities that differ by less are said once
NOUNS: Final = {"stars": "rating", "metric": "result", "preference": "comparison"}


def no_verdict(variable: str, tested: Sequence[VariantValue], objective: Objective) -> str:
    """Return why there is nothing to compare: fewer than two values are tested."""
    noun = NOUNS[objective.kind]
    if not tested:
        return f"no {noun}s yet"
    return (
        f"only {_of(variable, tested[0])}{value_text(tested[0])} has {noun}s yet; give {noun}s of at least two values"
    )


def verdict_text(
    verdict: Verdict, variable: str, values: Sequence[VariantValue], objective: Objective, *, total: int
) -> str:
    """Return what is recommended, how sure that is, what may be best too, and what would decide.

    `values` are those of the verdict, in its places.
    """
    noun = NOUNS[objective.kind]
    count = _counted(total, noun)
    names = names_of(values)
    of = _of(variable, values[0])
    if verdict.tier == "few":
        leader = names[verdict.leader]
        parts = [f"too few {noun}s: {of}{leader} leads after {count}", f"give at least 2 {noun}s of each value"]
    elif len(verdict.equals) == len(names) - len(verdict.untried):
        parts = [f"no real difference between the values of {variable} ({_within(objective)}, {count})"]
    elif len(verdict.equals) > 1:
        parts = [f"{of}{_equals(verdict, names)} are equally good ({_within(objective)}, {count})"]
    else:
        parts = [_leading(verdict, of, names, count)]
        parts += _doubts(verdict, names, noun) if verdict.tier == "some" else _assurance(verdict)
    if verdict.chosen is not None and verdict.chosen != verdict.leader:
        parts.append(f"{names[verdict.chosen]} is the fastest of them")
    if verdict.bargain and verdict.bargain.value not in verdict.equals:
        parts.append(_bargain(verdict.bargain, names, objective))
    if verdict.untried:
        parts.append(_untried(verdict, noun))
    return "; ".join(parts)


def _of(variable: str, value: VariantValue) -> str:
    """Return what goes before values of a variable; those of several variables name them."""
    return "" if isinstance(value, dict) else f"{variable} "


def apart_text(found: Sequence[Apart], values: Sequence[VariantValue], blocks: Sequence[str]) -> str:
    """Return what is better in single blocks, such as under some of the prompts, as the end of a sentence; "" if none.

    `values` and `blocks` are all of the plan.
    """
    names, under = names_of(values), labels(blocks, TEXT_LIMIT)
    told = [
        f'under "{under[one.block]}" {names[one.value]} is better ({percent(one.probability)})'
        for one in found[:NAMED_LIMIT]
    ]
    told += [f"and others under {len(found) - NAMED_LIMIT} more"] if len(found) > NAMED_LIMIT else []
    return f"; but {', '.join(told)}" if told else ""


def within_text(belief: Belief, counts: Array, objective: Objective) -> str:
    """Return how many of the tried values are fast enough to count, as the end of a sentence; "" if all count."""
    if objective.within is None or belief.fits is None:
        return ""
    tried = belief.fitting[counts > 0]
    fast, limit = np.count_nonzero(tried >= PROBABLY), f"at most {100 * objective.within:g} % longer than the fastest"
    if fast == 1:
        return f"; 1 of {len(tried)} values is fast enough: it takes {limit}"
    return f"; {fast} of {len(tried)} values are fast enough: they take {limit}"


def effects_text(effects: Sequence[AxisEffect]) -> str:
    """Return which variables matter how much, as the end of a sentence; "" where none surely does.

    `effects` are those of several variables, the most important first.
    """
    sure = [one for one in effects if one.probability >= SURE]
    if not sure:
        return ""
    first = sure[0]
    told = [f"{first.name} matters most ({_share(first.total)})"]
    told += [f"then {one.name} ({_share(one.total)})" for one in sure[1:NAMED_LIMIT]]
    idle = [one.name for one in effects if one.probability <= 1 - SURE]
    if idle:
        told.append(f"{_listed(idle, 'and')} hardly {'matters' if len(idle) == 1 else 'matter'}")
    return f"; {', '.join(told)}"


def _share(share: Share) -> str:
    return f"{percent(share.mean)}, {100 * share.low:.0f} to {100 * share.high:.0f} %"


def names_of(values: Sequence[VariantValue]) -> list[str]:
    """Return values as a person writes them; long texts with the same beginning show where they differ."""
    names = [value_text(value) for value in values]
    if len(set(names)) == len(names):
        return names
    return [f'"{label}"' for label in labels([_whole(value) for value in values], TEXT_LIMIT)]


def _whole(value: VariantValue) -> str:
    return _combined([f"{name} {part}" for name, part in value.items()]) if isinstance(value, dict) else str(value)


def _combined(parts: list[str]) -> str:
    return " with ".join([*parts[:1], _listed(parts[1:], "and")] if parts[1:] else parts)


def value_text(value: VariantValue) -> str:
    """Return a value as a person writes it."""
    if isinstance(value, dict):
        return _combined([f"{name} {value_text(part)}" for name, part in value.items()]) or "{}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, str):
        return written(value)
    text = " ".join(value.split()) or value
    if len(text) > TEXT_LIMIT:
        text = f"{text[: TEXT_LIMIT - 1]}…"
    plain = text == value == written(value) and text.replace("_", "").isalnum()
    return text if plain else f'"{text}"'


def percent(probability: float) -> str:
    """Return a probability in whole percent, and never as a certainty."""
    whole = round(100 * probability)
    if whole >= 100:  # noqa: PLR2004 - percent
        return "over 99 %"
    return f"{whole} %" if whole else "under 1 %"


def _equals(verdict: Verdict, names: list[str]) -> str:
    """Name what is equally good; of many the one that leads."""
    if len(verdict.equals) > MANY:
        return f"{names[verdict.leader]} and {len(verdict.equals) - 1} others"
    return _listed([names[one] for one in sorted(verdict.equals)], "and")


def _leading(verdict: Verdict, of: str, names: list[str], count: str) -> str:
    """Name the leader, or the few among which the best value probably is."""
    leader = names[verdict.leader]
    alone = f"{percent(verdict.best[verdict.leader])} that it is best"
    if verdict.tier == "strong" or len(verdict.named) == 1:
        return f"{of}{leader} ({alone}, {count})"
    if len(verdict.named) > NAMED_LIMIT:
        return f"no clear winner yet: {of}{leader} leads ({alone}, {count})"
    together = percent(float(verdict.best[list(verdict.named)].sum()))
    named = _listed([names[one] for one in sorted(verdict.named)], "or")
    return f"{of}{named} ({together} that one of them is best, {count})"


def _assurance(verdict: Verdict) -> list[str]:
    """Return why the evidence is strong, where the probability to be best does not show it."""
    best, good = (float(chances[verdict.leader]) for chances in (verdict.best, verdict.good))
    return [f"{percent(good)} that no other is noticeably better"] if good > best + CLOSE else []


def _doubts(verdict: Verdict, names: list[str], noun: str) -> list[str]:
    """Return what may be best too, and how much more would decide."""
    rest = verdict.open if len(verdict.named) <= NAMED_LIMIT else (*verdict.named[1:], *verdict.open)
    doubts = []
    if 0 < len(rest) <= NAMED_LIMIT:
        verb = "is" if len(rest) == 1 else "are"
        doubts.append(f"{_listed([names[one] for one in sorted(rest)], 'and')} {verb} not distinguishable yet")
    elif rest:
        doubts.append(f"{len(rest)} others are not distinguishable yet")
    if verdict.more is None:
        doubts.append(f"the difference is too small for a hundred {noun}s of each value to decide")
    else:
        whose = " of these" if rest or len(verdict.named) > 1 else ""
        doubts.append(f"about {_counted(_rounded(verdict.more), f'more {noun}')}{whose} would decide")
    return doubts


def _bargain(bargain: Bargain, names: list[str], objective: Objective) -> str:
    """Return what a faster value would cost."""
    saves = f"{names[bargain.value]} takes {percent(bargain.saved)} less time"
    if not bargain.loss:
        return f"{saves} and is expected to be as good"
    worse = {
        "stars": f"is worse by {bargain.loss:.1f} stars",
        "metric": f"is worse by {bargain.loss:.2g}",
        "preference": f"wins {percent(1 / (1 + exp(bargain.loss)))} of the comparisons with it",
    }[objective.kind]
    return f"{saves} and {worse}"


def _untried(verdict: Verdict, noun: str) -> str:
    """Return what is not tried, and how likely the best value is there."""
    count = f"{_counted(len(verdict.untried), 'value')} without {noun}s"
    chance = float(verdict.best[list(verdict.untried)].sum())
    if chance < POSSIBLE:
        return count
    which = "it" if len(verdict.untried) == 1 else "one of them"
    return f"{count} ({percent(chance)} that {which} is best)"


def _within(objective: Objective) -> str:
    """Return what is too small to matter."""
    return {
        "stars": "within a quarter of a star of the best",
        "metric": "within a quarter of the scatter of one value",
        "preference": "the better one would win 55 % at most",
    }[objective.kind]


def _rounded(count: int) -> int:
    return count if count < MANY else round(count / MANY * 2) * MANY // 2


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
