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

from tests.servers.webui_scripts import passed, styled, told_of
from tests.servers.webui_settings import VAE, Refused, Settings, failure

SAMPLERS: Final = ("DPM++ 2M", "DPM++ SDE", "Euler a", "Euler", "DDIM")
ALIASES: Final = {"DPM++ 2M": ["k_dpmpp_2m"], "Euler a": ["k_euler_a", "k_euler_ancestral"], "Euler": ["k_euler"]}
SCHEDULERS: Final = {"automatic": "Automatic", "karras": "Karras", "exponential": "Exponential", "simple": "Simple"}
MODULES: Final = ("ae.safetensors", "clip_l.safetensors")
LORAS: Final = {"detail": ("more_details", "aa11bb22cc33"), "ink-style": ("Ink", "dd44ee55ff66")}
UPSCALERS: Final = {
    "None": Image.Resampling.NEAREST,
    "Lanczos": Image.Resampling.LANCZOS,
    "Nearest": Image.Resampling.NEAREST,
    "R-ESRGAN 4x+": Image.Resampling.BICUBIC,  # what stands for a model here
}
LATENT: Final = ("Latent", "Latent (nearest)")
FIRST_TIMESTAMP: Final = 20260101000000
_TAG: Final = re.compile(r"<lora:([^:>]+)(?::([^>]*))?>")


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
        step_seconds: How long a step takes.
    """

    modern: bool = True
    forge: bool = False
    held: bool = False
    closing: bool = False
    substitute: dict[str, Any] = field(default_factory=dict)
    failures: list[tuple[int, Any]] = field(default_factory=list)
    step_seconds: float = 0.0
    grid: bool = False
    withheld: int = 0  # pictures of a batch that do not come
    appended: int = 0
    same_second: bool = False

    def __post_init__(self) -> None:
        """Nothing runs."""
        self.state, self.fifo, self.settings = State(), Fifo(), Settings(forge=self.forge)
        self.changed = threading.Condition()
        self.current_task: str | None = None
        self.pending: list[str] = []
        self.finished: list[str] = []
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

        def stopped() -> bool:
            return self.closing or self.state.interrupted or self.state.skipped

        with self.changed:
            self.changed.wait_for(lambda: is_free() or stopped(), timeout=60)
            self.changed.wait_for(stopped, timeout=steps * self.step_seconds)
        return not (self.state.interrupted or self.state.skipped)

    def notify(self) -> None:
        """Wake all waiting threads."""
        with self.changed:
            self.changed.notify_all()

    def diffuse(self, fields: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Run txt2img or img2img; the picture is encoded by the settings of the server, not those of the job."""
        passed_on = passed(fields["alwayson_scripts"] or {}, forge=self.forge)  # before its turn
        override, restore = fields["override_settings"] or {}, fields["override_settings_restore_afterwards"]
        task = self.job(f"scripts_{name}", fields.get("force_task_id"))
        with task, self.settings.overridden(override, restore=restore):
            used = self._used({**fields, **dict(zip(("prompt", "negative_prompt"), styled(fields), strict=True))})
            used["further"] = {**self._further(fields), **told_of(passed_on, forge=self.forge)}
            if fields["seed"] >= 2**64:
                raise failure("ValueError", "Overflow when unpacking long long")
            whole = self.work(fields["steps"])
            self._fail_if_told()
            if fields.get("enable_hr") and fields["denoising_strength"] is None:
                raise failure("TypeError", "'>' not supported between instances of 'NoneType' and 'int'")
            used["clip_skip"] = self.settings.values.get("CLIP_stop_at_last_layers", 1)  # as it is at the end
            used |= self.substitute
            text = infotext(used, self.settings, modern=self.modern, forge=self.forge)
        return self._answer(fields, used, text, whole)

    def upscale(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Run extra-single-image; it has no task id, and an upscaler of None gives the picture back."""
        with self.job("extras", None):
            self.work(1)
            self._fail_if_told()
            name = fields["upscaler_1"]
            if name not in UPSCALERS:
                raise failure("AssertionError", f"could not find upscaler named {name}")
            factor = self.substitute.get("factor", fields["upscaling_resize"])
            with Image.open(io.BytesIO(base64.b64decode(fields["image"]))) as image:
                enlarged = image.convert("RGB")
            if name != "None":
                size = (int(enlarged.width * factor) // 8 * 8, int(enlarged.height * factor) // 8 * 8)
                # what cannot load its model gives the picture back, which is then resized as any other
                how = Image.Resampling.LANCZOS if name in ("Lanczos", *self.settings.missing) else UPSCALERS[name]
                enlarged = enlarged.resize(size, how)
            return {"image": self._encode(enlarged, ""), "html_info": ""}

    def _fail_if_told(self) -> None:
        if self.failures:
            raise Refused(*self.failures.pop(0))

    def _used(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is used, with something else for everything unknown, as the original does."""
        values, missing = self.settings.values, self.settings.missing
        name, schedule = fields["sampler_name"] or "Euler", fields["scheduler"]
        label = SCHEDULERS.get(schedule) or (schedule if schedule in SCHEDULERS.values() else "Automatic")
        for option in (*SCHEDULERS, *SCHEDULERS.values()) if self.modern else ():
            if name.endswith(f" {option}"):
                name, label = name.removesuffix(f" {option}"), SCHEDULERS.get(option, option)
        known = SAMPLERS if self.modern else [*SAMPLERS, *(f"{one} Karras" for one in SAMPLERS)]
        used = {
            "sampler_name": name if name in known else SAMPLERS[0],
            "scheduler": label if label != "Automatic" or name != "DPM++ 2M" else "Karras",  # what it resolves to
            "model": self.settings.loaded,
            "vae": values.get(VAE),
            "modules": [one for one in values.get("forge_additional_modules") or () if one in MODULES],
            "loras": [one for one, _ in _TAG.findall(fields["prompt"]) if one in LORAS and one not in missing],
            # everything decides the picture
            "paint": repr(
                [sorted(values.items()), {key: fields[key] for key in sorted(fields) if key != "force_task_id"}]
            ),
        }
        return {**fields, **used}

    def _further(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the text of a picture says of refiner, hires fix and masks, each only where it was used."""
        found: dict[str, Any] = {}
        if fields["refiner_checkpoint"]:
            name, switch = self._model(fields["refiner_checkpoint"]), fields["refiner_switch_at"]
            steps = fields["steps"]
            if name != self.settings.loaded and (switch is None or (steps - 1) / steps >= switch):
                found |= {"Refiner": self._short_title(name)} | (
                    {} if switch is None else {"Refiner switch at": switch}
                )
        if fields.get("enable_hr"):
            if fields["hr_checkpoint_name"]:
                found["Hires checkpoint"] = self._short_title(self._model(fields["hr_checkpoint_name"]))
            if fields["hr_sampler_name"] not in (None, fields["sampler_name"]):
                found["Hires sampler"] = fields["hr_sampler_name"]
        if fields.get("mask"):
            try:
                with Image.open(io.BytesIO(base64.b64decode(fields["mask"]))) as mask:
                    mask.load()
            except (OSError, ValueError):
                raise Refused(500, {"error": "HTTPException", "detail": "Invalid encoded image"}) from None
            found["Mask blur"] = 4 if fields["mask_blur"] is None else fields["mask_blur"]
            if fields["inpaint_full_res"]:
                padding = fields["inpaint_full_res_padding"]
                found |= {"Inpaint area": "Only masked", "Masked area padding": padding}
        return found

    def _model(self, name: str) -> str:
        """Find a model; one that is named for a part of the job has to be there."""
        found = self.settings.find(name)
        if found is None or found in self.settings.missing:
            raise failure("Exception", f"Could not find checkpoint with name {name}")
        return found

    def _short_title(self, name: str) -> str:
        stem, short = name.rpartition("/")[2].rpartition(".")[0], self.settings.models[name]
        return f"{stem} [{short}]" if short else stem

    def _answer(self, fields: Mapping[str, Any], used: Mapping[str, Any], text: str, whole: bool) -> dict[str, Any]:
        size = self.substitute.get("real_size") or _size(used)
        seed = hashlib.sha256(f"{text} {used['paint']}".encode()).digest() if whole else b"\x80\x80\x80"  # half: grey
        count = max(1, int(fields["batch_size"]) * int(fields["n_iter"]) - self.withheld)
        seeds = [used["seed"] + at for at in range(count)]
        texts = [text.replace(f"Seed: {used['seed']}", f"Seed: {one}") for one in seeds]
        colours = [tuple((part + 40 * at) % 256 for part in seed[:3]) for at in range(count)]
        images = [self._encode(Image.new("RGB", size, colour), one) for colour, one in zip(colours, texts, strict=True)]
        if self.grid:
            images, texts = [self._encode(Image.new("RGB", (8, 8)), "grid"), *images], ["grid", *texts]
        images += [self._encode(Image.new("RGB", (16, 16)), "map") for _ in range(self.appended)]
        info = {
            "prompt": used["prompt"],
            "all_prompts": [used["prompt"]],
            "negative_prompt": used["negative_prompt"],
            "all_negative_prompts": [used["negative_prompt"]],
            "seed": used["seed"],
            "all_seeds": seeds,
            "subseed": used["subseed"],
            "subseed_strength": used["subseed_strength"],
            "width": used["width"],
            "height": used["height"],
            "sampler_name": used["sampler_name"],
            "cfg_scale": used["cfg_scale"],
            "steps": used["steps"],
            "sd_model_name": used["model"].rpartition("/")[2].rpartition(".")[0],
            "sd_model_hash": self.settings.models[used["model"]] or None,
            "sd_vae_name": used["vae"] if used["vae"] not in ("None", "Automatic") else None,
            "denoising_strength": used.get("denoising_strength"),
            "index_of_first_image": int(self.grid),
            "infotexts": texts,
            "job_timestamp": self.state.job_timestamp,
            "clip_skip": used["clip_skip"],
            "styles": fields["styles"] or [],
        }
        return {"images": images, "parameters": dict(fields), "info": json.dumps(info)}

    def _encode(self, image: Image.Image, text: str) -> str:
        buffer, chunk, form = io.BytesIO(), PngInfo(), self.settings.values["samples_format"].upper()
        if form not in ("PNG", "JPG", "JPEG", "WEBP"):
            raise Refused(500, {"error": "HTTPException", "detail": "Invalid image format", "body": "", "errors": ""})
        chunk.add_text("parameters", text)
        image.save(buffer, form.replace("JPG", "JPEG"), **({"pnginfo": chunk} if form == "PNG" else {}))
        return base64.b64encode(buffer.getvalue()).decode()


def _size(used: Mapping[str, Any]) -> tuple[int, int]:
    if not used.get("enable_hr"):
        return used["width"], used["height"]
    return int(used["width"] * used["hr_scale"]) // 8 * 8, int(used["height"] * used["hr_scale"]) // 8 * 8


def _quoted(value: object) -> str:
    """Quote what would break the line apart."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def infotext(used: Mapping[str, Any], settings: Settings, *, modern: bool, forge: bool) -> str:
    """Write the text chunk as the web UI does."""
    pairs = {"Steps": used["steps"], "Sampler": used["sampler_name"]}
    if modern:
        pairs["Schedule type"] = used["scheduler"]
    pairs |= {"CFG scale": used["cfg_scale"], "Seed": used["seed"], "Size": f"{used['width']}x{used['height']}"}
    pairs |= {"Model hash": settings.models[used["model"]]}
    pairs |= {"Model": used["model"].rpartition("/")[2].rpartition(".")[0]}
    if used["clip_skip"] > 1:
        pairs["Clip skip"] = used["clip_skip"]
    if settings.values["randn_source"] != "GPU":
        pairs["RNG"] = settings.values["randn_source"]
    if used["loras"] and settings.values["lora_add_hashes_to_infotext"]:
        pairs["Lora hashes"] = ", ".join(f"{name}: {LORAS[name][1]}" for name in used["loras"])
    if forge:
        pairs |= {f"Module {at}": one.rpartition(".")[0] for at, one in enumerate(used["modules"], 1)}
        pairs["Distilled CFG Scale"] = used["distilled_cfg_scale"]
    pairs |= used["further"]
    pairs["Version"] = "v1.10.1"
    lines = [used["prompt"]]
    if used["negative_prompt"]:
        lines.append(f"Negative prompt: {used['negative_prompt']}")
    return "\n".join([*lines, ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items())])
