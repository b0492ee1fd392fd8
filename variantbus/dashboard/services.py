"""The requests of browsers to the runner and the learning service; each call blocks until its answer."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from bus.contracts.archive import ComparisonRecord, PictureRecord, RatingRecord, ResultRecord
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentParams
from bus.contracts.jobs import JobParams, PreviewReply
from bus.contracts.media import is_picture
from bus.protocol.control import ControlError
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError
from bus.transport.client import REQUEST_SECONDS, request
from bus.transport.keys import Keys
from variantbus.client.experiments import STATISTICS_SECONDS, ask_recommendation
from variantbus.client.health import Health, ask
from variantbus.client.outputs import fetch_beginning, fetch_output, fetch_picture, open_output
from variantbus.client.planning import create
from variantbus.client.records import export_of, job_of, records_of
from variantbus.dashboard.links import Links
from variantbus.dashboard.ranges import Span, span_of
from variantbus.dashboard.saving import Saver
from variantbus.dashboard.snapshot import snapshot_of
from variantbus.dashboard.system import System
from variantbus.reports.export import Exported, to_csv, to_json
from variantbus.reports.health import MIB, Thresholds
from variantbus.reports.html import beginning_text, media_type_of, report_html

THRESHOLDS: Final = Thresholds(max_lag=10_000, min_free=256 * MIB)
DELETE_SECONDS: Final = 60.0  # the answer comes when nothing is left of the experiment
HEALTH_SECONDS: Final = 1.5
NAMES: Final = 200  # experiments that may have a name
PREVIEW_SECONDS: Final = 2.0  # later there is a newer one
# the changes that a page may request, by the last part of the path
CHANGES: Final = {
    "cancel": "experiment.cancel",
    "stop": "experiment.stop",
    "retry": "experiment.retry",
    "extend": "experiment.extend",
    "rename": "experiment.rename",
    "set": "experiment.set",
    "archive": "experiment.archive",
    "unarchive": "experiment.unarchive",
    "delete": "experiment.delete",
    "rate": "image.rate",
    "undo": "rating.undo",
    "compare": "comparison.add",
    "undo-comparison": "comparison.undo",
}


PLAYED: Final = re.compile(r"(video|audio)/[a-z0-9.+-]+")


class Media(NamedTuple):
    """What a player is given; `span` is the part of it, None if it is all."""

    media_type: str
    size: int
    span: Span | None
    parts: Iterator[bytes]


class Services:
    """Sends the requests; every error is a `ControlError` or an `InvalidInputError` with a sentence for people."""

    def __init__(self, runner: str, learning: str, keys: Keys | None) -> None:
        """Keep the addresses of the services."""
        self.runner, self.learning, self._keys = runner, learning, keys
        self.system, self.links = System(runner, learning, keys), Links(runner, learning, keys)
        self.saver = Saver(runner, keys)

    def index(self, search: str, states: list[str], order: str, *, archived: bool) -> Any:
        """Return the ids of the experiments with all words of a search, in some states (none: any), in an order."""
        params = {"search": search, "states": states, "order": order, "archived": archived}
        return self._ask("experiment.index", params)

    def names(self, search: str) -> dict[str, list[str]]:
        """Return the names of the newest experiments, archived ones too, with all words of a search."""
        reply = self._ask("experiment.list", {"search": search, "limit": NAMES})
        return {"names": [one["experiment_name"] for one in reply["experiments"]]}

    def overviews(self, experiment_ids: list[str]) -> Any:
        """Return what a list shows of some experiments, of their definitions only what a row tells."""
        reply = self._ask("experiment.overview", {"experiment_ids": experiment_ids})
        for one in reply["overviews"]:
            one["experiment"]["definition"] = in_short(one["experiment"]["definition"])
        return reply

    def experiment(self, experiment_id: str) -> Any:
        """Return an experiment with its variants."""
        return self._ask("experiment.show", ExperimentParams(experiment_id=experiment_id))

    def snapshot(self, experiment_id: str) -> Any:
        """Return what a page loads of an experiment."""
        view = self.experiment(experiment_id)
        place = self.learning, experiment_id
        return snapshot_of(
            view,
            records_of(*place, "results", ResultRecord, self._keys),
            records_of(*place, "pictures", PictureRecord, self._keys),
            records_of(*place, "ratings", RatingRecord, self._keys),
            records_of(*place, "comparisons", ComparisonRecord, self._keys),
        )

    def records(self, experiment_id: str) -> Exported:
        """Return the results of its jobs, its ratings and its comparisons."""
        return export_of(self.learning, experiment_id, self._keys)

    def recommendation(self, experiment_id: str) -> Any:
        """Return the present recommendation."""
        return ask_recommendation(self.learning, experiment_id, self._keys)

    def pair(self, experiment_id: str, passed: str) -> Any:
        """Return the pictures to compare next; `passed` are other pairs: `LEFT.RIGHT,LEFT.RIGHT`, with their hashes."""
        pairs = [one.split(".") for one in passed.split(",") if one]
        return self._ask("comparison.next", {"experiment_id": experiment_id, "passed": pairs}, STATISTICS_SECONDS)

    def next_picture(self, experiment_id: str, passed: str) -> Any:
        """Return the picture to rate next; `passed` are the hashes of others, separated by commas."""
        params = {"experiment_id": experiment_id, "passed": [one for one in passed.split(",") if one]}
        return self._ask("rating.next", params, STATISTICS_SECONDS)

    def pipelines(self) -> Any:
        """Return the pipelines of the runner; where its files are is nothing for a browser."""
        reply: dict[str, Any] = request(self.runner, "pipelines", {}, dict, keys=self._keys)
        return {name: value for name, value in reply.items() if name != "outputs"}

    def plan(self, body: Any) -> Any:
        """Return the plan of a definition, without storing it."""
        return self._ask("experiment.plan", {"definition": definition_of(body)})

    def create(self, body: Any) -> Any:
        """Plan an experiment."""
        return create(self.learning, definition_of(body), self._keys)

    def change(self, experiment_id: str, what: str, body: Any) -> Any:
        """Do one of `CHANGES`."""
        if not isinstance(body, dict):
            raise InvalidInputError("input: must be a table")
        seconds = DELETE_SECONDS if what == "delete" else REQUEST_SECONDS
        return self._ask(CHANGES[what], {**body, "experiment_id": experiment_id}, seconds)

    def export(self, experiment_id: str, form: str) -> str:
        """Return an export as a document or a table."""
        exported = self.records(experiment_id)
        return to_csv(exported) if form == "csv" else to_json(exported)

    def report(self, experiment_id: str) -> str:
        """Return the report as an HTML page."""
        made = ask_recommendation(self.learning, experiment_id, self._keys)
        return report_html(
            self.records(experiment_id),
            made,
            lambda image: fetch_picture(self.runner, image.sha256, self._keys, whole=is_picture(image)),
            lambda image: fetch_beginning(self.runner, image.sha256, self._keys),
        )

    def recommended_job(self, experiment_id: str) -> str:
        """Return the ready-to-run job with the recommended value."""
        return job_of(self.learning, experiment_id, self._keys)

    def picture(self, sha256: str, *, thumbnail: bool) -> tuple[bytes, str]:
        """Return a picture, or its thumbnail, with its media type."""
        data = fetch_picture(self.runner, sha256, self._keys) if thumbnail else None
        if data is None:
            data = b"".join(fetch_output(self.runner, sha256, self._keys))
        return data, media_type_of(data)

    def file(self, sha256: str) -> Iterator[bytes]:
        """Yield the parts of a result as they arrive."""
        return fetch_output(self.runner, sha256, self._keys)

    def media(self, sha256: str, wanted: str) -> Media:
        """Return a video or a sound for a player, or the part of it that a `Range` header names.

        Raises:
            ControlError: the runner does not have it, or it is neither.
            UnsatisfiableError: it has no such part.
        """
        found = open_output(self.runner, sha256, self._keys)
        if not PLAYED.fullmatch(found.media_type):
            raise ControlError("not_found", "there is no such video or sound")
        span = span_of(wanted, found.size)
        if span is None:
            return Media(found.media_type, found.size, None, found.parts)
        parts = found.parts if not span.start else open_output(self.runner, sha256, self._keys, span.start).parts
        return Media(found.media_type, found.size, span, _cut(parts, span.end - span.start))

    def beginning(self, sha256: str) -> dict[str, object]:
        """Return the size of a result, and how it begins if it is a text.

        Raises:
            ControlError: the runner does not have it.
        """
        found = fetch_beginning(self.runner, sha256, self._keys)
        if found is None:
            raise ControlError("not_found", "there is no such result any more")
        return {"size": found.size, "text": beginning_text(found.data)}

    def job(self, job_id: str) -> dict[str, Any]:
        """Return what the runner knows of a job, and the address of the runner."""
        view = request(self.runner, "job.show", JobParams(job_id=job_id), dict, keys=self._keys)
        return {"job": view, "runner": self.runner}

    def preview(self, job_id: str) -> tuple[bytes, str]:
        """Return what a running job has made so far, with its media type."""
        params = JobParams(job_id=job_id)
        data = request(self.runner, "job.preview", params, PreviewReply, PREVIEW_SECONDS, keys=self._keys).data
        return data, media_type_of(data)

    def health(self) -> list[Health]:
        """Return the health of both; one that does not answer is a problem."""
        addresses = {"runner": self.runner, "learning": self.learning}
        return [ask(name, address, THRESHOLDS, HEALTH_SECONDS, self._keys) for name, address in addresses.items()]

    def _ask(self, method: str, params: object, seconds: float = REQUEST_SECONDS) -> Any:
        return request(self.learning, method, params, dict, seconds, keys=self._keys)


def _cut(parts: Iterator[bytes], left: int) -> Iterator[bytes]:
    """Yield so many bytes."""
    for part in parts:
        yield part[:left]
        left -= len(part)
        if left <= 0:
            return


def in_short(definition: dict[str, Any]) -> dict[str, Any]:
    """Return of a definition the names of its variables and what decides it: a workflow or many values are long."""
    short: dict[str, Any] = {key: definition[key] for key in ("objective", "mode") if key in definition}
    if definition.get("variable"):
        return {**short, "variable": {"name": definition["variable"]["name"]}}
    return {**short, "variables": [{"name": one["name"]} for one in definition.get("variables", ())]}


def definition_of(body: Any) -> ExperimentDefinition:
    """Read a definition that a page has sent.

    Raises:
        InvalidInputError: naming the field.
    """
    definition = body.get("definition") if isinstance(body, dict) else None
    if definition is None:
        raise InvalidInputError("definition: missing; add it")
    return take(msgspec.to_builtins(definition), ExperimentDefinition)
