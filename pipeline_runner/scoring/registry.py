"""Which scorers are installed: entry points of the group `variantbus.scorers`."""

import importlib.metadata
import logging
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from bus.contracts.fields import Config
from bus.contracts.jobs import ScorerSpec
from bus.contracts.pipeline_specs import check_value
from bus.contracts.scoring import ScoreSettings, check_score
from bus.eventlog.errors import StorageError
from bus.protocol.validation import InvalidInputError, convert, near_miss
from pipeline_runner.scoring.base import Scorer

GROUP: Final = "variantbus.scorers"
Scorers = Mapping[str, type[Scorer]]
logger = logging.getLogger(__name__)


def load_scorers() -> dict[str, type[Scorer]]:
    """Return the class of every installed scorer by name; one that cannot be loaded is logged and left out."""
    scorers: dict[str, type[Scorer]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            kind = _checked(entry.load())
        except Exception:
            logger.exception("scorer %s cannot be loaded", entry.name)
        else:
            scorers[entry.name] = kind
    return scorers


def load_scorer(name: str) -> type[Scorer]:
    """Return the class of one scorer.

    Raises:
        LookupError: it is not installed.
    """
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        return _checked(entry.load())
    raise LookupError(f"scorer {name!r} is not installed any more")


def spec_of(kind: type[Scorer]) -> ScorerSpec:
    """Return what a scorer takes, as it is announced."""
    return convert(
        msgspec.to_builtins({"about": kind.about, "options": dict(kind.options), "required": kind.required}), ScorerSpec
    )


def check_request(scorers: Scorers, score: ScoreSettings, reported: Collection[str]) -> None:
    """Refuse scorers that a job cannot have here; `reported` are the metrics of its pipeline.

    Raises:
        InvalidInputError: naming the field and what to do.
        StorageError: a file that it names cannot be read only for now.
    """
    check_score(score, reported)
    for name in score.use:
        if name not in scorers:
            raise InvalidInputError(f"score.use: scorer {name!r} is not installed; {near_miss(name, list(scorers))}")
        _check_options(f"score.options.{name}", scorers[name], score.options.get(name, {}))


def _check_options(where: str, kind: type[Scorer], options: Config) -> None:
    for key, value in options.items():
        if key not in kind.options:
            hint = near_miss(key, list(kind.options)) if kind.options else "it takes none"
            raise InvalidInputError(f"{where}.{key}: unknown option; {hint}")
        check_value(f"{where}.{key}", kind.options[key], value)
    for key in kind.required:
        if key not in options:
            raise InvalidInputError(f"{where}.{key}: missing; add it")
    try:
        kind.check(options)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}.{error}") from None
    except StorageError:
        raise
    except Exception as error:
        logger.exception("%s cannot be checked", where)
        raise InvalidInputError(f"{where}: its scorer cannot check it ({type(error).__name__})") from None


def _checked(kind: object) -> type[Scorer]:
    if not isinstance(kind, type) or not issubclass(kind, Scorer):
        raise TypeError(f"{kind!r} is no class that is made of pipeline_runner.scoring.Scorer")
    spec_of(kind)
    return kind
