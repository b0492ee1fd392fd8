"""What a web UI answers, as recorded from AUTOMATIC1111 1.10.1; each case asks the HTTP API itself."""

import base64
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from PIL import Image

from pipeline_runner.outputs.infotext import read_infotext
from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.http_client import Exchange, HttpClient, Reply
from tests.contract.frame import Contract, NotPossibleError

API: Final = "/sdapi/v1"
FAKE_STEP_SECONDS: Final = 0.01
JOB_SECONDS: Final = 300.0  # for one job, on a processor
CLIP_SKIP: Final = "CLIP_stop_at_last_layers"
JOB: Final = {"prompt": "a blue star", "steps": 2, "width": 64, "height": 64, "seed": 7, "sampler_name": "Euler"}
LONG: Final = {**JOB, "steps": 60}


class WebuiServer:
    """One web UI."""

    def __init__(self, url: str) -> None:
        """Keep the address."""
        self._client = HttpClient(ServerAddress(url=url))

    def get(self, path: str) -> Any:
        """Return an answer as JSON."""
        return self._client.get(f"{API}/{path}").json()

    def post(self, path: str, body: object) -> Reply:
        """Send a job, or whatever else is answered at last."""
        return self._client.post(path if path.startswith("/") else f"{API}/{path}", body, seconds=JOB_SECONDS)

    def generate(self, path: str = "txt2img", **changes: object) -> dict[str, Any]:
        """Run a job that has to succeed; `info` is read, and `parameters` is the infotext."""
        reply = self.post(path, {**JOB, **changes})
        assert reply.ok, reply
        body: dict[str, Any] = reply.json()
        body["info"] = json.loads(body["info"])
        body["parameters"] = read_infotext(body["info"]["infotexts"][0])
        return body

    @contextmanager
    def running(self, body: object) -> Iterator[Exchange]:
        """Start a job and wait until it samples; it has ended when this has."""
        with self._client.long_post(f"{API}/txt2img", body) as post:
            while not self.get("progress?skip_current_image=true")["state"]["sampling_step"]:
                if post.wait(0.01):
                    raise NotPossibleError("the job was too short to be seen")
            yield post
            assert post.wait(JOB_SECONDS)

    @contextmanager
    def setting(self, name: str, value: object) -> Iterator[None]:
        """Change a setting of the server, and put it back."""
        before = self.get("options").get(name)
        assert self.post("options", {name: value}).ok
        try:
            yield
        finally:
            self.post("options", {name: before})


CONTRACT: Final = Contract[WebuiServer]()


def picture(width: int, height: int) -> str:
    """Return a picture in base64."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def size_of(encoded: str) -> tuple[int, int]:
    """Return width and height of a picture in base64."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        return image.size


def refusal(reply: Reply) -> tuple[int, str, str]:
    """Return status, name and text of a refusal."""
    body = reply.json()
    return reply.status, str(body.get("error", "")), str(body.get("errors") or body.get("detail") or "")


def upscaled(server: WebuiServer, size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Enlarge a picture and return the size of the larger one."""
    body = {"image": picture(*size), "upscaler_1": "Lanczos", "resize_mode": 0, "upscaling_resize": factor}
    return size_of(server.post("extra-single-image", body).json()["image"])


@CONTRACT.case([2, True])
def the_settings_show_those_of_the_job_that_runs(server: WebuiServer) -> object:
    """Not those that the server goes back to."""
    before = server.get("options")[CLIP_SKIP]
    with server.running({**LONG, "override_settings": {CLIP_SKIP: 2}}):
        during = server.get("options")[CLIP_SKIP]
    return [during, server.get("options")[CLIP_SKIP] == before]


@CONTRACT.case([(200, 144), (104, 80), (560, 560)])
def an_enlarged_side_is_rounded_down_to_a_multiple_of_8(server: WebuiServer) -> object:
    """Twice 75 is 144."""
    return [upscaled(server, (100, 75), 2), upscaled(server, (100, 75), 1.1), upscaled(server, (512, 512), 1.1)]


@CONTRACT.case((500, "AssertionError", "could not find upscaler named nothing"))
def an_unknown_upscaler_is_an_error(server: WebuiServer) -> object:
    """It is one of the few names that are not replaced."""
    return refusal(server.post("extra-single-image", {"image": picture(8, 8), "upscaler_1": "nothing"}))


@CONTRACT.case((500, "TypeError", "'>' not supported between instances of 'NoneType' and 'int'"))
def hires_fix_without_denoising_strength_is_an_error(server: WebuiServer) -> object:
    """Its default is null."""
    return refusal(server.post("txt2img", {**JOB, "enable_hr": True}))


@CONTRACT.case((144, 144))
def a_side_of_hires_fix_is_rounded_down_to_a_multiple_of_8(server: WebuiServer) -> object:
    """64 times 2.3 is 147."""
    return size_of(server.generate(enable_hr=True, denoising_strength=0.5, hr_scale=2.3)["images"][0])


@CONTRACT.case("DPM++ 2M")
def an_unknown_sampler_is_replaced(server: WebuiServer) -> object:
    """By the first one, without a word."""
    return server.generate(sampler_name="nothing")["info"]["sampler_name"]


@CONTRACT.case(True)
def an_unknown_model_is_replaced(server: WebuiServer) -> object:
    """By the one of the settings, without a word."""
    plain = server.generate()["info"]["sd_model_name"]
    used = server.generate(override_settings={"sd_model_checkpoint": "nothing"})["info"]["sd_model_name"]
    return bool(used == plain)


@CONTRACT.case(None)
def an_unknown_lora_is_left_out(server: WebuiServer) -> object:
    """Without a word."""
    return server.generate(prompt="a star <lora:nothing:1>")["parameters"].get("Lora hashes")


@CONTRACT.case((500, "KeyError", "'nothing'"))
def an_unknown_setting_is_an_error(server: WebuiServer) -> object:
    """The name of the setting is all that it says."""
    return refusal(server.post("txt2img", {**JOB, "override_settings": {"nothing": 1}}))


@CONTRACT.case((422, ["body", "steps"]))
def a_value_of_a_wrong_type_is_refused(server: WebuiServer) -> object:
    """With its place."""
    reply = server.post("txt2img", {**JOB, "steps": "many"})
    return reply.status, reply.json()["detail"][0]["loc"]


@CONTRACT.case((404, "HTTPException", "Init image not found"))
def img2img_without_a_picture_is_refused(server: WebuiServer) -> object:
    """As if a path were missing."""
    return refusal(server.post("img2img", JOB))


@CONTRACT.case([200, True])
def an_interrupted_job_is_a_success(server: WebuiServer) -> object:
    """Only the state tells, until the next job begins."""
    with server.running(LONG) as post:
        server.post("interrupt", {})
    return [post.reply().status, server.get("progress?skip_current_image=true")["state"]["interrupted"]]


@CONTRACT.case([2**64 - 1, (500, "ValueError", "Overflow when unpacking long long")])
def a_seed_has_64_bits(server: WebuiServer) -> object:
    """The text of the refusal is that of torch."""
    largest = server.generate(seed=2**64 - 1)["info"]["all_seeds"][0]
    return [largest, refusal(server.post("txt2img", {**JOB, "seed": 2**64}))]


@CONTRACT.case(["Karras", True, False])
def the_text_of_a_picture_tells_what_was_used(server: WebuiServer) -> object:
    """The schedule by its label; clip skip only if it is not 1."""
    skipped = server.generate(scheduler="karras", override_settings={CLIP_SKIP: 2})["parameters"]
    plain = server.generate(override_settings={CLIP_SKIP: 1})["parameters"]
    return [skipped.get("Schedule type"), skipped.get("Clip skip") == "2", "Clip skip" in plain]


@CONTRACT.case([0, 0, True])
def an_idle_server_tells_when_its_last_job_began(server: WebuiServer) -> object:
    """The time is that of the answer."""
    began = server.generate()["info"]["job_timestamp"]
    told = server.get("progress?skip_current_image=true")
    return [told["progress"], told["state"]["job_count"], told["state"]["job_timestamp"] == began]


@CONTRACT.case([True, False, True])
def a_task_is_asked_for_by_its_id(server: WebuiServer) -> object:
    """By the page's own path, which is not there with --nowebui."""
    question = {"id_task": f"task(contract {time.time_ns()})", "id_live_preview": -1, "live_preview": False}
    if server.post("/internal/progress", question).status == 404:
        raise NotPossibleError("it has no page")
    with server.running({**LONG, "force_task_id": question["id_task"]}):
        during = server.post("/internal/progress", question).json()
    after = server.post("/internal/progress", question).json()
    return [during["active"], after["active"], after["completed"]]


@CONTRACT.case((500, "HTTPException", "Invalid image format"))
def a_picture_format_that_the_api_does_not_know_is_an_error(server: WebuiServer) -> object:
    """After the whole run; the page itself can write such pictures."""
    with server.setting("samples_format", "avif"):
        return refusal(server.post("txt2img", JOB))
