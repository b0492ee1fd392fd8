"""The `swarmui` pipeline at a server that is well: what is offered, what is sent, what comes back."""

import base64
from pathlib import Path

import pytest
from PIL import Image

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError
from tests.servers.swarmui import FakeSwarmui
from tests.support.factories import Reports, context
from tests.support.swarmui_jobs import CONFIG, files, new_pipeline, pipeline_of, run

ACCOUNT = "abcdefgh.ijkl.mnop"


def test_a_picture_and_all_that_is_told_of_it(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """The file, its seed, what was used, and the seconds of the work alone."""
    reports = Reports()
    result = run(pipeline_of(tmp_path, swarmui), progress=reports)

    assert (result.success, result.warnings, result.seconds) == (True, (), 1.5)
    assert result.effective == {**CONFIG, "swarm_version": "0.9.8.0"}
    (image,) = result.images
    assert (image.width, image.height, image.seed) == (64, 64, 7)
    with Image.open(tmp_path / image.path) as picture:
        assert "Steps: 4, Seed: 7, Size: 64x64, Model: real" in picture.info["parameters"]
    (sent,) = swarmui.sent()
    assert sent.pop("session_id") in swarmui.sessions
    assert sent == {"images": 1, "donotsave": True, **CONFIG}
    assert reports == [(0.25, None, None), (0.5, None, None)]
    assert len(reports.previews) == 1


def test_a_session_serves_all_jobs(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Each of them would stay at the server for a month."""
    pipeline = pipeline_of(tmp_path, swarmui)
    for seed in range(3):
        assert run(pipeline, {**CONFIG, "seed": seed}).success

    assert swarmui.routes().count("GetNewSession") == 1


def test_a_picture_to_start_from_is_sent_with_its_size(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """The file's bytes, unchanged."""
    start = tmp_path / "start.png"
    Image.new("RGB", (100, 70), "red").save(start)
    config: Config = {"model": "real", "init_image": str(start), "denoising_strength": 0.5, "seed": 3}
    result = run(pipeline_of(tmp_path / "out", swarmui), config, stage="img2img")

    assert result.success, result
    (sent,) = swarmui.sent()
    assert base64.b64decode(sent["initimage"]) == start.read_bytes()
    assert (sent["width"], sent["height"], sent["initimagecreativity"]) == (96, 64, 0.5)


def test_pictures_on_the_way_and_grids_are_no_results(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """A preset of the account may ask for them."""
    swarmui.behaviour.extras = True
    result = run(pipeline_of(tmp_path, swarmui))

    assert [(image.width, image.height) for image in result.images] == [(64, 64)]


def test_a_picture_that_the_server_has_kept_is_fetched(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """From a path with a blank in it."""
    swarmui.behaviour.keeps_files = True

    assert run(pipeline_of(tmp_path, swarmui)).success
    assert len(files(tmp_path)) >= 1


def test_the_token_of_an_account_is_sent(tmp_path: Path) -> None:
    """For a session, and for a picture that the server has kept; a wrong one and none are told, and never shown."""
    server = FakeSwarmui(token=ACCOUNT)
    try:
        path = tmp_path / "token"
        path.write_text("wrong.token.here\n", encoding="utf-8")
        path.chmod(0o600)
        pipeline = new_pipeline(tmp_path / "out", server, path)
        reason = pipeline.refresh()
        assert "VARIANTBUS_SWARMUI_TOKEN_FILE" in reason
        assert "wrong" not in reason
        assert "VARIANTBUS_SWARMUI_TOKEN_FILE" in new_pipeline(tmp_path / "out", server).refresh()

        path.write_text(f"{ACCOUNT}\n", encoding="utf-8")
        pipeline = pipeline_of(tmp_path / "out", server, path)
        server.behaviour.keeps_files = True
        assert run(pipeline).success
    finally:
        server.stop()


@pytest.mark.parametrize("text", ["", "two lines\nof it", "a b", "a;b", "ä"])
def test_a_file_with_no_token_is_refused(tmp_path: Path, swarmui: FakeSwarmui, text: str) -> None:
    """In a sentence that names it; mended, it is used."""
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    pipeline = new_pipeline(tmp_path / "out", swarmui, path)

    assert f"swarmui: token_file: {path} must hold one line" in pipeline.refresh()
    path.write_text(ACCOUNT, encoding="utf-8")
    assert pipeline.refresh() == ""


def test_what_the_server_would_make_of_another_name_is_not_sent(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """A model that has gone since the plan: the server would take the next best, and say nothing."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.models["Stable-Diffusion"].remove("real.safetensors")
    swarmui.models["Stable-Diffusion"].append("realistic.safetensors")
    assert pipeline.refresh() == ""

    result = run(pipeline)
    assert result.error
    assert (result.error.kind, swarmui.sent()) == ("invalid_request", [])
    with pytest.raises(InvalidInputError, match="the server does not offer it now"):
        pipeline.check("txt2img", {**CONFIG, "gone": 1})


def test_a_job_before_the_server_was_read_waits(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """And is not refused."""
    result = run(new_pipeline(tmp_path, swarmui))

    assert result.error
    assert result.error.kind == "unreachable"


SUBSTITUTIONS: list[tuple[str, Config, dict[str, object]]] = [
    ("sampler_name", {"sampler_name": "euler"}, {"sampler": "uni_pc"}),
    ("model", {"model": "real"}, {"model": "sd/base"}),
    ("steps", {"steps": 4}, {"steps": None}),
    ("lora", {"lora": "detail"}, {"loras": []}),
    ("lora_strength", {"lora": "detail", "lora_strength": 0.5}, {"loraweights": ["1"]}),
    ("cfg_scale", {"cfg_scale": 5}, {"cfgscale": 1.0}),
]


@pytest.mark.parametrize(("variable", "config", "used"), SUBSTITUTIONS, ids=[name for name, _, _ in SUBSTITUTIONS])
def test_a_job_whose_own_variable_was_substituted_has_failed(
    tmp_path: Path, swarmui: FakeSwarmui, variable: str, config: Config, used: dict[str, object]
) -> None:
    """Its picture is not kept; for an experiment on something else it is a warning."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.behaviour.used = used

    mine = run(pipeline, {**CONFIG, **config}, mark=context(variable=variable))
    assert mine.error
    assert mine.error.kind == "substituted"
    assert files(tmp_path) == []
    other = run(pipeline, {**CONFIG, **config}, mark=context(variable="height"))
    assert other.success
    assert len(other.warnings) == 1


def test_a_variable_that_nothing_asked_for_has_failed(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """The server says which parameters had no effect."""
    config: Config = {**CONFIG, "vaetilesize": 256}
    result = run(pipeline_of(tmp_path, swarmui), config, mark=context(variable="vaetilesize"))

    assert result.error
    assert "no part of its work asked for it" in result.error.message


def test_a_picture_of_another_size_is_noticed(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Whatever the server says of it."""
    swarmui.behaviour.real_size = (64, 32)
    result = run(pipeline_of(tmp_path, swarmui), mark=context(variable="height"))

    assert result.error
    assert result.error.message.startswith("height: asked for 64, the server used 32")


def test_a_server_that_does_not_say_what_it_used_is_told(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Nothing was compared; the seed is the one that was sent."""
    swarmui.behaviour.silent = True
    result = run(pipeline_of(tmp_path, swarmui))

    assert result.warnings == ("metadata: the server does not say what it used",)
    assert result.images[0].seed == 7
    assert result.seconds is not None
