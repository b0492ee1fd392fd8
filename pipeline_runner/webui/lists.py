"""What a web UI offers: the names of its samplers, models, LoRAs and so on, with their other spellings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from pipeline_runner.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.webui.errors import fault_of

AUTOMATIC: Final = "Automatic"
NONE: Final = "None"
API: Final = "/sdapi/v1"
NOT_FOUND: Final = 404
# "DPM++ 2M Karras" was one name until 1.8 of the web UI, and these were the schedules in such names
OLD_SCHEDULES: Final = ("Karras", "Exponential")
_MARKUP: Final = frozenset(":<>")  # would end a `<lora:NAME:STRENGTH>` too early


class Names(NamedTuple):
    """Names of one kind, and every spelling with the name that the server surely takes for it."""

    choices: tuple[str, ...]
    spellings: Mapping[str, str]

    @property
    def also(self) -> tuple[str, ...]:
        """What is accepted besides the names."""
        listed = set(self.choices)
        return tuple(spelling for spelling in self.spellings if spelling not in listed)


class Checkpoint(NamedTuple):
    """A model; the server knows the hash of one only after it has loaded it once."""

    title: str
    name: str  # of the file, without folder and suffix: what the server reports
    hash: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What was read from a server.

    Attributes:
        names: By kind: samplers, schedulers, models, vaes, loras, upscalers, hr_upscalers; absent if it has none.
        combined: Old sampler names with the schedule in them.
        checkpoints: The models by their titles.
        options: Its settings.
        forge: Is it Forge, with modules in place of VAEs?
    """

    names: Mapping[str, Names]
    combined: Mapping[str, str]
    checkpoints: Mapping[str, Checkpoint]
    options: Mapping[str, Any]
    forge: bool


def read_lists(client: HttpClient) -> Lists:
    """Ask a server for all of it.

    Raises:
        ServerFault: it does not answer as a web UI with an API does.
    """
    answers = {name: _get(client, f"{API}/{name}") for name in ("samplers", "sd-models", "upscalers", "options")}
    for name in ("schedulers", "sd-modules", "loras", "latent-upscale-modes"):
        answers[name] = _get(client, f"{API}/{name}", optional=True)
    if answers["sd-modules"] is None:
        answers["sd-vae"] = _get(client, f"{API}/sd-vae", optional=True)
    try:
        return parse_lists(answers)
    except (AttributeError, KeyError, TypeError) as error:
        text = f"{client.url} lists what it offers in an unknown form ({type(error).__name__}: {error})"
        raise ServerFault("server_error", text) from None


def _get(client: HttpClient, path: str, *, optional: bool = False) -> Any:
    """Ask for one list; an optional one that is not there is None."""
    reply: Reply = client.get(path)
    if optional and reply.status == NOT_FOUND:
        return None
    if not reply.ok:
        raise fault_of(reply, client.url)
    return reply.json()


def parse_lists(answers: Mapping[str, Any]) -> Lists:
    """Make lists of the answers, by the last part of their path; None where there is no such path."""
    schedulers = answers["schedulers"]
    combined: dict[str, str] = {}
    samplers = {one["name"]: list(one.get("aliases") or ()) for one in answers["samplers"]}
    if schedulers is not None:
        labels = [one["label"] for one in schedulers if one["label"] in OLD_SCHEDULES]
        for name, spellings in samplers.items():
            ours = {f"{name} {label}": label for label in labels}
            combined |= ours
            spellings.extend(ours)
    models = [_checkpoint(one) for one in answers["sd-models"]]
    upscalers = [one["name"] for one in answers["upscalers"] if one["name"] != NONE]
    latent = [one["name"] for one in answers["latent-upscale-modes"] or ()]
    vaes = answers["sd-modules"] if answers["sd-modules"] is not None else answers.get("sd-vae")
    loras = [one for one in answers["loras"] or () if not _MARKUP & set(one["name"])]
    automatic = [] if answers["sd-modules"] is not None else [AUTOMATIC, NONE]
    names = {
        "samplers": _names(samplers),
        "schedulers": None
        if schedulers is None
        else _names({one["label"]: [one["name"], *(one.get("aliases") or ())] for one in schedulers}),
        "models": _names({model.title: spellings for model, spellings in models}),
        "vaes": None if vaes is None else _names(dict.fromkeys((*automatic, *(one["model_name"] for one in vaes)), ())),
        "loras": None if answers["loras"] is None else _names({one["name"]: _alias(one) for one in loras}),
        "upscalers": _names(dict.fromkeys(upscalers, ())),
        "hr_upscalers": _names(dict.fromkeys((*latent, *upscalers), ())),
    }
    return Lists(
        names={kind: some for kind, some in names.items() if some is not None},
        combined=combined,
        checkpoints={model.title: model for model, _ in models},
        options=dict(answers["options"]),
        forge=answers["sd-modules"] is not None,
    )


def _names(known: Mapping[str, Iterable[str]]) -> Names:
    """Join names with their other spellings; one that could mean two of them is none."""
    spellings: dict[str, str] = {name: name for name in known}
    ambiguous = set()
    for name, others in known.items():
        for spelling in filter(None, others):
            if spellings.setdefault(spelling, name) != name and spelling not in known:
                ambiguous.add(spelling)
    return Names(tuple(known), {key: name for key, name in spellings.items() if key not in ambiguous})


def _checkpoint(one: Mapping[str, Any]) -> tuple[Checkpoint, list[str]]:
    """Read a model, with all that people and the server call it."""
    title, path = one["title"], PurePosixPath(str(one.get("filename") or one["title"]).replace("\\", "/"))
    short, sha256 = str(one.get("hash") or ""), str(one.get("sha256") or "")
    plain = title.removesuffix(f" [{short}]") if short else title
    stem = path.stem if path.suffix else path.name
    spellings = [plain, one["model_name"], stem, path.name, short, sha256]
    return Checkpoint(title, stem, short or sha256[:10], sha256), spellings


def _alias(one: Mapping[str, Any]) -> list[str]:
    alias = str(one.get("alias") or "")
    return [] if _MARKUP & set(alias) else [alias]
