"""Workflows as people have them, at a fake ComfyUI that answers as the real one: each ends as its user expects."""

import time
from typing import Any, Final

import pytest
from PIL import Image

from bus.protocol.validation import InvalidInputError
from tests.servers.comfyui_nodes import Graph
from tests.support.comfyui_jobs import ComfyuiJobs, error_of

SECONDS: Final = 0.3  # of the slow node


def slow(seconds: float = SECONDS, *, source: str = "1", batch: int = 1) -> Graph:
    """Return an empty picture and a slow node that draws noise on it."""
    empty = {"width": 64, "height": 64, "batch_size": batch, "color": 255}
    return {
        source: {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "VbSlow", "inputs": {"image": [source, 0], "seconds": seconds, "seed": 0, "mode": "a"}},
    }


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    """Return a node."""
    return {"class_type": class_type, "inputs": inputs}


def save(source: str = "2", prefix: str = "x") -> dict[str, Any]:
    """Return a node that saves pictures."""
    return node("SaveImage", images=[source, 0], filename_prefix=prefix)


def config_of(comfy: ComfyuiJobs, graph: Graph, **changes: Any) -> Any:
    """Return a configuration that varies the mode and the seed of the slow node, and is accepted."""
    usual = (
        {"seed": 7} if "inputs" in changes else {"seed": 7, "inputs": {"seed": "2.seed", "mode": "2.mode"}, "mode": "a"}
    )
    config = comfy.config(graph, **{**usual, **changes})
    comfy.check(config)
    return config


@pytest.mark.parametrize("kind", ["SaveWEBM", "SaveVideo"])
@pytest.mark.fault(item="F130")
def test_a_video_beside_pictures_is_kept(comfy: ComfyuiJobs, kind: str) -> None:
    """All that a workflow saves is a result."""
    graph = {**slow(batch=4), "8": save()}
    graph["5"] = node("CreateVideo", images=["2", 0], fps=6.0)
    graph["9"] = (
        node(kind, images=["2", 0], filename_prefix="video/an", fps=6.0)
        if kind == "SaveWEBM"
        else node(kind, video=["5", 0], filename_prefix="video/an", format="auto")
    )

    result = comfy.run(config_of(comfy, graph))

    form, suffix = ("webm", ".webm") if kind == "SaveWEBM" else ("mp4", ".mp4")
    assert [image.media_type for image in result.images] == [*4 * ["image/png"], f"video/{form}"]
    made = result.images[-1]
    assert (made.name, made.node, made.width > 0) == (f"an_00001_{suffix}", "9", True)
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("kind", "inputs", "media_type"),
    [
        (
            "VHS_VideoCombine",
            {"images": ["2", 0], "frame_rate": 8, "format": "video/h264-mp4", "save_output": True},
            "video/mp4",
        ),
        ("SaveAudio", {"audio": ["2", 0]}, "audio/flac"),
        ("SaveGLB", {"mesh": ["2", 0]}, "model/gltf-binary"),
        ("PreviewAny", {"source": "a cat"}, "text/plain"),
    ],
)
def test_a_workflow_that_makes_no_picture_is_planned_and_gives_what_it_makes(
    comfy: ComfyuiJobs, kind: str, inputs: dict[str, Any], media_type: str
) -> None:
    """A video of custom nodes, a sound, a model, a text: nodes list each under another name."""
    graph = {**slow(), "9": node(kind, filename_prefix="sub/x", **inputs)}
    if kind == "PreviewAny":
        graph["9"]["inputs"].pop("filename_prefix")
        graph["8"] = node("VbNothing", image=["2", 0], seed=0)

    result = comfy.run(config_of(comfy, graph))

    assert result.success, result.error
    assert [(image.media_type, image.node) for image in result.images] == [(media_type, "9")]
    assert (comfy.folder / "outputs" / result.images[0].path).stat().st_size


def test_a_job_that_makes_too_much_has_failed(comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long video no part is kept, and nothing is left where it was fetched to."""
    monkeypatch.setattr(comfy.pipeline, "_most", 200)
    graph = {**slow(), "9": node("SaveWEBM", images=["2", 0], filename_prefix="x", fps=6.0)}

    kind, text = error_of(comfy.run(config_of(comfy, graph)))

    assert kind == "too_large"
    assert text.startswith("the workflow has made more than 200 bytes; make a shorter video, or raise output_bytes")
    assert [path for path in (comfy.folder / "outputs").rglob("*") if path.is_file()] == []


def test_a_workflow_that_gives_nothing_is_run_once(comfy: ComfyuiJobs) -> None:
    """The jobs that wait behind it fail at once, with the reason; one that a person queues later is run."""
    config = config_of(comfy, {**slow(), "9": node("VbNothing", image=["2", 0], seed=0)})
    nothing = "the workflow gave nothing; add a node that saves, such as Save Image"
    untold = f"not run, as nothing came of the job before it: {nothing}"

    ends = [error_of(comfy.run(config, name=name)) for name in ("first", "second", "third")]
    assert ends == [("invalid_request", nothing), ("not_run", untold), ("not_run", untold)]
    assert len(comfy.fake.asked("POST", "/prompt")) == 1

    assert error_of(comfy.run(config, name="fourth", queued_at=time.time() + 1)) == ("invalid_request", nothing)
    assert len(comfy.fake.asked("POST", "/prompt")) > 1


def test_an_animated_picture_is_one(comfy: ComfyuiJobs) -> None:
    """The whole file is kept."""
    graph = {**slow(batch=4), "9": node("SaveAnimatedWEBP", images=["2", 0], filename_prefix="an", fps=6.0)}

    (image,) = comfy.run(config_of(comfy, graph)).images

    with Image.open(comfy.folder / "outputs" / image.path) as picture:
        assert (picture.format, getattr(picture, "n_frames", 1)) == ("WEBP", 4)


def test_a_workflow_that_only_previews_gives_its_previews(comfy: ComfyuiJobs) -> None:
    """With a word about it."""
    result = comfy.run(config_of(comfy, {**slow(), "9": node("PreviewImage", images=["2", 0])}))

    assert len(result.images) == 1
    (warning,) = result.warnings
    assert warning.startswith("no node saves anything, so the previews of node 9 (PreviewImage) were taken; add a node")


def test_a_text_beside_a_picture_is_no_matter(comfy: ComfyuiJobs) -> None:
    """Custom nodes show texts."""
    result = comfy.run(config_of(comfy, {**slow(), "8": save(), "9": node("VbText", image=["2", 0], text="hello")}))

    assert (len(result.images), result.warnings) == (1, ())


def test_an_output_with_a_file_that_is_not_there_is_left_out(comfy: ComfyuiJobs) -> None:
    """The other one is worth its pictures."""
    graph = {**slow(), "3": node("LoadImage", image="gone.png"), "8": save("3"), "9": save()}

    result = comfy.run(config_of(comfy, graph))

    assert len(result.images) == 1
    (warning,) = result.warnings
    assert "node 3 (LoadImage), input image: Custom validation failed for node: Invalid image file: gone" in warning


@pytest.mark.fault(item="F131")
def test_pictures_come_in_the_order_of_the_workflow_with_their_nodes(comfy: ComfyuiJobs) -> None:
    """Whatever the order of the server is, every variant has its pictures in the same places."""
    graph = {**slow(), "8": save("1", "first"), "9": save("2", "second")}

    results = [comfy.run(config_of(comfy, graph, mode=mode), name=f"job-{mode}") for mode in ("a", "b")]

    assert [[image.node for image in result.images] for result in results] == [["8", "9"]] * 2
    assert results[0].images[0].sha256 != results[0].images[1].sha256
    assert [request.query["filename"] for request in comfy.fake.asked("GET", "/view")][:2] == [
        "first_00001_.png",
        "second_00001_.png",
    ]


@pytest.mark.fault(item="F132")
def test_a_cached_picture_whose_file_was_removed_is_made_anew(comfy: ComfyuiJobs) -> None:
    """The server names the removed file, and would for ever; its node is executed again, and the job says so."""
    first = comfy.run(config_of(comfy, {**slow(), "9": save()}))
    comfy.fake.files.clear()

    second = comfy.run(config_of(comfy, {**slow(), "9": save()}), name="job-2")

    assert second.success, second.error
    assert second.warnings == ("the server has x_00001_.png of node 9 no more, so it was made anew",)
    assert len(comfy.fake.prompts) == 3
    with (
        Image.open(comfy.folder / "outputs" / first.images[0].path) as before,
        Image.open(comfy.folder / "outputs" / second.images[0].path) as after,
    ):
        assert before.tobytes() == after.tobytes()


def test_a_file_that_is_removed_again_and_again_is_an_error(comfy: ComfyuiJobs) -> None:
    """Something else than a cache is wrong there."""
    comfy.fake.behaviour.keeps_files = False

    kind, text = error_of(comfy.run(config_of(comfy, {**slow(), "9": save()})))

    assert (kind, text) == (
        "server_error",
        "the server has x_00001_.png of node 9 no more, though it has just been saved",
    )
    assert len(comfy.fake.prompts) == 2


@pytest.mark.fault(item="F133")
def test_a_job_takes_what_it_takes_whatever_was_cached(comfy: ComfyuiJobs) -> None:
    """Only the first variant of a blur draws the noise before it; its time is that of the others too."""
    graph = {**slow(), "3": node("ImageBlur", image=["2", 0], blur_radius=1, sigma=1.0), "9": save("3")}
    inputs = {"seed": "2.seed", "radius": "3.blur_radius"}

    results = [
        comfy.run(config_of(comfy, graph, inputs=inputs, radius=radius), name=f"job-{radius}") for radius in (1, 2, 2)
    ]

    for result in results:
        assert result.seconds is not None
        assert SECONDS * 0.5 < result.seconds < SECONDS * 30  # the machine may be busy; the blur alone takes no time


def test_what_another_client_had_executed_has_no_time(comfy: ComfyuiJobs) -> None:
    """A runner that was started again cannot know what the server has in its cache; the job says so."""
    graph = {**slow(), "9": save()}
    assert comfy.run(config_of(comfy, graph)).seconds
    comfy.pipeline = comfy.new_pipeline()

    result = comfy.run(config_of(comfy, graph), name="job-2")

    assert (result.seconds, result.untimed) == (None, True)
    assert "node 2 (VbSlow) and node 9 (SaveImage) came from the server's cache" in result.warnings[-1]


def test_without_a_websocket_a_whole_execution_has_its_time(comfy: ComfyuiJobs) -> None:
    """The server's own; but what it skips later is unknown."""
    comfy.fake.behaviour.websocket = False
    graph = {**slow(), "9": save()}
    start = time.monotonic()

    first, second = (comfy.run(config_of(comfy, graph), name=f"job-{number}") for number in range(2))

    assert first.seconds is not None
    assert SECONDS * 0.8 < first.seconds < time.monotonic() - start
    assert second.seconds is None


def resize(value: str = "scale by multiplier") -> Graph:
    """Return a workflow with an input within an input."""
    inputs = {"resize_type": value, "resize_type.multiplier": 2.0, "scale_method": "area"}
    return {
        **slow(0),
        "3": node("ResizeImageMaskNode", input=["2", 0], **inputs),
        "4": node("BatchImagesNode", **{"images.image0": ["3", 0], "images.image1": ["1", 0]}),
        "9": save("4"),
    }


@pytest.mark.parametrize(
    ("target", "value", "text"),
    [
        ("3.resize_type.multiplier", 99.0, "config.knob: 99.0 is out of bounds; allowed: 0.01 to 8"),
        ("3.resize_type.multiplier", "2", "config.knob: must be a number, not '2'"),
        ("3.resize_type", "scale widht", "config.knob: 'scale widht' is not offered; did you mean 'scale width'?"),
        ("3.scale_method", "aera", "config.knob: 'aera' is not offered; did you mean 'area'?"),
        ("5.num", 3, "config.knob: 3 is not offered; known are: 1, 2, 4"),
        ("5.flag", 1, "config.knob: must be true or false, not 1"),
        ("5.multi", "x", "config.knob: must be a number, not 'x'"),
        ("6.model_name", "x.pth", "config.inputs.knob: the server has nothing to choose from for 6.model_name"),
    ],
)
def test_inputs_of_newer_nodes_are_checked_before_a_job_is_queued(
    comfy: ComfyuiJobs, target: str, value: Any, text: str
) -> None:
    """Within other inputs, with choices that are no texts, and lists without anything in them."""
    graph = resize()
    graph["5"] = node("VbNan", image=["3", 0], num=1, flag=True, multi=1)
    graph["6"] = node("UpscaleModelLoader", model_name="x.pth")
    config = comfy.config(graph, inputs={"seed": "2.seed", "knob": target}, knob=value)

    with pytest.raises(InvalidInputError) as refused:
        comfy.check(config)

    assert str(refused.value).startswith(text)


def test_an_input_within_an_input_is_set(comfy: ComfyuiJobs) -> None:
    """Its name has dots, and the pictures of a list that grows are two."""
    config = config_of(comfy, resize(), inputs={"seed": "2.seed", "knob": "3.resize_type.multiplier"}, knob=3.5)

    result = comfy.run(config)

    assert len(result.images) == 2
    assert comfy.fake.prompts[0]["prompt"]["3"]["inputs"]["resize_type.multiplier"] == 3.5


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("value", ("ValueError", "bad value of n")),
        ("custom", ("ModelMissing", "no such thing as a model")),
        ("nomsg", ("RuntimeError", "failed without a message")),
    ],
)
def test_what_a_node_raises_is_told_in_one_line(comfy: ComfyuiJobs, kind: str, error: tuple[str, str]) -> None:
    """Without the path of its file, and without the line break at its end."""
    graph = {**slow(0), "3": node("VbFail", image=["2", 0], kind=kind, n=1), "9": save("3")}

    text = error_of(comfy.run(config_of(comfy, graph)))[1]

    assert text == f"node 3 (VbFail): {error[0]}: {error[1]}"


def test_a_blur_larger_than_the_picture_is_the_jobs_error(comfy: ComfyuiJobs) -> None:
    """Torch says so in its own words, which are passed on."""
    graph = {**slow(0), "3": node("ImageBlur", image=["2", 0], blur_radius=31, sigma=1.0), "9": save("3")}
    graph["1"]["inputs"] |= {"width": 16, "height": 16}

    text = error_of(comfy.run(config_of(comfy, graph)))[1]

    assert text.startswith("node 3 (ImageBlur): RuntimeError: Argument #4: Padding size should be less than the")


def test_a_seed_of_the_page_is_taken_and_reaches_the_node(comfy: ComfyuiJobs) -> None:
    """ComfyUI's page draws seeds of up to 2^53, and its nodes take 64 bits."""
    graph = {**slow(0), "9": save()}
    for number, seed in enumerate((156680208700286, 2**64 - 1)):
        result = comfy.run(config_of(comfy, graph, seed=seed), name=f"job-{number}")
        assert result.images[0].seed == seed
        assert result.effective["seed"] == seed

    assert [prompt["prompt"]["2"]["inputs"]["seed"] for prompt in comfy.fake.prompts] == [156680208700286, 2**64 - 1]
