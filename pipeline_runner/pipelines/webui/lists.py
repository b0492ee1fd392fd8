"""What a web UI offers: the names of its samplers, models, LoRAs and so on, with their other spellings."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct, convert

from pipeline_runner.pipelines.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.webui.errors import fault_of

AUTOMATIC: Final = "Automatic"
NONE: Final = "None"
API: Final = "/sdapi/v1"
NOT_FOUND: Final = 404
# "DPM++ 2M Karras" was one name until 1.8 of the web UI, and these were the schedules in such names
OLD_SCHEDULES: Final = ("Karras", "Exponential")
_MARKUP: Final = frozenset(":<>")  # would end a `<lora:NAME:STRENGTH>` too early

T = TypeVar("T")
_Name = Annotated[str, Meta(min_length=1)]


class _Named(Struct):
    name: _Name


class _Sampler(Struct):
    name: _Name
    aliases: list[str | None] | None = None


class _Scheduler(Struct):
    name: _Name
    label: _Name
    aliases: list[str | None] | None = None


class _Model(Struct):
    title: _Name
    model_name: _Name
    filename: str | None = None
    hash: str | None = None
    sha256: str | None = None


class _Vae(Struct):
    model_name: _Name


class _Lora(Struct):
    name: _Name
    alias: str | None = None


class Names(NamedTuple):
    """Names of one kind, and every spelling with the name that the server surely takes for it."""

    choices: tuple[str, ...]
    spellings: Mapping[str, str]

    @property
    def also(self) -> tuple[str, ...]:
        """The other spellings that are accepted."""
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
    """Read all lists of a server.

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
    except msgspec.ValidationError as error:
        raise ServerFault("server_error", f"{client.url} lists what it offers in an unknown form: {error}") from None


def _get(client: HttpClient, path: str, *, optional: bool = False) -> Any:
    """Ask for one list; an optional one that is not there is None."""
    reply: Reply = client.get(path)
    if optional and reply.status == NOT_FOUND:
        return None
    if not reply.ok:
        raise fault_of(reply, client.url)
    return reply.json()


def parse_lists(answers: Mapping[str, Any]) -> Lists:
    """Read the lists from the answers, by the last part of their path; None where the server has no such path.

    Raises:
        msgspec.ValidationError: they have another form than those of a web UI.
    """
    schedulers = _entries(answers, "schedulers", _Scheduler)
    samplers = {one.name: list(one.aliases or ()) for one in _entries(answers, "samplers", _Sampler) or ()}
    combined: dict[str, str] = {}
    labels = [one.label for one in schedulers or () if one.label in OLD_SCHEDULES]
    for name, spellings in samplers.items():
        ours = {f"{name} {label}": label for label in labels}
        combined |= ours
        spellings.extend(ours)
    models = _models(answers["sd-models"])
    upscalers = [one.name for one in _entries(answers, "upscalers", _Named) or () if one.name != NONE]
    latent = [one.name for one in _entries(answers, "latent-upscale-modes", _Named) or ()]
    forge = answers["sd-modules"] is not None
    vaes = _entries(answers, "sd-modules" if forge else "sd-vae", _Vae)
    automatic = [] if forge else [AUTOMATIC, NONE]
    loras = _entries(answers, "loras", _Lora)
    names = {
        "samplers": _names(samplers),
        "schedulers": None
        if schedulers is None
        else _names({one.label: [one.name, *(one.aliases or ())] for one in schedulers}),
        "models": _names({model.title: spellings for model, spellings in models}),
        "vaes": None if vaes is None else _names(dict.fromkeys((*automatic, *(one.model_name for one in vaes)), ())),
        "loras": None
        if loras is None
        else _names({one.name: _alias(one) for one in loras if not _MARKUP & set(one.name)}),
        "upscalers": _names(dict.fromkeys(upscalers, ())),
        "hr_upscalers": _names(dict.fromkeys((*latent, *upscalers), ())),
    }
    return Lists(
        names={kind: some for kind, some in names.items() if some is not None},
        combined=combined,
        checkpoints={model.title: model for model, _ in models},
        options=convert(answers["options"], dict[str, Any]),
        forge=forge,
    )


def parse_models(answer: Any) -> dict[str, Checkpoint]:
    """Read the models by their titles from the answer that lists them; it raises as `parse_lists` does."""
    return {model.title: model for model, _ in _models(answer)}


def _models(answer: Any) -> list[tuple[Checkpoint, list[str]]]:
    return [_checkpoint(one) for one in _entries({"sd-models": answer}, "sd-models", _Model) or ()]


def _entries(answers: Mapping[str, Any], name: str, kind: type[T]) -> list[T] | None:
    """Read one list, None where there is none.

    An entry in another form is left out: an extension may have added it.
    """
    told = answers.get(name)
    if told is None:
        return None
    found = []
    for one in convert(told, list[Any]):
        with suppress(msgspec.ValidationError):
            found.append(convert(one, kind))
    if told and not found:
        raise msgspec.ValidationError(f"nothing of {name} can be read")
    return found


def _names(known: Mapping[str, Iterable[str | None]]) -> Names:
    """Join names with their other spellings, without those that could mean two names."""
    spellings: dict[str, str] = {name: name for name in known}
    ambiguous = set()
    for name, others in known.items():
        for spelling in filter(None, others):
            if spellings.setdefault(spelling, name) != name and spelling not in known:
                ambiguous.add(spelling)
    return Names(tuple(known), {key: name for key, name in spellings.items() if key not in ambiguous})


def _checkpoint(one: _Model) -> tuple[Checkpoint, list[str]]:
    """Read a model with all its names."""
    title, path = one.title, PurePosixPath((one.filename or one.title).replace("\\", "/"))
    short, sha256 = one.hash or "", one.sha256 or ""
    plain = title.removesuffix(f" [{short}]") if short else title
    stem = path.stem if path.suffix else path.name
    spellings = [plain, one.model_name, stem, path.name, short, sha256]
    return Checkpoint(title, stem, short or sha256[:10], sha256), spellings


def _alias(one: _Lora) -> list[str]:
    return [one.alias] if one.alias and not _MARKUP & set(one.alias) else []
