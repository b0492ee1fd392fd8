"""What the viewer decides without a service: settings of a job, names of files, zoom, swipes, ways through a grid."""

import json
import tomllib
from typing import Any, Final

import msgspec
from playwright.sync_api import Page

from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.fields import VariantValue
from learning_service.experiments.settings import job_config
from tests.browser.test_form_rules import form, run

__all__ = ["form"]
PLACES: Final = "views/viewer/places.js"
ZOOM: Final = "results/zoom.js"
STYLE: Final = Variable(name="style", values=["oil", "ink"], fills=True)
CASES: Final[dict[str, tuple[ExperimentDefinition, VariantValue]]] = {
    "plain": (
        ExperimentDefinition(name="x", variable=Variable(name="cfg"), seed=2**63, config={"prompt": "a star"}),
        1.5,
    ),
    "several": (
        ExperimentDefinition(
            name="x", variables=(Variable(name="cfg"), STYLE), config={"prompt": "{style}, {{style}}"}
        ),
        {"cfg": 2, "style": "oil {style}"},
    ),
    "replaced": (
        ExperimentDefinition(
            name="x",
            variable=Variable(name="colour", replace="a.b", setting="prompt"),
            config={"prompt": "a.b axb a.b", "negative": "a.b"},
        ),
        "red",
    ),
    "named": (
        ExperimentDefinition(
            name="x",
            variable=Variable(name="preset", settings={"fast": {"steps": 4, "lcm": True}, "7": {"steps": 40}}),
            config={"steps": 1},
        ),
        7,
    ),
    "blocks": (
        ExperimentDefinition(
            name="x",
            variable=STYLE,
            blocks=(Block(config={"prompt": "a {style} star"}), Block(config={"prompt": "a heart", "steps": 3})),
            config={"size": [64, 64], "extra": None},
            seeds=(5, 99),
        ),
        "ink",
    ),
}


def test_the_page_knows_the_settings_of_a_job_as_the_service_makes_them(form: Page) -> None:
    """Those of the experiment, the block and the value, texts with their parts, and the seed with all its digits."""
    for case, (definition, value) in CASES.items():
        written = json.loads(msgspec.json.encode(definition))
        for repeat in range(3):
            found = run(form, "data/settings.js", "m.jobSettings(v[0], v[1], v[2])", written, value, repeat)
            assert found == job_config(definition, value, repeat), case


def test_settings_are_copied_as_toml_and_compared(form: Page) -> None:
    """Whatever a text has in it; what is null is left out, as TOML has no word for it."""
    config = {"prompt": 'a "star"\n\x7f\\', "steps": 4, "on": True, "size": [1, 2.5], "a b": {"x": "y"}, "no": None}
    text = run(form, "base/toml.js", "m.toToml(v[0])", {"pipeline": "embedded", "config": config})
    differing = run(
        form, "data/settings.js", "m.differences(v[0], v[1])", {"a": 1, "b": "1", "c": [1]}, {"b": 1, "c": [1], "d": 0}
    )

    assert tomllib.loads(text) == {
        "pipeline": "embedded",
        "config": {key: config[key] for key in config if key != "no"},
    }
    assert differing == ["a", "b", "d"]


def test_a_file_is_saved_under_a_name_that_says_what_it_shows(form: Page) -> None:
    """Without what file systems do not take, and with the end of its kind."""

    def name(image: dict[str, Any], place: int = 0) -> Any:
        variant = {"variable_under_test": "cfg_scale", "variant_value": "a/b: c"}
        return run(
            form, "results/naming.js", "m.saveName(...v)", {"name": "Stars?", "seed": 7}, variant, 1, image, place
        )

    assert name({"media_type": "image/png", "width": 1, "height": 1}) == "Stars_cfg_scale_a-b-c_seed-8.png"
    assert name({"media_type": "image/jpeg", "width": 1, "height": 1}, 1) == "Stars_cfg_scale_a-b-c_seed-8_2.jpg"
    assert name({"media_type": "application/octet-stream", "name": "dir/model.GGUF"}).endswith(".gguf")
    assert name({"media_type": "application/octet-stream"}).endswith(".bin")


def test_a_picture_is_zoomed_moved_and_cut_where_it_is_seen(form: Page) -> None:
    """Around the point of the finger, never out of its box; a swipe is long, quick and straight."""
    box = {"width": 200, "height": 100}
    twice = run(form, ZOOM, "m.zoomed(m.WHOLE, 2, [50, 0], v[0])", box)

    assert twice == {"scale": 2, "x": -50, "y": 0}
    assert run(form, ZOOM, "m.zoomed(v[0], 0.1, [50, 0], v[1])", twice, box) == {"scale": 1, "x": 0, "y": 0}
    assert run(form, ZOOM, "m.moved(v[0], [-500, 20], v[1])", twice, box) == {"scale": 2, "x": -100, "y": 20}
    assert [run(form, ZOOM, "m.cutAt(v[0], v[1], 200)", at, twice) for at in (0, 50, 75, 100)] == [37.5, 62.5, 75, 87.5]
    swipes = [
        run(form, ZOOM, "m.swipe(v[0], v[1])", *one)
        for one in ([[-90, 10], 200], [[5, 60], 200], [[90, 80], 9], [[90, 0], 2000])
    ]
    assert swipes == [[1, 0], [0, -1], None, None]


def test_arrows_pass_over_holes_and_move_two_along_what_they_share(form: Page) -> None:
    """Two values go to the next seed together; of two seeds of a value the value changes for both."""
    grid = """((holes) => {
      const keyOf = (column, row) => `${column}.${row}`;
      const seen = (key) => ({ key, variant: holes.includes(key) ? undefined : {} });
      const at = (column, row) => seen(keyOf(column, row));
      const find = (key) => {
        const [column, row] = key.split(".").map(Number);
        return column < 3 && row < 2 ? { column, row } : null;
      };
      return { across: [0, 1, 2], down: [0, 1], at, find };
    })(v[0])"""

    def both(one: str, other: str, by: list[int]) -> Any:
        return run(form, PLACES, f"m.stepBoth({grid}, v[1], v[2], v[3])", [], one, other, by)

    assert run(form, PLACES, f"m.step({grid}, [0, 0], [1, 0])", ["1.0"]) == "2.0"
    assert run(form, PLACES, f"m.step({grid}, [0, 0], [1, 0])", ["1.0", "2.0"]) is None
    assert both("0.0", "2.0", [0, 1]) == ["0.1", "2.1"]
    assert both("0.1", "2.1", [0, 1]) == ["0.1", "2.1"]
    assert both("1.0", "2.0", [-1, 0]) == ["1.0", "0.0"]
    assert both("1.0", "2.0", [1, 0]) == ["1.0", "2.0"]
    assert both("0.0", "0.1", [1, 0]) == ["1.0", "1.1"]
    assert both("9.9", "0.1", [1, 0]) == ["9.9", "1.1"]
