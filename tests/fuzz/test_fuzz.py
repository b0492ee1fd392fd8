"""Fuzzing: random and mutated inputs for every decoder, the kept corpus, and a bounded run of atheris."""

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.seeds import HERE, ROOT, kept
from tests.fuzz.strategies import SEEDS, mutated, toml
from tests.fuzz.targets import TARGETS
from tests.support.helpers import TIME_FACTOR

WIRE: Final = ("feed", "reply", "request")
RUNS: Final = {"feed": 6000, "reply": 6000, "request": 15_000, "experiment": 5000}
KEPT: Final = [pytest.param(name, path, id=f"{name}: {path.name}") for name in TARGETS for path in kept(name)]
OF_TABLES: Final = (
    "loras.a",
    "loras.",
    "alwayson.net.args.0.weight",
    "alwayson.net.args.9",
    "alwayson.net",
    "prompt.a",
)
NAMES: Final = ("cfg_scale", "sampler_name", "prompt", "seed", "level", *OF_TABLES)
TABLES: Final = (
    "",
    "[config.alwayson.net]\nargs = [{ weight = 1, on = true, list = [[], {}] }]",
    "[config]\nloras = { a = true, b = 9 }\nalwayson = 3",
    "[config.loras]\na.b = { c = nan }",
)
ATHERIS: Final = importlib.util.find_spec("atheris") is not None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Do not collect a million lines about malformed messages."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS)
def test_the_vectors_and_examples_pass(target: str) -> None:
    """Where fuzzing begins, nothing is wrong."""
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_what_was_worth_keeping_passes(target: str, path: Path) -> None:
    """The corpus, and inputs that once failed."""
    TARGETS[target](path.read_bytes())


@pytest.mark.fault(item="B1")
@pytest.mark.fault(item="B3")
@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_random_bytes_never_raise(target: str, data: st.DataObject) -> None:
    """Any bytes at all."""
    TARGETS[target](data.draw(st.binary(max_size=80)))


@pytest.mark.fault(item="B1")
@pytest.mark.fault(item="B10")
@pytest.mark.fault(item="B11")
@pytest.mark.fault(item="B12")
@pytest.mark.fault(item="B13")
@pytest.mark.fault(item="B14")
@pytest.mark.parametrize("target", WIRE)
@given(data=st.data())
def test_mutated_vectors_never_raise(target: str, data: st.DataObject) -> None:
    """Frames that are nearly right: another type, value, length or order somewhere."""
    TARGETS[target](data.draw(mutated(target)))


@pytest.mark.parametrize("target", ["topic", "address"])
@given(text=st.text(max_size=20) | st.text("tcp:/.%-[]0a", max_size=20).map("tcp://{}:1".format))
def test_random_text_never_raises(target: str, text: str) -> None:
    """Any text, and what looks like an address."""
    TARGETS[target](text.encode("utf-8", "surrogatepass"))


@pytest.mark.fault(item="B31")
@pytest.mark.fault(item="B35")
@given(
    name=st.text(max_size=8) | st.sampled_from(NAMES),
    values=st.lists(st.integers() | st.floats() | st.booleans() | st.text(max_size=5), max_size=4),
    numbers=st.fixed_dictionaries(
        {}, optional={name: st.integers() | st.floats() | st.text(max_size=5) for name in ("start", "stop", "step")}
    ),
    top=st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers() | st.floats(),
            "jobs_per_variant": st.integers() | st.floats(),
            "name": st.text(max_size=10),
            "pipeline": st.sampled_from(["embedded", "command", "x", ""]),
        },
    ),
    further=st.sampled_from(TABLES),
)
def test_absurd_experiments_are_planned_or_refused_with_a_sentence(
    name: str, values: list[object], numbers: dict[str, object], top: dict[str, object], further: str
) -> None:
    """Values of every kind and size: what a plan is made of is what a runner takes."""
    parts = [*(f"{key} = {toml(value)}" for key, value in top.items()), "[variable]", f"name = {toml(name)}"]
    parts += [f"{key} = {toml(value)}" for key, value in numbers.items()]
    if values:
        parts.append(f"values = [{', '.join(toml(value) for value in values)}]")
    TARGETS["experiment"]("\n".join([*parts, further]).encode("utf-8", "replace"))


@pytest.mark.exhaustive
@pytest.mark.skipif(not ATHERIS and "CI" not in os.environ, reason="needs atheris: pip install '.[fuzz]'")
@pytest.mark.parametrize("target", TARGETS)
def test_a_bounded_run_of_atheris_finds_nothing(target: str, tmp_path: Path) -> None:
    """A fixed number of inputs, guided by coverage, from the vectors and the kept corpus."""
    first = tmp_path / "seeds"
    first.mkdir()
    for number, seed in enumerate(SEEDS[target]):
        (first / str(number)).write_bytes(seed)
    (tmp_path / "found").mkdir()
    folders = [str(tmp_path / "found"), str(first), str(HERE / "corpus" / target)]
    options = [f"-runs={RUNS.get(target, 20_000)}", "-max_len=2048", "-seed=7", f"-artifact_prefix={tmp_path}/"]
    limit = f"-max_total_time={int(30 * TIME_FACTOR)}"

    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, *options, limit, *(one for one in folders if Path(one).is_dir())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=90 * TIME_FACTOR,
        check=False,
    )

    assert done.returncode == 0, (
        f"keep the input as tests/fuzz/crashes/{target}/NAME:\n{done.stdout}{done.stderr[-5000:]}"
    )
    assert "DONE" in done.stderr or "Done" in done.stderr, done.stderr[-2000:]
