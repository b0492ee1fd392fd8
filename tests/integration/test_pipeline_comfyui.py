"""The comfyui pipeline at a fake server that follows the contract of the real one."""

import copy
import json
import struct
import threading
from collections import deque
from pathlib import Path

import pytest
from PIL import Image

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.pipeline_specs import find_stage
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.grid import plan_values
from learning_service.experiments.settings import job_config
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup
from pipeline_runner.pipelines.comfyui.pipeline import ComfyuiPipeline
from pipeline_runner.pipelines.comfyui.prompt import client_id_of
from pipeline_runner.pipelines.input_files import read_file
from pipeline_runner.pipelines.registry import load_pipelines
from tests.servers.comfyui_nodes import Graph
from tests.servers.comfyui_pictures import preview
from tests.support.comfyui_jobs import EXAMPLE, INPUTS, SAMPLER, ComfyuiJobs, example, inputs, with_subgraph
from tests.support.factories import Reports, context
from tests.support.helpers import wait_until
from variantbus.files.reading import read_experiment

VALUES: dict[str, tuple[Scalar, Scalar]] = {
    "seed": (7, 2**63 - 1),
    "cfg_scale": (3, 7.5),
    "steps": (1, 30),
    "sampler_name": ("euler", "dpmpp_2m"),
    "scheduler": ("normal", "karras"),
    "denoising_strength": (0.25, 1.0),
    "prompt": ("a blue star", 'a "red", {heart}\n🎨'),
    "negative_prompt": ("", "blurry"),
    "model": ("v1-5-pruned-emaonly.safetensors", "SDXL/base.safetensors"),
    "width": (512, 768),
    "size": (512, 640),
}


def put_in(graph: Graph, targets: ConfigValue, value: Scalar) -> Graph:
    """Put a value into nodes, as one would by hand."""
    expected = copy.deepcopy(graph)
    for target in targets if isinstance(targets, list) else [targets]:
        node_id, _, name = str(target).rpartition(".")
        expected[node_id]["inputs"][name] = value
    return expected


def test_the_pipeline_is_installed(tmp_path: Path) -> None:
    """Whoever installs variantbus has it, and without an address it looks where ComfyUI is by default."""
    pipeline = load_pipelines(Setup(outputs=Outputs(tmp_path)))["comfyui"]

    assert isinstance(pipeline, ComfyuiPipeline)
    assert pipeline.server.feed_url == "ws://127.0.0.1:8188/ws"


@pytest.mark.parametrize("variable", INPUTS)
def test_two_jobs_that_differ_in_a_variable_differ_in_nothing_else_at_the_server(
    comfy: ComfyuiJobs, variable: str
) -> None:
    """Each variable of the map reaches its inputs with exactly the planned value, and touches no other."""
    first, second = VALUES[variable]
    for value in (first, second):
        config = comfy.config(inputs=inputs(variable), seed=7)
        config[variable] = value
        comfy.check(config)
        result = comfy.run(config, name=f"job-{value}")
        assert result.success, result.error
        assert result.effective[variable] == value
        assert result.warnings == ()

    graphs = [prompt["prompt"] for prompt in comfy.fake.prompts]
    seeded = put_in(example(), "3.seed", 7)
    assert graphs == [put_in(seeded, INPUTS[variable], value) for value in VALUES[variable]]


@pytest.mark.parametrize(
    ("targets", "values"),
    [
        (f"{SAMPLER}.cfg", (3.5, 4)),
        (["57:8.steps", f"{SAMPLER}.steps"], (10, 20)),
        ("57:8.add_noise", ("enable", "disable")),
        ([f"{SAMPLER}.scheduler"], ("karras", "simple")),
    ],
)
def test_nodes_of_subgraphs_and_lists_of_inputs_are_reached(
    comfy: ComfyuiJobs, targets: ConfigValue, values: tuple[Scalar, Scalar]
) -> None:
    """A node id may have a colon, and one variable may go to several nodes; nothing else changes."""
    seeds: list[Scalar] = [f"{SAMPLER}.seed", "57:8.noise_seed"]
    for value in values:
        mapped: Config = {"inputs": {"seed": seeds, "knob": targets}, "knob": value}
        config = comfy.config(with_subgraph(), **mapped)
        comfy.check(config)
        assert comfy.run(config, name=f"job-{value}").effective == {"seed": 7, "knob": value}

    graphs = [prompt["prompt"] for prompt in comfy.fake.prompts]
    seeded = put_in(with_subgraph(), seeds, 7)
    assert graphs == [put_in(seeded, targets, value) for value in values]


def test_a_job_gives_its_pictures_with_all_that_is_known_of_them(comfy: ComfyuiJobs) -> None:
    """The picture is the server's own with one more chunk, `parameters`; values, time and sidecar come along."""
    config = comfy.config(cfg_scale=4.5, inputs=inputs("cfg_scale", "steps", "prompt"), prompt="a star")

    result = comfy.run(config, mark=context(1, 4.5))

    (image,) = result.images
    assert (image.width, image.height, image.seed, image.media_type) == (24, 16, 7, "image/png")
    path = comfy.folder / "outputs" / image.path
    with Image.open(path) as picture:
        picture.load()
        chunks = getattr(picture, "text", {})
    assert json.loads(chunks["prompt"]) == comfy.fake.prompts[0]["prompt"]
    assert chunks["parameters"] == "a star\nSteps: 20, CFG scale: 4.5, Seed: 7, Version: variantbus"
    assert result.effective == {"seed": 7, "cfg_scale": 4.5, "steps": 20, "prompt": "a star"}
    assert result.seconds is not None
    assert result.seconds >= 0
    assert len(list(path.parent.glob("*.json"))) == 1


def test_progress_is_that_of_our_own_prompt(comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps come as they are done; messages about other prompts are passed over."""
    # so that only a message reports the end
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.prompt.POLL_SECONDS", 60.0)
    comfy.fake.behaviour.previews = comfy.fake.behaviour.messages_of_others = True
    reports = Reports()

    assert comfy.run(comfy.config(), reports=reports).success

    assert {report[2] for report in reports} == {None, 4}
    assert set(reports[1:]) == {(step / 4, step, 4) for step in range(1, 5)}
    assert comfy.fake.prompts[0]["client_id"] == client_id_of("job-1")


@pytest.mark.fault(item="F136")
@pytest.mark.parametrize("feature_flags", [True, False])
def test_what_the_sampler_has_made_so_far_is_shown(
    comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch, *, feature_flags: bool
) -> None:
    """A preview a step, of our prompt alone; older servers do not say of which prompt it is."""
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.prompt.POLL_SECONDS", 60.0)
    comfy.fake.behaviour.previews = comfy.fake.behaviour.messages_of_others = True
    comfy.fake.behaviour.feature_flags = feature_flags
    reports = Reports()

    assert comfy.run(comfy.config(), reports=reports).success

    assert reports.previews == [preview(step) for step in range(1, 5)]


@pytest.mark.fault(item="F136")
def test_binary_messages_that_are_no_previews_cost_a_job_nothing(comfy: ComfyuiJobs) -> None:
    """Whatever a custom node sends while it runs."""
    comfy.fake.hold()
    reports = Reports()
    job = comfy.start(comfy.config(), reports=reports)
    wait_until(lambda: (0.5, 2, 4) in reports, what="progress")
    client = client_id_of("job-1")
    for data in (b"", b"\0\0\0\1", struct.pack(">II", 4, 2**32 - 1) + b"{", struct.pack(">I", 9) + bytes(3 << 20)):
        comfy.fake.send_bytes(client, data)
    comfy.fake.tell_progress(3)
    wait_until(lambda: (0.75, 3, 4) in reports, what="more progress")
    comfy.fake.release()

    assert job.result.success
    assert reports.previews == []


def test_a_batch_gives_all_its_pictures(comfy: ComfyuiJobs) -> None:
    """Whatever an output node saves belongs to the job."""
    graph = example()
    graph["5"]["inputs"]["batch_size"] = 3

    result = comfy.run(comfy.config(graph))

    assert len({image.sha256 for image in result.images}) == 3


def preview_too() -> Graph:
    """Return the example with a preview beside the saved picture."""
    return {**example(), "12": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}


def test_previews_do_not_count(comfy: ComfyuiJobs) -> None:
    """Of a workflow that saves and previews, only the saved picture is fetched."""
    result = comfy.run(comfy.config(preview_too()))

    assert len(result.images) == 1
    assert [request.query["type"] for request in comfy.fake.asked("GET", "/view")] == ["output"]


def test_the_nodes_that_are_named_count(comfy: ComfyuiJobs) -> None:
    """`output_nodes` may name a preview node, and then nothing else is fetched."""
    config = comfy.config(preview_too(), output_nodes=[12])
    comfy.check(config)

    assert len(comfy.run(config).images) == 1
    assert [request.query["type"] for request in comfy.fake.asked("GET", "/view")] == ["temp"]


def img2img() -> Graph:
    """Return the example as a workflow that begins with a picture."""
    graph = example()
    graph["10"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    graph["11"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}}
    graph["3"]["inputs"]["latent_image"] = ["11", 0]
    return graph


def test_a_picture_file_is_uploaded_and_named_to_its_node(comfy: ComfyuiJobs) -> None:
    """It goes into a folder of ours under the hash of its content, and the node is told that name."""
    file = comfy.folder / "My photo.PNG"
    Image.new("RGB", (8, 8)).save(file)
    config = comfy.config(img2img(), images={"10.image": str(file)})
    comfy.check(config)

    assert comfy.run(config).success
    assert comfy.run({**config, "seed": 8}, name="job-2").success

    (name,) = comfy.fake.uploads
    assert name.startswith("variantbus/")
    assert name.endswith(".png")
    assert comfy.fake.uploads[name] == file.read_bytes()
    assert [prompt["prompt"]["10"]["inputs"]["image"] for prompt in comfy.fake.prompts] == [name, name]


def test_the_example_is_taken(comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the runner in the checkout can run it as it is."""
    monkeypatch.chdir(EXAMPLE.parents[1])
    definition = read_experiment(EXAMPLE.with_name("comfyui_cfg.toml")).definition

    for value in plan_values(definition):
        config = job_config(definition, value, 0)
        comfy.check(config)
        assert comfy.run(config, name=f"job-{value}").success

    assert len(comfy.fake.executed) == 4


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cfg_scale": 101}, "config.cfg_scale: 101 is out of bounds; allowed: 0 to 100"),
        ({"cfg_scale": "7"}, "config.cfg_scale: must be a number, not '7'"),
        ({"steps": 7.5}, "config.steps: must be a whole number, not 7.5"),
        ({"sampler_name": "eulr"}, "config.sampler_name: 'eulr' is not offered; did you mean 'euler'?"),
        ({"scheduler": "kerras"}, "config.scheduler: 'kerras' is not offered; did you mean 'karras'?"),
        ({"model": "SDXL/bas.safetensors"}, "config.model: 'SDXL/bas.safetensors' is not offered; did you mean"),
        ({"prompt": 5}, "config.prompt: must be text, not 5"),
        ({"size": 8}, "config.size: 8 is out of bounds; allowed: 16 to 16384"),
        ({"cfg_scle": 5}, "config.cfg_scle: unknown key; did you mean 'cfg_scale'?"),
        (
            {"workflow": "/nowhere/flow.json"},
            "config.workflow: /nowhere/flow.json cannot be read by the runner: No",
        ),
        ({"workflow": "/"}, "config.workflow: / is no file of at most 64 MiB"),
        ({"workflow": "a\0b"}, "config.workflow: has a NUL character"),
        ({"images": {"6.text": "/nowhere.png"}}, "config.images.6.text: 6.text is set by inputs.prompt already"),
        (
            {"images": {"9.filename_prefix": "/nowhere.png"}},
            "config.images.9.filename_prefix: /no",
        ),
        ({"output_nodes": ["8"]}, "config.output_nodes: node 8 (VAEDecode) saves nothing; known are: 9"),
        ({"timeout_seconds": 0}, "config.timeout_seconds: 0 is out of bounds"),
    ],
)
def test_what_the_server_would_refuse_is_refused_before_a_job_is_queued(
    comfy: ComfyuiJobs, changes: Config, text: str
) -> None:
    """One sentence names the field and what to do, and the server is not bothered with it."""
    with pytest.raises(InvalidInputError) as refused:
        comfy.check(comfy.config(inputs={name: INPUTS[name] for name in INPUTS if name != "width"}) | changes)

    assert text in str(refused.value)
    assert comfy.fake.asked("POST", "/prompt") == []


def test_a_node_that_the_server_lacks_is_named(comfy: ComfyuiJobs) -> None:
    """Whoever lacks a custom node is told which one."""
    graph = example()
    graph["20"] = {"class_type": "KSamplr", "inputs": {}}

    with pytest.raises(InvalidInputError, match=r"lacks node 20 \(KSamplr\), nearest are 'KSampler', 'KSamplerAdv"):
        comfy.check(comfy.config(graph))


def test_a_workflow_without_an_output_is_refused(comfy: ComfyuiJobs) -> None:
    """Such a workflow would be executed without doing anything."""
    graph = example()
    del graph["9"]

    with pytest.raises(InvalidInputError, match="add one, such as Save Image"):
        comfy.check(comfy.config(graph))


def test_nothing_is_planned_before_the_server_has_answered(tmp_path: Path, comfy: ComfyuiJobs) -> None:
    """A stage of a server that was never reached says why; once it was, jobs may wait for it."""
    comfy.fake.stop()
    pipeline = ComfyuiPipeline(Setup(outputs=Outputs(tmp_path), servers={"comfyui": ServerAddress(url=comfy.fake.url)}))
    for _ in range(2):
        with pytest.raises(ControlError, match="ComfyUI") as refused:
            find_stage({"comfyui": pipeline.stages()}, "comfyui", "workflow")
        assert refused.value.code == "unavailable"
        assert "start ComfyUI, or the runner with VARIANTBUS_COMFYUI_URL set" in pipeline.refresh()

    comfy.fake.start()
    assert pipeline.refresh() == ""
    assert find_stage({"comfyui": pipeline.stages()}, "comfyui", "workflow").map == "inputs"
    comfy.fake.stop()
    assert "cannot be reached" in pipeline.refresh()
    assert find_stage({"comfyui": pipeline.stages()}, "comfyui", "workflow").map == "inputs"


def test_the_large_list_of_nodes_is_read_only_when_it_may_have_changed(
    comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read at first, after the server was away, and when it is some minutes old; not at each refresh."""
    for _ in range(3):
        assert comfy.pipeline.refresh() == ""
    assert len(comfy.fake.asked("GET", "/object_info")) == 1

    comfy.fake.stop()
    assert comfy.pipeline.refresh()
    comfy.fake.start()
    comfy.fake.object_info["KSampler"]["input"]["required"]["sampler_name"][0] = ["only_this"]
    assert comfy.pipeline.refresh() == ""

    assert len(comfy.fake.asked("GET", "/object_info")) == 2
    with pytest.raises(InvalidInputError, match="known are: only_this"):
        comfy.check(comfy.config(inputs=inputs("sampler_name"), sampler_name="euler"))
    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.pipeline.NODES_SECONDS", 0.0)
    assert comfy.pipeline.refresh() == ""
    assert len(comfy.fake.asked("GET", "/object_info")) == 3


def test_another_server_is_no_comfyui(comfy: ComfyuiJobs) -> None:
    """An address at which something else answers is said to be wrong."""
    comfy.fake.behaviour.answers["/prompt"] = deque([(200, b"{}"), (200, b"<html>"), (404, b"not here")])

    assert "answers, but is no ComfyUI" in comfy.pipeline.refresh()
    assert "with no JSON" in comfy.pipeline.refresh()
    assert "answered 404 to /prompt: not here" in comfy.pipeline.refresh()


def test_no_job_waits_for_another_of_ours(comfy: ComfyuiJobs) -> None:
    """A pipeline with one place is never asked to run two jobs, and a job leaves neither thread nor connection."""
    assert comfy.pipeline.concurrency == 1
    threads = threading.active_count()

    assert comfy.run(comfy.config()).success

    wait_until(lambda: not comfy.fake.sockets, what="the end of the websocket")
    wait_until(lambda: threading.active_count() <= threads + 1, what="the end of the threads")


def test_one_node_with_what_only_python_writes_does_not_hide_the_others(comfy: ComfyuiJobs) -> None:
    """A model file whose name is no text, and a bound that is infinite."""
    odd = {"input": {"required": {"x": [["a\udcff"]], "y": ["FLOAT", {"max": float("inf")}]}}}
    comfy.fake.object_info["Odd"] = odd
    comfy.pipeline = comfy.new_pipeline()

    assert comfy.pipeline.refresh() == ""
    comfy.check(comfy.config())


def test_the_checks_of_a_batch_read_the_workflow_once(comfy: ComfyuiJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made in the runner's loop; a file that has changed since is read again, for another mapping too."""
    read = []

    def count(where: str, path: Path) -> bytes:
        read.append(path)
        return read_file(where, path)

    monkeypatch.setattr("pipeline_runner.pipelines.comfyui.pipeline.read_file", count)
    config = comfy.config()
    for seed in range(50):
        comfy.check({**config, "seed": seed, "cfg_scale": 5.0})
    assert len(read) == 1

    comfy.check({**config, "inputs": inputs("steps")})
    assert len(read) == 2
    comfy.config({**example(), "99": example()["9"]})
    comfy.check(config)
    assert len(read) == 3
