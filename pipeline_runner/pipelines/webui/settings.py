"""What decides a picture besides the configuration of its job: the server's own settings, if they were used.

`GET /options` shows the settings of the job that runs, whoever sent it. So they are read while the server is idle,
right before a job and right after it, and compared with what the server says that it has used. A change that was taken
back in between is seen in that, or by the polls while the job runs; where anything is uncertain there is no answer.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from bus.contracts.fields import Config
from pipeline_runner.pipelines.http_client import LIST_SECONDS, HttpClient, ServerFault
from pipeline_runner.pipelines.webui.answer import Answer
from pipeline_runner.pipelines.webui.asked import OVERRIDES, overrides_of
from pipeline_runner.pipelines.webui.lists import API, AUTOMATIC, NONE, Checkpoint, Lists, file_of, parse_models
from pipeline_runner.pipelines.webui.watch import PROGRESS_QUERY, server_state

ASK_SECONDS: Final = 5.0
MODEL: Final = "sd_model_checkpoint"
HASH: Final = "sd_checkpoint_hash"  # of the model that is loaded, whoever has asked for it
VAE: Final = "sd_vae"
MODULES: Final = "forge_additional_modules"
CLIP_SKIP: Final = "CLIP_stop_at_last_layers"
OF_SETTINGS: Final = frozenset({"model", "vae", "clip_skip", OVERRIDES})  # what a job sets of the server's settings
LORA_HASHES: Final = "lora_add_hashes_to_infotext"
# raised with each change of what is read or compared: results of earlier versions are made again
VERSION: Final = 2
logger = logging.getLogger(__name__)
# what the text of a picture says of settings: its name there → the setting
TOLD: Final = {"RNG": "randn_source", "ENSD": "eta_noise_seed_delta", "Token merging ratio": "token_merging_ratio"}


class Settings(NamedTuple):
    """The settings of an idle server, and the model that a job will use: its own, or else that of the settings."""

    options: Mapping[str, Any]
    model: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How the newest job was made.

    Attributes:
        job_id: The job.
        answer: What the server says, without the picture.
        as_asked: Whether it differs in nothing from what the job asked for.
        seen: The settings at the polls while the job ran.
    """

    job_id: str
    answer: Answer
    as_asked: bool
    seen: tuple[Mapping[str, Any], ...] = ()


def read_settings(client: HttpClient, title: str | None) -> Settings | None:
    """Read the settings of the server, and its model of that title, or of the settings if that is None.

    Returns:
        None where they are uncertain: a job of anybody runs or has run meanwhile, the server does not answer, or it
        has no such model any more.
    """
    try:
        began = _idle_since(client)
        options = read_options(client) or {}
        models = _read_models(client)
        if began is None or began != _idle_since(client):
            return None
    except (ServerFault, msgspec.ValidationError):
        return None
    model = models.get(file_of(str(options.get(MODEL)) if title is None else title))
    return model and Settings(options, model)


def read_options(client: HttpClient) -> Mapping[str, Any] | None:
    """Return what `/options` shows now, None if it shows nothing.

    Raises:
        ServerFault: there is no answer.
    """
    reply = client.get(f"{API}/options", seconds=ASK_SECONDS)
    found = reply.json() if reply.ok else None
    return found if isinstance(found, dict) else None


def put_back(client: HttpClient, before: Settings | None, own: Mapping[str, Any]) -> None:
    """Undo what our job has left behind in the settings of the server, if that is certain.

    A web UI restores only those settings that somebody has saved once.
    """
    after = read_settings(client, None) if before and own else None
    left = left_over(before.options, after.options, own) if before and after else {}
    if not left:
        return
    try:
        reply = client.post(f"{API}/options", left, seconds=LIST_SECONDS)
        fault = None if reply.ok else f"the server answered {reply.status}"
    except ServerFault as error:
        fault = error.message
    if fault:
        logger.warning("the server kept settings of our job, and they cannot be put back: %s: %s", left, fault)
    else:
        logger.info("the server kept settings of our job; they are put back: %s", left)


def left_over(before: Mapping[str, Any], after: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are those of our job now and were not before it, with their values before."""
    return {
        name: before[name] for name, ours in own.items() if name in before and before[name] != after.get(name) == ours
    }


def title_of(config: Config, lists: Lists) -> str | None:
    """Return the title of the model that a job names, None if it names none."""
    name = config.get("model")
    return None if name is None else lists.names["models"].spellings.get(str(name), "")


def digest(settings: Settings, *, forge: bool) -> str:
    """Return a hash of all settings, as any of them may decide a picture; the model is that of the job."""
    options = {name: _plain(value) for name, value in settings.options.items() if name not in (MODEL, HASH)}
    model = (settings.model.file, settings.model.hash, settings.model.sha256)
    data = msgspec.json.encode([VERSION, options, model, forge], order="deterministic")
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    """Write 1.0 as 1: a server may show a setting in either way."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def agrees(config: Config, settings: Settings, made: Made) -> bool:
    """Return whether a picture was surely made with these settings, but for those that the job sets itself."""
    answer, options = made.answer, {**settings.options, **overrides_of(config)}
    return (
        made.as_asked
        and bool(answer.info and answer.parameters)
        and _model_agrees(settings.model, answer)
        and ("vae" in config or _vae_agrees(options, answer))
        and answer.info.get("clip_skip") == config.get("clip_skip", options.get(CLIP_SKIP))
        and all(
            str(options.get(name)) == answer.parameters.get(label, str(options.get(name)))
            for label, name in TOLD.items()
        )
        and all(_same(settings.options, seen, _own(config)) for seen in made.seen)
    )


def _model_agrees(model: Checkpoint, answer: Answer) -> bool:
    """Compare the model with the one that was used: by its name, and by its hash where both say it."""
    used, short = answer.info.get("sd_model_name"), answer.info.get("sd_model_hash")
    if short and model.hash and not model.sha256.startswith(str(short)) and model.hash != short:
        return False
    return bool(used) and used == model.name


def _vae_agrees(options: Mapping[str, Any], answer: Answer) -> bool:
    """Compare the VAE of the settings with the one that was used; which one `Automatic` finds, nobody says."""
    if MODULES in options:
        used = {text for name, text in answer.parameters.items() if name.startswith("Module ")}
        return used == {_stem(str(path)) for path in options[MODULES] or ()}
    asked, found = options.get(VAE, AUTOMATIC), answer.info.get("sd_vae_name") or NONE
    return asked == AUTOMATIC or _stem(str(asked)) == _stem(str(found))


def _stem(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _own(config: Config) -> frozenset[str]:
    """Return the settings that a job sets itself, and the hash of the loaded model, which follows from them."""
    names = {"model": MODEL, "vae": VAE, "clip_skip": CLIP_SKIP}
    return frozenset(
        {
            HASH,
            MODULES if "vae" in config else HASH,
            *(names[key] for key in names.keys() & config.keys()),
            *overrides_of(config),
        }
    )


def _same(one: Mapping[str, Any], other: Mapping[str, Any], but_for: frozenset[str]) -> bool:
    return all(one.get(name) == other.get(name) for name in (one.keys() | other.keys()) - but_for)


def _idle_since(client: HttpClient) -> str | None:
    """Return when the last job of an idle server began, None if one runs."""
    state = server_state(client.get(f"{API}/progress", PROGRESS_QUERY, seconds=ASK_SECONDS), None)
    return None if state is None or state.busy else state.timestamp


def _read_models(client: HttpClient) -> Mapping[str, Checkpoint]:
    reply = client.get(f"{API}/sd-models", seconds=ASK_SECONDS)
    return parse_models(reply.json()) if reply.ok else {}
