"""Blocks: several prompts as replicates like seeds, and what makes no sense as one."""

from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError, convert
from learning_service.experiments.blocks import (
    BLOCKS_BYTES,
    MAX_REPEATS,
    block_names,
    block_of,
    seed_of,
    shared_config,
)
from learning_service.experiments.plan import CONFIG_BYTES, check_plan, first_jobs, is_slow, plan_space
from learning_service.experiments.settings import job_config
from learning_service.storage.catalogue import words_of
from tests.support.factories import PROGRAM_STAGE, definition
from variantbus.reports.job_file import job_text

STAGE = StageSpec(
    variables={
        "prompt": VariableSpec(kind="str"),
        "cfg_scale": VariableSpec(kind="float", minimum=0, maximum=30),
        "steps": VariableSpec(kind="int", minimum=1, maximum=150),
        "hr_scale": VariableSpec(kind="float", needs=("enable_hr",)),
        "seed": VariableSpec(kind="int", minimum=0),
        "model": VariableSpec(kind="str", choices=("one", "two"), slow=True),
    },
    config={"enable_hr": VariableSpec(kind="bool"), "extras": VariableSpec(kind="map")},
)
PIPELINES = {
    "embedded": {"txt2img": STAGE},
    "command": {"run": PROGRAM_STAGE},
}


def blocked(*blocks: Block, jobs: int = 1, config: Config | None = None, **changes: Any) -> ExperimentDefinition:
    """Return the example experiment over some blocks."""
    plan = definition([2.0, 4.0], jobs=jobs, config={"steps": 4} if config is None else config)
    return replace(plan, blocks=blocks, **changes)


def prompted(*prompts: str, jobs: int = 1) -> ExperimentDefinition:
    """Return the example experiment over some prompts."""
    return blocked(*(Block(config={"prompt": prompt}) for prompt in prompts), jobs=jobs)


def refusal(plan: ExperimentDefinition) -> str:
    """Return why a plan is refused."""
    with pytest.raises(InvalidInputError) as refused:
        check_plan(plan, PIPELINES)
    return str(refused.value)


def test_every_value_gets_every_prompt_with_every_seed() -> None:
    """All prompts of the first seed come first, and all values have the same pairs."""
    plan = prompted("a star", "a heart", "a circle", jobs=2)

    jobs = [[job_config(plan, value, repeat) for repeat in range(plan.repeats)] for value in (2.0, 4.0)]

    pairs = [[(config["prompt"], config["seed"]) for config in of_value] for of_value in jobs]
    assert pairs[0] == pairs[1]
    assert pairs[0] == [(prompt, seed) for seed in (100, 101) for prompt in ("a star", "a heart", "a circle")]
    assert [block_of(plan, repeat) for repeat in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [seed_of(plan, repeat) for repeat in range(6)] == [100, 100, 100, 101, 101, 101]


def test_more_seeds_only_add_repeats() -> None:
    """What was planned keeps its place, its prompt and its seed."""
    few, many = prompted("a star", "a heart", jobs=2), prompted("a star", "a heart", jobs=5)

    assert [job_config(few, 2.0, repeat) for repeat in range(few.repeats)] == [
        job_config(many, 2.0, repeat) for repeat in range(few.repeats)
    ]


def test_without_blocks_a_repeat_is_a_seed() -> None:
    """As it always was; and the definition travels as it always did."""
    plan = definition([1.0], jobs=3)

    assert (plan.repeats, [seed_of(plan, repeat) for repeat in range(3)]) == (3, [100, 101, 102])
    assert (block_of(plan, 2), block_names(plan), shared_config(plan, 2)) == (0, [], plan.config)


def test_the_settings_of_a_block_go_before_those_of_the_experiment() -> None:
    """A value goes before both."""
    plan = blocked(Block(config={"steps": 9}), Block(), config={"steps": 4, "prompt": "a star"})

    assert [job_config(plan, 2.0, repeat) for repeat in range(2)] == [
        {"prompt": "a star", "steps": steps, "seed": 100, "cfg_scale": 2.0} for steps in (9, 4)
    ]
    assert check_plan(plan, PIPELINES) == [2.0, 4.0]


def test_a_block_is_called_as_a_person_called_it_or_by_its_settings() -> None:
    """Prompts alone need no word before them."""
    assert block_names(prompted("a star", " 1", "")) == ["a star", '" 1"', '""']
    mixed = blocked(
        Block(name="tall", config={"height": 96}),
        Block(config={"height": 64, "extras": {"a": [1, 2]}, "enable_hr": True}),
        Block(),
    )
    assert block_names(mixed) == ["tall", 'height 64, extras {"a":[1,2]}, enable_hr true', "as configured"]


@pytest.mark.parametrize(
    "prompt", ["red, blue", 'a "quoted" one', "'", "\N{SNOWMAN} 雪", "x" * 65_536, "a\nb", "=1+1", "1"]
)
def test_any_text_is_a_prompt(prompt: str) -> None:
    """With commas, quotes, other scripts, and 64 KiB long."""
    assert check_plan(prompted("a star", prompt), PIPELINES) == [2.0, 4.0]


@pytest.mark.fault(item="F177")
@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (prompted("a star", "b", "a star"), "blocks #3: has the same settings as #1; change or remove one"),
        (prompted("a", "b\0"), "blocks #2.config.prompt: has a NUL character"),
        (prompted("x", jobs=256), ""),
        (prompted(*map(str, range(5)), jobs=256), "jobs_per_variant: 256 under each of 5 blocks are more than 1024"),
        (blocked(Block(config={"prompt": 5})), "blocks #1.config.prompt: must be text, not 5"),
        (blocked(Block(), Block(config={"promt": "a"})), "blocks #2.config.promt: unknown key; did you mean 'prompt'?"),
        (blocked(Block(config={"steps": 0}), config={}), "blocks #1.config.steps: 0 is out of bounds"),
        (blocked(Block(), Block(config={"steps": 1000})), "blocks #2.config.steps: 1000 is out of bounds"),
        (blocked(Block(config={"cfg_scale": 1})), "blocks #1.config.cfg_scale: is the variable already"),
        (blocked(Block(config={"seed": 1})), "blocks #1.config.seed: write seed at the top level"),
        (blocked(Block(config={"steps": 1}), Block(config={"steps": 2})), "config.steps: every block sets it; remove"),
        (
            blocked(Block(name="a", config={"prompt": "b"}), Block(config={"prompt": "a"})),
            "blocks #2: is called the same",
        ),
        (blocked(Block(name="a\0")), "blocks #1.name: has a NUL character"),
        (blocked(Block(config={"steps": 4}), Block(), config={"steps": 4}), "blocks #2: has the same settings as #1"),
        (blocked(Block(config={"extras": {"a": 1}}), Block(config={"extras": {"a": 1.0}})), "blocks #2: has the same"),
        (blocked(Block(config={"extras": {"a": [1]}}), Block(config={"extras": {"a": [True]}})), ""),
        (blocked(*(Block(config={"extras": {"a": [{"b": one}]}}) for one in (1, 1.0))), "blocks #2: has the same"),
        (blocked(*(Block(config={"extras": {"a": [{"b": one}]}}) for one in (1, 2))), ""),
        (blocked(Block(config={"extras": None})), "blocks #1.config.extras: must be a table"),
        (blocked(Block(config={"hr_scale": 2.0})), "config.enable_hr: missing; hr_scale has no effect without it"),
        (blocked(Block(config={"hr_scale": 2.0, "enable_hr": True})), ""),
        (blocked(Block(), config={"steps": 0}), "config.steps: 0 is out of bounds"),
        (prompted("x" * CONFIG_BYTES), "blocks #1: with config:"),
        (prompted(*(f"{number}" * 50_000 for number in range(6))), f"more than {BLOCKS_BYTES}"),
    ],
)
def test_what_makes_no_sense_as_a_block_is_refused(plan: ExperimentDefinition, sentence: str) -> None:
    """Each with one sentence that names the block; where there is none, the plan is good."""
    if sentence:
        assert sentence in refusal(plan)
    else:
        check_plan(plan, PIPELINES)


def test_a_prompt_that_no_program_is_given_is_refused() -> None:
    """The jobs of all blocks would be the same."""
    command = ["tool", "{level}"]
    plan = ExperimentDefinition(
        name="x",
        pipeline="command",
        stage="run",
        variable=Variable(name="level", values=[1, 2]),
        config={"command": [*command]},
        blocks=(Block(config={"prompt": "a"}), Block(config={"prompt": "b"})),
    )

    assert "blocks #1.config.prompt: unknown key" in refusal(plan)
    check_plan(replace(plan, config={"command": [*command, "{prompt}"]}), PIPELINES)
    check_plan(replace(plan, config={}, blocks=(Block(config={"command": [*command]}),)), PIPELINES)


def test_limits_count_all_jobs() -> None:
    """Of all blocks."""
    plan = blocked(*(Block(config={"prompt": f"{number}"}) for number in range(8)), jobs=128)
    assert plan.repeats == MAX_REPEATS
    many = replace(plan, variable=Variable(name="cfg_scale", start=0, stop=10, step="0.1"))

    assert "101 variants x 1024 jobs are more than 100000" in refusal(many)
    search = replace(prompted("a", "b", jobs=2), mode="adaptive", budget=7)
    assert "budget: 7 is less than the 8 jobs of the first round" in refusal(search)
    check_plan(replace(search, budget=8), PIPELINES)


def test_a_runner_checks_each_block_once() -> None:
    """Under the first value, and each other value under the first block."""
    plan = prompted("a", "b", "c", jobs=2)

    jobs = list(first_jobs("exp-1", plan, {4: 2.0, 5: 4.0}))

    assert [(job.config["cfg_scale"], job.config["prompt"]) for job in jobs] == [(2, "a"), (2, "b"), (2, "c"), (4, "a")]
    assert [job.job_id for job in jobs] == ["exp-1.4.0.0", "exp-1.4.1.0", "exp-1.4.2.0", "exp-1.5.0.0"]
    assert len(list(first_jobs("exp-1", definition([1.0, 2.0]), {0: 1.0, 1: 2.0}))) == 2


def test_what_varies_is_known_from_the_settings_of_the_blocks_too() -> None:
    """A program may be in them."""
    plan = replace(
        definition(["one", "two"], name="model"), config={}, blocks=(Block(config={"prompt": "a"}),), mode="adaptive"
    )
    assert is_slow(plan, PIPELINES)
    everything = replace(plan, variable=Variable(name="model", values="all"))
    assert [axis.values for axis in plan_space(everything, PIPELINES).axes] == [("one", "two")]


def test_the_job_with_the_recommended_value_has_the_settings_of_the_first_block() -> None:
    """A job has one prompt; the file says which."""
    text = job_text(prompted("a star", "a heart"), {"cfg_scale": 2.0}, "5 is best")

    assert "# block 1 of 2: a star\n" in text
    assert 'prompt = "a star"' in text
    assert "block" not in job_text(prompted("a star"), {"cfg_scale": 2.0}, "5 is best")


def test_an_experiment_is_found_by_its_prompts() -> None:
    """And by the names of its blocks."""
    plan = blocked(Block(name="Portraits", config={"prompt": "An Old Man"}))

    words = words_of("exp-1", plan)
    assert "portraits" in words
    assert "an old man" in words


def test_a_definition_with_blocks_survives_the_wire() -> None:
    """A reader that does not know a field of a block ignores it."""
    plan = prompted("a", "b")

    read = convert(
        {
            "name": plan.name,
            "variable": {"name": "cfg_scale", "values": [2.0, 4.0]},
            "seed": 100,
            "config": {"steps": 4},
            "blocks": [{"config": {"prompt": "a"}, "weight": 2}, {"config": {"prompt": "b"}}],
        },
        ExperimentDefinition,
    )

    assert read == plan
