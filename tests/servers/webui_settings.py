"""The settings and models of the fake web UI: while a job runs, its own settings are everybody's."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

MODELS: Final = {"sd15.safetensors": "6ce0161689", "photo/real.safetensors": "ab12cd34ef", "new.ckpt": ""}
VAES: Final = ("vae-ft-mse.safetensors", "kl-f8.ckpt")
MODEL: Final = "sd_model_checkpoint"
VAE: Final = "sd_vae"
HASH: Final = "sd_checkpoint_hash"


class Refused(Exception):  # noqa: N818 - an answer, no error of the fake
    """The job fails with this answer."""

    def __init__(self, status: int, body: Any) -> None:
        """Keep both."""
        super().__init__(status)
        self.status, self.body = status, body


def failure(name: str, text: str) -> Refused:
    """Return the answer to an exception of the server."""
    return Refused(500, {"error": name, "detail": "", "body": "", "errors": text})


def sha256_of(short: str) -> str:
    """Return the whole hash of a model."""
    return f"{short}{'0' * 54}" if short else ""


def title(name: str, short: str) -> str:
    """Return the title of a model: its file, and its hash if that is known."""
    return f"{name} [{short}]" if short else name


class Settings:
    """What `/options` shows.

    Attributes:
        values: The settings by their names.
        models: The files of the models with their short hashes; "" until a model is loaded.
        missing: Files that are listed and not there any more.
        unsaved: Settings that nobody has saved yet: those of a job stay behind, as the original only restores others.
    """

    def __init__(self, *, forge: bool) -> None:
        """Start with the first model loaded."""
        self.models = dict(MODELS)
        self.missing: set[str] = set()
        self.unsaved: set[str] = set()
        self.loaded = "sd15.safetensors"
        self.values: dict[str, Any] = {
            MODEL: self.title(self.loaded),
            HASH: sha256_of(self.models[self.loaded]),
            "CLIP_stop_at_last_layers": 1,
            "eta_noise_seed_delta": 0,
            "randn_source": "GPU",
            "lora_add_hashes_to_infotext": True,
            "samples_format": "png",
        }
        self.values["forge_additional_modules" if forge else VAE] = [] if forge else "Automatic"

    def title(self, name: str) -> str:
        """Return the title of a model."""
        return title(name, self.models[name])

    def find(self, spelling: str | None) -> str | None:
        """Return the model that a setting names, None for a name that is replaced without a word; the last one wins."""
        found = None
        for name, short in self.models.items():
            stem = name.rpartition("/")[2].rpartition(".")[0]
            names = {name, self.title(name), stem, *((short, sha256_of(short), f"{stem} [{short}]") if short else ())}
            found = name if spelling in names else found
        return found

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set what somebody chooses on the page, or posts."""
        if MODEL in changes and self.find(changes[MODEL]) is None:
            raise failure("RuntimeError", f"model {changes[MODEL]!r} not found")
        self._set(changes)
        self.unsaved -= set(changes)
        if MODEL in changes:
            self._load()

    @contextmanager
    def overridden(self, override: Mapping[str, Any], *, restore: bool) -> Iterator[None]:
        """Hold a job's own settings while it runs; an unknown model is left out without a word."""
        stored = {name: self.values[name] for name in override if name in self.values and name not in self.unsaved}
        try:
            known = {name: value for name, value in override.items() if name != MODEL or self.find(value)}
            self._set(known)
            self._load()
            if known.get(VAE) in self.missing:
                raise failure("AssertionError", f"VAE from settings doesn't exist: /vae/{known[VAE]}")
            yield
        finally:
            if restore:
                self.values.update(stored)

    def _set(self, changes: Mapping[str, Any]) -> None:
        for name in changes:
            if name not in self.values:
                raise failure("KeyError", repr(name))
        self.values.update(changes)

    def _load(self) -> None:
        """Load the model of the settings; its hash is known from then on."""
        name = self.find(self.values[MODEL])
        if name is None or name == self.loaded:
            return
        if name in self.missing:
            raise failure("FileNotFoundError", f"[Errno 2] No such file or directory: '/models/{name}'")
        self.loaded = name
        self.models[name] = self.models[name] or hashlib.sha256(name.encode()).hexdigest()[:10]
        self.values[HASH] = sha256_of(self.models[name])
