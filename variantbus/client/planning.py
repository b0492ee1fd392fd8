"""The request that plans an experiment, and the id that it chooses."""

import re
import secrets
import time
import unicodedata
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import CreateParams, ExperimentView
from bus.protocol.control import ControlError
from bus.transport.client import REQUEST_SECONDS, NoAnswerError, request
from bus.transport.keys import Keys
from learning_service.experiments.grid import grid_of, plan_values
from learning_service.experiments.plan import MAX_JOBS
from learning_service.experiments.sharding import ALL, Shard

RETRY_SECONDS: Final = 0.1
SLUG_LIMIT: Final = 48  # characters of an id before its suffix
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # no letter that looks like another


def slug_of(name: str) -> str:
    """Return the beginning of an id, by which people recognise a display name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_LIMIT].strip("-") or "x"


def new_id(name: str, shard: Shard = ALL) -> str:
    """Return a new id for a display name: a slug, so that people recognise it, and a random suffix, which is identity.

    The suffix is drawn until the id belongs to the shard.
    """
    slug = slug_of(name)
    while True:
        made = f"{slug}-{''.join(secrets.choice(ALPHABET) for _ in range(6))}"
        if shard.owns(made):
            return made


def create(
    learning: str,
    definition: ExperimentDefinition,
    keys: Keys | None = None,
    *,
    before: Callable[[str], object] = lambda _: None,
) -> ExperimentView:
    """Plan an experiment; its values are checked first, so that a bad file is refused without a service.

    `before` is called with an id before the service is asked to give it to the experiment.
    """
    if definition.mode == "grid":
        plan_values(definition, max_variants=MAX_JOBS)
    else:
        grid_of(definition, MAX_JOBS)  # a search chooses from any number of combinations
    params = CreateParams(experiment_id=new_id(definition.name), definition=definition)
    deadline = time.monotonic() + REQUEST_SECONDS
    while True:
        before(params.experiment_id)
        try:
            return request(learning, "experiment.create", params, ExperimentView, keys=keys)
        except ControlError as error:
            if "shard" in error.details:
                params = replace(params, experiment_id=new_id(definition.name, Shard.parse(error.details["shard"])))
                continue
            # a service that has just started does not know its runners, or their servers, yet
            if error.code != "unavailable" or isinstance(error, NoAnswerError) or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
