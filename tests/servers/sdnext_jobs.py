"""The state and the jobs of the fake SD.Next, which makes one picture at a time, for whoever asked first."""

import base64
import hashlib
import io
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

MODELS: Final = [("real", "aaaaaaaaaa"), ("sd15, old: fixed", "bbbbbbbbbb"), ("new", None)]
SAMPLERS: Final = ("Default", "UniPC", "Euler", "Euler a", "DPM++ 2M")
VAES: Final = ("kl-f8.ckpt", "sdxl_vae.safetensors")
LORAS: Final = [("detail", "detail_v1"), ("Ink", None), ("a:b", None)]
NOT_LIKED: Final = 13  # a guidance with which a job ends in an error
UPSCALERS: Final = ("None", "Resize Lanczos", "ESRGAN 4x")


class Refused(Exception):  # noqa: N818 - it becomes an answer
    """A status and what the server says."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass
class Behaviour:
    """What is to go wrong, or to be otherwise; a test sets it."""

    errors: deque[str] = field(default_factory=deque)  # names of exceptions, each of which ends one job without words
    used: dict[str, Any] = field(default_factory=dict)  # what is used in place of what was asked for
    keeps_half: bool = True  # of an interrupted job: its default
    silent: bool = False  # it tells nothing of a picture
    annotates: bool = False  # a picture of what its detailer has found, before the one that was made
    image_format: str = "JPEG"  # its default
    history: bool = True  # older versions have none
    logs: bool = True
    deaf: bool = False  # an interruption is forgotten with the next part of the job
    real_size: tuple[int, int] | None = None


class Engine:
    """The queue, the state, and the log."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Be idle."""
        self.behaviour = behaviour
        self.lock = threading.Lock()  # as the server has one
        self.changed = threading.Condition()
        self.history: list[dict[str, Any]] = []
        self.lines: list[str] = [_line("INFO", "Server ready", time.time() - 60), "no line at all"]
        self.made: list[dict[str, Any]] = []
        self.begun = 0
        self.held = self.down = False
        self.page_task = ""
        self.freed = 0
        self.interrupts = 0
        self._ids = itertools.count(1)
        self.job, self.job_count, self.step = "", 0, 0
        self.interrupted = False

    @contextmanager
    def part(self, title: str) -> Iterator[str]:
        """Begin and end a job or a part of one; each begin forgets an interruption, and each end looks idle.

        What ends with an error has no end.
        """
        name = f"{next(self._ids):015x}"
        self.job, self.job_count, self.step, self.interrupted = title, 1, 0, False
        self._note(name, title, "begin")
        yield name
        self.job, self.job_count = "", 0
        self._note(name, title, "end")

    def _note(self, name: str, title: str, op: str) -> None:
        entry = {"id": name, "job": title.lower(), "op": op, "timestamp": time.time(), "duration": None, "outputs": []}
        self.history.append(entry)

    def work(self, title: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do a job of the API, and return its answer."""
        check(body)
        with self.lock, self.part(title):
            self.begun += 1
            if body.get("cfg_scale") == NOT_LIKED:
                raise Refused(500, "a number that nobody likes")
            halted = self._paint(body)
            error = self.behaviour.errors.popleft() if self.behaviour.errors else ""
            if error:
                self.interrupted = halted = True
                self.lines.append(_line("ERROR", f"Processing: step=base args={{}} {error}\nof 'it'", time.time()))
                self.lines.append(_line("ERROR", f"Processing: {error}", time.time()))
            return self._answer(body, halted=halted)

    def _paint(self, body: Mapping[str, Any]) -> bool:
        """Return whether it was interrupted."""
        for title in ("Process", "TE Encode", "Inference"):
            with self.part(title):
                if title == "Inference":
                    self.step = 2
                    with self.changed:
                        self.changed.wait_for(lambda: self.down or not self.held or self._heard())
                    if self.interrupted or self.down:
                        return True
        self.made.append(dict(body))
        return False

    def _heard(self) -> bool:
        if self.behaviour.deaf and self.interrupted:
            self.interrupted = self.behaviour.deaf = False
        return self.interrupted

    def interrupt(self) -> None:
        """Interrupt whatever runs."""
        with self.changed:
            self.interrupts += 1
            self.interrupted = True
            self.changed.notify_all()

    def _answer(self, body: Mapping[str, Any], *, halted: bool) -> dict[str, Any]:
        if halted and not self.behaviour.keeps_half:
            return {"images": [], "parameters": {}, "info": ""}
        told = reported(body, self.behaviour)
        size = self.behaviour.real_size or (told["width"], told["height"])
        pictures = [painted(body, (size[0], size[1]), self.behaviour.image_format)]
        if self.behaviour.annotates:
            pictures.insert(0, painted({}, (8, 8), "PNG"))
            told["infotexts"].insert(0, "Detailer annotations")
        images = [base64.b64encode(picture).decode() for picture in pictures]
        return {"images": images, "parameters": {}, "info": "" if self.behaviour.silent else json.dumps(told)}


def check(body: Mapping[str, Any]) -> None:
    """Refuse a request as the server does; what it does not know it skips."""
    if body.get("sampler_name", "Default") not in SAMPLERS:
        raise Refused(404, "Sampler not found")


def reported(body: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """Return what the server says of a job: a model that it has not found is the present one."""
    asked = {"width": 1024, "height": 1024, "steps": 20, "cfg_scale": 6.0, "sampler_name": "Default", "clip_skip": 1}
    asked |= {key: value for key, value in body.items() if key not in ("init_images", "override_settings")}
    own = body.get("override_settings", {})
    titles = {f"{name} [{short}]" if short else name: (name, short) for name, short in MODELS}
    name, short = titles.get(own.get("sd_model_checkpoint", ""), MODELS[0])
    vae = own.get("sd_vae", "Automatic")
    words = str(body.get("prompt", ""))
    loras = [one for one, _ in LORAS if f"<lora:{one}:" in words]
    told: dict[str, Any] = {
        "Steps": asked["steps"],
        "Size": f"{asked['width']}x{asked['height']}",
        "Scheduler": "UniPCMultistepScheduler",
        "Seed": asked["seed"],
        "App": "SD.Next",
        "Model": name.replace(",", "").replace(":", ""),
        "Model hash": short,
        "VAE": None if vae in ("Automatic", "Default") else vae.rpartition(".")[0],
        "Denoising strength": body.get("denoising_strength"),
        "Detailer strength": body.get("detailer_strength"),
        "LoRA networks": ", ".join(loras) or None,
    } | behaviour.used.get("parameters", {})
    line = ", ".join(f"{key}: {_quoted(value)}" for key, value in told.items() if value is not None)
    info = {
        **{key: asked.get(key) for key in ("prompt", "negative_prompt", "seed", "subseed", "subseed_strength")},
        **{key: asked[key] for key in ("width", "height", "sampler_name", "cfg_scale", "steps", "clip_skip")},
        "all_seeds": [asked["seed"]],
        "sd_model_hash": short,
        "index_of_first_image": 0,
        "infotexts": [f"{words}\nNegative prompt: \n{line}"],
        "job_timestamp": "20261128220000",
    }
    changed: dict[str, Any] = behaviour.used.get("info", {})
    return info | changed


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if any(char in text for char in ",:\n") else text


def painted(params: Mapping[str, Any], size: tuple[int, int], kind: str) -> bytes:
    """Return the picture of some parameters."""
    told = {key: value for key, value in params.items() if key != "init_images"}
    colour = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:6]
    file = io.BytesIO()
    Image.new("RGB", size, f"#{colour}").save(file, kind)
    return file.getvalue()


def _line(level: str, message: str, created: float) -> str:
    words = message.replace('"', "'")
    return f'{{ "asctime":"now", "created":{created:f}, "facility":"sd", "level":"{level}", "msg":"{words}" }}'
