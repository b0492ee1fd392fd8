"""What a web UI offers: the names of its samplers, models, LoRAs and so on, with their other spellings."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct, convert

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.names import Names
from pipeline_runner.pipelines.webui.errors import fault_of

AUTOMATIC: Final = "Automatic"
NONE: Final = "None"
API: Final = "/sdapi/v1"
NOT_FOUND: Final = 404
# "DPM++ 2M Karras" was one name until 1.8 of the web UI, and these were the schedules in such names
OLD_SCHEDULES: Final = ("Karras", "Exponential")
_HASH_IN_TITLE: Final = re.compile(r" \[[0-9a-fA-F]+\]$")
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


class _Script(Struct):
    name: _Name
    is_alwayson: bool | None = None
    is_img2img: bool | None = None
    args: list[Any] = []


class Script(NamedTuple):
    """A script of the server: does it run with every job, and how many values does it take?"""

    is_alwayson: bool
    values: int


class Checkpoint(NamedTuple):
    """A model; the server knows the hash of one only after it has loaded it once."""

    title: str
    file: str  # in the server's folder of models: the title without the hash
    name: str  # of the file, without folder and suffix: what the server reports
    hash: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What was read from a server.

    Attributes:
        names: By kind: samplers, schedulers, models, vaes, loras, upscalers, hr_upscalers, styles, and of ControlNet
            controlnets and preprocessors; absent if it has none.
        combined: Old sampler names with the schedule in them.
        checkpoints: The models by their titles.
        options: Its settings.
        forge: Is it Forge, with modules in place of VAEs?
        scripts: Its scripts by stage, under their names in small letters; None if it does not tell.
    """

    names: Mapping[str, Names]
    combined: Mapping[str, str]
    checkpoints: Mapping[str, Checkpoint]
    options: Mapping[str, Any]
    forge: bool
    scripts: Mapping[str, Mapping[str, Script]] | None = None

    @property
    def loras(self) -> Mapping[str, str]:
        """The spellings of its LoRAs, none if it has no list of them."""
        return self.names["loras"].spellings if "loras" in self.names else {}


def read_lists(client: HttpClient) -> Lists:
    """Read all lists of a server.

    Raises:
        ServerFault: it does not answer as a web UI with an API does.
    """
    answers = {name: _get(client, f"{API}/{name}") for name in ("samplers", "sd-models", "upscalers", "options")}
    for name in ("schedulers", "sd-modules", "loras", "latent-upscale-modes"):
        answers[name] = _get(client, f"{API}/{name}", optional=True)
    answers |= {name: _told(client, f"{API}/{name}") for name in ("script-info", "prompt-styles")}
    answers |= {name: _told(client, f"/controlnet/{name}") for name in ("model_list", "module_list")}
    answers["labels"] = _told(client, "/controlnet/module_list", {"alias_names": "true"})  # the other names of modules
    if answers["sd-modules"] is None:
        answers["sd-vae"] = _get(client, f"{API}/sd-vae", optional=True)
    try:
        return parse_lists(answers)
    except msgspec.ValidationError as error:
        raise ServerFault(
            "server_error",
            f"{client.url} lists what it offers in an unknown form; an SD.Next needs the pipeline sdnext: {error}",
        ) from None


def _get(client: HttpClient, path: str, *, optional: bool = False) -> Any:
    """Ask for one list; an optional one that is not there is None."""
    reply: Reply = client.get(path)
    if optional and reply.status == NOT_FOUND:
        return None
    if not reply.ok:
        raise fault_of(reply, client.url)
    return reply.json()


def _told(client: HttpClient, path: str, query: Mapping[str, str] | None = None) -> Any:
    """Ask for what an extension may have spoilt: one that describes itself wrongly costs the others nothing."""
    try:
        reply: Reply = client.get(path, query)
        return reply.json() if reply.ok else None
    except ServerFault as fault:
        if fault.kind == "unreachable":
            raise
        return None


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
        "models": _names(
            {model.title: spellings for model, spellings in models}, {model.file: model.title for model, _ in models}
        ),
        "vaes": None if vaes is None else _names(dict.fromkeys((*automatic, *(one.model_name for one in vaes)), ())),
        "loras": None
        if loras is None
        else _names({one.name: _alias(one) for one in loras if not _MARKUP & set(one.name)}),
        "upscalers": _names(dict.fromkeys(upscalers, ())),
        "hr_upscalers": _names(dict.fromkeys((*latent, *upscalers), ())),
    }
    names |= {"styles": _styles(answers), **_controlnet(answers)}
    return Lists(
        names={kind: some for kind, some in names.items() if some is not None},
        combined=combined,
        checkpoints={model.title: model for model, _ in models},
        options=convert(answers["options"], dict[str, Any]),
        forge=forge,
        scripts=_scripts(answers),
    )


def canonical(kind: str, value: object, lists: Lists) -> str:
    """Return the server's own name: it would replace an alias, which it does not know, by something else.

    Raises:
        InvalidInputError: it has no such name.
    """
    spellings = lists.names[kind].spellings
    if str(value) not in spellings:
        raise InvalidInputError(f"config: {value!r} is not among the {kind} of the server any more")
    return spellings[str(value)]


def _scripts(answers: Mapping[str, Any]) -> dict[str, dict[str, Script]] | None:
    try:
        told = _entries(answers, "script-info", _Script)
    except msgspec.ValidationError:
        told = None
    if told is None:
        return None
    found: dict[str, dict[str, Script]] = {"txt2img": {}, "img2img": {}}
    for one in told:
        stage = "img2img" if one.is_img2img else "txt2img"
        found[stage][one.name.lower()] = Script(bool(one.is_alwayson), len(one.args))
    return found


def _styles(answers: Mapping[str, Any]) -> Names | None:
    try:
        told = _entries(answers, "prompt-styles", _Named)
    except msgspec.ValidationError:
        told = None
    return None if told is None else _names(dict.fromkeys((one.name for one in told), ()))


def _controlnet(answers: Mapping[str, Any]) -> dict[str, Names | None]:
    """Read the models and preprocessors of ControlNet; a model may be named without the hash that is shown with it."""
    models = [*_words(answers.get("model_list"), "model_list")]
    modules = [*_words(answers.get("module_list"), "module_list"), *_words(answers.get("labels"), "module_list")]
    return {
        "controlnets": _names({name: [file_of(name), name.lower()] for name in models}) if models else None,
        "preprocessors": _names({name: [name.lower()] for name in modules}) if modules else None,
    }


def _words(told: Any, key: str) -> list[str]:
    found = told.get(key) if isinstance(told, dict) else None
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []


def file_of(title: str) -> str:
    """Return the title of a model without its hash, which the server learns when it loads the model."""
    return _HASH_IN_TITLE.sub("", title)


def parse_models(answer: Any) -> dict[str, Checkpoint]:
    """Read the models by their files from the answer that lists them; it raises as `parse_lists` does."""
    return {model.file: model for model, _ in _models(answer)}


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


def _names(known: Mapping[str, Iterable[str | None]], exact: Mapping[str, str] | None = None) -> Names:
    """Join names with their other spellings; of these, `exact` mean one name whatever else they could mean."""
    spellings: dict[str, str] = {**(exact or {}), **{name: name for name in known}}
    sure = set(spellings)
    ambiguous: dict[str, tuple[str, ...]] = {}
    for name, others in known.items():
        for spelling in filter(None, others):
            first = spellings.setdefault(spelling, name)
            could_be = ambiguous.get(spelling, (first,))
            if name not in could_be and spelling not in sure:
                ambiguous[spelling] = (*could_be, name)
    return Names(tuple(known), {key: name for key, name in spellings.items() if key not in ambiguous}, ambiguous)


def _checkpoint(one: _Model) -> tuple[Checkpoint, list[str]]:
    """Read a model with all its names."""
    title, path = one.title, PurePosixPath((one.filename or one.title).replace("\\", "/"))
    short, sha256 = one.hash or "", one.sha256 or ""
    file = file_of(title)
    stem = path.stem if path.suffix else path.name
    spellings = [file, one.model_name, stem, path.name, short, sha256]
    return Checkpoint(title, file, stem, short or sha256[:10], sha256), spellings


def _alias(one: _Lora) -> list[str]:
    return [one.alias] if one.alias and not _MARKUP & set(one.alias) else []
