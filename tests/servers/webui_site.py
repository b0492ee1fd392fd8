"""What the fake web UI answers, by path, without any socket: the API as it was recorded, with its traps."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from tests.servers import webui_scripts as scripts
from tests.servers.webui_jobs import (
    ALIASES,
    LATENT,
    LORAS,
    MODULES,
    SAMPLERS,
    SCHEDULERS,
    UPSCALERS,
    JobWorker,
)
from tests.servers.webui_settings import VAES, Refused, sha256_of
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until

API: Final = "/sdapi/v1"
# the total of the machine follows from a share of it, so it is a fraction; `error` is there where torch fails
MEMORY: Final = {
    "ram": {"free": 29871050522.93, "used": 3784159232, "total": 33655209754.93},
    "cuda": {
        "system": {"free": 5368709120, "used": 3221225472, "total": 8589934592},
        "active": {"current": 2147483648, "peak": 3221225472},
        "events": {"retries": 0, "oom": 0},
    },
}
# name → default; the type of a value has to be that of the default. All other names are dropped without a word.
_BASE: Final[dict[str, Any]] = {
    "prompt": "",
    "negative_prompt": "",
    "seed": -1,
    "subseed": -1,
    "subseed_strength": 0.0,
    "sampler_name": None,
    "scheduler": None,
    "steps": 50,
    "cfg_scale": 7.0,
    "width": 512,
    "height": 512,
    "batch_size": 1,
    "n_iter": 1,
    "denoising_strength": None,
    "restore_faces": None,
    "tiling": None,
    "eta": None,
    "override_settings": None,
    "override_settings_restore_afterwards": True,
    "send_images": True,
    "save_images": False,
    "force_task_id": None,
    "styles": None,
    "refiner_checkpoint": None,
    "refiner_switch_at": None,
    "alwayson_scripts": {},
}
_HIRES: Final = {
    "enable_hr": False,
    "hr_scale": 2.0,
    "hr_upscaler": None,
    "hr_second_pass_steps": 0,
    "hr_checkpoint_name": None,
    "hr_sampler_name": None,
    "hr_scheduler": None,
    "hr_prompt": "",
    "hr_negative_prompt": "",
}
_FORGE: Final = {"distilled_cfg_scale": 3.5, "hr_additional_modules": None, "hr_cfg": 1.0, "hr_distilled_cfg": 3.5}
_IMAGE: Final = {
    "init_images": None,
    "resize_mode": 0,
    "denoising_strength": 0.75,
    "mask": None,
    "mask_blur": None,
    "inpainting_fill": 0,
    "inpaint_full_res": True,
    "inpaint_full_res_padding": 0,
    "inpainting_mask_invert": 0,
    "initial_noise_multiplier": None,
}
_EXTRAS: Final = {
    "image": "",
    "upscaler_1": "None",
    "upscaler_2": "None",
    "extras_upscaler_2_visibility": 0.0,
    "resize_mode": 0,
    "upscaling_resize": 2.0,
    "gfpgan_visibility": 0.0,
    "codeformer_visibility": 0.0,
    "codeformer_weight": 0.0,
}


class Request(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class OtherJob:
    """A job of somebody else, in the same queue; it runs until `finish`, or until somebody interrupts it."""

    def __init__(self, worker: JobWorker, override: Mapping[str, Any], *, restore: bool) -> None:
        """Queue it, with settings of its own."""
        self._bench = worker
        self._settings = worker.settings.overridden(override, restore=restore)
        self._free = False
        self.interrupted = False
        self.runs = False
        waiting = len(worker.fifo)
        self.thread = threading.Thread(target=self._run, name="somebody's job")
        self.thread.start()
        wait_until(lambda: self.runs or len(worker.fifo) > waiting, what="somebody's job in the queue")

    def finish(self) -> None:
        """Let it end."""
        self._free = True
        self._bench.notify()
        self.thread.join(PATIENCE * TIME_FACTOR)

    def _run(self) -> None:
        with self._bench.job("scripts_txt2img", f"task(somebody {id(self)})"), self._settings:
            self.runs = True
            self.interrupted = not self._bench.work(20, lambda: self._free)


class Site:
    """What it has is said when it is made; traps are set by its attributes while it runs."""

    def __init__(
        self,
        *,
        forge: bool = False,
        schedulers: bool = True,
        page: bool = True,
        api: bool = True,
        loras: bool = True,
        extensions: bool = True,
    ) -> None:
        """`page` is not `--nowebui`, `api` is `--api`; up to 1.9.0 of the web UI there are no `schedulers`."""
        self.forge, self.schedulers, self.page, self.api, self.loras = forge, schedulers, page, api, loras
        self.extensions = extensions
        self.worker = JobWorker(modern=schedulers, forge=forge)
        self.stuck_progress: float | None = None
        self.taken: list[dict[str, Any]] = []  # of each job the fields that are known here
        self.deaf = False  # too busy to answer how far it is
        self.settings = self.worker.settings

    @property
    def options(self) -> dict[str, Any]:
        """The settings."""
        return self.settings.values

    def hold(self) -> None:
        """Let jobs stand still before their last step."""
        self.worker.held = True

    def release(self) -> None:
        """Let them go on."""
        self.worker.held = False
        self.worker.notify()

    def fail(self, status: int, body: Any) -> None:
        """Make the next job fail with this answer; call it twice for two jobs."""
        self.worker.failures.append((status, body))

    def interrupt(self) -> dict[str, Any]:
        """Interrupt whatever runs."""
        self.worker.state.interrupted = True
        self.worker.notify()
        return {}

    def skip(self) -> None:
        """Skip whatever runs."""
        self.worker.state.skipped = True
        self.worker.notify()

    def answer(self, request: Request) -> Any:
        """Return the answer to a request, as JSON has it."""
        routes: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "samplers"): lambda _: [
                {"name": name, "aliases": ALIASES.get(name, []), "options": {}} for name in self._samplers()
            ],
            ("GET", "sd-models"): lambda _: [self._model(name) for name in self.settings.models],
            ("GET", "upscalers"): lambda _: [{"name": name, "scale": 4} for name in UPSCALERS],
            ("GET", "latent-upscale-modes"): lambda _: [{"name": name} for name in LATENT],
            ("GET", "options"): lambda _: dict(self.options),
            ("POST", "options"): self.settings.change,
            ("GET", "progress"): lambda _: self._progress(),
            ("GET", "memory"): lambda _: MEMORY,
            ("POST", "interrupt"): lambda _: self.interrupt(),
            ("POST", "skip"): lambda _: self.skip(),
            ("POST", "unload-checkpoint"): lambda _: {},
            ("POST", "reload-checkpoint"): lambda _: {},
            ("POST", "txt2img"): lambda body: self.worker.diffuse(self._fields(_BASE | _HIRES, body), "txt2img"),
            ("POST", "img2img"): self._img2img,
            ("POST", "extra-single-image"): lambda body: self.worker.upscale(self._fields(_EXTRAS, body)),
        }
        if self.schedulers:
            routes["GET", "schedulers"] = lambda _: [
                {"name": name, "label": label, "aliases": None} for name, label in SCHEDULERS.items()
            ]
        if self.loras:
            routes["GET", "loras"] = lambda _: [
                {"name": name, "alias": alias, "path": f"/loras/{name}.safetensors", "metadata": {}}
                for name, (alias, _) in LORAS.items()
            ]
        if self.extensions:
            routes["GET", "script-info"] = lambda _: scripts.info()
            routes["GET", "prompt-styles"] = lambda _: [
                {"name": name, "prompt": prompt, "negative_prompt": negative}
                for name, (prompt, negative) in scripts.STYLES.items()
            ]
        vaes, names = ("sd-modules", MODULES) if self.forge else ("sd-vae", VAES)
        routes["GET", vaes] = lambda _: [{"model_name": name, "filename": f"/vae/{name}"} for name in names]
        if request.path == "/internal/progress" and self.page:
            return self._task(request.body["id_task"])
        if self.extensions and request.path.startswith("/controlnet/"):
            return self._controlnet(request.path.rpartition("/")[2], request.query)
        route = routes.get((request.method, request.path.removeprefix(f"{API}/")))
        if not request.path.startswith(API) or not self.api or route is None:
            raise Refused(404, {"detail": "Not Found"})
        return route(request.body)

    def _controlnet(self, name: str, query: dict[str, str]) -> Any:
        """List models or preprocessors, of these the other names too where somebody asks for them."""
        labels = query.get("alias_names") == "true" and not self.forge
        modules = scripts.PREPROCESSORS.values() if labels else scripts.PREPROCESSORS
        return {name: list(scripts.CONTROLNETS if name == "model_list" else modules)}

    def _samplers(self) -> list[str]:
        return [*SAMPLERS] if self.schedulers else [*SAMPLERS, *(f"{name} Karras" for name in SAMPLERS)]

    def _img2img(self, body: Any) -> dict[str, Any]:
        fields = self._fields(_BASE | _IMAGE, body)
        if not fields["init_images"]:
            raise Refused(404, {"error": "HTTPException", "detail": "Init image not found", "body": "", "errors": ""})
        return self.worker.diffuse(fields, "img2img")

    def _fields(self, known: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Check types as pydantic does; what is unknown is dropped, and an unknown setting is an error."""
        fields = known | (_FORGE if self.forge and "prompt" in known else {})
        for name, default in fields.items():
            kinds = (int, float) if isinstance(default, float) else type(default)
            if name in body and default is not None and not isinstance(body[name], kinds):
                problem = {"loc": ["body", name], "msg": "value is not valid", "type": "type_error"}
                raise Refused(422, {"detail": [problem]})
        self.taken.append({name: body[name] for name in fields if name in body})
        return {name: body.get(name, default) for name, default in fields.items()}

    def _progress(self) -> dict[str, Any]:
        state = self.worker.state
        with self.worker.changed:
            self.worker.changed.wait_for(lambda: not self.deaf or self.worker.closing)
        fraction = 0.0
        if state.job_count:
            fraction = 0.01 + 0.98 * state.sampling_step / (state.sampling_steps or 1)
            fraction = fraction if self.stuck_progress is None else self.stuck_progress
        return {"progress": fraction, "eta_relative": 0, "state": asdict(state), "current_image": None}

    def _task(self, task: str) -> dict[str, Any]:
        worker = self.worker
        active = task == worker.current_task
        progress = self._progress()["progress"] if active else None
        return {"active": active, "queued": task in worker.pending, "completed": task in worker.finished} | {
            "progress": progress
        }

    def _model(self, name: str) -> dict[str, Any]:
        plain, short = name.replace("/", "_").rpartition(".")[0], self.settings.models[name]
        found = {"title": self.settings.title(name), "model_name": plain, "hash": short or None}
        return found | {"sha256": sha256_of(short) or None, "filename": f"/models/{name}", "config": None}
