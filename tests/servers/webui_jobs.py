"""How the fake web UI works on jobs: one at a time, with the state and the silent substitutions of the original."""

import base64
import hashlib
import io
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SAMPLERS: Final = ("DPM++ 2M", "DPM++ SDE", "Euler a", "Euler", "DDIM")
ALIASES: Final = {"DPM++ 2M": ["k_dpmpp_2m"], "Euler a": ["k_euler_a", "k_euler_ancestral"], "Euler": ["k_euler"]}
SCHEDULERS: Final = {"automatic": "Automatic", "karras": "Karras", "exponential": "Exponential", "simple": "Simple"}
MODELS: Final = {"sd15.safetensors": "6ce0161689", "photo/real.safetensors": "ab12cd34ef", "new.ckpt": ""}
VAES: Final = ("vae-ft-mse.safetensors", "kl-f8.ckpt")
MODULES: Final = ("ae.safetensors", "clip_l.safetensors")
LORAS: Final = {"detail": ("more_details", "aa11bb22cc33"), "ink-style": ("Ink", "dd44ee55ff66")}
UPSCALERS: Final = ("None", "Lanczos", "Nearest", "R-ESRGAN 4x+")
LATENT: Final = ("Latent", "Latent (nearest)")
FIRST_TIMESTAMP: Final = 20260101000000
_TAG: Final = re.compile(r"<lora:([^:>]+)(?::([^>]*))?>")


def title(name: str) -> str:
    """Return the title of a model: its name, and its hash if that is known."""
    return f"{name} [{MODELS[name]}]" if MODELS[name] else name


@dataclass
class State:
    """What `/progress` tells; the marks of an interruption stay until the next job begins."""

    job: str = ""
    job_count: int = 0
    job_no: int = 0
    job_timestamp: str = "0"
    sampling_step: int = 0
    sampling_steps: int = 0
    interrupted: bool = False
    skipped: bool = False
    stopping_generation: bool = False

    def begin(self, job: str, timestamp: str) -> None:
        """Start a job."""
        self.__init__(job=job, job_count=-1, job_timestamp=timestamp)  # type: ignore[misc]  # all anew

    def end(self) -> None:
        """End it."""
        self.job, self.job_count = "", 0


class Fifo:
    """A lock that is given in the order in which it was asked for."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for all who came before."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket)
        try:
            yield
        finally:
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    def __len__(self) -> int:
        """How many wait or work."""
        return len(self._waiting)


class Refused(Exception):  # noqa: N818 - an answer, no error of the fake
    """The job fails with this answer."""

    def __init__(self, status: int, body: Any) -> None:
        """Keep both."""
        super().__init__(status)
        self.status, self.body = status, body


@dataclass
class JobWorker:
    """The one place where jobs are worked on.

    Attributes:
        held: While it is, jobs stand still before their last step.
        closing: The server stops; nothing waits any more.
        substitute: What is used in place of what was asked for, by field.
        failures: Answers of the next jobs, each used once.
        modern: Has it schedulers apart from samplers?
        forge: Is it Forge?
    """

    modern: bool = True
    forge: bool = False
    held: bool = False
    closing: bool = False
    substitute: dict[str, Any] = field(default_factory=dict)
    failures: list[tuple[int, Any]] = field(default_factory=list)
    image_format: str = "PNG"
    grid: bool = False
    appended: int = 0
    same_second: bool = False

    def __post_init__(self) -> None:
        """Nothing runs."""
        self.state, self.fifo = State(), Fifo()
        self.changed = threading.Condition()
        self.current_task: str | None = None
        self.pending: list[str] = []
        self.finished: list[str] = []
        self.current_model = "sd15.safetensors"
        self._begun = 0

    @contextmanager
    def job(self, name: str, task_id: str | None) -> Iterator[None]:
        """Take a turn; a task whose job fails stays the current one forever, as in the original."""
        if task_id:
            self.pending.append(task_id)
        with self.fifo.turn():
            self._begun += 0 if self.same_second and self._begun else 1
            self.state.begin(name, str(FIRST_TIMESTAMP + self._begun))
            if task_id:
                self.current_task = task_id
                self.pending.remove(task_id)
            try:
                yield
                if task_id:
                    self.current_task = None
                    self.finished.append(task_id)
            finally:
                self.state.end()

    def work(self, steps: int, free: Callable[[], bool] | None = None) -> bool:
        """Do all steps, standing still before the last one while it is held; False if it was interrupted."""
        self.state.job_count, self.state.sampling_steps = 1, steps
        self.state.sampling_step = max(0, steps - 1)
        is_free = free or (lambda: not self.held)
        with self.changed:
            self.changed.wait_for(
                lambda: is_free() or self.closing or self.state.interrupted or self.state.skipped, timeout=60
            )
        return not (self.state.interrupted or self.state.skipped)

    def notify(self) -> None:
        """Wake all waiting threads."""
        with self.changed:
            self.changed.notify_all()

    def diffuse(self, fields: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Run txt2img or img2img."""
        with self.job(f"scripts_{name}", fields.get("force_task_id")):
            whole = self.work(fields["steps"])
            self._fail_if_told()
            used = self._used(fields)
            return self._answer(fields, used, whole)

    def upscale(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Run extra-single-image; it has no task id, and an upscaler of None gives the picture back."""
        with self.job("extras", None):
            self.work(1)
            self._fail_if_told()
            if fields["upscaler_1"] not in UPSCALERS:
                text = f"could not find upscaler named {fields['upscaler_1']}"
                raise Refused(500, {"error": "AssertionError", "detail": "", "body": "", "errors": text})
            factor = fields["upscaling_resize"] if fields["upscaler_1"] != "None" else 1
            factor = self.substitute.get("factor", factor)
            with Image.open(io.BytesIO(base64.b64decode(fields["image"]))) as image:
                size = (int(image.width * factor), int(image.height * factor))
                enlarged = image.convert("RGB").resize(size)
            return {"image": self._encode(enlarged, ""), "html_info": ""}

    def _fail_if_told(self) -> None:
        if self.failures:
            raise Refused(*self.failures.pop(0))

    def _used(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is used, with something else for everything unknown, as the original does."""
        name, schedule = fields["sampler_name"] or "Euler", fields["scheduler"]
        label = SCHEDULERS.get(schedule) or (schedule if schedule in SCHEDULERS.values() else "Automatic")
        for option in (*SCHEDULERS, *SCHEDULERS.values()) if self.modern else ():
            if name.endswith(f" {option}"):
                name, label = name.removesuffix(f" {option}"), SCHEDULERS.get(option, option)
        known = SAMPLERS if self.modern else [*SAMPLERS, *(f"{one} Karras" for one in SAMPLERS)]
        override = fields["override_settings"] or {}
        asked = override.get("sd_model_checkpoint")
        names = {spelling: one for one in MODELS for spelling in (one, title(one), MODELS[one]) if spelling}
        model = names.get(asked or "", self.current_model)
        used = {
            "sampler_name": name if name in known else SAMPLERS[0],
            "scheduler": label if label != "Automatic" or name != "DPM++ 2M" else "Karras",  # what it resolves to
            "model": model,
            "vae": override.get("sd_vae"),
            "modules": [one for one in override.get("forge_additional_modules") or () if one in MODULES],
            "loras": [one for one, _ in _TAG.findall(fields["prompt"]) if one in LORAS],
            "clip_skip": override.get("CLIP_stop_at_last_layers", 1),
        }
        return {**fields, **used, **self.substitute}

    def _answer(self, fields: Mapping[str, Any], used: Mapping[str, Any], whole: bool) -> dict[str, Any]:
        text = infotext(used, modern=self.modern, forge=self.forge)
        size = self.substitute.get("real_size") or _size(used)
        seed = hashlib.sha256(text.encode()).digest() if whole else b"\x80\x80\x80"  # half done: grey
        images = [self._encode(Image.new("RGB", size, tuple(seed[:3])), text)]
        texts = [text]
        if self.grid:
            images, texts = [self._encode(Image.new("RGB", (8, 8)), "grid"), *images], ["grid", *texts]
        images += [self._encode(Image.new("RGB", (16, 16)), "map") for _ in range(self.appended)]
        info = {
            "prompt": used["prompt"],
            "all_prompts": [used["prompt"]],
            "negative_prompt": used["negative_prompt"],
            "all_negative_prompts": [used["negative_prompt"]],
            "seed": used["seed"],
            "all_seeds": [used["seed"]],
            "subseed": used["subseed"],
            "subseed_strength": used["subseed_strength"],
            "width": used["width"],
            "height": used["height"],
            "sampler_name": used["sampler_name"],
            "cfg_scale": used["cfg_scale"],
            "steps": used["steps"],
            "sd_model_name": used["model"].rpartition("/")[2].rpartition(".")[0],
            "sd_model_hash": MODELS[used["model"]] or None,
            "sd_vae_name": used["vae"] if used["vae"] not in ("None", "Automatic") else None,
            "denoising_strength": used.get("denoising_strength"),
            "index_of_first_image": int(self.grid),
            "infotexts": texts,
            "job_timestamp": self.state.job_timestamp,
            "clip_skip": used["clip_skip"],
        }
        return {"images": images, "parameters": dict(fields), "info": json.dumps(info)}

    def _encode(self, image: Image.Image, text: str) -> str:
        buffer, chunk = io.BytesIO(), PngInfo()
        chunk.add_text("parameters", text)
        image.save(buffer, self.image_format, **({"pnginfo": chunk} if self.image_format == "PNG" else {}))
        return base64.b64encode(buffer.getvalue()).decode()


def _size(used: Mapping[str, Any]) -> tuple[int, int]:
    scale = used["hr_scale"] if used.get("enable_hr") else 1
    return int(used["width"] * scale), int(used["height"] * scale)


def infotext(used: Mapping[str, Any], *, modern: bool, forge: bool) -> str:
    """Write the text chunk as the web UI does."""
    pairs = {"Steps": used["steps"], "Sampler": used["sampler_name"]}
    if modern:
        pairs["Schedule type"] = used["scheduler"]
    pairs |= {"CFG scale": used["cfg_scale"], "Seed": used["seed"], "Size": f"{used['width']}x{used['height']}"}
    pairs |= {"Model": used["model"].rpartition("/")[2].rpartition(".")[0]}
    if used["loras"]:
        pairs["Lora hashes"] = json.dumps(", ".join(f"{name}: {LORAS[name][1]}" for name in used["loras"]))
    if forge:
        pairs |= {f"Module {at}": one.rpartition(".")[0] for at, one in enumerate(used["modules"], 1)}
        pairs["Distilled CFG Scale"] = used["distilled_cfg_scale"]
    pairs["Version"] = "v1.10.1"
    lines = [used["prompt"]]
    if used["negative_prompt"]:
        lines.append(f"Negative prompt: {used['negative_prompt']}")
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in pairs.items())])
