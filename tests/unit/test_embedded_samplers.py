"""Samplers and noise schedules."""

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded.denoiser import guided_denoiser, named_pictures
from pipeline_runner.pipelines.embedded.samplers import SAMPLERS, sampler_named
from pipeline_runner.pipelines.embedded.schedules import SCHEDULERS, SIGMA_MAX, SIGMA_MIN, sigmas
from pipeline_runner.pipelines.embedded.subspace import span_of

Floats = NDArray[np.float64]


def no_noise() -> Floats:
    """Stand in for a stream that must not be used."""
    raise AssertionError


def last_state(name: str, levels: Floats) -> Floats:
    """Sample one picture of a blue star and return it in coordinates."""
    span = span_of(64, 64)
    denoise = guided_denoiser(span, named_pictures("blue star"), 1.5)
    x = levels[0] * np.random.default_rng(3).standard_normal(len(span.half_norms))
    return list(sampler_named(name)(denoise, x, levels, no_noise))[-1]


def gaussian_error(name: str, steps: int) -> float:
    """Solve the equation for Gaussian data of variance 1 from sigma 10 to 1, and return the error.

    There D(x; sigma) = x / (1 + sigma^2) and x(sigma) is proportional to sqrt(1 + sigma^2).
    """
    levels = np.geomspace(10.0, 1.0, steps + 1)
    start = np.array([np.sqrt(101.0)])
    states = sampler_named(name)(lambda x, sigma: x / (1 + sigma**2), start, levels, no_noise)
    return abs(float(list(states)[-1][0]) - math.sqrt(2.0))


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("dpm++_2m", 2)])
def test_a_sampler_has_its_order(name: str, order: int) -> None:
    """Twice the steps divide the error by two for a first order sampler and by four for a second order one."""
    ratio = gaussian_error(name, 100) / gaussian_error(name, 200)

    assert np.log2(ratio) == pytest.approx(order, abs=0.15)


def test_the_ancestral_sampler_keeps_the_variance() -> None:
    """On many independent Gaussian values it ends with the variance of the data, for it puts back the noise it took."""
    noise = np.random.default_rng(0)
    levels = np.append(np.geomspace(50.0, 0.01, 200), 0.0)
    x = levels[0] * noise.standard_normal(20_000)

    denoise = lambda x, sigma: x / (1 + sigma**2)  # noqa: E731 - one formula, used once
    states = sampler_named("euler_a")(denoise, x, levels, lambda: noise.standard_normal(20_000))

    assert list(states)[-1].std() == pytest.approx(1.0, abs=0.05)


def test_samplers_agree_when_steps_are_many() -> None:
    """Those that solve the same equation end on the same picture."""
    levels = sigmas("karras", 150)
    best = last_state("heun", levels)

    for name in ("euler", "dpm++_2m"):
        assert np.linalg.norm(last_state(name, levels) - best) < 0.02 * np.linalg.norm(best)


def test_samplers_differ_when_steps_are_few() -> None:
    """At four steps each solver makes its own visible error."""
    levels = sigmas("karras", 4)
    states = [last_state(name, levels) for name in ("euler", "heun", "dpm++_2m")]

    for one, other in pairwise([*states, states[0]]):
        assert np.linalg.norm(one - other) > 1.0


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_ends_on_the_denoiser(name: str) -> None:
    """The step to sigma 0 gives the denoiser's value itself, which lies in the span of the pictures."""
    states = sampler_named(name)(lambda x, _sigma: np.full_like(x, 7.0), np.ones(3), np.array([2.0, 0.0]), no_noise)

    assert [state.tolist() for state in states] == [[7.0, 7.0, 7.0]]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("steps", [2, 3, 150])
def test_a_schedule_falls_from_most_noise_to_none(scheduler: str, steps: int) -> None:
    """Each schedule has one more level than steps, both ends of the range, and 0 last."""
    levels = sigmas(scheduler, steps)

    assert levels.shape == (steps + 1,)
    assert levels[0] == pytest.approx(SIGMA_MAX)
    assert levels[-2] == pytest.approx(SIGMA_MIN)
    assert levels[-1] == 0
    assert (np.diff(levels) < 0).all()


def test_a_single_step_starts_from_most_noise() -> None:
    """One step goes from the highest sigma to 0 at once."""
    assert sigmas("karras", 1) == pytest.approx([SIGMA_MAX, 0.0])
