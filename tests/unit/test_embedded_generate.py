"""Settings to pictures."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline_runner.pipelines.embedded import SAMPLERS, SCHEDULERS, Cancelled, Settings, generate

BASE: dict[str, Any] = {"prompt": "a blue star", "steps": 4, "seed": 3}


def pixels(**changes: Any) -> NDArray[np.uint8]:
    """Make the base picture with some settings changed."""
    return generate(Settings(**(BASE | changes))).pixels


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    """Draw a picture that is not of the data set."""
    ramp = np.linspace(30, 220, width * height * 3)
    return ramp.astype(np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("sampler_name", SAMPLERS)
def test_the_same_settings_give_the_same_bytes(sampler_name: str) -> None:
    """Two runs, and two more at once in two threads, make identical pixels."""
    alone = pixels(sampler_name=sampler_name)

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: pixels(sampler_name=sampler_name), range(2)))

    for other in (pixels(sampler_name=sampler_name), *together):
        assert other.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"cfg_scale": 0.0},
        {"cfg_scale": 1.0},
        {"cfg_scale": 8.0},
        {"steps": 2},
        {"steps": 12},
        *({"sampler_name": name} for name in SAMPLERS[1:]),
        *({"scheduler": name} for name in SCHEDULERS[1:]),
        {"prompt": "a red star"},
        {"prompt": "a blue heart"},
        {"prompt": ""},
    ],
    ids=str,
)
def test_each_setting_changes_the_picture(change: dict[str, Any]) -> None:
    """A change of one setting can be seen: over three seeds pixel values move by at least one level on average."""
    differences = [pixels(seed=seed).astype(float) - pixels(**({"seed": seed} | change)) for seed in range(3)]

    assert np.abs(differences).mean() > 1.0


def test_each_seed_gives_its_own_picture() -> None:
    """At 12 steps any two of eight seeds differ clearly, the largest one included."""
    made = [pixels(seed=seed, steps=12).astype(float) for seed in (*range(7), 2**63 - 1)]

    assert all(np.abs(one - other).mean() > 3.0 for one, other in combinations(made, 2))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (16, 16), (48, 32)])
def test_the_picture_has_the_size_asked_for(width: int, height: int) -> None:
    """Pixels come as rows, columns and three bytes, at any size."""
    found = pixels(width=width, height=height)

    assert found.shape == (height, width, 3)
    assert found.dtype == np.uint8


def test_a_seed_gives_a_related_picture_at_another_size() -> None:
    """Over six seeds, a picture at 32x32 is closer to its own seed's at 64x64 than to the next seed's."""
    small = np.array([pixels(seed=seed, steps=12, width=32, height=32) for seed in range(6)], float)
    large = np.array([pixels(seed=seed, steps=12) for seed in range(6)]).reshape(6, 32, 2, 32, 2, 3).mean(axis=(2, 4))

    assert np.abs(small - large).mean() < 0.5 * np.abs(small - np.roll(large, 1, axis=0)).mean()


def test_the_match_has_its_best_guidance_inside_the_sweep() -> None:
    """Averaged over seeds, the match rises from pale to clear and falls again when the picture burns."""
    scales = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0]
    runs = [
        [generate(Settings(prompt="a blue star", steps=12, cfg_scale=scale, seed=seed)) for seed in range(4)]
        for scale in scales
    ]
    means = [np.mean([picture.prompt_match for picture in row]) for row in runs]

    assert scales[int(np.argmax(means))] in (1.0, 2.0)
    assert max(means) > 0.6
    assert means[0] < 0.1
    assert means[-1] < 0.4


@pytest.mark.parametrize("prompt", ["a red circle", "green triangle"])
def test_the_default_settings_match_the_prompt(prompt: str) -> None:
    """The defaults make a clear picture of what the prompt names."""
    means = np.mean([generate(Settings(prompt=prompt, seed=seed)).prompt_match for seed in range(4)])

    assert means > 0.65


def test_strength_zero_returns_the_init_image() -> None:
    """Without any denoising the init image comes back as it was, and no step is reported."""
    image, steps = gradient(64, 64), list[tuple[int, int]]()

    found = generate(Settings(prompt="red", init_image=image, denoising_strength=0.0), lambda *step: steps.append(step))

    assert np.array_equal(found.pixels, image)
    assert steps == []


def test_an_init_image_of_another_size_is_resized() -> None:
    """The size of the result is the one asked for, not that of the init image."""
    assert pixels(init_image=gradient(100, 30), denoising_strength=0.0).shape == (64, 64, 3)


def test_strength_decides_how_much_of_the_init_image_stays() -> None:
    """Little strength keeps a red square much as it was; full strength makes what the noise and the prompt say."""
    square = pixels(prompt="a red square", seed=8, steps=20)
    little, full = (
        pixels(prompt="", init_image=square, denoising_strength=strength, steps=20).astype(float)
        for strength in (0.1, 1.0)
    )

    assert np.abs(little - square).mean() < 0.2 * np.abs(full - square).mean()


def test_steps_are_reported_in_order() -> None:
    """Each step is reported once with the total, which img2img cuts to the steps that it runs."""
    full, part = list[tuple[int, int]](), list[tuple[int, int]]()

    generate(Settings(**BASE), lambda *step: full.append(step))
    generate(Settings(**BASE, init_image=gradient(64, 64), denoising_strength=0.5), lambda *step: part.append(step))

    assert full == [(done, 4) for done in range(1, 5)]
    assert part == [(done, 2) for done in range(1, 3)]


def test_cancelling_stops_before_the_next_step() -> None:
    """Once `cancelled` says so, no further step is run."""
    done = list[int]()

    with pytest.raises(Cancelled):
        generate(Settings(**BASE), lambda step, _total: done.append(step), lambda: len(done) == 2)

    assert done == [1, 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", 3),
        ("steps", 0),
        ("steps", 151),
        ("steps", 2.5),
        ("steps", True),
        ("cfg_scale", -0.1),
        ("cfg_scale", 30.5),
        ("cfg_scale", float("nan")),
        ("cfg_scale", "7"),
        ("sampler_name", "ddim"),
        ("scheduler", None),
        ("seed", -1),
        ("seed", 2**64),
        ("width", 15),
        ("height", 257),
        ("denoising_strength", 1.01),
        ("init_image", np.zeros((8, 8), np.uint8)),
        ("init_image", np.zeros((8, 8, 3), np.float64)),
        ("init_image", np.zeros((0, 8, 3), np.uint8)),
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_by_name(field: str, value: Any) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=f"^{field} must be "):
        Settings(**{field: value})


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    prompt=st.text(max_size=20) | st.sampled_from(["red heart", "star"]),
    steps=st.integers(1, 8),
    cfg_scale=st.floats(0.0, 30.0),
    sampler_name=st.sampled_from(SAMPLERS),
    scheduler=st.sampled_from(SCHEDULERS),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_allowed_settings_make_a_picture(**values: Any) -> None:
    """Nothing in the allowed range overflows or warns, and the match stays in 0..1."""
    made = generate(Settings(**values, width=32, height=32))

    assert made.pixels.shape == (32, 32, 3)
    assert 0.0 <= made.prompt_match <= 1.0
