"""The rules of the form for a new experiment, in a page without any service: what is typed, read, kept and refused."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from playwright.sync_api import Page, Route

from bus.contracts.definition import ExperimentDefinition
from bus.protocol.doors import take
from variantbus.files.reading import read_experiment

ROOT: Final = Path(__file__).parents[2]
STATIC: Final = ROOT / "variantbus" / "dashboard" / "static"
HERE: Final = "http://form.test"
FLOAT: Final = {"kind": "float", "minimum": 0, "maximum": 30}
TEXT: Final = {"kind": "str"}
SAMPLER: Final = {"kind": "str", "choices": ["Euler", "Euler a", "a, b"], "also": ["k_euler"]}
PRESETS: Final = {"512 x 768": {"width": 512}, "b": {"loras": {"x": 0.5}}}
REST: Final[dict[str, Any]] = {
    "name": "All of it",
    "variables": [
        {"name": "cfg_scale", "start": "1", "stop": 2.5, "step": 0.5},
        {"name": "prompt", "values": ["", "1", "a, b", "two\nlines", '""', "true"]},
        {
            "name": "size",
            "values": ["512 x 768", "b"],
            "settings": {"512 x 768": {"width": 512}, "b": {"loras": {"x": 0.5}}},
        },
        {"name": "star", "values": ["star", 2, True], "setting": "prompt", "replace": "star"},
        {"name": "colour", "values": ["blue"], "fills": True},
        {"name": "sampler_name", "values": "all"},
    ],
    "skip": [{"cfg_scale": ">1", "prompt": ["", "1"]}, {"cfg_scale": 1}],
    "sample": 7,
    "jobs_per_variant": 2,
    "seed": 2**64 - 3,
    "priority": 3,
    "exclusive": False,
    "config": {
        "command": ["a b", "'", "{x}"],
        "flag": False,
        "text": '""',
        "map": {"a": [1, {"b": "c"}]},
        "seed_like": 2**63,
    },
    "blocks": [{"name": "one", "config": {"steps": 1}}, {"config": {"steps": 2}}],
    "objective": "sharpness",
    "goal": "minimize",
    "within": "20%",
    "mode": "adaptive",
    "budget": 30,
    "stop_p_best": 0.95,
    "score": {
        "use": ["sharpness", "ssim"],
        "options": {"ssim": {"reference": "/a.png"}},
        "command": ["score"],
        "metrics": ["m"],
    },
}


@pytest.fixture
def form(page: Page) -> Page:
    """Return a page that can import the modules of the dashboard, and has nothing behind it."""

    def serve(route: Route) -> None:
        path = STATIC / route.request.url.removeprefix(f"{HERE}/static/")
        if path.is_file():
            route.fulfill(path=path)
        else:
            route.fulfill(body="<!doctype html><title>empty</title>", content_type="text/html")

    page.route(f"{HERE}/**", serve)
    page.goto(f"{HERE}/")
    return page


def run(page: Page, module: str, code: str, *values: object) -> Any:
    """Return what code gives with a module as `m` and JSON values as `v`; an error gives its message."""
    script = """async ([module, code, values]) => {
      const { parse, stringify } = await import("/static/data/values.js");
      const m = await import(`/static/${module}`);
      try { return stringify(new Function("m", "v", `return ${code}`)(m, parse(values)) ?? null); }
      catch (error) { return stringify({ error: error.message }); }
    }"""
    return json.loads(page.evaluate(script, [module, code, json.dumps(values)]))


def test_texts_are_taken_whole_and_numbers_may_stand_in_a_line(form: Page) -> None:
    """A comma parts numbers, choices, and what nobody means as a text; a new line parts all."""

    def items(text: str, knob: object = None) -> Any:
        return run(form, "data/entries.js", "m.itemsOf(v[0], v[1])", text, knob)

    assert items("a red star, on snow\n\n  a heart ", TEXT) == ["a red star, on snow", "a heart"]
    assert items("1, true", TEXT) == ["1, true"]
    assert items('""', TEXT) == [""]
    assert items("1, 2.5,-3e2,", FLOAT) == [1, 2.5, -300]
    assert items("18446744073709551615", {"kind": "int"}) == [2**64 - 1]
    assert items("Euler a, Euler", SAMPLER) == ["Euler a", "Euler"]
    assert items("a, b", SAMPLER) == ["a, b"]
    assert items('1, "", true') == [1, "", True]
    assert items("blue, red") == ["blue, red"]
    assert items('say "a, b", c') == ['say "a, b", c']
    assert items("true,false", {"kind": "bool"}) == [True, False]
    assert items("", FLOAT) == []
    assert items("1, abc", FLOAT) == {"error": "abc is no number"}
    assert items("1, 18446744073709551616", FLOAT) == {"error": "18446744073709551616 is too large"}
    assert items("1e999") == {"error": "1e999 is too large"}
    assert run(form, "data/entries.js", "m.rangeOf('1 to 18446744073709551616 by 1').stop") == "18446744073709551616"
    digits = "m.definitionOf({...v[0], jobs: '9'.repeat(30)}).problems.find((one) => one.field === 'jobs').text"
    draft = run(form, "views/form/draft.js", "m.newDraft()")
    assert run(form, "views/form/definition.js", digits, draft) == "This number is too large."
    hidden = "m.inShort({config: {prompt: v[0], steps: 4}}).slice(0, 2)"
    turned = "a \u202estar"
    assert run(form, "experiment/facts.js", hidden, turned) == [f"\u2068“{turned}”\u2069", "4 steps"]
    assert run(form, "experiment/facts.js", hidden, "a star") == ["“a star”", "4 steps"]
    assert items("2", {"kind": "bool"}) == {"error": "2 is neither true nor false"}

    # ranges are exact, with decimals as people write them; what leads nowhere is said
    def shown(text: str) -> Any:
        return run(form, "data/entries.js", "m.rangeText(m.rangeOf(v[0]))", text)

    assert shown("3 to 15 by 1.5") == {"count": 9, "text": "3, 4.5, 6 … 15"}
    assert shown("0.5 to 0.9 by 0.05") == {"count": 9, "text": "0.5, 0.55, 0.6 … 0.9"}
    assert shown("1 to -1 by -1") == {"count": 3, "text": "1, 0, -1"}
    assert shown("0 to 1e3 by 5e2") == {"count": 3, "text": "0, 500, 1000"}
    assert shown("1 to 3 by 0") == {"error": "a step of 0 never gets there"}
    assert "change its sign" in shown("3 to 1 by 1")["error"]
    assert run(form, "data/entries.js", "m.rangeOf('a to b by c')") is None
    assert run(form, "data/entries.js", "m.rangeValues(m.rangeOf('0.1 to 0.3 by 0.1'))") == [0.1, 0.2, 0.3]
    assert "take fewer" in run(form, "data/entries.js", "m.rangeValues(m.rangeOf('0 to 9999 by 1'))")["error"]
    assert run(form, "data/entries.js", "m.rangeText({start: 1, stop: '', step: 1})") == {"error": '"to" is missing'}

    # the words of a command line are held together by quotes, also over lines
    words = ["python3", "-c", "print('a b')\nx = \"1\"", "{level}", "", "a\\b", "[x]"]
    text = run(form, "data/entries.js", "m.textOf(v[0])", words)
    assert run(form, "data/entries.js", "m.wordsOf(v[0])", text) == words
    assert run(form, "data/entries.js", "m.wordsOf(v[0])", 'a "b c" d\\ e \'"\'') == ["a", "b c", "d e", '"']
    assert "not closed" in run(form, "data/entries.js", "m.wordsOf(v[0])", "a 'b")["error"]
    assert run(form, "data/entries.js", "m.valueOf(v[0], v[1])", '["a", "b c"]', {"kind": "list"}) == ["a", "b c"]
    assert "not JSON" in run(form, "data/entries.js", "m.valueOf(v[0], v[1])", "{a}", {"kind": "map"})["error"]


def test_presets_and_rules_are_lines(form: Page) -> None:
    """A text that could be read as something else stands in quotes."""
    presets = {
        "values": ["fast", "512 x 768", 3],
        "settings": {
            "fast": {"steps": 4, "on": True},
            "512 x 768": {"s": "a, b", "t": "4"},
            "3": {"l": {"x": [1, "]"]}},
        },
    }
    text = run(form, "views/form/pairs.js", "m.presetsText(v[0])", presets)
    assert text.splitlines()[0] == "fast: steps = 4, on = true"
    assert run(form, "views/form/pairs.js", "m.presetsOf(v[0])", text) == presets
    rules = [{"cfg_scale": ">=7", "steps": [2, 4]}, {"sampler_name": "!=lcm"}]
    lines = run(form, "views/form/pairs.js", "m.skipsText(v[0])", rules)
    assert lines == "cfg_scale = >=7, steps = [2,4]\nsampler_name = !=lcm"
    assert run(form, "views/form/pairs.js", "m.skipsOf(v[0])", lines) == rules
    assert run(form, "views/form/pairs.js", "m.skipsText(v[0])", [{"a = b": 1}]) is None
    assert "name = value" in run(form, "views/form/pairs.js", "m.skipsOf('steps 4')")["error"]
    assert "name: setting = value" in run(form, "views/form/pairs.js", "m.presetsOf('fast')")["error"]
    assert "has no value" in run(form, "views/form/pairs.js", "m.skipsOf('steps =')")["error"]


def definitions() -> list[ExperimentDefinition]:
    """Return the definitions of all examples, and one with everything."""
    paths = [path for path in sorted((ROOT / "examples").glob("*.toml")) if path.stem != "job"]
    return [*(read_experiment(path).definition for path in paths), take(REST, ExperimentDefinition)]


def test_a_definition_goes_into_the_form_and_comes_out_the_same(form: Page) -> None:
    """All examples and one with everything, also over a reload; only where it comes from is said anew."""
    code = """v.map(one => {
      const {draft, definition, values} = m.all;
      const kept = values.parse(values.stringify(draft.draftOf(one, "x-1")));
      return definition.definitionOf(kept, undefined);
    })"""
    bundle = """import * as draft from "/static/views/form/draft.js";
      import * as definition from "/static/views/form/definition.js";
      import * as values from "/static/data/values.js"; export const all = {draft, definition, values};"""
    form.route(f"{HERE}/static/bundle.js", lambda route: route.fulfill(body=bundle, content_type="text/javascript"))
    given = definitions()
    assert len(given) > 20
    came = run(form, "bundle.js", code, *(json.loads(msgspec.json.encode(one)) for one in given))
    for before, after in zip(given, came, strict=True):
        assert after["problems"] == [], before.name
        assert after["definition"].pop("origin") == "clone of x-1"
        without = msgspec.structs.replace(before, origin="")
        assert take(after["definition"], ExperimentDefinition) == without, before.name


AXES: Final = [{"key": 0, "form": "setting"}, {"key": 3, "form": "part"}]


REFUSALS: Final = [
    (
        "variable.values #7: 200 is out of bounds; allowed: 0 to 30",
        "axis 0 values 6",
        "200 is out of bounds; allowed: 0 to 30.",
    ),
    ("variables[0].values[6]: must be a number", "axis 0 values 6", "Must be a number."),
    ("variables #2.replace: 'x' does not occur in prompt", "axis 3 part", "'x' does not occur in prompt."),
    (
        "variables #2: 'star' does not occur in prompt; write a text that does",
        "axis 3 part",
        "'star' does not occur in prompt; write a text that does.",
    ),
    (
        "variables #1.name: embedded (txt2img) has no variable 'x'; did you mean 'y'?",
        "axis 0 name",
        "Embedded (txt2img) has no variable 'x'; did you mean 'y'?",
    ),
    ("variables #1.step: 0 never gets from start to stop", "axis 0 values", "Step: 0 never gets from start to stop."),
    ("definition.config.steps: must be a whole number, not 'a'", "config steps", "Must be a whole number, not 'a'."),
    ("config.18.lora_1.strength: unknown key", "config 18.lora_1.strength", "Unknown key."),
    ("config.loras.ink: 9 is out of bounds", "config loras", "Ink: 9 is out of bounds."),
    (
        "config.level: missing; add it, or write {{level}} in command for the text {level} itself",
        "config level",
        "The command has {level} in it: give it a value, or let it vary.",
    ),
    ("config.prompt: missing; add it", "prompt 0", "This is needed; fill it in."),
    ("blocks #2.config.prompt: LoRA 'x' is not offered", "prompt 1", "LoRA 'x' is not offered."),
    (
        "blocks #2: has the same settings as #1; change or remove one",
        "prompt 1",
        "Has the same settings as #1; change or remove one.",
    ),
    (
        "jobs_per_variant: must be 1 where the seed itself is the variable",
        "jobs",
        "Where the seed varies, each value has one picture.",
    ),
    ("objective: embedded (txt2img) reports no metric 'x'", "metric", "Embedded (txt2img) reports no metric 'x'."),
    (
        "skip #2.steps: no value is 7; change or remove it",
        "skip",
        "Line 2, steps: no value is 7; change or remove it.",
    ),
    ("score.options.ssim.reference: missing; add it", "score ssim reference", "This is needed; fill it in."),
    ("the runner is away", None, "The runner is away."),
]


def test_a_refusal_is_said_at_its_field(form: Page) -> None:
    """In words of the form, whichever way its path is written."""
    place = {"axes": AXES, "config": ["loras", "18.lora_1.strength", "steps"], "objective": "metric"}
    for message, field, text in REFUSALS:
        found = run(form, "experiment/errors.js", "m.problemOf(v[0], v[1])", message, place)
        item = f" {found['item']}" if "item" in found else ""
        assert (found["field"] and found["field"] + item, found["text"]) == (field, text)


def test_another_experiment_of_a_name_has_a_number(form: Page) -> None:
    """As many times as there are some."""

    def free(name: str, *taken: str) -> Any:
        return run(form, "views/form/draft.js", "m.freeName(v[0], v[1])", name, taken)

    assert free("a", "b") == "a"
    assert free("a", "a") == "a 2"
    assert free("a 2", "a", "a 2", "a 3") == "a 4"
    assert free("steps 10", "steps 10") == "steps 11"
