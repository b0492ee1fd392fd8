"""The belief about values that comes from scores: stars of people, or metrics of the pipeline.

A Bayesian linear mixed model with two crossed effects (Gelman et al., Bayesian Data Analysis, 3rd edition, chapters 14
and 15; Rasmussen and Williams, Gaussian Processes for Machine Learning, chapter 2):

    score = general mean + value + seed + noise

The seed's part makes the comparison a paired one: an easy seed does not favour the value that happened to be rated only
there. The value's part is a smooth curve over values that lie near each other (`layout`), plus a rough part of each
value on its own; it pulls what has few ratings towards its neighbours and the general mean, and tells what to expect of
values without any. The general mean has a flat prior; the variance of the noise has a scaled inverse chi-squared one,
so that all else is a closed form of the multivariate t distribution. How much values and seeds differ, in standard
deviations of the noise, has half-Cauchy priors (Gelman 2006); that, how much of the values is rough, and how far they
are alike, are summed over a grid, so that doubt about them is in the answer: nothing is plugged in.
"""

from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from learning_service.recommendation.anova import LENGTH, TOGETHER, effects
from learning_service.recommendation.belief import Array, Belief, Part, Scale, log_half_cauchy, mixed, weigh
from learning_service.recommendation.drawing import draw
from learning_service.recommendation.layout import Basis, Layout, bases, basis_of_effects, step_bases, without_likeness
from learning_service.recommendation.tables import Noise, Observed, Table, observed, tabulate, trusted

VALUE_RATIOS: Final = np.geomspace(0.1, 300, 9)  # of the values' standard deviation to that of the noise
SEED_RATIOS: Final = np.geomspace(0.2, 40, 5)
SEED_LADDER: Final = np.geomspace(0.2, 40, 12)  # of several axes
OWN_LADDER: Final = np.geomspace(0.02, 100, 14)  # of what a value has besides the effects of several axes
EFFECTS_PRIOR: Final = ((TOGETHER, 0.7), (LENGTH, 0.6), (0.2, 1.0))  # middle, and spread of the logarithm
STRENGTH_SPREAD: Final = 1.0  # of the logarithm of how much each axis matters
LONGEST: Final = 2.0
GRID_MASS: Final = float(np.exp(log_half_cauchy(VALUE_RATIOS)).sum() * np.exp(log_half_cauchy(SEED_RATIOS)).sum())
COARSE: Final = 2  # steps of these at first
UNLIKELY: Final = 8.0  # by how much the logarithm of a weight is below the best: those beside it are left out
ROUGH: Final = (0.02, 0.3)  # of the values' variance, where neighbours are alike
SUMS: Final = 0.5  # of several axes, that values are alike by the sum of their effects
STRUCTURE: Final = 0.5  # the probability that neighbours are alike, where there are any
BROKEN: Final = 0.15  # the probability that they are, but for one step, where there may be one
LEAST_STEP: Final = 1.0  # of the values' ratio: a smaller step makes no difference
LOOKS: Final = 6  # at which scores are astray, at most
SUSPECT: Final = 0.2  # of trust: less changes nothing
HEARD: Final = 4  # assumptions that say which scores are astray


@dataclass(frozen=True)
class _Family:
    """Assumptions that share a basis, and for each the variances of values and seeds in those of the noise."""

    basis: Basis
    smooth: Array  # assumptions x columns, or x 1 where it is the same of all columns
    rough: Array
    seed: Array
    log_prior: Array
    steps: NDArray[np.intp]  # of the ratios of seeds and of what values have of their own, by assumption

    def some(self, places: NDArray[np.intp]) -> "_Family":
        """Return some of these assumptions."""
        return _Family(
            basis=self.basis,
            smooth=self.smooth[places],
            rough=self.rough[places],
            seed=self.seed[places],
            log_prior=self.log_prior[places],
            steps=self.steps[places],
        )

    @property
    def own(self) -> Array:
        """The variance of each value that the columns of the basis do not explain, by assumption."""
        return self.rough[:, None] * self.basis.single + self.smooth[:, :1] * self.basis.rest


@dataclass(frozen=True)
class _System:
    """The normal equations of one basis; the larger of seeds and rough parts of values is eliminated from them.

    Unknown are the general mean, the weights of the columns, and the smaller of both groups; the scores are one more
    row and column. `rows` couple each unknown that is eliminated with these.
    """

    whole: Array
    rows: Array
    looks: Array  # at each unknown that is eliminated
    has_seeds: bool  # else it has the rough parts


def believe_scores(
    layout: Layout, values: NDArray[np.intp], seeds: NDArray[np.intp], scores: Array, prior: Noise
) -> Belief:
    """Return the belief about all values of a layout from these scores, of which there are at least two.

    `values` are the places of the scores in the layout; `seeds` tell their seeds apart. More is better.
    """
    seen, families = observed(values, seeds, scores), _families(layout)
    trust = np.ones(len(scores))
    table = tabulate(seen, prior, trust)
    likely = _likely(table, [*families, *_drawn(layout, table)])
    for _ in range(LOOKS if prior.astray > 1 else 0):
        before, trust = trust, _trust(seen, table, likely, trust, prior)
        if np.abs(trust - before).max() < SUSPECT:
            break
        table = tabulate(seen, prior, trust)
        likely = _likely(table, [*families, *_drawn(layout, table)])
    kept, weights = weigh(np.concatenate([log_weights for _, log_weights, _ in likely]))
    ends = np.cumsum([len(noises) for _, _, noises in likely])[:-1]
    parts: list[Part] = []
    for (family, _, noises), mine in zip(likely, np.split(kept, ends), strict=True):
        if mine.any():
            shares = weights[len(parts) : len(parts) + np.count_nonzero(mine)]
            parts += _explain(table, family.some(np.flatnonzero(mine)), shares, noises[mine])
    looked = float(weights @ np.concatenate([noises for _, _, noises in likely])[kept])
    scale = Scale(seen.centre, seen.unit, prior.least, prior.most)
    return mixed(parts, len(layout), looked=looked, dof=table.dof, spare=table.spare(prior), scale=scale)


def _likely(table: Table, families: list[_Family]) -> list[tuple[_Family, Array, Array]]:
    """Return the assumptions that may matter, the logarithms of their weights, and their variances of the noise.

    First every second step of both ratios is weighed, then what is beside those that are not unlikely.
    """
    coarse = [np.flatnonzero((family.steps % COARSE == 0).all(axis=1)) for family in families]
    known = {id(family.basis): _system(table, family.basis) for family in families}
    systems = [known[id(family.basis)] for family in families]
    first = [
        _weigh(system, table, family.some(mine)) for system, family, mine in zip(systems, families, coarse, strict=True)
    ]
    least = max(log_weights.max() for log_weights, _ in first) - UNLIKELY
    found = []
    for system, family, mine, weighed in zip(systems, families, coarse, first, strict=True):
        likely = family.steps[mine[weighed[0] >= least]]
        near = (np.abs(family.steps[:, None] - likely).max(axis=2) < COARSE).any(axis=1)
        beside = np.setdiff1d(np.flatnonzero(near), mine)
        more = _weigh(system, table, family.some(beside)) if len(beside) else (np.zeros(0), np.zeros(0))
        both = [np.concatenate(columns) for columns in zip(weighed, more, strict=True)]
        found.append((family.some(np.concatenate([mine, beside])), both[0], both[1]))
    return found


def _trust(
    seen: Observed, table: Table, likely: list[tuple[_Family, Array, Array]], trust: Array, prior: Noise
) -> Array:
    """Return how far each score is to be trusted, as the likeliest assumptions say together."""
    every = [
        (float(log_weight), family, at, float(noise))
        for family, log_weights, noises in likely
        for at, (log_weight, noise) in enumerate(zip(log_weights, noises, strict=True))
    ]
    heard = sorted(every, key=lambda one: -one[0])[:HEARD]
    weights = np.exp(np.array([one[0] for one in heard]) - heard[0][0])
    found = np.zeros(len(trust))
    for (_, family, at, noise), weight in zip(heard, weights / weights.sum(), strict=True):
        means, variances = _cells(table, family.some(np.array([at])))
        gaps = (seen.numbers - means[seen.rows, seen.columns]) / np.sqrt(noise)
        found += weight * trusted(gaps, variances[seen.rows, seen.columns], trust, prior, table.dof)
    return found


def _families(layout: Layout) -> list[_Family]:
    """Return all assumptions: neighbours are alike over some length, or but for a step, or each value is on its own."""
    alone = without_likeness(layout)
    smooth, steps = bases(layout), step_bases(layout)
    if not smooth:
        return [_family(alone, 1.0, 1.0)]
    chance = STRUCTURE / len(smooth) / len(ROUGH) * (1 - SUMS if layout.has_effects else 1.0)
    alike = [_family(basis, share, chance) for basis in smooth for share in ROUGH]
    broken = [_family(basis, ROUGH[0], BROKEN / len(steps)) for basis in steps]
    broken = [family.some(np.flatnonzero(family.smooth[:, 0] + family.rough > LEAST_STEP**2)) for family in broken]
    return [*alike, *broken, _family(alone, 1.0, 1 - STRUCTURE - (BROKEN if steps else 0.0))]


def _family(basis: Basis, share: float, chance: float) -> _Family:
    """Return all ratios under one basis; `share` of the values' variance is rough."""
    steps = np.indices((len(SEED_RATIOS), len(VALUE_RATIOS))).reshape(2, -1)
    seed, value = SEED_RATIOS[steps[0]], VALUE_RATIOS[steps[1]]
    return _Family(
        basis=basis,
        smooth=value[:, None] ** 2 * (1 - share),
        rough=value**2 * share,
        seed=seed**2,
        log_prior=log_half_cauchy(value) + log_half_cauchy(seed) + np.log(chance),
        steps=steps.T,
    )


def _drawn(layout: Layout, table: Table) -> list[_Family]:
    """Return assumptions about the effects of several axes, none where there are fewer."""
    if not layout.has_effects:
        return []
    basis, of = basis_of_effects(layout), effects(layout.axes)
    system = _system(table, basis)

    def family(draws: Array) -> _Family:
        seed, value = (np.tan(np.pi / 2 * ndtr(row)) for row in draws.T[:2])  # half-Cauchy
        together, length, own = (
            middle * np.exp(spread * row) for (middle, spread), row in zip(EFFECTS_PRIOR, draws.T[2:5], strict=True)
        )
        value = np.clip(value, VALUE_RATIOS[0], VALUE_RATIOS[-1])
        strengths = value[:, None] * np.exp(STRENGTH_SPREAD * draws[:, 5:]) / np.sqrt(len(of.axes))
        steps = np.array([_nearest(SEED_LADDER, seed), _nearest(OWN_LADDER, own * value)])
        return _Family(
            basis=basis,
            smooth=of.variances(strengths, together, np.minimum(length, LONGEST)),
            rough=OWN_LADDER[steps[1]] ** 2,
            seed=SEED_LADDER[steps[0]] ** 2,
            log_prior=np.zeros(len(draws)),
            steps=COARSE * steps.T,  # all are weighed at first, as none is beside another
        )

    draws, counting = draw(lambda some: _weigh(system, table, family(some))[0], 5 + len(of.axes))
    return [changed(family(draws), log_prior=counting + np.log(STRUCTURE * SUMS * GRID_MASS))]


def _nearest(ladder: Array, numbers: Array) -> NDArray[np.intp]:
    """Return the step of a geometric ladder that is nearest to each number."""
    gaps: Array = np.abs(np.log(np.maximum(numbers, ladder[0]))[:, None] - np.log(ladder))
    return np.asarray(gaps.argmin(axis=1), np.intp)


def _system(table: Table, basis: Basis) -> _System:
    looks, by_seed = table.counts.sum(axis=1), table.counts.sum(axis=0)
    values = np.concatenate([np.ones((len(looks), 1)), basis.columns[table.tried]], axis=1)
    of_values = np.concatenate([values * looks[:, None], table.counts, table.totals[:, None]], axis=1)
    of_seeds = np.concatenate([table.counts.T @ values, table.counts.T, table.by_seed[:, None]], axis=1)
    has_seeds = len(by_seed) < len(looks)
    start, left = values.shape[1], by_seed if has_seeds else looks
    whole = np.zeros((start + len(left) + 1, start + len(left) + 1))
    whole[:start, :start] = values.T @ of_values[:, :start]
    whole[start:-1, start:-1] = np.diag(left)
    whole[start:-1, :start] = of_seeds[:, :start] if has_seeds else of_values[:, :start]
    whole[:start, start:-1] = whole[start:-1, :start].T
    whole[:start, -1] = whole[-1, :start] = values.T @ table.totals
    whole[start:-1, -1] = whole[-1, start:-1] = table.by_seed if has_seeds else table.totals
    whole[-1, -1] = table.squares + table.known_squares
    rows, counts = (of_values, looks) if has_seeds else (of_seeds, by_seed)
    return _System(whole, rows, counts, has_seeds)


def _scaled(system: _System, table: Table, family: _Family) -> tuple[Array, Array, Array]:
    """Return the equations of each assumption, their scales, and how much of its residuals an eliminated unknown takes.

    The scales make the prior of all unknowns but the general mean the identity.
    """
    one, own = np.ones((len(family.seed), 1)), family.own[:, table.tried]
    seed = np.repeat(family.seed[:, None], len(table.by_seed), axis=1)
    gone, left = (own, seed) if system.has_seeds else (seed, own)
    smooth = np.broadcast_to(np.sqrt(family.smooth), (len(one), family.basis.columns.shape[1]))
    scales = np.concatenate([one, smooth, np.sqrt(left), one], axis=1)
    # What is eliminated depends on one of the two ratios alone, so few of these matrices differ.
    ratio = family.steps[:, 1 if system.has_seeds else 0]
    _, first, which = np.unique(ratio, return_index=True, return_inverse=True)
    variances = gone[first]
    taken = variances / (1 + variances * system.looks)
    matrices = system.whole - (system.rows.T * taken[:, None, :]) @ system.rows
    found = matrices[which] * scales[:, :, None] * scales[:, None, :]
    inner = np.arange(1, found.shape[1] - 1)
    found[:, inner, inner] += 1
    return found, scales, taken[which]


def _weigh(system: _System, table: Table, family: _Family) -> tuple[Array, Array]:
    """Return the logarithm of the weight of each assumption, and its variance of the noise."""
    matrices, _, taken = _scaled(system, table, family)
    diagonals = np.diagonal(np.linalg.cholesky(matrices), axis1=1, axis2=2)
    rests = diagonals[:, -1] ** 2
    log_weights = (
        family.log_prior
        + np.log1p(-taken * system.looks).sum(axis=1) / 2
        - np.log(diagonals[:, :-1]).sum(axis=1)
        - table.dof / 2 * np.log(rests)
    )
    return log_weights, rests / table.dof


def _explain(table: Table, family: _Family, weights: Array, noises: Array) -> list[Part]:
    """Return what each assumption says of all values: with the mean of these seeds, as others are no matter here."""
    system, tried = _system(table, family.basis), table.tried
    matrices, scales, taken = _scaled(system, table, family)
    inverse = np.linalg.inv(np.linalg.cholesky(matrices[:, :-1, :-1]))
    columns = family.basis.columns
    plain = np.zeros((len(columns), scales.shape[1] - 1))  # what a value gets of each unknown
    plain[:, 0], plain[:, 1 : 1 + columns.shape[1]] = 1.0, columns
    if system.has_seeds:
        plain[:, 1 + columns.shape[1] :] = 1 / len(table.by_seed)
    else:
        plain[tried, 1 + columns.shape[1] + np.arange(len(tried))] = 1.0
    parts = []
    for number, weight in enumerate(weights):
        loading, own = plain.copy(), family.own[number].copy()
        shift, common = np.zeros(len(columns)), np.zeros((len(columns), 1))
        if system.has_seeds:
            loading[tried] -= taken[number][:, None] * system.rows[:, :-1]
            shift[tried] = taken[number] * table.totals
            own[tried] = taken[number]
        else:
            loading -= taken[number] @ system.rows[:, :-1] / len(table.by_seed)
            shift += taken[number] @ table.by_seed / len(table.by_seed)
            common += np.sqrt(taken[number].sum()) / len(table.by_seed)
            own[tried] = 0.0
        factors = (loading * scales[number, :-1]) @ inverse[number].T
        means = factors @ (inverse[number] @ matrices[number, :-1, -1]) + shift
        size = np.sqrt(noises[number])
        parts.append(Part(float(weight), means, np.concatenate([factors, common], axis=1) * size, np.sqrt(own) * size))
    return parts


def _cells(table: Table, family: _Family) -> tuple[Array, Array]:
    """Return what one assumption believes of each value under each seed: the mean, and the variance in the noise's."""
    system = _system(table, family.basis)
    matrices, scales, taken = _scaled(system, table, family)
    inverse = np.linalg.inv(np.linalg.cholesky(matrices[0, :-1, :-1]))
    values, seeds = table.counts.shape
    columns = family.basis.columns[table.tried]
    start = 1 + columns.shape[1]
    of_values, of_seeds = np.zeros((values, len(inverse))), np.zeros((seeds, len(inverse)))
    of_values[:, 0], of_values[:, 1:start] = 1.0, columns
    if system.has_seeds:
        of_seeds[:, start:] = np.eye(seeds)
        of_values -= taken[0][:, None] * system.rows[:, :-1]
        shift = (taken[0] * table.totals)[:, None]
        own = taken[0][:, None]
    else:
        of_values[:, start:] = np.eye(values)
        of_seeds -= taken[0][:, None] * system.rows[:, :-1]
        shift, own = taken[0] * table.by_seed, taken[0]
    told = inverse @ matrices[0, :-1, -1]
    of_values, of_seeds = (rows * scales[0, :-1] @ inverse.T for rows in (of_values, of_seeds))
    means = (of_values @ told)[:, None] + of_seeds @ told + shift
    variances = (of_values**2).sum(axis=1)[:, None] + (of_seeds**2).sum(axis=1) + 2 * of_values @ of_seeds.T + own
    return means, variances
