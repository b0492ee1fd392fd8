"""What is read from a web UI: names, other spellings, and what one that lacks a list does not offer."""

from typing import Any, cast

import msgspec
import pytest

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import StageSpec, check_config
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.time_limit import DEFAULT_TIMEOUT, timeout_of
from pipeline_runner.pipelines.webui.knobs import KNOBS
from pipeline_runner.pipelines.webui.lists import Lists, read_lists
from pipeline_runner.pipelines.webui.registry import (
    STAGES,
    stages_of,
    unavailable,
)
from tests.servers.webui_jobs import LORAS, SAMPLERS, UPSCALERS
from tests.servers.webui_settings import MODELS, Refused, title
from tests.servers.webui_site import Request, Site
from tests.support.webui_jobs import CONFIG, lists_of


def offered(**options: Any) -> set[str]:
    """Return the variables of txt2img that a server has."""
    return set(stages_of(lists_of(**options))["txt2img"].variables)


def test_samplers_are_listed_by_name_and_their_aliases_are_accepted() -> None:
    """A near miss comes from the names; an alias and an old name with the schedule in it are no mistakes."""
    spec = stages_of(lists_of())["txt2img"].variables["sampler_name"]

    assert spec.choices == SAMPLERS
    assert {"k_euler_a", "Euler a Karras", "DPM++ 2M Exponential"} <= set(spec.also)
    assert not set(spec.also) & set(spec.choices)


def test_a_server_without_schedulers_has_them_in_its_samplers() -> None:
    """Up to 1.9.0 there is no variable scheduler, and the combined names are the samplers themselves."""
    spec = stages_of(lists_of(schedulers=False))["txt2img"].variables

    assert "scheduler" not in spec
    assert "DPM++ 2M Karras" in spec["sampler_name"].choices
    assert lists_of(schedulers=False).combined == {}


@pytest.mark.parametrize(
    "spelling",
    [
        "photo/real.safetensors [ab12cd34ef]",
        "photo/real.safetensors",
        "photo_real",
        "real",
        "real.safetensors",
        "ab12cd34ef",
        "ab12cd34ef" + "0" * 54,
    ],
)
def test_a_model_may_be_called_by_title_name_hash_or_file(spelling: str) -> None:
    """All of them are the one that the server knows by its title."""
    lists = lists_of()

    assert lists.names["models"].spellings[spelling] == title(
        "photo/real.safetensors", MODELS["photo/real.safetensors"]
    )
    check_config(stages_of(lists)["txt2img"], {**CONFIG, "model": spelling})


def test_a_name_that_could_mean_two_models_is_refused_with_both() -> None:
    """Which of them a server would take is chance; the path of a file means that file."""

    def twice(answers: dict[str, Any]) -> None:
        answers["sd-models"].append(
            {"title": "real.safetensors", "model_name": "real", "filename": "/real.safetensors"}
        )

    lists = lists_of(twice)
    spec = stages_of(lists)["txt2img"]

    for sure in ("real.safetensors", "photo/real.safetensors", "photo_real", "ab12cd34ef"):
        check_config(spec, {**CONFIG, "model": sure})
    assert lists.names["models"].spellings["real.safetensors"] == "real.safetensors"
    with pytest.raises(InvalidInputError) as refused:
        check_config(spec, {**CONFIG, "model": "real"})
    assert str(refused.value) == (
        "config.model: 'real' is ambiguous; write 'photo/real.safetensors [ab12cd34ef]' or 'real.safetensors'"
    )


def test_an_alias_of_two_loras_is_refused_with_both() -> None:
    """In a prompt as in a variable."""

    def twice(answers: dict[str, Any]) -> None:
        answers["loras"].append({"name": "other", "alias": "Ink"})

    spec = stages_of(lists_of(twice))["txt2img"]

    configs: tuple[Config, ...] = ({"lora": "Ink"}, {"prompt": "a star <lora:Ink:1>"})
    for config in configs:
        with pytest.raises(InvalidInputError, match="'Ink' is ambiguous; write 'ink-style' or 'other'"):
            check_config(spec, config)


def test_a_prompt_may_name_the_loras_of_the_server_only() -> None:
    """By name or alias; a server would skip any other without a word."""
    spec = stages_of(lists_of())["txt2img"]

    check_config(spec, {"prompt": "a star <lora:detail:0.5> <lora:Ink:1>"})
    with pytest.raises(InvalidInputError, match=r"LoRA 'detial' is not offered; did you mean 'detail'\?"):
        check_config(spec, {"prompt": "a star <lora:detial:0.5>"})


def test_a_lora_whose_name_would_break_the_prompt_is_not_offered() -> None:
    """A colon ends the name in `<lora:NAME:STRENGTH>`."""

    def add(answers: dict[str, Any]) -> None:
        answers["loras"].append({"name": "a:b", "alias": "c>d"})

    assert lists_of(add).names["loras"].choices == tuple(LORAS)


LISTS = ("samplers", "schedulers", "sd-models", "sd-vae", "loras", "upscalers", "latent-upscale-modes")


@pytest.mark.parametrize(
    "odd", [None, 7, {}, {"name": None, "title": None, "model_name": None, "label": None}, {"name": ""}]
)
@pytest.mark.parametrize("name", LISTS)
def test_an_entry_in_another_form_is_left_out(name: str, odd: Any) -> None:
    """One of an extension must not take the others away, nor reach those who cannot read it."""

    def add(answers: dict[str, Any]) -> None:
        answers[name] = [odd, *answers[name]]

    stages = stages_of(lists_of(add))

    assert stages == stages_of(lists_of())
    msgspec.convert(msgspec.to_builtins(stages), dict[str, StageSpec])  # as the learning service reads them


def test_an_alias_that_is_no_text_is_left_out() -> None:
    """The name is of use without it."""

    def spoil(answers: dict[str, Any]) -> None:
        answers["samplers"][0]["aliases"].append(None)
        answers["loras"][0]["alias"] = None
        answers["sd-models"][0]["hash"] = None

    assert lists_of(spoil).names["samplers"].choices == SAMPLERS


@pytest.mark.parametrize("told", [{}, "x", 7, [None], [{"a": 1}]])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_in_another_form_is_refused(name: str, told: Any) -> None:
    """It is that of another kind of server."""
    with pytest.raises(msgspec.ValidationError):
        lists_of(lambda answers: answers.update({name: told}))


def test_settings_that_are_none_are_refused() -> None:
    """A list of pairs is no map."""
    with pytest.raises(msgspec.ValidationError):
        lists_of(lambda answers: answers.update(options=[["a", 1]]))


def test_a_server_without_loras_offers_none() -> None:
    """No variable, and a prompt is not read for their marks."""
    lists = lists_of(loras=False)

    assert not {"lora", "lora_strength"} & offered(loras=False)
    assert stages_of(lists)["txt2img"].variables["prompt"].loras is None


def test_forge_is_known_by_its_modules() -> None:
    """It has a distilled guidance, and its VAEs are modules."""
    spec = stages_of(lists_of(forge=True))["txt2img"].variables

    assert "distilled_cfg_scale" in spec
    assert spec["vae"].target == "override_settings.forge_additional_modules"
    assert "ae.safetensors" in spec["vae"].choices
    assert "distilled_cfg_scale" not in offered()


def test_a_setting_that_the_server_does_not_know_is_not_offered() -> None:
    """To send it would fail the whole job."""

    def lack(answers: dict[str, Any]) -> None:
        answers["options"].pop("CLIP_stop_at_last_layers")

    assert "clip_skip" not in stages_of(lists_of(lack))["txt2img"].variables


def test_an_upscaler_that_does_nothing_is_not_offered() -> None:
    """The server gives the picture back as it was, with status 200."""
    spec = stages_of(lists_of())["upscale"]

    assert spec.variables["upscaler"].choices == tuple(name for name in UPSCALERS if name != "None")
    assert set(spec.required) == {"init_image", "upscaler"}


def test_upscaling_offers_nothing_that_has_no_effect_there() -> None:
    """No model and no prompt take part in it."""
    assert not {"model", "vae", "prompt", "steps", "lora"} & set(stages_of(lists_of())["upscale"].variables)


def test_what_needs_hires_fix_is_refused_without() -> None:
    """All variants would be the same."""
    spec = stages_of(lists_of())["txt2img"]
    for knob in KNOBS:
        if knob.needs == ("enable_hr",):
            choices = spec.variables[knob.name].choices if knob.name in spec.variables else ()
            if knob.forge:
                continue
            value = choices[0] if choices else "a star" if knob.kind == "str" else 1
            check_config(spec, {**CONFIG, "enable_hr": True, knob.name: value})
            with pytest.raises(InvalidInputError, match=r"config\.enable_hr: missing"):
                check_config(spec, {**CONFIG, knob.name: value})


def test_every_target_is_the_place_of_one_variable() -> None:
    """Two variables of a stage that set the same would undo each other, but for the two halves of a LoRA's mark."""
    for stage in STAGES:
        for forge in (False, True):
            ours = [knob for knob in KNOBS if stage in knob.stages and knob.forge in (None, forge)]
            targets = [knob.target for knob in ours if "<lora" not in knob.target]
            assert len(targets) == len(set(targets)), stage
            assert len(ours) == len({knob.name for knob in ours}), stage


class Server:
    """Stands in for the client of a server: answers of a fake web UI, some of them replaced."""

    url = "http://127.0.0.1:7860"

    def __init__(self, replaced: dict[str, Reply], fault: ServerFault | None = None, **options: Any) -> None:
        """Answer as a server with these options does, but with a fault where scripts are asked for."""
        self._site, self._replaced, self._fault = Site(**options), replaced, fault

    def get(self, path: str, query: dict[str, str] | None = None) -> Reply:
        """Answer a request."""
        name = path.rpartition("/")[2]
        if self._fault and name == "script-info":
            raise self._fault
        if name in self._replaced:
            return self._replaced[name]
        try:
            return Reply(200, msgspec.json.encode(self._site.answer(Request("GET", path, query or {}, None))))
        except Refused:
            return Reply(404, b"{}")


def read(replaced: dict[str, Reply] | None = None, **options: Any) -> Lists:
    """Read the lists of a server."""
    return read_lists(cast("HttpClient", Server(replaced or {}, **options)))


@pytest.mark.parametrize("options", [{}, {"forge": True}, {"schedulers": False, "loras": False}])
def test_lists_that_a_server_need_not_have_may_be_away(options: dict[str, Any]) -> None:
    """Old servers and forks lack some; what they lack is not offered."""
    assert read(**options) == lists_of(**options)


@pytest.mark.parametrize(
    ("name", "reply", "kind"),
    [
        ("loras", Reply(500, b"{}"), "server_error"),
        ("samplers", Reply(200, b"7"), "server_error"),
        ("samplers", Reply(200, b"<html>"), "server_error"),
        ("samplers", Reply(404, b'{"detail": "Not Found"}'), "unreachable"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_fault_of_the_server(name: str, reply: Reply, kind: str) -> None:
    """It fails no job; its pipeline rests until the server answers as a web UI does."""
    with pytest.raises(ServerFault) as fault:
        read({name: reply})
    assert fault.value.kind == kind


@pytest.mark.parametrize("name", ["script-info", "prompt-styles", "model_list"])
@pytest.mark.parametrize("reply", [Reply(500, b"{}"), Reply(200, b"<html>"), Reply(200, b"7")])
def test_what_an_extension_tells_wrongly_costs_the_server_nothing(name: str, reply: Reply) -> None:
    """One that describes itself wrongly makes the server fail here, and nowhere else."""
    found = read({name: reply})
    assert found.names["samplers"].choices == SAMPLERS
    assert (found.scripts is None, "styles" in found.names, "controlnets" in found.names) == (
        name == "script-info",
        name != "prompt-styles",
        name != "model_list",
    )


def test_a_server_that_dies_while_it_is_asked_was_not_read() -> None:
    """But one that is only slow to say what its extensions are has said the rest."""
    slow = Server({}, ServerFault("timeout", "slow"))
    assert read_lists(cast("HttpClient", slow)).scripts is None
    with pytest.raises(ServerFault):
        read_lists(cast("HttpClient", Server({}, ServerFault("unreachable", "gone"))))


def test_a_server_that_was_not_read_has_stages_without_variables() -> None:
    """Each says why."""
    assert unavailable("no answer") == dict.fromkeys(STAGES, StageSpec(unavailable="no answer"))


@pytest.mark.parametrize(("told", "seconds"), [(5, 5.0), (0.5, 0.5), (None, DEFAULT_TIMEOUT)])
def test_a_job_may_say_how_long_it_takes(told: float | None, seconds: float) -> None:
    """Else there is a default, which a slow card keeps."""
    assert timeout_of({} if told is None else {"timeout_seconds": told}) == seconds
