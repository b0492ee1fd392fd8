"""Requests for what an experiment has, whole: its records, its history, the job with its recommended value."""

from typing import TypeVar, get_args

from bus.console.printable import printable
from bus.contracts.archive import HistoryParams, HistoryReply, Kind, Records, RecordsParams, RecordsReply, ResultRecord
from bus.protocol.control import ControlError
from bus.transport.client import request
from bus.transport.keys import Keys
from learning_service.experiments.history import joined
from learning_service.experiments.settings import value_settings
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.reports.export import Exported
from variantbus.reports.job_file import job_text

R = TypeVar("R")


def export_of(learning: str, experiment_id: str, keys: Keys | None) -> Exported:
    """Return all records of an experiment, fetched page by page."""
    view = shown(learning, experiment_id, keys)
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


def results_of(learning: str, experiment_id: str, keys: Keys | None = None) -> list[ResultRecord]:
    """Return how the jobs of an experiment ended, fetched page by page."""
    return records_of(learning, experiment_id, "results", ResultRecord, keys)


def records_of(learning: str, experiment_id: str, kind: Kind, of: type[R], keys: Keys | None = None) -> list[R]:
    """Return the records of one kind, fetched page by page; `of` is their type."""
    return [one for one in _records(learning, experiment_id, kind, keys) if isinstance(one, of)]


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


def job_of(learning: str, experiment_id: str, keys: Keys | None = None) -> str:
    """Return the ready-to-run job with the recommended value, as TOML.

    Raises:
        ControlError: there is no recommendation (code `conflict`), or no such experiment.
    """
    view = shown(learning, experiment_id, keys)
    made = ask_recommendation(learning, experiment_id, keys)
    if made.value is None:
        raise ControlError("conflict", made.sentence)
    return job_text(view.definition, value_settings(view.definition, made.value), printable(made.sentence))
