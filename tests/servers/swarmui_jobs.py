"""The sessions, the backend and the jobs of the fake SwarmUI."""

import base64
import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from tests.servers.swarmui_params import IGNORED, INTENTIONALLY_UNUSED, QUERIED, Refusal, read

OUT_OF_MEMORY: Final = (
    "ComfyUI execution error: Allocation on device \nThis error means you ran out of memory on your GPU."
)
INTERRUPTED: Final = "Generation session interrupted."
NO_BACKENDS: Final = "No backends available!"
Send = Callable[[dict[str, Any]], None]


@dataclass
class Behaviour:
    """What is to go wrong, or to be otherwise; a test sets it."""

    state: str = "running"  # of the backends
    state_message: str = ""
    errors: deque[str] = field(default_factory=deque)  # each for one job
    bad_cfg: float | None = None  # a value with which each job fails
    used: dict[str, Any] = field(default_factory=dict)  # what is used in place of what was asked for
    unused: list[str] = field(default_factory=list)  # told in addition
    silent: bool = False  # no metadata
    keeps_files: bool = False  # pictures are told as places, as where somebody's settings say so
    forgets_files: bool = False
    data: str = ""  # what is told in place of a picture
    discards: bool = False
    extras: bool = False  # a picture on the way and a grid, besides the one of the job
    keeps_sessions: bool = True  # over a restart
    may_free: bool = True
    cut_after: str = ""  # the kind of message after which the connection is cut, once
    real_size: tuple[int, int] | None = None


class Claim:
    """One request of a session."""

    def __init__(self, session: "Session") -> None:
        """Belong to a session until the end."""
        self.session, self.interrupted = session, False
        session.claims.append(self)


@dataclass
class Session:
    """A session of a user."""

    name: str
    user: str = "local"
    claims: list[Claim] = field(default_factory=list)
    live: int = 0

    def interrupt(self) -> None:
        """End what it has requested so far."""
        for claim in self.claims:
            claim.interrupted = True


class Engine:
    """One backend, which makes one picture at a time, for whoever asked first."""

    def __init__(self, behaviour: Behaviour, params: list[dict[str, Any]], models: dict[str, list[str]]) -> None:
        """Be idle."""
        self.behaviour, self.params, self.models = behaviour, params, models
        self.changed = threading.Condition()
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []  # the parameters of all pictures that came to their end
        self.begun = 0
        self.freed = 0
        self.held = False
        self.down = False
        self._busy = False

    def generate(self, session: Session, body: Mapping[str, Any], send: Send) -> None:
        """Take a request to its end, as the server does, whether or not anybody still listens."""
        claim = Claim(session)
        try:
            self._generate(claim, body, send)
        finally:
            session.claims.remove(claim)

    def _generate(self, claim: Claim, body: Mapping[str, Any], send: Send) -> None:
        send(self.status(claim.session))
        try:
            params = read(self.params, self.models, body)
        except Refusal as error:
            send({"error": str(error)})
            return
        params.setdefault("seed", -1)
        if params["seed"] == -1:
            params["seed"] = 4711
        refusal = self._wait_for_backend(claim)
        if refusal:
            send({"error": refusal})
        elif not claim.interrupted:
            self._work(claim, params, send)
        send({"discard_indices": [0] if self.behaviour.discards else []})

    def _wait_for_backend(self, claim: Claim) -> str:
        """Return why there is none, "" if the job has it, or is over before."""
        with self.changed:
            if self.behaviour.state in ("empty", "all_disabled", "errored_all"):
                return NO_BACKENDS
            self.changed.wait_for(lambda: self.down or claim.interrupted or not self._busy)
            if self.down or claim.interrupted:
                claim.interrupted = True
                return ""
            self._busy = True
            return ""

    def _work(self, claim: Claim, params: dict[str, Any], send: Send) -> None:
        session = claim.session
        try:
            session.live += 1
            self.begun += 1
            send(self.status(session))
            error = self._steps(claim, params, send)
            if error or claim.interrupted:
                send({"error": error or INTERRUPTED})
                return
            self._tell_picture(params, send)
            self.made.append(params)
        finally:
            with self.changed:
                session.live -= 1
                self._busy = False
                self.changed.notify_all()
            send(self.status(session))

    def _steps(self, claim: Claim, params: dict[str, Any], send: Send) -> str:
        """Return what went wrong."""
        if "model" not in params:
            return "No model input given. Did your UI load properly?"
        if self.behaviour.errors:
            return self.behaviour.errors.popleft()
        if params.get("cfgscale") is not None and params.get("cfgscale") == self.behaviour.bad_cfg:
            return "ComfyUI execution error: a value of NaN"
        preview = f"data:image/jpeg;base64,{base64.b64encode(_encoded((8, 8), 'red', 'JPEG')).decode()}"
        send({"gen_progress": {"batch_index": "0", "overall_percent": 0.25, "current_percent": 0.0}})
        send({"gen_progress": {"batch_index": "0", "overall_percent": 0.5, "current_percent": 0.5, "preview": preview}})
        with self.changed:
            self.changed.wait_for(lambda: self.down or claim.interrupted or not self.held)
            if self.down:
                claim.interrupted = True
        send({"keep_alive": True})
        return ""

    def _tell_picture(self, asked: dict[str, Any], send: Send) -> None:
        how = self.behaviour
        params = {name: value for name, value in (asked | how.used).items() if value is not None}
        picture = painted(params, how.real_size)
        metadata = json.dumps(self._metadata(params), indent=2)
        if how.extras:
            send({"image": _data(_encoded((8, 8), "green")), "batch_index": "-11", "metadata": metadata})
        place = how.data or _data(picture)
        if how.keeps_files:
            place = f"View/local/raw/2026-11-28/a cat-{len(self.files)}.png"
            if not how.forgets_files:
                self.files[place] = picture
        told = {"image": place, "batch_index": "0", "request_id": "1", "metadata": None if how.silent else metadata}
        send(told)
        if how.extras:
            send({"image": _data(_encoded((8, 8), "blue")), "batch_index": "-1", "metadata": metadata})

    def _metadata(self, params: Mapping[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in params.items() if name != "initimage"}
        unused = [name for name in told if name not in QUERIED | INTENTIONALLY_UNUSED] + self.behaviour.unused
        shown = {name: value for name, value in told.items() if name not in unused and str(value) != IGNORED.get(name)}
        extra: dict[str, Any] = {"date": "2026-11-28", "prep_time": "0.05 sec", "generation_time": "1,50 sec"}
        if unused:
            extra["unused_parameters"] = unused
        return {"sui_image_params": {**shown, "swarm_version": "0.9.8.0"}, "sui_extra_data": extra}

    def status(self, session: Session) -> dict[str, Any]:
        """Return what `GetCurrentStatus` says to a session."""
        state = self.behaviour.state
        message = self.behaviour.state_message
        ready = state in ("running", "some_loading", "errored")
        return {
            "status": {
                "waiting_gens": len(session.claims),
                "loading_models": 0,
                "waiting_backends": len(session.claims) - session.live,
                "live_gens": session.live,
            },
            "backend_status": {"status": state, "class": "", "message": message, "any_loading": state == "loading"},
            "supported_features": self.features if ready else [],
        }

    features: tuple[str, ...] = ("comfyui", "refiners", "variation_seed", "seamless")


def painted(params: Mapping[str, Any], size: tuple[int, int] | None = None) -> bytes:
    """Return the picture of some parameters."""
    upscale = float(params.get("refinerupscale", 1))
    sides = size or tuple(int(int(params.get(side, 512)) * upscale) for side in ("width", "height"))
    told = {name: value for name, value in params.items() if name != "donotsave"}
    colour = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:6]
    return _encoded((sides[0], sides[1]), f"#{colour}")


def _encoded(size: tuple[int, int], colour: str, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def _data(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
