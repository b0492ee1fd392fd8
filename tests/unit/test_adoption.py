"""What a folder of pictures is compared by, and where each picture belongs. No file."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from bus.contracts.archive import PictureRecord
from bus.contracts.fields import Scalar
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.sharding import Shard
from pipeline_runner.metadata.values import Settings
from variantbus.adoption.choosing import choose, selected
from variantbus.adoption.planning import Plan, Present, block_counts, job_of, plan, seed_of
from variantbus.adoption.scanning import Found
from variantbus.adoption.sending import adopted_id
from variantbus.adoption.varying import comparable, counted, varying


def found(settings: Iterable[Settings], pipeline: str = "webui") -> list[Found]:
    """Return a picture for each of some settings."""
    return [
        Found(Path(f"/p/{n}.png"), f"{n}.png", f"{n:064x}", 10, pipeline, dict(one)) for n, one in enumerate(settings)
    ]


def sweep(cfg: Iterable[float], seeds: Iterable[int], **others: Scalar) -> list[Settings]:
    """Return the settings of a sweep."""
    return [{"prompt": "fox", "cfg_scale": one, "seed": seed, **others} for one in cfg for seed in seeds]


def places(made: Plan) -> list[tuple[int, int, int]]:
    """Return variant, repeat and round of each picture."""
    return [tuple(one.job) for one in made.placed]  # type: ignore[misc]


def present(made: Plan, name: str = "a-1") -> Present:
    """Return what an experiment has after it was adopted."""
    pictures = [
        PictureRecord(
            job_id=job_id(name, one.job),
            variant_index=one.job.variant_index,
            repeat_index=one.job.repeat_index,
            image=ImageRef(sha256=one.picture.sha256, path="p", width=1, height=1, seed=seed_of(one.picture.settings)),
        )
        for one in made.placed
    ]
    return Present(definition=made.definition, values=made.values, pictures=pictures)


def test_what_varies_is_the_variable_and_equal_seeds_are_one_repeat() -> None:
    """Numbers are in order, whatever the order of the files."""
    made = plan(found(sweep((7, 3), (5, 4), steps=20, model_hash="a")), "Sweep")

    assert made.definition.variable_name == "cfg_scale"
    assert made.values == [3, 7]
    assert made.definition.config == {"prompt": "fox", "steps": 20}
    assert made.definition.jobs_per_variant == 2
    assert places(made) == [(1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 0)]
    assert (made.are_paired, made.definition.paired, made.definition.seeds) == (True, True, (4, 5))
    job = job_of(made, "sweep-1", made.placed[0])
    assert (job.job_id, job.pipeline) == ("sweep-1.1.1.0", "webui")
    assert job.learning_context is not None
    assert job.learning_context.variant_value == 7
    assert job.config["model_hash"] == "a"


def test_pictures_with_a_seed_of_their_own_are_repeats_in_their_order() -> None:
    """A seed of -1 for each picture: nothing is paired, and no value has empty places."""
    settings: list[Settings] = [
        {"prompt": "fox", "cfg_scale": cfg, "seed": 10 * n} for n, cfg in enumerate((3, 7, 3, 7, 7))
    ]
    made = plan(found(settings), "Random")

    assert (made.are_paired, made.definition.paired, made.definition.seeds) == (False, False, ())
    assert places(made) == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 2, 0)]
    without: list[Settings] = [{key: value for key, value in one.items() if key != "seed"} for one in settings]
    assert not plan(found(without), "None").are_paired


def test_two_pictures_of_one_place_are_two_rounds() -> None:
    """The same settings and the same seed may give two pictures, on two cards or with something that is not told."""
    made = plan(found([*sweep((3, 7), (1,)), *sweep((3,), (1,))]), "Twice")

    assert places(made) == [(0, 0, 0), (1, 0, 0), (0, 0, 1)]


def test_prompts_beside_a_variable_are_blocks_with_what_varies_with_them() -> None:
    """Each prompt may have its own negative prompt."""
    settings: list[Settings] = [
        {"prompt": prompt, "negative_prompt": f"no {prompt}", "cfg_scale": cfg, "seed": seed}
        for prompt in ("fox", "star")
        for cfg in (3, 7)
        for seed in (1, 2)
    ]
    made = plan(found(settings), "Blocks")

    assert [block.config for block in made.definition.blocks] == [
        {"prompt": "fox", "negative_prompt": "no fox"},
        {"prompt": "star", "negative_prompt": "no star"},
    ]
    assert places(made)[:4] == [(0, 0, 0), (0, 2, 0), (1, 0, 0), (1, 2, 0)]
    assert places(made)[4:] == [(0, 1, 0), (0, 3, 0), (1, 1, 0), (1, 3, 0)]
    assert block_counts(made) == {0: 4, 1: 4}
    more = plan(
        found([*settings, {**settings[0], "prompt": "new"}, {**settings[0], "seed": 3}]), "B", present=present(made)
    )
    assert more.known == 8
    assert [one.reason for one in more.ignored] == ["a prompt that the experiment does not have; adopt it as a new one"]
    assert places(more) == [(0, 4, 0)]


def test_prompts_alone_are_the_variable() -> None:
    """They are its values, in the order of the files."""
    made = plan(found([{"prompt": prompt, "seed": 1} for prompt in ("z", "a")]), "Prompts")

    assert made.values == ["z", "a"]
    assert not made.definition.blocks


def test_settings_that_vary_together_are_one_variable() -> None:
    """A model with its VAE; a size of width and height."""
    settings: list[Settings] = [
        {"prompt": "fox", "model": model, "sd_vae": f"vae {model}", "width": width, "height": 1000 - width, "seed": 1}
        for model in ("a", "b")
        for width in (400, 600)
    ]
    made = plan(found(settings), "Grid")

    assert made.definition.variable_name == "model x size"
    assert made.values[0] == {"model": "a", "size": "400x600"}
    model, size = made.definition.variables
    assert model.settings["b"] == {"model": "b", "sd_vae": "vae b"}
    assert size.settings["600x400"] == {"width": 600, "height": 400}
    only_width: list[Settings] = [{"prompt": "fox", "width": width, "height": 400, "seed": 1} for width in (400, 600)]
    assert plan(found(only_width), "Width").definition.variable_name == "width"


@pytest.mark.parametrize(
    ("prompts", "name", "values"),
    [
        (("fox <lora:ink:0.5>", "fox <lora:ink:1>", "fox"), "lora_strength", [0, 0.5, 1.0]),
        (("fox <lora:ink>, red", "fox <lora:oil:odd>, red"), "lora ink x lora oil", None),
    ],
)
def test_loras_in_prompts_are_settings_of_their_own(prompts: tuple[str, ...], name: str, values: list[float]) -> None:
    """The rest of the prompt is the same then."""
    made = plan(found([{"prompt": prompt, "seed": 1} for prompt in prompts]), "LoRA")

    if values:
        assert made.definition.variable_name == name
        assert made.values == values
        assert made.definition.config == {"prompt": "fox", "lora": "ink"}
    else:
        assert made.definition.variable_name == "lora ink"  # the other one follows from it
    endless: Settings = {"prompt": "<lora:" + "a" * 100_000, "seed": 1}  # a tag that has no end costs no time
    assert comparable([endless]) == [endless]
    same = comparable([{"prompt": "a <lora:x:1>", "seed": 1}, {"prompt": "b <lora:x:1>", "seed": 1}])
    assert [one["prompt"] for one in same] == ["a <lora:x:1>", "b <lora:x:1>"]


def test_several_programs_are_a_variable_of_their_own() -> None:
    """The pipeline is that of most pictures."""
    both = [*found(sweep((3,), (1, 2))), *found(sweep((3,), (3,)), "comfyui")]
    both[2] = both[2]._replace(sha256="f" * 64)
    made = plan(both, "Tools")

    assert made.definition.variable_name == "tool"
    assert made.definition.pipeline == "webui"
    assert job_of(made, "t-1", made.placed[2]).pipeline == "comfyui"


def test_by_and_where_say_what_is_compared() -> None:
    """What varies besides is told; names and values that are none are named."""
    settings: list[Settings] = [
        {"prompt": "fox", "cfg_scale": cfg, "steps": steps, "model": "m", "seed": n}
        for n, (cfg, steps) in enumerate([(3, 10), (7, 10), (3, 20), (7, 20)])
    ]
    made = plan(found(settings), "By", by=["cfg_scale"])
    assert [axis.name for axis in made.chosen.axes] == ["cfg_scale"]
    assert [one.name for one in made.chosen.apart] == ["steps"]
    assert plan(found(settings), "Where", where={"steps": 10}).definition.variable_name == "cfg_scale"
    for by, text in ((["cfgscale"], "did you mean 'cfg_scale'"), (["model"], "all pictures have model m")):
        with pytest.raises(InvalidInputError, match=text):
            choose(settings, by)
    with pytest.raises(InvalidInputError, match="more than 6"):
        choose(settings, list("abcdefg"))
    for where, text in (
        ({"step": 1}, "did you mean 'steps'"),
        ({"steps": 11}, "there are 10, 20"),
        ({"steps": 10, "seed": 3}, "has all of these"),
    ):
        with pytest.raises(InvalidInputError, match=text):
            selected(settings, where)


def test_what_makes_no_experiment_is_refused_with_what_to_do() -> None:
    """Nothing varies, everything does, or prompts and values cannot be told apart."""
    with pytest.raises(InvalidInputError, match="no picture with settings"):
        plan([], "None")
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        plan(found(sweep((3,), (1, 2))), "Same")
    many: list[Settings] = [
        {"prompt": "fox", "seed": n, **{f"s{k}": (n >> k) & 1 for k in range(7)}} for n in range(128)
    ]
    with pytest.raises(InvalidInputError, match=r"7 settings vary: s0 .2 values., .* with --by NAME"):
        plan(found(many), "Many")
    apart: list[Settings] = [{"prompt": f"p{n}", "cfg_scale": n % 3, "seed": n} for n in range(9)]
    with pytest.raises(InvalidInputError, match="--by cfg_scale, or --by prompt"):
        plan(found(apart), "Apart")
    assert [one.name for one in plan(found(apart), "By", by=["cfg_scale"]).chosen.apart] == ["prompt"]
    assert len(plan(found(apart), "By", by=["prompt"]).values) == 9
    own: list[Settings] = [{"prompt": f"p{n}", "seed": n} for n in range(120)]
    with pytest.raises(InvalidInputError, match="120 prompts, and nothing else varies"):
        plan(found(own), "Own")
    crossed: list[Settings] = [{"prompt": f"p{n}", "cfg_scale": cfg, "seed": n} for n in range(101) for cfg in (1, 2)]
    with pytest.raises(InvalidInputError, match="101 prompts, and at most 100"):
        plan(found(crossed), "Crossed")
    assert plan(found(crossed), "By", by=["cfg_scale"]).chosen.prompts is None
    values: list[Settings] = [{"prompt": "fox", "a": n % 40, "b": n // 40, "seed": 1} for n in range(1200)]
    with pytest.raises(InvalidInputError, match="1200 values are more than 1000"):
        plan(found(values), "Values")


def test_more_pictures_keep_the_places_of_those_before() -> None:
    """New values come behind, and new seeds after the known ones; in an unpaired experiment the next free places."""
    first = plan(found(sweep((3, 7), (1, 2))), "First")
    all_of_it = [*sweep((3, 7), (1, 2)), *sweep((5, 3), (9, 1))]
    more = plan(found(all_of_it), "First", present=present(first))
    assert more.values == [3, 7, 5]
    assert more.definition.variable is not None
    assert more.definition.variable.values == [3, 5, 7]
    assert places(more) == [(2, 2, 0), (2, 0, 0), (0, 2, 0), (0, 0, 1)]
    assert (more.known, more.definition.jobs_per_variant) == (4, 3)

    settings: list[Settings] = [{"prompt": "fox", "cfg_scale": cfg, "seed": n} for n, cfg in enumerate((3, 7, 3, 7, 3))]
    before = plan(found(settings), "Random")
    after = plan(found([*settings, {**settings[0], "seed": 99}]), "Random", present=present(before))
    assert places(after) == [(0, 3, 0)]
    with pytest.raises(InvalidInputError, match="adopted by cfg_scale; to compare it by seed make a new"):
        plan(found(settings), "Random", by=["seed"], present=present(before))
    unseeded: list[Settings] = [{"prompt": "fox", "cfg_scale": cfg} for cfg in (3, 7, 3)]
    none = plan(found(unseeded), "None")
    again = plan(found([*unseeded, unseeded[0]]), "None", present=present(none))
    assert (places(again), again.are_paired) == ([(0, 2, 0)], False)
    with pytest.raises(InvalidInputError, match="prompts vary otherwise"):
        plan(found([*settings, {**settings[0], "prompt": "star"}]), "Random", present=present(before))


def test_a_value_has_a_most_of_pictures() -> None:
    """Its state names each of them."""
    settings: list[Settings] = [{"prompt": "fox", "cfg_scale": 1 + (n == 0), "seed": n} for n in range(1030)]
    made = plan(found(settings), "Very many")

    assert len(made.placed) == 1025
    assert {one.reason for one in made.ignored} == {"more than 1024 pictures of one value"}


def test_what_a_program_does_not_write_has_the_usual_value() -> None:
    """No negative prompt is an empty one, no LoRA has the strength 0."""
    settings: list[Settings] = [
        {"prompt": "fox", "seed": 1, "clip_skip": 2, "odd": True},
        {"prompt": "fox", "seed": True},
        {"prompt": "fox", "seed": -1, "clip_skip": 1},
    ]
    assert counted(settings, "clip_skip") == [(1, 2), (2, 1)]
    assert counted(settings, "odd") == [(True, 1), ("none", 2)]
    assert [seed_of(one) for one in settings] == [1, None, None]
    assert [one.name for one in varying(settings)] == ["clip_skip"]


def test_the_id_of_a_folder_is_the_same_each_time() -> None:
    """Another name, folder or number gives another one; the shard owns it."""
    ids = {adopted_id(*one) for one in (("A b", Path("/x"), 0), ("A c", Path("/x"), 0), ("A b", Path("/y"), 0))}
    assert len(ids | {adopted_id("A b", Path("/x"), 1)}) == 4
    assert adopted_id("A b", Path("/x"), 0) == adopted_id("A b", Path("/x"), 0)
    shard = Shard.parse("2/3")
    assert shard.owns(adopted_id("A b", Path("/x"), 0, shard))
    assert PlannedJob(0, 0) == (0, 0, 0)
