"""Requests to the learning service about an experiment, each as one function."""

import re
import secrets
import time
import unicodedata
from collections.abc import Iterator
from typing import Final, get_args

from msgspec.structs import replace

from bus.console.tail import printable
from bus.contracts.archive import HistoryParams, HistoryReply, Kind, Records, RecordsParams, RecordsReply
from bus.contracts.experiments import (
    CreateParams,
    ExperimentListParams,
    ExperimentListReply,
    ExperimentParams,
    ExperimentView,
)
from bus.contracts.messages import ExperimentDefinition, ExperimentStatus, RecommendationUpdated
from bus.protocol.control import ControlError
from bus.transport.client import REQUEST_SECONDS, request
from bus.transport.keys import Keys
from learning_service.experiments.axes import plan_values
from learning_service.experiments.history import joined
from learning_service.experiments.plan import MAX_JOBS, settings
from learning_service.experiments.sharding import ALL, Shard
from variantbus.reports.export import Exported
from variantbus.reports.job_file import job_text

RETRY_SECONDS: Final = 0.1
SLUG_LIMIT: Final = 48  # characters of an id before its suffix
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # no letter that looks like another


def new_id(name: str, shard: Shard = ALL) -> str:
    """Return a new id for a display name: a slug, so that people recognise it, and a random suffix, which is identity.

    The suffix is drawn until the id belongs to the shard.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_LIMIT].strip("-") or "x"
    while True:
        made = f"{slug}-{''.join(secrets.choice(ALPHABET) for _ in range(6))}"
        if shard.owns(made):
            return made


def create(learning: str, definition: ExperimentDefinition, keys: Keys | None = None) -> ExperimentView:
    """Plan an experiment; its values are checked first, so that a bad file is refused without a service."""
    plan_values(definition, max_variants=MAX_JOBS)
    params = CreateParams(experiment_id=new_id(definition.name), definition=definition)
    deadline = time.monotonic() + REQUEST_SECONDS
    while True:
        try:
            return request(learning, "experiment.create", params, ExperimentView, keys=keys)
        except ControlError as error:
            if "shard" in error.details:
                params = replace(params, experiment_id=new_id(definition.name, Shard.parse(error.details["shard"])))
                continue
            # a service that has just started does not know its runners, or their servers, yet
            if error.code != "unavailable" or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def ask_recommendation(learning: str, experiment_id: str, keys: Keys | None = None) -> RecommendationUpdated:
    """Return the present recommendation of the learning service."""
    params = ExperimentParams(experiment_id=experiment_id)
    return request(learning, "experiment.recommend", params, RecommendationUpdated, keys=keys)


def export_of(learning: str, experiment_id: str, keys: Keys | None) -> Exported:
    """Return all records of an experiment, fetched page by page."""
    view = request(
        learning, "experiment.show", ExperimentParams(experiment_id=experiment_id), ExperimentView, keys=keys
    )
    records = Records()
    for kind in get_args(Kind):
        getattr(records, kind).extend(_records(learning, experiment_id, kind, keys))
    return Exported(
        experiment_id=experiment_id,
        created_at=view.created_at,
        definition=view.definition,
        values=[variant.variant_value for variant in view.variants],
        records=records,
        recommendation=view.recommendation,
    )


def _records(learning: str, experiment_id: str, kind: Kind, keys: Keys | None) -> list[object]:
    found: list[object] = []
    after: str | None = ""
    while after is not None:
        params = RecordsParams(experiment_id=experiment_id, kind=kind, after=after)
        reply = request(learning, "experiment.records", params, RecordsReply, keys=keys)
        found += getattr(reply.records, kind)
        after = reply.after
    return found


def history_of(
    learning: str, keys: Keys | None = None, *, variable: str | None = None, pipeline: str | None = None
) -> HistoryReply:
    """Return the history over all experiments, fetched page by page."""
    pages: list[HistoryReply] = []
    before: int | None = None
    while not pages or before is not None:
        params = HistoryParams(variable=variable, pipeline=pipeline, before=before)
        pages.append(request(learning, "history", params, HistoryReply, keys=keys))
        before = pages[-1].before
    return joined(pages)


def listed(
    learning: str, keys: Keys | None = None, *, search: str = "", page: int = 1000, archived: bool | None = None
) -> Iterator[list[ExperimentStatus]]:
    """Yield all experiments with the words of a search, newest first, page by page as needed; some may be empty.

    `archived`: only those that are, or only the others.
    """
    before: int | None = None
    while True:
        params = ExperimentListParams(before=before, limit=page, search=search, archived=archived)
        reply = request(learning, "experiment.list", params, ExperimentListReply, keys=keys)
        yield reply.experiments
        if reply.before is None:
            return
        before = reply.before


def job_of(learning: str, experiment_id: str, keys: Keys | None = None) -> str:
    """Return the ready-to-run job with the recommended value, as TOML.

    Raises:
        ControlError: there is no recommendation (code `conflict`), or no such experiment.
    """
    params = ExperimentParams(experiment_id=experiment_id)
    view = request(learning, "experiment.show", params, ExperimentView, keys=keys)
    made = ask_recommendation(learning, experiment_id, keys)
    if made.value is None:
        raise ControlError("conflict", made.sentence)
    return job_text(view.definition, settings(view.definition, made.value), printable(made.sentence))
